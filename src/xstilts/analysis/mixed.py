"""Gain of categories at levels of target, in one crossed mixed-effects model: gain ~ category * level, with random
intercepts for what gains have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from xstilts.analysis.bootstrap import Floats
from xstilts.analysis.gains import BASELINE, MEAN, SOURCE, ZERO_SHOT, scores
from xstilts.analysis.perturbations import CLEAN
from xstilts.analysis.reml import Fit, reml
from xstilts.analysis.summary import RETRIEVAL, groups_of

RANDOM: Mapping[str, tuple[str, ...]] = {
    "language": ("language",),
    "target": ("target",),
    "seed": ("seed",),
    "baseline run": ("target", "seed"),
    "intermediate on target": ("intermediate", "target"),
    "run": ("intermediate", "target", "seed"),
}
"""Random intercepts by name: what two gains share. Languages of one run share its luck, and all intermediates of a
target and seed share the run without any; left out, 14 languages of one run count as 14 runs."""

PAIRS = ["intermediate", "category", "target", "group", "language", "seed", "gain", "n_settings"]
TERMS = ["term", "category", "level", "estimate", "se", "df", "low", "high", "p"]
TESTS = ["term", "f", "df1", "df2", "p"]
COMPONENTS = ["term", "values", "variance", "sd", "share"]
CELL, OTHERS, BETWEEN = "mean gain", "against the other categories", "difference between levels"


@dataclass(frozen=True)
class Mixed:
    """The fitted model; all in points. Frames are empty where nothing could be fitted, and a note says why."""

    terms: pd.DataFrame
    """Per category and level: the `mean gain`; its gain `against the other categories` at that level (their unweighted
    mean); and per category and pair of levels (`syntactic - semantic`) the `difference between levels`. With se, df
    (Satterthwaite), interval and two-sided p, not corrected for their number."""
    tests: pd.DataFrame
    """F tests that all categories are alike (`category`, at every level) and that differences between categories are
    the same at all levels (`category:level`). df2 is the least of the contrasts' df, so p is on the safe side."""
    components: pd.DataFrame
    """Variance of each random intercept and the `residual`, as standard deviation and as share of the whole; `values`:
    how many it has."""
    notes: tuple[str, ...]
    """What was left out and why, one sentence each; empty when all could be fitted."""
    n: int
    """Paired gains used."""
    singular: bool
    """Whether a variance came out as 0."""
    converged: bool


def paired_gains(contributions: pd.DataFrame, measure: str = "robust", source: str = SOURCE) -> pd.DataFrame:
    """One row per intermediate, target, language and seed that both arms were scored on: what `mixed_model` is fed.

    Columns: intermediate, category, target, `group` (level, retrieval apart), language, seed, `gain` over `none` in
    points by the primary metric, n_settings. `measure` is `clean` or `robust`: the mean over the settings other than
    clean that the pair has, `n_settings` in number. Controls and the source language are left out.
    """
    table = scores(contributions[contributions["primary"].astype(bool)], source)
    table = table[~table["language"].isin([MEAN, ZERO_SHOT, source]) & (table["control"] == "")]
    table = table[(table["perturbation"] == CLEAN) == (measure == CLEAN)]
    keys = ["target", "perturbation", "language", "seed"]
    base = table[table["intermediate"] == BASELINE].set_index(keys)["score"]
    own = table[table["intermediate"] != BASELINE].join(base.rename("base"), on=keys)
    own = own.assign(
        gain=(own["score"] - own["base"]).astype(float),
        group=groups_of(own),
    ).dropna(subset="gain")
    names = ["intermediate", "category", "target", "group", "language", "seed"]
    means = own.groupby(names, sort=True).agg(gain=("gain", "mean"), n_settings=("gain", "size"))
    return means.reset_index()[PAIRS]


def mixed_model(pairs: pd.DataFrame, level: float = 0.95) -> Mixed:
    """Fits gain ~ category * level with the random intercepts `RANDOM` to the rows of `paired_gains`.

    Retrieval is left out where there are other targets, since its gains spread many times as far; give its rows alone
    for a model of their own. A random intercept is left out, with a note, where it has one value, says the same as
    another, the residual or the fixed effects, and so cannot be told apart. Never raises for lack of data.
    """
    notes: list[str] = []
    rows = pairs[pairs["gain"].notna()].reset_index(drop=True)
    retrieval = rows["group"] == RETRIEVAL
    if retrieval.any() and not retrieval.all():
        notes.append(f"Retrieval ({int(retrieval.sum())} gains) is left out: its gains spread much further.")
        rows = rows[~retrieval].reset_index(drop=True)
    cells = sorted(set(zip(rows["group"], rows["category"], strict=True)))
    x = np.column_stack([(rows["group"] == g) & (rows["category"] == c) for g, c in cells] or [np.zeros(0)]).astype(
        float
    )
    y = rows["gain"].to_numpy(float)
    if len(rows) <= len(cells) + 1:
        return _nothing((*notes, f"{len(rows)} gains are too few for a model of {len(cells)} means."), len(rows))
    codes = _identifiable(rows, x, notes)
    try:
        fit = reml(y, x, list(codes.values()))
    except ValueError:
        return _nothing((*notes, "The gains do not vary within a category and level."), len(rows))
    singular = bool((fit.variances == 0).any())
    if singular:
        none = [name for name, v in zip(codes, fit.variances, strict=False) if v == 0]
        notes.append(f"Singular fit: the variance of {', '.join(none)} came out as 0.")
    if not fit.converged:
        notes.append("The search for the variances stopped before it converged; take the intervals with care.")
    sizes = [int(code.max()) + 1 for code in codes.values()] + [len(rows)]
    components = pd.DataFrame(
        {"term": [*codes, "residual"], "values": sizes, "variance": fit.variances, "sd": np.sqrt(fit.variances),
         "share": fit.variances / fit.variances.sum()}
    )  # fmt: skip
    terms, tests = _terms(fit, cells, level)
    return Mixed(terms, tests, components, tuple(notes), len(rows), singular, fit.converged)


def _nothing(notes: tuple[str, ...], n: int) -> Mixed:
    terms, tests, components = (pd.DataFrame(columns=names) for names in (TERMS, TESTS, COMPONENTS))
    return Mixed(terms, tests, components, notes, n, singular=False, converged=False)


def _identifiable(rows: pd.DataFrame, x: Floats, notes: list[str]) -> dict[str, NDArray[np.integer[Any]]]:
    """Codes [n] of the random intercepts that the data can tell apart; a note for each that they cannot."""
    kept: dict[str, NDArray[np.integer[Any]]] = {}
    for name, columns in RANDOM.items():
        code = rows.groupby(list(columns), sort=True).ngroup().to_numpy()
        k = int(code.max()) + 1
        same = next((other for other, found in kept.items() if _same(code, found)), "")
        if k == 1:
            why = "it has one value"
        elif k == len(rows):
            why = "it has one gain per value, which is the residual"
        elif same:
            why = f"it is the same as {same}"
        elif _within(np.eye(k)[code], x):
            why = "it says no more than category and level"
        else:
            kept[name] = code
            continue
        notes.append(f"No random intercept for {name}: {why}.")
    return kept


def _same(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> bool:
    """Whether two codings cut the rows into the same parts."""
    together = len(set(zip(a.tolist(), b.tolist(), strict=True)))
    return together == len(set(a.tolist())) == len(set(b.tolist()))


def _within(z: Floats, x: Floats) -> bool:
    """Whether the columns of z are sums of those of x."""
    fitted = x @ np.linalg.lstsq(x, z, rcond=None)[0]
    return bool(np.allclose(fitted, z, atol=1e-8))


def _terms(fit: Fit, cells: list[tuple[str, str]], level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames `terms` and `tests` of a fit whose coefficients are the means of `cells`, (level, category)."""
    unit = dict(zip(cells, np.eye(len(cells)), strict=True))
    groups, categories = (list(dict.fromkeys(cell[i] for cell in sorted(cells))) for i in (0, 1))
    found: list[tuple[str, str, str, Floats]] = [(CELL, c, g, unit[g, c]) for g, c in cells]
    for g, c in cells:
        others = [unit[cell] for cell in cells if cell[0] == g and cell[1] != c]
        if others:
            found.append((OTHERS, c, g, unit[g, c] - np.mean(others, axis=0)))
    pairs = [(a, b) for i, b in enumerate(groups) for a in groups[i + 1 :]]
    for c in sorted(categories):
        found += [(BETWEEN, c, f"{a} - {b}", unit[a, c] - unit[b, c])
                  for a, b in pairs if {(a, c), (b, c)} <= unit.keys()]  # fmt: skip
    terms = [{"term": t, "category": c, "level": g} | fit.contrast(w, level) for t, c, g, w in found]
    alike = [
        unit[cell] - unit[first] for g in groups for first, *rest in [[x for x in cells if x[0] == g]] for cell in rest
    ]
    crossed = [
        (unit[a, c] - unit[b, c]) - (unit[a, first] - unit[b, first])
        for a, b in pairs
        for first, *rest in [[c for c in sorted(categories) if {(a, c), (b, c)} <= unit.keys()] or [""]]
        for c in rest
    ]
    tests = [_test(fit, name, rows) for name, rows in (("category", alike), ("category:level", crossed)) if rows]
    return pd.DataFrame(terms, columns=TERMS), pd.DataFrame(tests, columns=TESTS)


def _test(fit: Fit, name: str, contrasts: list[Floats]) -> dict[str, Any]:
    """Wald's F test that all contrasts are 0."""
    l = np.array(contrasts)  # noqa: E741
    rank = int(np.linalg.matrix_rank(l))
    effect = l @ fit.coefficients
    f = float(effect @ np.linalg.pinv(l @ fit.covariance @ l.T, hermitian=True) @ effect) / rank
    df = min(fit.contrast(row, 0.95)["df"] for row in l)
    return {"term": name, "f": f, "df1": rank, "df2": df, "p": float(stats.f.sf(f, rank, min(df, 1e9)))}
