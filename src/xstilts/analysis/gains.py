"""Scores and gains: pure functions of the one tidy frame `contributions` (docs/design.md), one row per
example.

All numbers are in points of percent. `mean` is the unweighted mean over a target's languages, the source
language included, as XTREME averages; `zero-shot` leaves the source language out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from xstilts.analysis.bootstrap import (
    Floats,
    Interval,
    common,
    interval,
    resampled_scores,
    scores_of,
    spread,
)
from xstilts.analysis.perturbations import CLEAN, ROBUST

SOURCE = "en"
BASELINE = "none"
MEAN, ZERO_SHOT = "mean", "zero-shot"

ARM = ["category", "control"]
"""What is known of an intermediate."""
TARGET = ["level", "shape", "primary"]
"""What is known of a target and metric."""
CELL = ["target", "metric", "perturbation"]
COLUMNS = ["intermediate", *ARM, "target", "level", "shape", "metric", "primary", "perturbation",
           "language", "seen", "gain", "low", "high", "se", "se_examples", "se_seeds", "df",
           "baseline", "score", "n_seeds", "seeds_covered", "n_examples", "n_pairs", "missing"]  # fmt: skip


def scores(contributions: pd.DataFrame, source: str = SOURCE) -> pd.DataFrame:
    """Scores in percent per intermediate, target, metric, perturbation, seed and language.

    Columns: those six, what is known of intermediate, target and language, `score` (0..100) and `n`
    (examples). The languages `mean` and `zero-shot` are unweighted means over languages; where a language
    that the target has elsewhere is missing, they are NaN rather than a mean over fewer.
    """
    keys = ["intermediate", "target", "metric", "perturbation", "seed", "language"]
    known = [*ARM, *TARGET, "seen"]
    groups = _categorical(contributions).groupby(keys, observed=True, sort=True)
    frame = groups.agg(
        **{name: (name, "first") for name in known},
        numerator=("numerator", "sum"), denominator=("denominator", "sum"), n=("id", "size"),
    ).reset_index()  # fmt: skip
    frame["score"] = scores_of(frame.pop("numerator").to_numpy(), frame.pop("denominator").to_numpy())
    frame = frame.astype({name: object for name in (*keys, *known) if name != "seed"})
    parts = [frame]
    languages = frame.groupby(CELL)["language"].agg(set)
    for name, left_out in ((MEAN, None), (ZERO_SHOT, source)):
        part = frame[frame["language"] != left_out]
        mean = part.groupby(keys[:-1], as_index=False).agg(
            **{k: (k, "first") for k in (*ARM, *TARGET)},
            score=("score", "mean"),
            n=("n", "sum"),
            k=("n", "size"),
        )
        wanted = [len(languages[cell] - {left_out}) for cell in zip(*(mean[c] for c in CELL), strict=True)]
        mean.loc[mean.pop("k") < np.array(wanted, dtype=int), "score"] = np.nan
        parts.append(mean.assign(language=name, seen=None))
    return pd.concat([p.astype({"seen": object}) for p in parts], ignore_index=True)[[*keys, *known, "score", "n"]]


@dataclass(frozen=True)
class Cell:
    """All runs of one target, metric and perturbation. Arrays are NaN where a run is missing."""

    target: str
    metric: str
    perturbation: str
    known: dict[str, Any]
    languages: list[str]
    numerators: list[Floats]
    """Per language, [arms, seeds, examples]."""
    denominators: list[Floats]
    ids: list[tuple[str, ...]]
    seen: list[bool]


def gains(
    contributions: pd.DataFrame, level: float = 0.95, draws: int = 1000, seed: int = 0, *,
    pool_seeds: bool = True, source: str = SOURCE,
) -> pd.DataFrame:  # fmt: skip
    """Gain of every intermediate over `none`, in points, per target, metric, perturbation and language.

    A pair is one seed and language that both arms were scored on, over the same examples. `gain` is the mean
    over seeds; `low`, `high` its interval at `level` over examples and seeds (`bootstrap.interval` has the
    formulae); the perturbation `robust` is the mean over all settings of a target but clean, as many as a language has;
    `baseline` and `score` the two arms' means over the same seeds. `n_pairs` counts the pairs used
    and `missing` those not used; a mean over languages uses a seed only if all its languages are there. A
    combination without any pair is a row of NaN. With `pool_seeds` the intermediates of a target share one
    estimate of the spread over seeds (`bootstrap.common`), without it each has its own, which two seeds leave
    almost unknown. Intervals are not corrected for the number of rows.
    """
    arms = sorted(set(contributions["intermediate"].unique()) | {BASELINE})
    arms.remove(BASELINE)
    known = contributions.drop_duplicates("intermediate").set_index("intermediate")[ARM]
    rows: list[dict[str, Any]] = []
    for cell, actual, resampled in _with_robust(_cells(contributions, [BASELINE, *arms]), draws, seed):
        for name, members in _units(cell.languages, source):
            # A NaN in either arm makes the pair NaN; a mean over languages needs all of them.
            scored = actual[members].mean(axis=0)
            per_seed, star = scored[1:] - scored[0], resampled[:, members].mean(axis=1)
            spreads = [one for d, d_star in zip(per_seed, star, strict=True) if (one := spread(d, d_star))]
            shared = common(spreads) if pool_seeds and spreads else None
            about = _about(cell, name, members)
            for arm, own, d, d_star in zip(arms, scored[1:], per_seed, star, strict=True):
                found = interval(d, d_star, about["n_examples"], level, shared)
                category, control = known.loc[arm, "category"], known.loc[arm, "control"]
                rows.append(
                    {"intermediate": arm, "category": category, "control": control}
                    | about | _row(found, scored[0], own, len(members))
                )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def _with_robust(cells: Iterable[Cell], draws: int, seed: int) -> Iterator[tuple[Cell, Floats, Floats]]:
    """Every cell with its `_paired_gains`, and after those of a target and metric the mean over its settings."""
    for _, group in groupby(cells, key=lambda cell: (cell.target, cell.metric)):
        noisy = []
        for cell in group:
            found = (cell, *_paired_gains(cell, draws, seed))
            yield found
            noisy += [found] if cell.perturbation != CLEAN else []
        if noisy:
            yield _robust(noisy)


def _robust(noisy: list[tuple[Cell, Floats, Floats]]) -> tuple[Cell, Floats, Floats]:
    """The mean over settings of scores and resampled gains, per language over the settings that have it.

    Settings of the same rows share their draws, so the mean of draws is a draw of the mean."""
    about: dict[str, tuple[tuple[str, ...], bool]] = {}
    scored: dict[str, list[Floats]] = {}
    drawn: dict[str, list[Floats]] = {}
    for cell, actual, resampled in noisy:
        for i, language in enumerate(cell.languages):
            if len(cell.ids[i]) >= len(about.get(language, ((), True))[0]):
                about[language] = (cell.ids[i], cell.seen[i])
            scored.setdefault(language, []).append(actual[i])
            drawn.setdefault(language, []).append(resampled[:, i])
    first, languages = noisy[0][0], sorted(scored)
    cell = Cell(
        first.target, first.metric, ROBUST, first.known, languages, [], [], [about[name][0] for name in languages],
        [about[name][1] for name in languages],
    )  # fmt: skip
    return (
        cell,
        np.stack([np.mean(scored[name], axis=0) for name in languages]),
        np.stack([np.mean(drawn[name], axis=0) for name in languages], axis=1),
    )


def _units(languages: list[str], source: str) -> Iterator[tuple[str, list[int]]]:
    """What a gain is stated for: each language, their mean, and the mean without the source language."""
    yield from ((language, [i]) for i, language in enumerate(languages))
    yield MEAN, list(range(len(languages)))
    others = [i for i, language in enumerate(languages) if language != source]
    if others:
        yield ZERO_SHOT, others


def _about(cell: Cell, name: str, members: list[int]) -> dict[str, Any]:
    """The columns that do not depend on the intermediate."""
    one = name in cell.languages
    return {
        "target": cell.target, **cell.known, "metric": cell.metric, "perturbation": cell.perturbation,
        "language": name, "seen": cell.seen[members[0]] if one else None,
        "n_examples": sum(len(cell.ids[i]) for i in members),
    }  # fmt: skip


def _row(found: Interval, base: Floats, own: Floats, languages: int) -> dict[str, Any]:
    """The columns of one gain; `base` and `own` [seeds] are the two arms' scores."""
    use = ~np.isnan(own - base)
    return {
        "gain": found.mean, "low": found.low, "high": found.high, "se": found.se,
        "se_examples": found.se_examples, "se_seeds": found.se_seeds, "df": found.df,
        "baseline": base[use].mean() if use.any() else np.nan,
        "score": own[use].mean() if use.any() else np.nan,
        "n_seeds": found.n_seeds, "seeds_covered": found.seeds_covered,
        "n_pairs": int(use.sum()) * languages, "missing": int((~use).sum()) * languages,
    }  # fmt: skip


def _paired_gains(cell: Cell, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Scores [languages, arms, seeds], and gains over the first arm on resampled examples
    [arms - 1, languages, seeds, draws]."""
    arms, seeds, _ = cell.numerators[0].shape
    actual = np.empty((len(cell.languages), arms, seeds))
    gained = np.empty((arms - 1, len(cell.languages), seeds, draws))
    for ids in dict.fromkeys(cell.ids):  # languages of parallel data share their draws, made once
        members = [i for i, own in enumerate(cell.ids) if own == ids]
        numerators, denominators = (
            np.stack([arrays[i] for i in members]) for arrays in (cell.numerators, cell.denominators)
        )
        actual[members] = scores_of(numerators.sum(axis=3), denominators.sum(axis=3))
        star = resampled_scores(
            numerators.reshape(-1, len(ids)), denominators.reshape(-1, len(ids)),
            draws=draws, seed=seed, sample=(cell.target, *ids),
        ).reshape(len(members), arms, seeds, draws)  # fmt: skip
        gained[:, members] = (star[:, 1:] - star[:, :1]).swapaxes(0, 1)
    return actual, gained


def _categorical(contributions: pd.DataFrame) -> pd.DataFrame:
    texts = ["intermediate", *ARM, "target", "level", "shape", "metric", "perturbation", "language"]
    return contributions.astype(dict.fromkeys(texts, "category"))


def _cells(contributions: pd.DataFrame, arms: list[str]) -> Iterator[Cell]:
    """The frame cut into dense arrays: targets, metrics, languages, seeds and examples in a fixed order."""
    for (target, metric, perturbation), frame in _categorical(contributions).groupby(CELL, observed=True):
        seeds = sorted(frame["seed"].unique())
        arm = pd.Categorical(frame["intermediate"].astype(object), categories=arms).codes
        frame = frame.assign(arm=arm, seed_index=np.searchsorted(np.array(seeds), frame["seed"]))
        languages, numerators, denominators, all_ids, seen = [], [], [], [], []
        for language, part in frame.groupby("language", observed=True):
            codes, ids = pd.factorize(part["id"].to_numpy(dtype=object), sort=True)
            where = (part["arm"].to_numpy(), part["seed_index"].to_numpy(), codes)
            num, den = (np.full((len(arms), len(seeds), len(ids)), np.nan) for _ in range(2))
            num[where], den[where] = part["numerator"].to_numpy(float), part["denominator"].to_numpy(float)
            if int((~np.isnan(den)).sum()) != len(part):
                raise ValueError(f"{target}, {metric}, {language}: an example is scored twice in one run")
            languages.append(str(language))
            numerators.append(num)
            denominators.append(den)
            all_ids.append(tuple(map(str, ids)))
            seen.append(bool(part["seen"].iloc[0]))
        known = {name: frame[name].iloc[0] for name in TARGET}
        yield Cell(
            str(target),
            str(metric),
            str(perturbation),
            known,
            languages,
            numerators,
            denominators,
            all_ids,
            seen,
        )
