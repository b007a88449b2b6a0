"""What a ranking amounts to: the probability of being the best, and how many seeds would settle a row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special

from xstilts.analysis.bootstrap import NAN, Floats, named_generator
from xstilts.analysis.components import Estimate, Pool, covariance, estimate

DRAWS = 20_000
_MOST = 1_000  # seeds; beyond it nobody would run them


def chances(
    found: Pool, sides: Mapping[str, Mapping[str, float]], level: float, seed: int = 0, draws: int = DRAWS
) -> dict[str, float]:
    """For each of `sides` (name -> weights of intermediates) the probability of having the highest true gain.

    Joint draws around the estimates by a multivariate t: the covariance over examples and seeds on the same targets
    (`components.covariance`), the degrees of freedom the lowest of the sides'. A probability in the sense of a
    bootstrap or of a flat prior. They sum to 1.
    """
    names = sorted(sides)
    rows = np.array([found.index(sides[name]) for name in names])
    means, spread = rows @ found.gains, covariance(found, rows)
    df = min(estimate(found, sides[name], level).df for name in names)
    if np.isnan(spread).any() or np.isnan(df):
        return {}
    generator = named_generator(seed, names)
    normal = generator.multivariate_normal(np.zeros(len(names)), spread, size=draws, method="eigh")
    drawn = means + normal / np.sqrt(generator.chisquare(df, size=(draws, 1)) / df)
    wins = np.bincount(drawn.argmax(axis=1), minlength=len(names)) / draws
    return dict(zip(names, map(float, wins), strict=True))


def seeds_needed(found: Estimate, level: float = 0.95) -> float:
    """Seeds in all with which the interval would leave out 0, if the gain and its spread stayed as they are.

    With m seeds instead of n, se_seeds^2 is n / m of what it is and its degrees of freedom (m - 1) / (n - 1) times as
    many; what examples and languages add stays. `n_seeds` where the interval leaves out 0 already; inf where no
    number of seeds up to 1,000 does it, so that examples (or languages) are the limit; NaN where nothing is known of
    seeds, as with one. As the gain will not stay exactly what it is, these seeds settle it about every other time.
    """
    n = found.n_seeds
    if np.isnan(found.se) or n < 2:
        return NAN
    if found.low > 0 or found.high < 0:
        return float(n)
    counts = np.arange(n, _MOST + 1)
    if _half_width(found, counts[-1:], level)[0] >= abs(found.gain):
        return float("inf")
    return float(counts[_half_width(found, counts, level) < abs(found.gain)][0])


def _half_width(found: Estimate, m: NDArray[np.int_], level: float) -> Floats:
    """Half the width of the interval with `m` seeds."""
    n = found.n_seeds
    fixed = found.se**2 - found.se_seeds**2
    seeds = found.se_seeds**2 * n / m
    # all doubt about the variance is put down to seeds, of which there are fewest
    now, then = (found.se_seeds**2, seeds) if found.se_seeds > 0 else (found.se**2, fixed)
    nu = found.df * (now / found.se**2) ** 2 * (m - 1) / (n - 1)
    df = (fixed + seeds) ** 2 / (then**2 / nu)
    return np.asarray(special.stdtrit(df, 0.5 + level / 2) * np.sqrt(fixed + seeds))
