"""Exact nearest neighbours by inner product, block by block: no approximation, and never an n x m matrix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xstilts.errors import StepFailed
from xstilts.retrieval.vectors import Selected
from xstilts.training.forward import device

BLOCK = 2048
"""Rows of a block. Working memory is at most 4 * BLOCK * (5 * BLOCK + 4 * width) bytes, 110 MB at width 768, whatever
the number of vectors; faster than 1024 and no slower than 4096 on one thread."""

Matrix = NDArray[np.float32] | Selected
"""Unit vectors [n, width], in memory or mapped from a file; anything with a length whose slices are arrays."""


class Neighbours(NamedTuple):
    """The k nearest of each of n vectors, the nearest first, of equals the one with the lowest index.

    k is at most the number of vectors that there are to choose from.
    """

    scores: NDArray[np.float32]
    """[n, k], inner products."""
    indices: NDArray[np.int64]
    """[n, k]."""


def topk(queries: Matrix, database: Matrix, k: int, block: int = BLOCK) -> Neighbours:
    """The k vectors of `database` with the greatest inner product with each of `queries`.

    Exact. A score is one float32 sum over the width; another `block` may sum it in another order and so change its
    last bit. Besides the working memory (`BLOCK`) it needs 12 k bytes per query. Raises `StepFailed` where a vector
    is not a number.
    """
    return _scan(queries, database, k, block, both=False)[0]


def topk_both(left: Matrix, right: Matrix, k: int, block: int = BLOCK) -> tuple[Neighbours, Neighbours]:
    """The k nearest of `right` to each of `left`, and of `left` to each of `right`, from one pass over the products.

    As `topk`; the score of a pair is the same number in both directions.
    """
    return _scan(left, right, k, block, both=True)


def _scan(left: Matrix, right: Matrix, k: int, block: int, both: bool) -> tuple[Neighbours, Neighbours]:
    if k < 1 or block < 1:
        raise ValueError("k and block must be 1 or more")
    where = device()
    forward = _empty(len(left), min(k, len(right)), where)
    backward = _empty(len(right) if both else 0, min(k, len(left)), where)
    for rows in _blocks(len(left), block):
        queries = _load(left, rows, where)
        for columns in _blocks(len(right), block):
            similarity = queries @ _load(right, columns, where).T
            _merge(forward, rows, similarity, columns.start)
            if both:
                _merge(backward, columns, similarity.T, rows.start)
    first, second = (Neighbours(scores.cpu().numpy(), indices.cpu().numpy()) for scores, indices in (forward, backward))
    return first, second


def _blocks(n: int, block: int) -> Iterator[slice]:
    """Slices of almost equal length: slim ones at the end would be multiplied by another routine, which rounds
    otherwise."""
    count = math.ceil(n / block)
    for i in range(count):
        yield slice(i * n // count, (i + 1) * n // count)


def _load(matrix: Matrix, part: slice, where: torch.device) -> Tensor:
    return torch.from_numpy(np.array(matrix[part], dtype=np.float32)).to(where)


def _empty(n: int, k: int, where: torch.device) -> tuple[Tensor, Tensor]:
    scores = torch.full((n, k), -math.inf, device=where)
    return scores, torch.zeros((n, k), dtype=torch.int64, device=where)


def _merge(best: tuple[Tensor, Tensor], rows: slice, similarity: Tensor, first: int) -> None:
    """Merge `similarity` [rows, m], whose columns are numbered from `first` on, into the best of these rows.

    Blocks come in ascending order, so whatever is kept has a lower index than what comes: only a greater score
    displaces it. Few rows have one once some blocks are seen, and the others cost no more than their maximum.
    """
    scores, indices = best[0][rows], best[1][rows]
    k = scores.shape[1]
    highest = similarity.amax(1)
    if bool(highest.isnan().any()):
        raise StepFailed("a sentence vector is not a number: the encoder's weights are broken")
    better = (highest > scores[:, -1]).nonzero().squeeze(1)
    pool = torch.cat([scores[better], similarity[better]], dim=1)
    # `max` gives the first of equals, `topk` any of them
    values, places = torch.empty_like(pool[:, :k]), torch.empty_like(pool[:, :k], dtype=torch.int64)
    for j in range(k):
        values[:, j], places[:, j] = pool.max(1)
        pool.scatter_(1, places[:, j : j + 1], -math.inf)
    kept = indices[better].gather(1, places.clamp(max=k - 1))
    scores[better] = values
    indices[better] = torch.where(places < k, kept, places + (first - k))
