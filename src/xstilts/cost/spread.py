"""Seconds per unit of work over several measurements, and how sure a sum of further ones is. Without scipy, which
`status` would have to wait for."""

from __future__ import annotations

from dataclasses import dataclass, field

_T = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)
"""95 % quantiles of Student's t at 1, 2, ... degrees of freedom."""
_Z = 1.645


@dataclass
class Spread:
    """Measurements of one sort of work. Their rate is that of all together, so long ones count for more."""

    n: int = 0
    seconds: float = 0.0
    work: float = 0.0
    """Rows or operations, of all together."""
    _each: list[tuple[float, float]] = field(default_factory=list, repr=False)

    def add(self, seconds: float, work: float) -> None:
        """One more measurement."""
        self.n, self.seconds, self.work = self.n + 1, self.seconds + seconds, self.work + work
        self._each.append((seconds, work))

    @property
    def rate(self) -> float:
        """Seconds per unit of work."""
        return self.seconds / self.work if self.work else 0.0

    def error(self, ahead: float) -> tuple[float, int] | None:
        """(variance, degrees of freedom) of the seconds that `ahead` units of further work take, in many steps; None
        of fewer than two measurements."""
        one = self._variance()
        return None if one is None else (one * (ahead + ahead**2 / self.work), self.n - 1)

    def error_of_one(self, ahead: float) -> tuple[float, int] | None:
        """The same where all of it is as fast or slow as one measurement at random."""
        one = self._variance()
        # a measurement of average size has the relative variance one / (work / n) / rate ** 2
        return None if one is None else (one * ahead**2 * (self.n + 1) / self.work, self.n - 1)

    def _variance(self) -> float | None:
        """Per unit of work, about the rate."""
        if self.n < 2 or not self.work:
            return None
        return sum((s - self.rate * x) ** 2 / x for s, x in self._each if x) / (self.n - 1)


def quantile(df: float) -> float:
    """The 95 % quantile of Student's t, so that twice it is a 90 % interval; within 0.01 of the exact one from two
    degrees of freedom on."""
    if df <= len(_T):
        low = max(1, int(df))
        high = min(low + 1, len(_T))
        return _T[low - 1] + (df - low) * (_T[high - 1] - _T[low - 1]) if df > 1 else _T[0]
    # Cornish-Fisher, Abramowitz & Stegun 26.7.5
    return _Z + (_Z**3 + _Z) / (4 * df) + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * df**2)
