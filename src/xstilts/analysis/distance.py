"""Gain against typological distance: does an intermediate help languages that are unlike the source less?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from xstilts.analysis.bootstrap import pooled
from xstilts.analysis.gains import MEAN, SOURCE, ZERO_SHOT
from xstilts.analysis.perturbations import CLEAN, ROBUST
from xstilts.analysis.summary import groups_of
from xstilts.languages import get_language
from xstilts.sources.microworld.languages import LANGUAGES as GENERATED
from xstilts.sources.microworld.languages import distance as generated_distance

Floats = NDArray[np.float64]

CAUTION = (
    "Languages are related and so not independent of one another: the band and p are narrower than they should be."
)
"""What must stand beside every line through languages."""
LEAST = 4
"""Languages at least for a line: with three, any line fits."""
_GRID = 25
_SHUFFLES = 9_999

DISTANCES = ["language", "syntax", "order", "adposition", "adjective", "script", "family", "known", "source"]
POINTS = ["group", "name", "setting", "language", "similarity", "gain", "low", "high", "n"]
FIT = ["group", "name", "setting", "similarity", "gain", "low", "high"]
TREND = ["group", "name", "setting", "slope", "low", "high", "p", "rho", "p_rho", "n"]


@cache
def _table() -> pd.DataFrame:
    with files("xstilts.analysis").joinpath("typology.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#", keep_default_na=False).set_index("language")


def distances(languages: Iterable[str]) -> pd.DataFrame:
    """How each language stands to English, one row each in the order given.

    Columns: language; `syntax`, similarity of syntax to English, 0 to 1 (1: English), NaN where nothing is known;
    `order` of subject, verb and object; `adposition` and `adjective`, the side of the noun on which they stand
    (`before`, `after`); `script` (ISO 15924); `family`; `known`, how many of the 103 features behind `syntax` a source
    states (the rest are guessed from neighbours); `source` (`URIEL`, `microworld` or empty). Texts are empty where
    nothing is known.

    For natural languages `syntax` is a cosine over URIEL's syntactic features (`typology.csv`, derived by
    `analysis.typology`); for the microworld's it is one minus the share of features in which a language differs from
    the base language, so the two are not on one scale. Raises `UserError` for an unknown language.
    """
    return pd.DataFrame([_language(code) for code in languages], columns=DISTANCES).astype(
        {"syntax": float, "known": int}
    )


def _language(code: str) -> dict[str, Any]:
    about = get_language(code)
    if code in GENERATED and code != SOURCE:
        own = GENERATED[code]
        return {"language": code, "syntax": 1.0 - generated_distance(code), "order": own.order,
                "adposition": own.adposition, "adjective": own.adjective, "script": own.script, "family": "",
                "known": 0, "source": "microworld"}  # fmt: skip
    table = _table()
    row = table.loc[code] if code in table.index else None
    return {"language": code, "syntax": np.nan if row is None else row["syntax"], "order": about.order,
            "adposition": "" if row is None else row["adposition"],
            "adjective": "" if row is None else row["adjective"], "script": about.script, "family": about.family,
            "known": 0 if row is None else row["known"], "source": "" if row is None else "URIEL"}  # fmt: skip


@dataclass(frozen=True)
class Against:
    """Gains of languages against their similarity to English, for the figure and its caption.

    All frames have `group` (`syntactic`, `semantic`, `retrieval`), `name` (the category or intermediate) and `setting`
    (`clean`, or `robust`: the mean over all other settings).
    """

    points: pd.DataFrame
    """One row per language but the source: `similarity`, `gain` (points; over `n` targets), `low`, `high`."""
    fit: pd.DataFrame
    """The regression line on a grid of `similarity`: `gain`, and its pointwise confidence band `low`, `high`."""
    trend: pd.DataFrame
    """`slope` in points per 0.1 of similarity with its interval `low`, `high` and `p`; `rho` (Spearman) and `p_rho`;
    `n` languages. Positive: languages like English gain more. NaN with fewer than four languages or all alike."""


def gain_against_distance(
    gains: pd.DataFrame, distances: pd.DataFrame, by: str = "category", level: float = 0.95, source: str = SOURCE
) -> Against:
    """Zero-shot gains (`analysis.gains.gains`) against similarity of syntax to English (`distances`).

    `by` is `category` (controls are left out) or `intermediate`. Within a target, intermediates share the
    baseline and the examples: their standard errors count as fully correlated (the mean of them, an upper bound);
    targets count as independent. Where targets do not all have the same languages, a language's gain is its effect in
    the additive model gain = target + language, at the average target, so that a language is not put above another for
    the targets it happens to have; otherwise that is the mean over targets. The line is least squares over languages,
    unweighted, with the band

        y(x) +- t(n - 2) s sqrt(1/n + (x - mean x)^2 / sum (x_i - mean x)^2)

    where s^2 is the residual variance (Draper & Smith 1998, section 3.1). The p value of `rho` is that of shuffling the
    languages. Languages without a similarity are left out. See `CAUTION`.
    """
    rows = gains[
        gains["primary"].astype(bool)
        & gains["perturbation"].isin([CLEAN, ROBUST])
        & ~gains["language"].isin([MEAN, ZERO_SHOT, source])
        & gains["gain"].notna()
    ]
    if by == "category":
        rows = rows[rows["control"] == ""]
    rows = rows.assign(
        group=groups_of(rows),
        setting=rows["perturbation"],
        name=rows[by],
        similarity=rows["language"].map(distances.set_index("language")["syntax"]),
    )
    rows = rows[rows["similarity"].notna()]
    points, fits, trends = [], [], []
    for key, part in rows.groupby(["group", "name", "setting"], sort=True):
        about = dict(zip(["group", "name", "setting"], key, strict=True))
        per_target = part.groupby(["language", "target"]).agg(
            gain=("gain", "mean"), se=("se", "mean"), df=("df", "min"), similarity=("similarity", "first")
        )
        effects = _language_effects(per_target["gain"])
        mine = [
            about | {"language": language} | _point(own, effects[str(language)], level)
            for language, own in per_target.groupby(level="language", sort=True)
        ]
        x, y = (np.array([point[column] for point in mine]) for column in ("similarity", "gain"))
        grid, trend = _line(x, y, level)
        points += mine
        fits += [about | row for row in grid]
        trends.append(about | trend)
    return Against(
        pd.DataFrame(points, columns=POINTS), pd.DataFrame(fits, columns=FIT), pd.DataFrame(trends, columns=TREND)
    )


def _language_effects(table: pd.Series[float]) -> dict[str, float]:
    """The gain of each language at the average target: least squares of gain = target + language."""
    target, targets = pd.factorize(table.index.get_level_values("target"))
    language, languages = pd.factorize(table.index.get_level_values("language"))
    design = np.hstack([np.eye(len(targets))[target], np.eye(len(languages))[language]])
    effects = np.linalg.lstsq(design, table.to_numpy(float), rcond=None)[0]
    at = effects[len(targets) :] + effects[: len(targets)].mean()
    return dict(zip(map(str, languages), at.tolist(), strict=True))


def _point(per_target: pd.DataFrame, gain: float, level: float) -> dict[str, Any]:
    """One language's gain with its interval, where every target gives one."""
    gains, errors, dfs = (per_target[name].to_numpy(float) for name in ("gain", "se", "df"))
    found = pooled(gains, errors, dfs, level)
    half = (found["high"] - found["low"]) / 2 if found["n"] == len(gains) else np.nan
    return {"similarity": float(per_target["similarity"].iloc[0]), "gain": gain, "low": gain - half,
            "high": gain + half, "n": len(gains)}  # fmt: skip


def _line(x: Floats, y: Floats, level: float) -> tuple[Sequence[dict[str, float]], dict[str, float]]:
    """The fitted line with its band on a grid, and what is said of it."""
    n = len(x)
    if n < LEAST or np.ptp(x) == 0:
        return [], {"n": n}
    fit = stats.linregress(x, y)
    t = float(stats.t.ppf(0.5 + level / 2, n - 2))
    residual = y - (fit.intercept + fit.slope * x)
    s = float(np.sqrt((residual**2).sum() / (n - 2)))
    at = np.linspace(x.min(), x.max(), _GRID)
    line = fit.intercept + fit.slope * at
    half = t * s * np.sqrt(1 / n + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    grid = [
        {"similarity": a, "gain": g, "low": g - h, "high": g + h}
        for a, g, h in zip(at.tolist(), line.tolist(), half.tolist(), strict=True)
    ]
    rho, p_rho = _spearman(x, y)
    slope, error = 0.1 * float(fit.slope), 0.1 * float(fit.stderr)
    return grid, {"slope": slope, "low": slope - t * error, "high": slope + t * error, "p": float(fit.pvalue),
                  "rho": rho, "p_rho": p_rho, "n": n}  # fmt: skip


def _spearman(x: Floats, y: Floats) -> tuple[float, float]:
    """Rank correlation, and how often shuffled languages have one as far from 0 (all orders where there are few)."""
    if np.ptp(y) == 0:
        return np.nan, np.nan
    ranks, others = (stats.zscore(stats.rankdata(values)) for values in (x, y))
    rho = float((ranks * others).mean())
    if math.factorial(len(x)) <= _SHUFFLES:
        shuffled = np.array(list(permutations(ranks)))
        actual = 0  # the order at hand is one of them
    else:
        shuffled = np.random.default_rng(0).permuted(np.tile(ranks, (_SHUFFLES, 1)), axis=1)
        actual = 1
    as_far = (np.abs(shuffled @ others) / len(x) >= abs(rho) - 1e-9).sum()
    return rho, float((as_far + actual) / (len(shuffled) + actual))
