"""The variance of a weighted mean of gains: luck of the examples, of the seeds and, if wanted, of the languages.

A statistic is L = sum_i a_i sum_t b_t d_it over intermediates i and targets t, with d_it the mean over seeds of the
gain. Its variance has the parts of `bootstrap.interval`, worked out for the statistic itself:

    se^2 = V + max(S^2 - C, 0) / n  (+ languages)

V is the bootstrap's variance of L (examples, shared by arms, seeds, settings and parallel languages). S^2 is the
variance over the n seeds of X_s = sum_i a_i x_is with x_is = sum_t b_t d_its, and C the part of it that comes from
seeds erring on different examples. Targets are summed within a seed before any variance is taken, so what they share
(the intermediate's checkpoint, or a fine-tuning that serves two targets) is counted.

Two to five seeds know little of a variance, so all K intermediates of the study estimate it together. They share the
baseline's runs: x_is = mean_i + B_s + e_is, a two-way layout with mean squares M_B over seeds (n - 1 degrees of
freedom) and M_e of the rest ((K - 1)(n - 1)), for which E M_B = var(e) + K var(B) and E M_e = var(e) (Scheffe 1959,
ch. 8). With A = sum a_i and Q = sum a_i^2 therefore

    S^2 = (A^2 / K) M_B + (Q - A^2 / K) M_e

whose weights are never negative (Cauchy and Schwarz). A mean of intermediates has A = 1, a contrast A = 0 and is free
of the baseline. C is the same function of resampled gains less the actual ones. As var(B) is not negative, M_B counts
for at least M_e: with two or three seeds it is often below that by chance. Degrees of freedom follow Satterthwaite
(1946) over M_B, M_e and the examples.

These degrees of freedom are themselves estimated, which the middle of the distribution forgives and its far tail, where
corrected comparisons are decided, does not. Corrections therefore start from `p_cautious`, the p value at

    df^(nu / (nu + 1)) * nu^(1 / (nu + 1))      with nu = n - 1, at most df

degrees of freedom, a form found by simulation: it keeps the error rate of a family of 24 rows under 5 % with two, three
and five seeds (docs/power.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from xstilts.analysis.bootstrap import NAN, Floats
from xstilts.analysis.hierarchy import Evidence, Gained


@dataclass(frozen=True)
class Estimate:
    """A statistic with its uncertainty, in points."""

    gain: float
    low: float
    high: float
    se: float
    se_examples: float
    se_seeds: float
    """What the spread over seeds adds; 0 with one seed, of which nothing is known then."""
    se_languages: float
    """What the choice of languages adds; 0 where they are taken as given."""
    df: float
    p: float
    """Two-sided, of no effect, by Student's t: below 1 - level exactly where the interval leaves out 0."""
    p_cautious: float
    """The same with fewer degrees of freedom, for the far tail; never below `p`."""
    n_seeds: int


NO_ESTIMATE = Estimate(NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0)


@dataclass(frozen=True)
class Pool:
    """Everything about one weighting b of targets: per intermediate, per seed and per draw."""

    arms: tuple[str, ...]
    """The intermediates that have all of these targets."""
    gains: Floats
    """[arms]"""
    residuals: Floats
    """[arms, seeds]: x_is less its mean; rescaled where a pair lacks seeds."""
    draws: Floats
    """[arms, draws], centred: the luck of the examples in the mean over seeds."""
    noise: tuple[float, float]
    """The parts of M_B and M_e that come from the examples."""
    noise_of: Floats
    """[arms, arms]: covariance over seeds that comes from the examples."""
    by_target: Floats
    """[units, arms]: what each run of a target in a seed brings to `gains`; they sum to it."""
    languages: Floats
    """[languages, arms]: residuals of languages; empty where languages are taken as given."""
    languages_noise: Floats
    """[languages, arms, draws]"""
    seeds: int
    """n: the seeds that any pair has."""
    n_seeds: int
    """Those of the pair that has fewest."""
    n_examples: int
    """Examples of the target and language that has fewest."""

    def index(self, weights: Mapping[str, float]) -> Floats:
        """The vector a over `arms`."""
        return np.array([weights.get(arm, 0.0) for arm in self.arms])


def usable(gained: Gained) -> NDArray[np.bool_]:
    """[arms]: whether an intermediate has enough pairs of runs with the baseline on a target.

    One pair is enough in a study of one seed; where others have more, a single pair says nothing of its spread and
    counts as missing.
    """
    pairs = (~np.isnan(gained.gains)).sum(axis=1)
    return np.asarray(pairs >= min(2, pairs.max(initial=1)))


def pool(targets: Mapping[str, float], evidence: Mapping[str, Evidence], measure: str, peers: Collection[str]) -> Pool:
    """Those of the intermediates `peers` that have every one of `targets` (name -> weight b, at least one)."""
    parts = [(evidence[name].measures[measure], weight, evidence[name].languages) for name, weight in targets.items()]
    every = evidence[next(iter(targets))].arms
    wanted = np.array([arm in peers for arm in every])
    keep = np.flatnonzero(np.logical_and.reduce([wanted, *(usable(gained) for gained, _, _ in parts)]))
    seeds = parts[0][0].gains.shape[1]
    ran = [~np.isnan(gained.gains[keep]) for gained, _, _ in parts]
    n = int(np.logical_or.reduce([r.any(axis=0) for r in ran]).sum())
    gains, residuals = np.zeros(len(keep)), np.zeros((len(keep), seeds))
    draws = parts[0][0].resampled.shape[2]
    star, star_residuals = np.zeros((len(keep), draws)), np.zeros((len(keep), seeds, draws))
    units = []
    for (gained, weight, _), here in zip(parts, ran, strict=True):
        n_it = here.sum(axis=1, keepdims=True)
        # so that squared residuals summed over seeds are n(n - 1) times the variance of the mean, as with all seeds
        scale = weight * np.sqrt(n * max(n - 1, 1) / (n_it * np.maximum(n_it - 1, 1)))
        values = np.where(here, gained.gains[keep], 0.0)
        mean = values.sum(axis=1, keepdims=True) / n_it
        gains += weight * mean[:, 0]
        residuals += scale * np.where(here, values - mean, 0.0)
        units.append((weight * values / n_it).T)
        drawn = gained.resampled[keep].astype(float)
        drawn -= drawn.mean(axis=2, keepdims=True)
        centre = drawn.sum(axis=1) / n_it
        star += weight * centre
        star_residuals += scale[:, :, None] * np.where(here[:, :, None], drawn - centre[:, None], 0.0)
    found = _languages(parts, keep)
    return Pool(
        tuple(every[i] for i in keep), gains, residuals, star, _mean_squares(star_residuals, n),
        np.einsum("isr,jsr->ij", star_residuals, star_residuals) / (max(n - 1, 1) * draws),
        np.concatenate(units), *found, n, min(int(r.sum(axis=1).min(initial=n)) for r in ran),
        min(gained.smallest for gained, _, _ in parts),
    )  # fmt: skip


def _mean_squares(residuals: Floats, n: int) -> tuple[float, float]:
    """M_B and M_e of residuals [arms, seeds] or, averaged over draws, [arms, seeds, draws]."""
    arms = len(residuals)
    if arms == 0 or n < 2:
        return 0.0, 0.0
    draws = residuals.shape[2] if residuals.ndim == 3 else 1
    total = float((residuals**2).sum()) / draws
    between = arms * float((residuals.mean(axis=0) ** 2).sum()) / draws
    rest = max(total - between, 0.0) / ((arms - 1) * (n - 1)) if arms > 1 else 0.0
    return between / (n - 1), rest


def _languages(parts: list[tuple[Gained, float, tuple[str, ...]]], keep: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Residuals of languages and their luck of the examples: what a language brings less its share of the whole.

    A language adds up over targets before it is squared, since one that gains on one target may gain on another.
    """
    names = sorted({name for _, _, own in parts for name in own})
    few = parts[0][0].by_language_resampled.shape[2]
    if few == 0:
        return np.zeros((0, len(keep))), np.zeros((0, len(keep), 0))
    actual, star = np.zeros((len(names), len(keep))), np.zeros((len(names), len(keep), few))
    for gained, weight, own in parts:
        rows = [names.index(name) for name in own]
        part, drawn = gained.by_language[:, keep], gained.by_language_resampled[:, keep]
        actual[rows] += weight * (part - gained.shares[:, None] * part.sum(axis=0))
        star[rows] += weight * (drawn - gained.shares[:, None, None] * drawn.sum(axis=0))
    return actual, star - star.mean(axis=2, keepdims=True)


def estimate(found: Pool, weights: Mapping[str, float], level: float = 0.95) -> Estimate:
    """The statistic with `weights` a over intermediates, with its interval and p value.

    Its own spread over seeds takes the place of the shared one where an F test at 1 % says that it is larger: an
    intermediate whose runs are unstable is not lent the calm of the others.
    """
    a, n = found.index(weights), found.seeds
    gain = float(a @ found.gains)
    if found.n_examples < 2:  # one example says nothing of its spread
        return replace(NO_ESTIMATE, gain=gain, n_seeds=found.n_seeds)
    v = float((a @ found.draws).var(ddof=1))
    parts = []  # (variance, degrees of freedom)
    noise = between = 0.0
    if found.n_seeds > 1:
        square, noise, df = _spread(found, a)
        noise = min(noise, n * v)  # the examples' luck that seeds share is not negative
        between = max(square - noise, 0.0) / n
        parts.append((square / n, df))
    parts.append((v - noise / n, float(found.n_examples - 1)))
    languages = 0.0
    if k := len(found.languages):
        whole = float(((found.languages @ a) ** 2).sum()) * k / max(k - 1, 1)
        luck = float((np.einsum("lar,a->lr", found.languages_noise, a).var(axis=1)).sum()) * k / max(k - 1, 1)
        languages = max(whole - luck, 0.0)
        parts.append((whole, float(max(k - 1, 1))))
    total = v + between + languages
    doubt = sum(part**2 / nu for part, nu in parts)
    df = total**2 / doubt if doubt > 0 else float(found.n_examples - 1)
    se = total**0.5
    half = float(special.stdtrit(df, 0.5 + level / 2)) * se
    nu = found.n_seeds - 1
    few = (df**nu * min(df, nu)) ** (1 / (nu + 1)) if nu > 0 else df
    p, cautious = (_two_sided(gain, se, nu) for nu in (df, few))
    return Estimate(
        gain, gain - half, gain + half, se, v**0.5, between**0.5, languages**0.5, df, p, cautious, found.n_seeds
    )  # fmt: skip


def _two_sided(gain: float, se: float, df: float) -> float:
    return float(2 * special.stdtr(df, -abs(gain) / se)) if se > 0 else float(gain == 0)


def _spread(found: Pool, a: Floats) -> tuple[float, float, float]:
    """S^2, C and the degrees of freedom of S^2."""
    arms, nu = len(a), float(found.n_seeds - 1)
    b, e = _mean_squares(found.residuals, found.seeds)
    b = max(b, e)
    of_b = a.sum() ** 2 / arms
    of_e = max(float(a @ a) - of_b, 0.0)
    square, noise = of_b * b + of_e * e, of_b * found.noise[0] + of_e * found.noise[1]
    doubt = (of_b * b) ** 2 / nu + ((of_e * e) ** 2 / (nu * (arms - 1)) if arms > 1 else 0.0)
    df = square**2 / doubt if doubt > 0 else nu
    own = float(((a @ found.residuals) ** 2).sum()) / (found.seeds - 1)
    if own > square * float(special.fdtri(nu, df, 0.99)):
        return own, float(a @ found.noise_of @ a), nu
    return square, noise, df


def covariance(found: Pool, rows: Floats) -> Floats:
    """Covariance of several statistics on the same targets, [k, k], for `rows` [k, arms] of weights a.

    The bilinear form of `estimate`'s variance, with the shared spread over seeds.
    """
    drawn = rows @ found.draws
    total = np.atleast_2d(np.cov(drawn))
    if found.n_seeds > 1:
        b, e = _mean_squares(found.residuals, found.seeds)
        b, e = (max(m - c, 0.0) for m, c in zip((max(b, e), e), found.noise, strict=True))
        whole = np.outer(rows.sum(axis=1), rows.sum(axis=1)) / len(found.arms)
        total = total + (whole * b + (rows @ rows.T - whole) * e) / found.seeds
    if k := len(found.languages):
        own = found.languages @ rows.T
        total = total + own.T @ own * k / max(k - 1, 1)
    return np.asarray(total)
