"""Which features go together: batches of like length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

_POOL = 32
"""Batches sorted together in training: large enough to align lengths, small enough to keep epochs different."""

TOKENS = {"cpu": 8192, "cuda": 32768}
"""Padded pieces of an evaluation batch by kind of device, where memory has not run out. On an H100 four times as many
go twice as fast, since fewer kernels are launched; more gain nothing with an encoder of large size
(`benchmarks/speed/gpu.py`)."""


def training_batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Batches of feature indices without end, every feature once per epoch, shuffled anew each epoch.

    Features are shuffled, cut into pools of 32 batches, sorted by length within a pool; the batches of an epoch
    come in random order. The last batch of an epoch may be smaller.
    """
    while True:
        order = torch.randperm(len(lengths), generator=generator).tolist()
        size = batch_size * _POOL
        pools = [sorted(order[i : i + size], key=lambda k: lengths[k]) for i in range(0, len(order), size)]
        batches = [pool[i : i + batch_size] for pool in pools for i in range(0, len(pool), batch_size)]
        for i in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[i]


def evaluation_batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Batches of at most `tokens` padded pieces (at least one feature), longest first: memory peaks at once."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = max(1, tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size
