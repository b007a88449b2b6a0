"""What tokenising and batching take, and the memory of it: python benchmarks/speed/tokens.py [--small]

Rows are those of XNLI's English dev set over and over. Each contestant in a process of its own, in turns:

  step   the training loop of studies on 256 rows, and beside it an epoch of many rows from a warm cache, with all that
         comes before a batch is on the device: opening and checking the cache, which pieces are used, the order of the
         epoch, and of every batch its features and tensors
  lists  rows and features as lists of Python's objects, and an epoch of batches drawn from them: as without a cache
  cold   the same with the token cache, which does not have them yet
  warm   the same where it has

The share is in processor seconds, which other processes hardly change. Memory is what is gained at most over that of
the process once everything was imported: of its own (RssAnon of /proc/self/status), and with what is mapped of files
(VmHWM), which the system takes back when it needs it. Linux only.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

from common import (
    SMALL,
    alone,
    arguments,
    big_encoder,
    in_turns,
    memory_mb,
    merge,
    read_arguments,
    show,
    small_encoder,
    spread,
    xnli_rows,
)
from step import pieces_of_all, some
from trainings import BATCH, LABELS, ours

WAYS = ("lists", "cold", "warm")
_LOOK = 1000
"""Rows or batches after which the memory is looked at."""


def main() -> None:
    """Measure in turns, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--small", action="store_true", help="the step of the small encoder, not of XLM-R-base size")
    parser.add_argument("--epoch", type=int, default=40_000, help="rows of the epoch that is batched beside the step")
    parser.add_argument("--rows", type=int, default=500_000, help="rows that memory is measured with")
    parser.add_argument("--repetitions", type=int, default=5, help="of the step; memory is measured once")
    parser.add_argument("--only", nargs="*", choices=("step", *WAYS), default=("step", *WAYS))
    asked = read_arguments(parser, measure)
    results: dict[str, Any] = {"rows": asked.rows, "epoch": asked.epoch, "small": asked.small}
    with tempfile.TemporaryDirectory() as folder:
        if "step" in asked.only:
            what = {"small": asked.small, "rows": asked.epoch, "folder": folder}
            found = in_turns(["step"], asked.repetitions, lambda name, seed: alone(__file__, {**what, "seed": seed}))
            results |= {name: spread([run[name] for run in found["step"]]) for name in found["step"][0]}
        what = {"rows": asked.rows, "folder": folder}
        ways = [name for name in WAYS if name in asked.only]
        memory = in_turns(ways, 1, lambda way, _: alone(__file__, {**what, "way": way}))
        results["memory"] = {way: runs[0] for way, runs in memory.items()}
    report(results)
    merge(asked.results, "tokens", results)


def measure(rows: int, folder: str, threads: int, small: bool = True, seed: int = 0, way: str = "") -> dict[str, Any]:
    """One contestant's figures, once."""
    return memory(way, rows, Path(folder)) if way else share(small, rows, Path(folder), seed)


def share(small: bool, rows: int, folder: Path, seed: int) -> dict[str, Any]:
    """Processor seconds of a step, of what comes before it from a warm cache, and the latter in percent of the former;
    `open_seconds` is the part of it that comes once in a training and not once a step."""
    import torch

    from xstilts.training.batches import training_batches
    from xstilts.training.forward import collate
    from xstilts.training.tokens import tokenise

    encoder, tokenizer = small_encoder() if small else big_encoder()
    options: dict[str, Any] = {"also_used": pieces_of_all(tokenizer)}
    chosen = some(256, tokenizer)
    step = ours(encoder, tokenizer, chosen, len(chosen) // BATCH, seed=seed, **options)["processor_seconds"]
    shape, spec, many = prepared(rows, folder)
    tokenise(folder, shape, many, tokenizer, spec, True)
    began = time.process_time()
    features = tokenise(folder, shape, many, tokenizer, spec, True)
    used = len(features.used)
    batches = training_batches(features.lengths, BATCH, torch.Generator().manual_seed(seed))
    first = next(batches)
    opened = time.process_time() - began
    steps = -(-len(features) // BATCH)
    for indices in itertools.islice(itertools.chain([first], batches), steps):
        collate([features[i] for i in indices], tokenizer.pad_token_id, torch.device("cpu"))
    spent = (time.process_time() - began) / steps
    return {"share_percent": 100 * spent / step, "step_seconds": step, "batch_seconds": spent, "open_seconds": opened,
            "pieces_used": used}  # fmt: skip


def memory(way: str, count: int, folder: Path) -> dict[str, Any]:
    """MB gained and processor seconds of encoding, until the first batch."""
    import torch

    from xstilts.models.encoder import load_tokenizer
    from xstilts.training.batches import training_batches
    from xstilts.training.forward import length_of
    from xstilts.training.tokens import tokenise

    tokenizer = load_tokenizer(str(SMALL))
    shape, spec, rows = prepared(count, folder)
    shape.encode(rows[:8], tokenizer, spec, True)
    before, most = {name: memory_mb(name) for name in ("RssAnon", "VmHWM")}, 0.0
    began = time.process_time()
    features: Any
    if way == "lists":
        held = list(rows)
        features = shape.encode(held, tokenizer, spec, True)
        lengths: Any = [length_of(feature) for feature in features]
    else:
        features = tokenise(folder, shape, rows, tokenizer, spec, True)
        lengths = features.lengths
    encoded = time.process_time() - began
    batches = training_batches(lengths, BATCH, torch.Generator().manual_seed(0))
    for i, indices in enumerate(itertools.islice(batches, -(-len(features) // BATCH))):
        batch = [features[k] for k in indices]
        if i % _LOOK == 0:
            most = max(most, memory_mb("RssAnon"))
    assert batch
    return {"seconds": encoded, "own_mb": most - before["RssAnon"], "peak_mb": memory_mb("VmHWM") - before["VmHWM"]}


def prepared(count: int, folder: Path) -> tuple[Any, Any, Any]:
    """(shape, settings, so many rows in a file of `folder`)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from xstilts.store import sha256_of
    from xstilts.tasks.rows import SCHEMAS, Rows
    from xstilts.tasks.shapes import SHAPES, Spec

    file = folder / f"{count}.parquet"
    if not file.is_file():
        real = xnli_rows()
        with pq.ParquetWriter(file, SCHEMAS["classify"]) as writer:
            for start in range(0, count, len(real)):
                some_rows = [{**row, "id": f"{start}-{row['id']}"} for row in real[: count - start]]
                writer.write_table(pa.Table.from_pylist(some_rows, schema=SCHEMAS["classify"]))
    return SHAPES.get("classify"), Spec(labels=LABELS), Rows(((file, sha256_of(file)),))


def report(results: dict[str, Any]) -> None:
    """The figures as text."""
    if "share_percent" in results:
        name = "the small encoder" if results["small"] else "an encoder of XLM-R-base size"
        print(f"of a step of {name}, {show(results['step_seconds'])} s, batching from a warm cache of "
              f"{results['epoch']:,} rows takes {show(results['share_percent'])} %")  # fmt: skip
    print(
        f"| {results['rows']:,} rows | processor seconds | own memory, MB | with mapped files, MB |\n|---|---|---|---|"
    )
    for way, found in results["memory"].items():
        print(f"| {way} | {found['seconds']:.1f} | {found['own_mb']:,.0f} | {found['peak_mb']:,.0f} |")


if __name__ == "__main__":
    main()
