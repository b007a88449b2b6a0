"""Linear mixed models with crossed random intercepts, by restricted maximum likelihood.

y = X b + sum_k Z_k u_k + e with u_k ~ N(0, v_k I), e ~ N(0, v I). Everything is computed from the cross-products of X,
Z and y, so that the cost depends on the number of random effects (hundreds), not of rows. statsmodels, whose `MixedLM`
fits such a model as one dense group, did not converge on 2,016 rows of 6 intermediates, 8 targets, 14 languages and 3
seeds; it is the oracle of the tests on small data, where it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, sparse, stats

from xstilts.analysis.bootstrap import Floats

_STARTS = (1.0, 0.05)
"""Variances of random intercepts, relative to the residual's, that the search begins from."""
_ZERO = 1e-6
"""A relative variance below this counts as 0: the fit is on the edge of what variances can be."""
_STEP = 1e-3
"""Of numerical derivatives, relative to a variance."""


@dataclass(frozen=True)
class Fit:
    """Fixed effects with their covariance, and the variances."""

    coefficients: Floats
    """[p], in the unit of y."""
    covariance: Floats
    """[p, p]."""
    variances: Floats
    """[k + 1], of the random intercepts in the order given, and of the residual, in square units of y."""
    uncertainty: Floats
    """[k + 1, k + 1], covariance of the variances; 0 for those that are 0."""
    slopes: Floats
    """[k + 1, p, p], derivative of `covariance` by each variance."""
    converged: bool

    def contrast(self, weights: Floats, level: float) -> dict[str, float]:
        """estimate, se, df, low, high and p (two-sided, of being 0) of a weighted sum of coefficients [p].

        Student's t with df = 2 C^2 / Var(C) for C = w' covariance w (Satterthwaite 1946; Giesbrecht & Burns 1985).
        """
        estimate, square = float(weights @ self.coefficients), float(weights @ self.covariance @ weights)
        by_variance = np.einsum("i,kij,j->k", weights, self.slopes, weights)
        spread = float(by_variance @ self.uncertainty @ by_variance)
        df = max(2 * square**2 / spread, 1.0) if spread > 0 else np.inf
        se = square**0.5
        half = float(stats.t.ppf(0.5 + level / 2, df)) * se
        p = float(2 * stats.t.sf(abs(estimate) / se, df)) if se > 0 else np.nan
        return {"estimate": estimate, "se": se, "df": df, "low": estimate - half, "high": estimate + half, "p": p}


class _Sums:
    """Cross-products of [Z, X, y], and what they give for any variances."""

    def __init__(self, y: Floats, x: Floats, codes: Sequence[NDArray[np.integer[Any]]]) -> None:
        self.n, self.p = x.shape
        self.sizes = [int(code.max()) + 1 for code in codes]
        rows = np.arange(self.n)
        columns = [sparse.csr_array((np.ones(self.n), (rows, code)), shape=(self.n, size))
                   for code, size in zip(codes, self.sizes, strict=True)]  # fmt: skip
        z = sparse.hstack(columns, format="csr") if columns else sparse.csr_array((self.n, 0))
        xy = np.column_stack([x, y])
        self.zz, self.zxy, self.xyxy = (z.T @ z).toarray(), np.asarray(z.T @ xy, dtype=float), xy.T @ xy

    def solved(self, ratios: Floats) -> tuple[float, Floats, Floats, float]:
        """With V = v H: (log |H| + log |X'H^-1 X|, coefficients [p], (X'H^-1 X)^-1, y'Py v) at `ratios` v_k / v [k].

        H^-1 by Woodbury: with S the roots of the ratios, H^-1 = I - Z S M^-1 S Z' and |H| = |M|, M = I + S Z'Z S.
        """
        s = np.sqrt(np.repeat(ratios, self.sizes))
        lower = linalg.cholesky(np.eye(len(s)) + s[:, None] * self.zz * s, lower=True, check_finite=False)
        half = linalg.solve_triangular(lower, s[:, None] * self.zxy, lower=True, check_finite=False)
        inside = self.xyxy - half.T @ half
        information, xy = inside[: self.p, : self.p], inside[: self.p, -1]
        inverse = np.linalg.inv(information)
        coefficients = inverse @ xy
        logs = 2 * np.log(np.diag(lower)).sum() + np.linalg.slogdet(information)[1]
        return float(logs), coefficients, inverse, max(float(inside[-1, -1] - xy @ coefficients), 0.0)

    def profiled(self, ratios: Floats) -> tuple[float, Floats]:
        """-2 log restricted likelihood at `ratios` v_k / v [k] and the best v, up to a constant; and its gradient,
        tr(P Z_k Z_k') - |Z_k' P y|^2 / v with P = H^-1 - H^-1 X (X'H^-1 X)^-1 X'H^-1."""
        logs, coefficients, inverse, rest = self.solved(ratios)
        s = np.sqrt(np.repeat(ratios, self.sizes))
        lower = linalg.cholesky(np.eye(len(s)) + s[:, None] * self.zz * s, lower=True, check_finite=False)
        sides = s[:, None] * np.concatenate([self.zz, self.zxy], axis=1)
        half = linalg.solve_triangular(lower, sides, lower=True, check_finite=False)
        z, zxy = half[:, : len(s)], self.zxy - half[:, : len(s)].T @ half[:, len(s) :]  # zxy: Z'H^-1 [X, y]
        zx, zpy = zxy[:, :-1], zxy[:, -1] - zxy[:, :-1] @ coefficients
        trace = np.diag(self.zz) - (z**2).sum(axis=0) - np.einsum("ij,jk,ik->i", zx, inverse, zx)
        v = rest / (self.n - self.p)
        first = np.cumsum([0, *self.sizes[:-1]])
        by_ratio: Floats = np.add.reduceat(trace - zpy**2 / v, first)
        return logs + (self.n - self.p) * float(np.log(v)), by_ratio

    def likelihood(self, variances: Floats) -> float:
        """-2 log restricted likelihood (Patterson & Thompson 1971) at `variances` [k + 1], up to a constant."""
        v = float(variances[-1])
        logs, _, _, rest = self.solved(variances[:-1] / v)
        return float(logs + (self.n - self.p) * np.log(v) + rest / v)

    def covariance(self, variances: Floats) -> Floats:
        """Covariance of the coefficients [p, p] at `variances`."""
        v = float(variances[-1])
        return v * self.solved(variances[:-1] / v)[2]


def reml(y: Floats, x: Floats, codes: Sequence[NDArray[np.integer[Any]]]) -> Fit:
    """Fits y [n] on x [n, p] of full rank, p < n, with a random intercept per value of each of `codes` ([n], from 0).

    Variances that end at 0 are exactly 0 and count as known. The covariance of the others is twice the inverse of the
    Hessian of -2 log likelihood (as lmerTest does; Kuznetsova, Brockhoff & Christensen 2017). Raises `ValueError`
    where y has no residual variance.
    """
    sums, k = _Sums(y, x, codes), len(codes)
    if sums.solved(np.zeros(k))[3] <= 1e-12 * max(float(y @ y), 1e-12):
        raise ValueError("what is fitted does not vary about the fixed effects")
    best, value, converged, bounds = np.zeros(0), np.inf, True, [(0.0, 1e6)] * k
    for start in _STARTS if k else ():
        at = np.full(k, start)
        found = optimize.minimize(sums.profiled, at, jac=True, method="L-BFGS-B", bounds=bounds)
        if found.fun < value:
            best, value, converged = np.asarray(found.x), float(found.fun), bool(found.success)
    best = np.where(best < _ZERO, 0.0, best)
    _, coefficients, inverse, rest = sums.solved(best)
    variances = rest / (sums.n - sums.p) * np.append(best, 1.0)
    uncertainty, slopes = _curvature(sums, variances)
    return Fit(coefficients, float(variances[-1]) * inverse, variances, uncertainty, slopes, converged)


def _curvature(sums: _Sums, variances: Floats) -> tuple[Floats, Floats]:
    """(covariance of the variances, derivative of the coefficients' covariance by each), by central differences."""
    free = np.flatnonzero(variances > 0)
    steps = np.zeros((len(variances), len(variances)))
    steps[free, free] = _STEP * variances[free]
    hessian = np.empty((len(free), len(free)))
    for a, i in enumerate(free):
        for b, j in enumerate(free[: a + 1]):
            corners = [
                sums.likelihood(variances + s * steps[i] + t * steps[j]) * s * t for s in (1, -1) for t in (1, -1)
            ]
            hessian[a, b] = hessian[b, a] = sum(corners) / (4 * steps[i, i] * steps[j, j])
    slopes = np.zeros((len(variances), sums.p, sums.p))
    for i in free:
        change = sums.covariance(variances + steps[i]) - sums.covariance(variances - steps[i])
        slopes[i] = change / (2 * steps[i, i])
    uncertainty = np.zeros((len(variances), len(variances)))
    uncertainty[np.ix_(free, free)] = 2 * np.linalg.pinv(hessian, hermitian=True)
    return uncertainty, slopes
