"""What each lever of training speed contributes: python benchmarks/speed/levers.py [--small] [--only LEVER ...]

Trains as `step.py` does, our way and our way with one lever taken away (or one added that we do not use), in turns and
each time in a process of its own; the factor says how many times slower that is, by the clock and in processor time,
which a loaded machine changes less. Then the padding that is left, which is the most that packing sequences could gain,
and where the time of our steps goes, by torch's profiler.
"""

from __future__ import annotations

import ctypes.util
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from common import (
    alone,
    arguments,
    big_encoder,
    in_turns,
    merge,
    ratio,
    read_arguments,
    show,
    small_encoder,
    spread,
    xnli_rows,
)
from step import pieces, pieces_of_all, some
from trainings import BATCH, ours


def main() -> None:
    """Measure in turns, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--small", action="store_true", help="the small encoder with real weights")
    parser.add_argument("--rows", type=int, default=256, help="rows of an epoch, a multiple of 32")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=LEVERS, default=list(LEVERS), help="leave out other levers")
    parser.add_argument("--allocator", help="an allocator to preload (default: tcmalloc, where the system has it)")
    asked = read_arguments(parser, measure)
    allocator = asked.allocator or next(filter(None, map(ctypes.util.find_library, _ALLOCATORS)), None)
    names = [name for name in LEVERS if name in asked.only and (name != PRELOADED or allocator)]

    def one(name: str, repetition: int) -> dict[str, Any]:
        what = {"name": name, "small": asked.small, "rows": asked.rows, "seed": repetition}
        return alone(__file__, what, environment={"LD_PRELOAD": str(allocator)} if name == PRELOADED else None)

    found = in_turns(["ours", *names], asked.repetitions, one)
    seconds, busy = (
        {name: [run[which] for run in runs] for name, runs in found.items()}
        for which in ("seconds", "processor_seconds")
    )
    profile = one("profile", 0)
    results = {
        "rows": asked.rows, "allocator": Path(allocator).name if allocator else "not found",
        "seconds_per_32_examples": {name: spread(values) for name, values in seconds.items()},
        "processor_seconds_per_32_examples": {name: spread(values) for name, values in busy.items()},
        "times_slower_than_ours": {name: ratio(seconds[name], seconds["ours"]) for name in names},
        "times_more_processor_time": {name: ratio(busy[name], busy["ours"]) for name in names},
        "trained_parameters": {name: runs[0]["trained_parameters"] for name, runs in found.items()},
        **one("padding", 0), **profile,
    }  # fmt: skip
    report(results)
    merge(asked.results, "levers_small" if asked.small else "levers", results)


def measure(name: str, small: bool, rows: int, seed: int, threads: int) -> dict[str, Any]:
    """One variant's figures, once; or those of `profile` or `padding`."""
    encoder, tokenizer = small_encoder() if small else big_encoder()
    if name == "padding":
        return padding(tokenizer, xnli_rows())
    chosen, used = some(rows, tokenizer), pieces_of_all(tokenizer)
    train = partial(ours, encoder, tokenizer, chosen, rows // BATCH, seed=seed, also_used=used)
    if name == "profile":
        return profiled(train)
    with LEVERS[name]() if name in LEVERS else mock.MagicMock() as changes:
        return train(**changes if isinstance(changes, dict) else {})


@contextmanager
def in_float32() -> Iterator[dict[str, Any]]:
    """Arithmetic in float32."""
    yield {"precision": "float32"}


@contextmanager
def in_random_batches() -> Iterator[None]:
    """Batches of whatever lengths come together."""
    import torch

    from xstilts.training import drawing

    def batches(lengths: Sequence[int], size: int, generator: torch.Generator) -> Iterator[list[int]]:
        while True:
            order = torch.randperm(len(lengths), generator=generator).tolist()
            yield from (order[i : i + size] for i in range(0, len(order), size))

    with mock.patch.object(drawing, "training_batches", batches):
        yield


@contextmanager
def with_whole_vocabulary() -> Iterator[None]:
    """All pieces trained, used or not."""
    from xstilts.training import loop

    with mock.patch.object(loop, "_trims", lambda *_: False):
        yield


@contextmanager
def with_whole_last_layer() -> Iterator[None]:
    """The last layer at every piece, though its head reads the first."""
    from xstilts.training import gradient

    def hidden_states(encoder: Any, batch: dict[str, Any], reads: str, layer: int) -> Any:
        return encoder(**batch).last_hidden_state

    with mock.patch.object(gradient, "hidden_states", hidden_states):
        yield


@contextmanager
def with_dropout_of_torch() -> Iterator[None]:
    """Masks, and attention with them, as torch has them."""
    from xstilts.training import gradient

    with mock.patch.object(gradient, "PartOfDropout", nullcontext):
        yield


@contextmanager
def keeping_attention() -> Iterator[None]:
    """The weights of attention kept for the backward pass, not computed again."""
    from xstilts.training import dropout

    with mock.patch.object(dropout, "checkpoint", lambda function, *given, **_: function(*given)):
        yield


@contextmanager
def with_plain_glibc() -> Iterator[None]:
    """Freed memory returned to the system, as glibc does unasked. Also what a preloaded allocator runs with."""
    from xstilts.training import forward

    with mock.patch.object(forward, "_keep_memory", lambda: None):
        yield


@contextmanager
def with_filled_memory() -> Iterator[None]:
    """Every new tensor filled with NaN, as torch does for deterministic algorithms."""
    import torch

    from xstilts.training.forward import settle

    settle()
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    yield


@contextmanager
def without_determinism() -> Iterator[None]:
    """Algorithms whose sums may be taken in any order."""
    import torch

    from xstilts.training.forward import settle

    settle()
    torch.use_deterministic_algorithms(False)
    yield


@contextmanager
def with_adamw(foreach: bool) -> Iterator[None]:
    """AdamW in several passes over the weights, over all of them at a time (`foreach`) or one after the other."""
    import torch

    plain, other = torch.optim.AdamW, {"fused": False, "foreach": foreach}
    with mock.patch.object(torch.optim, "AdamW", lambda *a, **b: plain(*a, **{**b, **other})):
        yield


@contextmanager
def pinned() -> Iterator[None]:
    """The process held on one processor."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    yield


PRELOADED = "another allocator preloaded"
_ALLOCATORS = ("tcmalloc_minimal", "tcmalloc")
LEVERS: dict[str, Callable[[], Any]] = {
    "float32": in_float32,
    "batches in random order": in_random_batches,
    "whole vocabulary": with_whole_vocabulary,
    "whole last layer": with_whole_last_layer,
    "torch's dropout and attention": with_dropout_of_torch,
    "attention kept, not computed again": keeping_attention,
    "memory returned to the system": with_plain_glibc,
    PRELOADED: with_plain_glibc,
    "new memory filled": with_filled_memory,
    "algorithms that are not deterministic": without_determinism,
    "AdamW foreach": partial(with_adamw, True),
    "AdamW one by one": partial(with_adamw, False),
    "pinned to a processor": pinned,
}
"""What ours is changed by, by name."""


def padding(tokenizer: Any, rows: Sequence[Any]) -> dict[str, Any]:
    """Percent of padding among all pieces in an epoch of `rows`: in our batches, in random ones, padded to 128."""
    import torch

    from xstilts.training import batches
    from xstilts.training.forward import settle

    settle()
    lengths = [len(ids) for ids in pieces(tokenizer, rows)]
    generator, real = torch.Generator().manual_seed(0), sum(lengths)

    def share(chosen: Sequence[Sequence[int]]) -> float:
        return 100 - 100 * real / sum(len(batch) * max(lengths[i] for i in batch) for batch in chosen)

    order = torch.randperm(len(rows), generator=generator).tolist()
    like, count = batches.training_batches(lengths, BATCH, generator), math.ceil(len(rows) / BATCH)
    return {
        "padding_percent": {
            "ours": share([next(like) for _ in range(count)]),
            "random": share([order[i * BATCH : (i + 1) * BATCH] for i in range(count)]),
            "to 128": 100 - 100 * real / (128 * len(rows)),
        }
    }


_GROUPS = (
    ("optimiser and clipping", r"Optimizer|_fused_adamw|clip_grad|linalg_vector_norm|_foreach"),
    ("attention", r"scaled_dot_product|ScaledDotProduct|softmax|Softmax|aten::bmm|Bmm"),
    ("dropout", r"dropout|Dropout|bernoulli|aten::(random_|ge|mul_?)$|MulBackward"),
    ("matrix products", r"^aten::(linear|addmm|mm|matmul|mkldnn_linear)|(Addmm|Mm|Linear)Backward"),
    ("GELU and norms", r"gelu|Gelu|layer_norm|LayerNorm"),
    ("embeddings", r"embedding|Embedding"),
    ("casts and copies", r"aten::(_to_copy|to|copy_|clone|contiguous)$|ToCopyBackward|AccumulateGrad"),
)
"""Of an operation, or else of the nearest one that it is a part of: the first group that knows either."""


def profiled(train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Percent of the time of our steps by kind of operation, and the operations that take most."""
    from torch.autograd import DeviceType  # type: ignore[attr-defined]
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        train()
    spent, single = Counter[str](), Counter[str]()
    for event in seen.events() or []:
        if event.device_type == DeviceType.CPU:
            spent[_group(event)] += event.self_cpu_time_total
            single[event.name] += event.self_cpu_time_total
    total = sum(spent.values())
    percent = {name: 100 * time / total for name, time in spent.most_common()}
    return {"profile_percent": percent, "operations_percent": {n: 100 * t / total for n, t in single.most_common(12)}}


def _group(event: Any) -> str:
    names = []
    while event is not None:
        names.append(event.name)
        event = event.cpu_parent
    return next((group for group, pattern in _GROUPS if any(re.search(pattern, name) for name in names)), "rest")


def report(results: dict[str, Any]) -> None:
    """The tables."""
    seconds = results["seconds_per_32_examples"]
    print("| ours, but | seconds per 32 examples | times slower | times more processor time |\n|---|---|---|---|")
    print(f"| – | {show(seconds['ours'], 3)} | | |")
    for name, times in results["times_slower_than_ours"].items():
        busier = show(results["times_more_processor_time"][name])
        print(f"| {name} | {show(seconds[name], 3)} | {show(times)} | {busier} |")
    print(f"\nallocator preloaded: {results['allocator']}")
    left = results["padding_percent"]
    print("padding, % of all pieces: " + ", ".join(f"{name} {share:.1f}" for name, share in left.items()))
    print("\n| operations | % of the time of a step |\n|---|---|")
    for name, share in results["profile_percent"].items():
        print(f"| {name} | {share:.1f} |")
    print("\nmost: " + ", ".join(f"{name} {share:.1f} %" for name, share in results["operations_percent"].items()))


if __name__ == "__main__":
    main()
