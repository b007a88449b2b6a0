"""Whether forecasts of gains could be trusted: their rank correlation with what was measured, and the regret of
following them. Pure functions of the frames of forecasts and gains."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from xstilts.analysis.gains import BASELINE
from xstilts.analysis.summary import headline

Floats = NDArray[np.float64]

JUDGED = ("method", "target", "n", "rho", "predicted", "predicted_gain", "best", "best_gain", "regret", "random")
OVERALL = ("method", "targets", "arms", "rho", "p", "smallest", "regret", "random")
_EXACT = 7
"""Intermediates up to which all their permutations are tried (5040)."""
_DRAWS = 9999


def spearman(a: Floats, b: Floats) -> Floats:
    """Rank correlation along the last axis of arrays that broadcast; ties have their mean rank, pairs with a NaN are
    left out. NaN where fewer than two pairs are left or one side is constant."""
    a, b = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    missing = np.isnan(a) | np.isnan(b)
    ranks = []
    for values in (a, b):
        ranked = np.asarray(rankdata(np.where(missing, np.inf, values), axis=-1))  # missing ones come last
        count = (~missing).sum(axis=-1, keepdims=True)
        ranks.append(np.where(missing, 0.0, ranked - (count + 1) / 2))
    products = (ranks[0] * ranks[1]).sum(axis=-1)
    squares = (ranks[0] ** 2).sum(axis=-1) * (ranks[1] ** 2).sum(axis=-1)
    found: Floats = np.where(squares > 0, products / np.sqrt(np.where(squares > 0, squares, 1.0)), np.nan)
    return found


def judge(forecasts: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    """How the forecasts of each method did on each target, over the intermediates that have both a score and a
    measured zero-shot gain (no controls); targets with fewer than two of them are left out.

    `forecasts` has method, target, intermediate, control, score; `gains` is that of `analysis.gains`. Columns: method,
    target, n (intermediates), rho (Spearman, -1 to 1), predicted (of the highest score) and its gain, best and its
    gain, regret (best gain minus that of the predicted, points, 0 or more), random (the mean regret of picking at
    random).
    """
    rows = []
    for (method, target), part in _together(forecasts, gains).groupby(["method", "target"], sort=False):
        if len(part) < 2:
            continue
        score, gain = part["score"].to_numpy(float), part["gain"].to_numpy(float)
        first, best = int(score.argmax()), int(gain.argmax())
        names = part["intermediate"].tolist()
        rows.append(
            (method, target, len(part), float(spearman(score, gain)), names[first], gain[first], names[best],
             gain[best], gain[best] - gain[first], gain[best] - gain.mean())
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(JUDGED))


def overall(forecasts: pd.DataFrame, gains: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """One row per method: means over the targets of `judge`, and whether the correlation can be told from chance.

    `p` is one-sided: the share of permutations of the intermediates, the same on all targets, whose mean correlation is
    no lower than the one found. An intermediate is permuted as a whole because its scores on different targets are
    alike, so that targets are no independent evidence. All permutations are tried up to 7 intermediates, else 9,999
    drawn with `seed` beside the one found. `smallest` is the least that `p` could be: with k intermediates 1 / k!.
    Columns: method, targets, arms (k), rho, p, smallest, regret, random; rho and p are NaN where every correlation is.
    """
    rows = []
    for method, judged in judge(forecasts, gains).groupby("method", sort=False):
        part = _together(forecasts, gains)
        part = part[(part["method"] == method) & part["target"].isin(judged["target"])]
        score = part.pivot(index="target", columns="intermediate", values="score").to_numpy(float)
        gain = part.pivot(index="target", columns="intermediate", values="gain").to_numpy(float)
        rho, p, smallest = _permuted(score, gain, seed)
        regret, at_random = judged["regret"].mean(), judged["random"].mean()
        rows.append((method, len(judged), score.shape[1], rho, p, smallest, regret, at_random))
    return pd.DataFrame(rows, columns=list(OVERALL))


def _together(forecasts: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    mine = forecasts[(forecasts["control"] == "") & (forecasts["intermediate"] != BASELINE)]
    measured = headline(gains)[["intermediate", "target", "gain"]].dropna()
    return mine.merge(measured.astype({"gain": float}), on=["intermediate", "target"])


def _permuted(score: Floats, gain: Floats, seed: int) -> tuple[float, float, float]:
    """(mean correlation of score and gain [targets, k] over targets, p, the least that p could be)."""
    k = score.shape[1]
    if k <= _EXACT:
        orders = np.array(list(permutations(range(k))))  # the first is the one found
    else:
        rng = np.random.default_rng(seed)
        orders = np.stack([np.arange(k), *(rng.permutation(k) for _ in range(_DRAWS))])
    each = spearman(score[:, orders], gain[:, None, :])
    known = ~np.isnan(each)
    counts = known.sum(axis=0)
    means = np.where(known, each, 0.0).sum(axis=0) / np.maximum(counts, 1)
    if not counts[0]:
        return math.nan, math.nan, 1 / len(orders)
    # a permutation that leaves no correlation to compute is no evidence either way: it counts as at least as high
    at_least = (means >= means[0] - 1e-12) | (counts == 0)
    return float(means[0]), float(at_least.mean()), 1 / len(orders)
