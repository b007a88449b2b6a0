"""Bitext mining: pairs of sentences that are nearer to each other than to their neighbours.

The margin and the matching are those of Artetxe & Schwenk 2019 (arXiv 1811.01136): ratio margin, `max` retrieval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xstilts.retrieval.topk import BLOCK, Neighbours, topk_both
from xstilts.retrieval.vectors import Selected


class Pairs(NamedTuple):
    """Mined pairs, the best first; no sentence of either side is in two."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    scores: NDArray[np.float64]
    """Margins; about 1 for a pair no nearer than its neighbours."""


def mine(
    left: Selected, right: Selected, left_texts: Sequence[str], right_texts: Sequence[str], k: int, block: int = BLOCK
) -> Pairs:
    """Pairs of a positive margin between unit vectors [n, H] and [m, H] of n and m texts, k neighbours a side.

    A text that occurs several times is mined once, by its first vector, and a pair that contains it is dropped
    after the matching: which of its ids is meant cannot be known. So did XTREME's scripts; a gold pair with such a
    text cannot be found, and counts as missed.
    """
    sides = distinct(left_texts), distinct(right_texts)
    if not all(len(first) for first, _ in sides):
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    (left_first, left_single), (right_first, right_single) = sides
    found = match(*topk_both(left.pick(left_first), right.pick(right_first), k, block))
    keep = (found.scores > 0) & left_single[found.left] & right_single[found.right]
    return Pairs(left_first[found.left[keep]], right_first[found.right[keep]], found.scores[keep])


def distinct(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(where each different text occurs first, ascending; whether it occurs only there)."""
    first: dict[str, int] = {}
    single = np.ones(len(texts), dtype=bool)
    for i, text in enumerate(texts):
        if (place := first.setdefault(text, i)) != i:
            single[place] = False
    places = np.fromiter(first.values(), dtype=np.int64, count=len(first))
    return places, single[places]


def match(forward: Neighbours, backward: Neighbours) -> Pairs:
    """One-to-one pairs among neighbours, greedily by margin: every sentence of both sides proposes the neighbour of
    its greatest margin; of all proposals the best is taken, then the best whose sentences are both free, and so on.

    `forward` [n, k] are the nearest of the m right sentences, `backward` [m, k] those of the n left ones. Equal
    margins: left proposes before right, the lower index before the higher, the nearer neighbour before the farther.
    """
    left_mean, right_mean = (side.scores.mean(axis=1, dtype=np.float64) for side in (forward, backward))
    to_right, forward_scores = _propose(forward, left_mean, right_mean)
    to_left, backward_scores = _propose(backward, right_mean, left_mean)
    n, m = len(to_right), len(to_left)
    left, right = np.concatenate([np.arange(n), to_left]), np.concatenate([to_right, np.arange(m)])
    scores = np.concatenate([forward_scores, backward_scores])
    left_taken, right_taken, chosen = bytearray(n), bytearray(m), []
    for i in np.argsort(-scores, kind="stable"):
        a, b = left[i], right[i]
        if not (left_taken[a] or right_taken[b]):
            left_taken[a] = right_taken[b] = True
            chosen.append(i)
    order = np.array(chosen, dtype=np.int64)
    return Pairs(left[order], right[order], scores[order])


def _propose(
    near: Neighbours, mean: NDArray[np.float64], other_mean: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The neighbour of the greatest ratio margin, and that margin, per sentence: cosine over the average of the mean
    cosines of both sentences to their k nearest (equation 2 of arXiv 1811.01136).

    Where that average is not positive the ratio says nothing (two negatives make it great): minus infinity.
    """
    background = (mean[:, None] + other_mean[near.indices]) / 2
    margins = np.full(near.scores.shape, -np.inf)
    np.divide(near.scores, background, out=margins, where=background > 0)
    best = margins.argmax(axis=1)[:, None]
    return np.take_along_axis(near.indices, best, 1)[:, 0], np.take_along_axis(margins, best, 1)[:, 0]


def best_threshold(scores: Sequence[float], is_gold: Sequence[bool], gold_total: int) -> float:
    """The threshold t at which the candidates with score >= t have the greatest F1 against `gold_total` gold pairs.

    It lies midway between the last score kept and the next lower one; where all are kept it is the lowest score. Of
    equal F1 the fewest candidates are kept; equal scores are kept or dropped together. Where no candidate is gold
    every threshold has F1 0, and all are kept (0, as in XTREME's scripts). Raises `ValueError` without any gold pair.
    """
    if gold_total < 1:
        raise ValueError("no gold pair to set a threshold on")
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    ranked, right = np.asarray(scores, dtype=np.float64)[order], np.cumsum(np.asarray(is_gold, dtype=bool)[order])
    if not len(ranked) or right[-1] == 0:
        return 0.0
    f1 = 2 * right / (np.arange(1, len(ranked) + 1) + gold_total)
    can_cut = np.append(ranked[:-1] > ranked[1:], True)
    last = int(np.where(can_cut, f1, -1.0).argmax())
    if last == len(ranked) - 1:
        return float(ranked[last])
    middle = float((ranked[last] + ranked[last + 1]) / 2)
    # between two neighbouring floats there is none
    return middle if middle > ranked[last + 1] else float(ranked[last])
