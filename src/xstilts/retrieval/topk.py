"""Exact nearest neighbours by inner product, block by block: no approximation, and never an n x m matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xstilts.errors import StepFailed
from xstilts.retrieval.vectors import Selected
from xstilts.training.forward import device

BLOCK = 2048
"""Rows of a block. Whatever the number of vectors, a search holds 4 * BLOCK * (2 * BLOCK + 4 * width + 32 * k) bytes at
most, 60 MB at width 768 and k = 4; a process grows by less than 100 MB, gaps between them included. Faster than 1024
and no slower than 4096 on one thread."""

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
    forward, backward = _scan(left, right, k, block, both=True)
    return forward, backward


def _scan(left: Matrix, right: Matrix, k: int, block: int, both: bool) -> list[Neighbours]:
    if k < 1 or block < 1:
        raise ValueError("k and block must be 1 or more")
    where = device()
    best = [_empty(len(left), min(k, len(right)), where)]
    if both:
        best.append(_empty(len(right), min(k, len(left)), where))
    for columns in _blocks(len(right), block):
        multiply = _products_with(_load(right, columns, where), often=len(left) > block)
        for rows in _blocks(len(left), block):
            products = multiply(_load(left, rows, where))
            if both:
                # a copy even where the transposed view would do, which `_merge` overwrites
                _merge(best[1], columns, products.T.clone(memory_format=torch.contiguous_format), rows.start)
            _merge(best[0], rows, products, columns.start)
            del products  # the next takes its place
    return [Neighbours(scores.cpu().numpy(), indices.cpu().numpy()) for scores, indices in best]


def _blocks(n: int, block: int) -> Iterator[slice]:
    """Slices of almost equal length: slim ones at the end would be multiplied by another routine, which rounds
    otherwise."""
    count = math.ceil(n / block)
    for i in range(count):
        yield slice(i * n // count, (i + 1) * n // count)


def _load(matrix: Matrix, part: slice, where: torch.device) -> Tensor:
    # a view where it can be: torch takes neither read-only arrays nor strides below 0
    return torch.from_numpy(np.require(matrix[part], np.float32, ["C", "W"])).to(where)


def _empty(n: int, k: int, where: torch.device) -> tuple[Tensor, Tensor]:
    scores = torch.full((n, k), -math.inf, device=where)
    return scores, torch.zeros((n, k), dtype=torch.int64, device=where)


def _products_with(database: Tensor, often: bool) -> Callable[[Tensor], Tensor]:
    """The function from queries [n, width] to their inner products [n, m] with `database` [m, width].

    On a processor it is oneDNN's, which torch calls in float32 through no public function: MKL's, behind `@`, takes a
    tenth longer on AMD processors, and packs the database anew for every product. Packed once, where it is used
    `often`, that is another 4 %.
    """
    if database.is_cuda or not torch.backends.mkldnn.is_available():
        return lambda queries: queries @ database.T
    onednn: Any = torch.ops.mkldnn
    packed = onednn._reorder_linear_weight(database, len(database)) if often else database
    return lambda queries: onednn._linear_pointwise(queries, packed, None, "none", [], "")


def _merge(best: tuple[Tensor, Tensor], rows: slice, similarity: Tensor, first: int) -> None:
    """Merge `similarity` [rows, m], whose columns are numbered from `first` on, into the best of these rows.

    Blocks come in ascending order, so whatever is kept has a lower index than what comes: only a greater score
    displaces it. Overwrites `similarity`.
    """
    scores, indices = best[0][rows], best[1][rows]
    k, new = scores.shape[1], min(scores.shape[1], similarity.shape[1])
    values, places = _greatest(similarity, new)
    if math.isnan(values.amax()):
        raise StepFailed("a sentence vector is not a number: the encoder's weights are broken")
    if first == 0:
        scores[:, :new], indices[:, :new] = values, places
        return
    values, order = torch.cat([scores, values], 1).sort(dim=1, descending=True, stable=True)
    scores.copy_(values[:, :k])
    indices.copy_(torch.cat([indices, places + first], 1).gather(1, order[:, :k]))


def _greatest(pool: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest of each row of `pool` [n, m] and their columns, [n, k]: the greatest first, of equals the first,
    which torch's `topk` does not promise. Overwrites `pool`."""
    values: list[Tensor] = []
    places: list[Tensor] = []
    for _ in range(k):
        if places:
            pool.scatter_(1, places[-1], -math.inf)
        if pool.is_cuda:
            places.append(pool.argmax(1, keepdim=True))
        else:  # numpy's is vectorised; torch's takes ten times as long
            places.append(torch.from_numpy(pool.numpy().argmax(1, keepdims=True)))
        values.append(pool.gather(1, places[-1]))
    return torch.cat(values, 1), torch.cat(places, 1)
