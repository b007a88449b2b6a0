"""Measures of robustness (docs/measures.md): what a perturbation costs an intermediate, and what the intermediate saves
of it. All in points of percent but retention, in percent of the clean score above chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xstilts.analysis.bootstrap import Floats, Interval, common, interval, resampled_scores, scores_of, spread
from xstilts.analysis.gains import ARM, BASELINE, MEAN, SOURCE, ZERO_SHOT
from xstilts.analysis.guessing import guesses
from xstilts.analysis.perturbations import CLEAN, setting_of
from xstilts.analysis.runs import Language, Runs, runs

CLEAR_ERRORS, CLEAR_POINTS = 4.0, 5.0
"""A clean score is clearly above chance where it is so by this many standard errors and points. With fewer, the ratio
that retention is has no useful interval (its denominator's coefficient of variation would be above a quarter)."""
WORST = 10
"""The worst languages are the lowest tenth of them, one at least."""

_ABOUT = ["intermediate", *ARM, "target", "level", "shape", "group", "metric", "perturbation", "kind", "rate",
          "language", "n_languages", "n_examples", "n_seeds"]  # fmt: skip
_WITH_INTERVAL = ["drop", "gain", "clean_gain", "saved", "retention", "retention_gain", "gap", "gap_change"]
COLUMNS = [*_ABOUT, "score", "clean", "chance",
           *(name + end for name in _WITH_INTERVAL for end in ("", "_low", "_high")),
           "reason", "worst", "worst_gain", "sd_languages", "sd_languages_change", "sd_seeds"]  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """Scores of all arms on the same examples, in percent, NaN where a run is missing."""

    actual: Floats
    """[2, arms, seeds]: clean, then perturbed."""
    star: Floats
    """[2, arms, seeds, draws], on resampled examples."""
    examples: int


def measures(
    contributions: pd.DataFrame, golds: pd.DataFrame | None = None, level: float = 0.95, draws: int = 1000,
    seed: int = 0, source: str = SOURCE,
) -> pd.DataFrame:  # fmt: skip
    """Every measure per intermediate (`none` included), target, perturbation (`clean` included) and language.

    Primary metrics only; `language` is each language, `mean` (unweighted, source included) and `zero-shot`. Scores are
    means over seeds; a pair is a clean and a perturbed score of one seed on the same examples, so that an own test set
    is compared with the clean rows of its ids. Columns that end in `_low`, `_high` are the interval at `level` over
    examples and seeds (`bootstrap.interval`).

    `score`, `clean`: the score perturbed and clean. `drop` = clean - score. `gain`, `clean_gain`: over `none`,
    perturbed and clean. `saved` = gain - clean_gain: points of drop that the intermediate saves. `chance`: the score of
    guessing (`guessing.guesses`, from `golds` where given). `retention` = 100 (score - chance) / (clean - chance), from
    means over languages and seeds; NaN, with a `reason`, where chance is not known or clean is not clearly above it.
    `retention_gain`: retention less that of `none`. For `zero-shot` alone: `gap`, the source language's score less the
    mean over the others (NaN where the target lacks it), `gap_change` against `none`; `worst`, the mean over the lowest
    tenth of the languages (one at least; each arm's own, by its mean over seeds), `worst_gain` over `none`'s;
    `sd_languages`, standard deviation over languages, and its change. `sd_seeds`: over seeds; NaN with one.
    """
    rows = contributions[contributions["primary"].astype(bool)]
    if rows.empty or BASELINE not in set(rows["intermediate"].astype(object)):
        return pd.DataFrame(columns=COLUMNS)
    chance = guesses(rows, golds).set_index(["target", "language"])["chance"]
    known = rows.drop_duplicates("intermediate").set_index("intermediate")[ARM]
    targets = rows.drop_duplicates("target").set_index("target")[["level", "shape", "metric"]]
    found: list[dict[str, Any]] = []
    for part in _parts(rows):
        for run in runs(part, source=""):
            for setting, languages in _settings(run, draws, seed):
                if setting == CLEAN and part.attrs["own"]:
                    continue
                named = setting_of(setting)
                about = {"target": run.target, **targets.loc[run.target], "group": run.group, "perturbation": setting,
                         "kind": named.kind, "rate": named.rate}  # fmt: skip
                levels = {name: float(chance.get((run.target, name), np.nan)) for name in languages}
                for row in _rows(run.arms, languages, levels, level, source):
                    found.append(about | known.loc[row["intermediate"]].to_dict() | row)
    frame = pd.DataFrame(found, columns=COLUMNS)
    return frame.sort_values(["target", "perturbation", "intermediate"], kind="stable", ignore_index=True)


def _parts(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The settings that have all examples together; then each own test set with the clean rows of its examples."""
    names = rows["perturbation"].astype(object)
    own = [name for name in dict.fromkeys(names) if name != CLEAN and setting_of(str(name)).rate is None]
    part = rows[~names.isin(own)]
    part.attrs["own"] = False
    if len(part):
        yield part
    keys = ["target", "language", "id"]
    for name in own:
        mine = rows[names == name]
        both = pd.concat([rows[names == CLEAN].merge(mine[keys].drop_duplicates(), on=keys), mine])
        both.attrs["own"] = True
        yield both


def _settings(run: Runs, draws: int, seed: int) -> Iterator[tuple[str, dict[str, Scores]]]:
    """Per setting, the scores of each language that has it. Languages of parallel data share their draws."""
    if run.settings[0] != CLEAN:
        return
    found: dict[str, dict[str, Scores]] = {name: {} for name in run.settings}
    for ids in dict.fromkeys(language.ids for language in run.languages):
        members = [language for language in run.languages if language.ids == ids]
        numerators, denominators = (
            np.stack([getattr(one, name) for one in members]) for name in ("numerators", "denominators")
        )
        actual = scores_of(numerators.sum(axis=-1), denominators.sum(axis=-1))
        star = resampled_scores(
            numerators.reshape(-1, len(ids)), denominators.reshape(-1, len(ids)),
            draws=draws, seed=seed, sample=(run.target, *ids),
        ).reshape(*actual.shape, draws)  # fmt: skip
        for at, language in enumerate(members):
            for i in _covered(run, language):
                pair = [0, i]
                found[run.settings[i]][language.name] = Scores(actual[at, pair], star[at, pair], len(ids))
    yield from ((name, languages) for name, languages in found.items() if languages)


def _covered(run: Runs, language: Language) -> list[int]:
    """The settings of a language that it also has clean rows for."""
    return [i for i in range(len(run.settings)) if language.covered[i] and language.covered[0]]


def _mean(parts: Sequence[Scores]) -> Scores:
    return Scores(
        np.mean([one.actual for one in parts], axis=0),
        np.mean([one.star for one in parts], axis=0),
        sum(one.examples for one in parts),
    )


def _rows(
    arms: Sequence[str], languages: dict[str, Scores], chance: dict[str, float], level: float, source: str
) -> Iterator[dict[str, Any]]:
    others = [name for name in languages if name != source]
    units = [(name, [name]) for name in languages] + [(MEAN, list(languages))]
    units += [(ZERO_SHOT, others)] if others else []
    for name, members in units:
        scores = _mean([languages[one] for one in members])
        columns = _unit(scores, float(np.mean([chance[one] for one in members])), level)
        if name == ZERO_SHOT:
            columns |= _across([languages[one] for one in members])
            if source in languages:
                columns |= _gap(languages[source], scores, level)
        for i, arm in enumerate(arms):
            yield {"intermediate": arm, "language": name, "n_languages": len(members), "n_examples": scores.examples,
                   **{column: values[i] for column, values in columns.items()}}  # fmt: skip


Columns = dict[str, Sequence[Any] | NDArray[Any]]
"""Values per arm."""


def _unit(scores: Scores, chance: float, level: float) -> Columns:
    """The columns of one language or mean that compare clean with perturbed, and arms with `none`."""
    missing = np.isnan(scores.actual).any(axis=0)  # a pair needs both
    actual = np.where(missing, np.nan, scores.actual)
    clean, score = _seed_mean(actual[0]), _seed_mean(actual[1])
    star, n = scores.star, scores.examples
    columns: Columns = {"clean": clean, "score": score, "chance": [chance] * len(clean),
                        "n_seeds": (~missing).sum(axis=1), "sd_seeds": _sd(actual[1])}  # fmt: skip
    columns |= _interval("drop", actual[0] - actual[1], star[0] - star[1], n, level)
    columns |= _interval("gain", *_over(actual[1], star[1]), n, level)
    columns |= _interval("clean_gain", *_over(actual[0], star[0]), n, level)
    columns |= _interval("saved", *_over(actual[1] - actual[0], star[1] - star[0]), n, level)
    error = [found.se for found in _intervals(actual[0], star[0], n, level)]
    reason = [_reason(c, chance, e) for c, e in zip(clean, error, strict=True)]
    above = np.where([bool(r) for r in reason], np.nan, clean - chance)
    ratio = (score - chance) / above
    linear = _retention(actual, chance, ratio[:, None], above[:, None])
    linear_star = _retention(star, chance, ratio[:, None, None], above[:, None, None])
    columns |= _interval("retention", linear, linear_star, n, level)
    return columns | {"reason": reason} | _interval("retention_gain", *_over(linear, linear_star), n, level)


def _retention(values: Floats, chance: float, ratio: Floats, above: Floats) -> Floats:
    """Retention in percent of [clean, perturbed] scores, linear about the means (delta method).

    Their ratio bends, and the mean of ratios over seeds is not the ratio of means; this one's mean is exactly that.
    """
    clean, score = values - chance
    found: Floats = 100 * (ratio + (score - ratio * clean) / above)
    return found


def _reason(clean: float, chance: float, error: float) -> str:
    """Why there is no retention; empty where there is."""
    if np.isnan(clean):
        return "no pair of a clean and a perturbed run"
    if np.isnan(chance):
        return "the score of guessing is not known"
    if np.isnan(error) or clean - chance < max(CLEAR_ERRORS * error, CLEAR_POINTS):
        return f"clean score {clean:.1f} is not clearly above chance, {chance:.1f}"
    return ""


def _gap(source: Scores, others: Scores, level: float) -> Columns:
    actual, star = source.actual[1] - others.actual[1], source.star[1] - others.star[1]
    n = source.examples + others.examples
    return _interval("gap", actual, star, n, level) | _interval("gap_change", *_over(actual, star), n, level)


def _across(languages: Sequence[Scores]) -> Columns:
    """The columns about the spread over languages, of means over seeds that all languages have."""
    actual = np.array([one.actual[1] for one in languages])  # [languages, arms, seeds]
    means = np.array([_seed_mean(one) for one in np.where(np.isnan(actual).any(axis=0), np.nan, actual)])
    lowest = np.sort(means, axis=0)[: max(1, len(languages) // WORST)].mean(axis=0)
    sd = means.std(axis=0, ddof=1) if len(languages) > 1 else np.full(means.shape[1], np.nan)
    return {"worst": lowest, "worst_gain": lowest - lowest[0], "sd_languages": sd, "sd_languages_change": sd - sd[0]}


def _seed_mean(values: Floats) -> Floats:
    """Means [arms] over the seeds that are there, of [arms, seeds]."""
    there = ~np.isnan(values)
    return np.where(there.any(axis=1), np.nansum(values, axis=1) / np.maximum(there.sum(axis=1), 1), np.nan)


def _sd(values: Floats) -> list[float]:
    kept = [row[~np.isnan(row)] for row in values]
    return [float(row.std(ddof=1)) if len(row) > 1 else np.nan for row in kept]


def _over(actual: Floats, star: Floats) -> tuple[Floats, Floats]:
    """Differences to the first arm, `none`."""
    return actual - actual[0], star - star[0]


def _interval(name: str, actual: Floats, star: Floats, n: int, level: float) -> Columns:
    found = _intervals(actual, star, n, level)
    ends = {"": "mean", "_low": "low", "_high": "high"}
    return {name + end: [getattr(one, field) for one in found] for end, field in ends.items()}


def _intervals(actual: Floats, star: Floats, n: int, level: float) -> list[Interval]:
    """Per arm; the spread over seeds is shared by arms as in `gains`, where the first is `none` less itself."""
    shared_by = range(1, len(actual)) if (np.nan_to_num(actual[0]) == 0).all() else range(len(actual))
    spreads = [one for i in shared_by if (one := spread(actual[i], star[i])) is not None]
    shared = common(spreads) if spreads else None
    return [interval(a, s, n, level, shared) for a, s in zip(actual, star, strict=True)]
