"""Many comparisons at once: corrected p values, and a permutation test that assumes no distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from xstilts.analysis.bootstrap import Floats, named_generator

ALPHA = 0.05
"""What a corrected p value must be below for a finding."""
_EXACT = 14  # units up to which all 2^units flips are tried
_FLIPS = 9_999


def holm(p: Floats) -> Floats:
    """p values that hold the error rate over the whole family (Holm 1979, Scand. J. Stat. 6:65), any dependence.

    NaN stays NaN and is no member of the family.
    """
    return _among(p, _holm)


def benjamini_hochberg(p: Floats) -> Floats:
    """p values that hold the false discovery rate (Benjamini & Hochberg 1995), for independent or positively
    dependent comparisons. NaN stays NaN and is no member of the family."""
    return _among(p, lambda q: stats.false_discovery_control(q, method="bh"))


def _holm(p: Floats) -> Floats:
    rising = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[rising] = np.minimum(np.maximum.accumulate(p[rising] * np.arange(len(p), 0, -1)), 1.0)
    return corrected


def _among(p: Floats, correct: Callable[[Floats], Floats]) -> Floats:
    found, there = np.full(len(p), np.nan), ~np.isnan(p)
    if there.any():
        found[there] = correct(p[there])
    return found


def sign_flip(units: Floats, seed: int = 0, name: Sequence[str] = ()) -> float:
    """Two-sided p value of a sum over `units` [n], each of which could as well have had the other sign.

    A unit is one pair of runs: the same target and seed with and without the intermediate. If the intermediate
    phase does nothing at all, which of two trainings is called which is arbitrary, whatever the distribution of
    scores (Fisher 1935; Noreen 1989). Up to 14 units all flips are tried, which includes the one observed; else 9,999
    random ones and the observed one (Phipson & Smyth 2010), a function of `seed` and `name`. With n units no p value
    is below 2 / 2^n. Units that are 0 (a run that is missing) are left out; NaN without any.
    """
    units = units[units != 0]
    n = len(units)
    if n == 0:
        return float("nan")
    if n <= _EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        generator = named_generator(seed, *name)
        signs = np.vstack([np.ones(n), generator.integers(0, 2, (_FLIPS, n)) * 2.0 - 1.0])
    sums = np.abs(signs @ units)
    return float((sums >= sums[0] * (1 - 1e-9)).mean())
