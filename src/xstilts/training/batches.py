"""Which features go together: batches of like length, so that little is spent on padding."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike

_POOL = 32
"""Batches sorted together in training: large enough to align lengths, small enough to keep epochs different."""

TOKENS = {"cpu": 8192, "cuda": 32768}
"""Padded pieces of an evaluation batch by kind of device, where memory has not run out. On an H100 four times as many
go twice as fast, since fewer kernels are launched; more gain nothing with an encoder of large size
(`benchmarks/speed/gpu.py`)."""
PADDING = {"cpu": 128, "cuda": 16384}
"""Pieces of padding that an evaluation batch may have: what another batch costs beside its pieces. On a processor
anything from 64 to 256 goes about as fast, for encoders of small and of base size, and twice as fast as no limit where
a language has 50 sentences (`benchmarks/speed/evaluation_batches.py`). On an H100 a batch costs as much as 14,000 to
20,000 pieces (the slope and the start of a line through the times in `benchmarks/speed/gpu.py`)."""


def training_batches(lengths: ArrayLike, batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Batches of feature indices without end, every feature once per epoch, shuffled anew each epoch.

    Features are shuffled, cut into pools of 32 batches, sorted by length within a pool; the batches of an epoch
    come in random order. The last batch of an epoch may be smaller.
    """
    known = np.asarray(lengths)
    size = batch_size * _POOL
    while True:
        order = torch.randperm(len(known), generator=generator).numpy()
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            order[start : start + size] = pool[known[pool].argsort(kind="stable")]
        for i in torch.randperm(math.ceil(len(order) / batch_size), generator=generator).tolist():
            yield order[i * batch_size : (i + 1) * batch_size].tolist()


def evaluation_batches(lengths: ArrayLike, tokens: int, padding: int) -> Iterator[list[int]]:
    """Batches of at most `tokens` padded pieces (at least one feature), at most `padding` of them padding, longest
    first: memory peaks at once."""
    known = np.asarray(lengths)
    order = (-known).argsort(kind="stable")
    start = 0
    while start < len(order):
        longest = int(known[order[start]])
        fitting = order[start : start + max(1, tokens // max(1, longest))]
        size = int(np.searchsorted(np.cumsum(longest - known[fitting]), padding, side="right"))
        yield fitting[:size].tolist()
        start += size
