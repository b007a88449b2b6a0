"""One pass of features through encoder and head, and the arithmetic it runs in."""

from __future__ import annotations

import ctypes
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.errors import UserError
from xstilts.tasks.shapes import Feature, Output, Reads, Shape, Spec
from xstilts.training.hidden import hidden_states

Read = Callable[[Any, dict[str, Tensor], Reads, int], Tensor]
"""`hidden_states`, or what does the same."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc


def collate(features: Sequence[Feature], pad: int, device: torch.device, multiple: int = 1) -> dict[str, Tensor]:
    """`input_ids`, `attention_mask` and, where the encoder has them, `token_type_ids`: each [n, length], where n
    counts the sequences of all features and length is that of the longest, rounded up to a `multiple`."""
    sequences = [sequence for feature in features for sequence in feature.sequences]
    length = math.ceil(max(len(s.ids) for s in sequences) / multiple) * multiple
    batch = {
        "input_ids": _pad([s.ids for s in sequences], length, pad),
        "attention_mask": _pad([[1] * len(s.ids) for s in sequences], length, 0),
    }
    if sequences[0].types is not None:
        batch["token_type_ids"] = _pad([s.types or [] for s in sequences], length, 0)
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _pad(rows: list[list[int]], length: int, value: int) -> Tensor:
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def forward(
    encoder: Any, head: nn.Module, shape: Shape, spec: Spec, batch: dict[str, Tensor], features: Sequence[Feature],
    read: Read = hidden_states,
) -> Output:  # fmt: skip
    """The head's output for the collated batch of some features, in float32. `read` passes it through the encoder."""
    hidden = read(encoder, batch, shape.reads, spec.layer)
    output = shape.forward(head, hidden, batch["attention_mask"], features)
    return [single.float() for single in output] if isinstance(output, list) else output.float()


def split(output: Output, features: Sequence[Feature]) -> list[Any]:
    """One array per feature: [sequences of the feature, ...], or what the shape gave for it."""
    parts = output if isinstance(output, list) else output.split([len(f.sequences) for f in features])
    return [part.cpu().numpy() for part in parts]


def length_of(feature: Feature) -> int:
    """Pieces of the longest sequence of a feature."""
    return max(len(s.ids) for s in feature.sequences)


def size_of(feature: Feature) -> int:
    """Padded pieces that a feature costs in a batch of its like."""
    return length_of(feature) * len(feature.sequences)


def check_length(longest: int, encoder: Any) -> None:
    """Refuse sequences, of which the longest has so many pieces, that the encoder has no positions for. Raises
    `UserError`."""
    config = encoder.config
    # XLM-R counts positions from padding_idx + 1
    used = (config.pad_token_id or 0) + 1 if config.model_type in ("xlm-roberta", "roberta", "camembert") else 0
    most = config.max_position_embeddings - used
    if longest > most:
        raise UserError(
            f"a sequence of {longest} pieces is longer than the {most} positions of the encoder",
            remedy=f"set max_length to at most {most}",
        )


def device() -> torch.device:
    """The accelerator, where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@lru_cache
def settle() -> None:
    """Settle what a process computes with, once: one thread, and memory that is kept.

    One thread, because sums are taken in another order with two: so weights do not depend on how many
    processors a machine has or which executor ran the step. `pool` fills the processors with steps instead, which
    is faster for encoders of this size.
    """
    torch.set_num_threads(1)
    # asked for by CUDA's matrix products when algorithms are to be deterministic (cuBLAS, "Results reproducibility")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # every buffer is written before it is read; filling each with NaN besides was 15 % of a step of a base-size encoder
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - unknown to its types
    _keep_memory()


def _keep_memory() -> None:
    """Ask glibc to keep freed memory instead of returning and re-faulting large buffers at every step.

    Measured on two cores with a 6-layer encoder of width 384, batch 16 of 240 pieces: 6.9 s a step against 5.4 s,
    400,000 page faults a step against none. Elsewhere than on glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28)):
            mallopt(option, value)


@lru_cache
def faster_in_bfloat16() -> bool:
    """Whether this machine multiplies matrices of an encoder's size faster in bfloat16, measured once (50 ms).

    The two differ by a factor of ten with AMX tiles, by two with other bfloat16 units, and by ten the other way without
    any; 1.3 is asked for. They are timed in turns, so that load meets both: in 4,500 measurements on a loaded machine
    whose factor is two the lowest ratio was 1.73. An answer that wavers would change the bits of a resumed training.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    pairs = [(torch.ones(256, 384, dtype=d), torch.ones(384, 384, dtype=d)) for d in (torch.float32, torch.bfloat16)]
    seconds: list[list[float]] = [[], []]
    for a, b in pairs:
        a @ b
    for _ in range(20):
        for (a, b), spent in zip(pairs, seconds, strict=True):
            began = time.perf_counter()
            a @ b
            spent.append(time.perf_counter() - began)
    return min(seconds[0]) > 1.3 * min(seconds[1])


def arithmetic(precision: str) -> tuple[AbstractContextManager[Any], str]:
    """(context to run the encoder in, name of the arithmetic) for `auto`, `float32` or `bfloat16`."""
    if precision == "auto":
        precision = "bfloat16" if faster_in_bfloat16() else "float32"
    if precision == "bfloat16":
        return torch.autocast(device().type, dtype=torch.bfloat16), precision
    return nullcontext(), precision
