"""The frame `contributions` cut into dense arrays, one target at a time, for statistics that need all settings of a
target at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xstilts.analysis.bootstrap import Floats
from xstilts.analysis.gains import BASELINE, SOURCE
from xstilts.analysis.perturbations import CLEAN, ROBUST, order
from xstilts.analysis.summary import groups_of

MEASURES = (CLEAN, ROBUST)
"""Gain on clean text, and the mean gain over all other settings."""


@dataclass(frozen=True)
class Language:
    """All runs of one target in one language."""

    name: str
    ids: tuple[str, ...]
    """The examples of all settings together, sorted."""
    numerators: Floats
    """[settings, arms, seeds, examples]; 0 where a setting lacks the example, NaN all through a run that is not there
    or that lacks an example of its setting."""
    denominators: Floats
    """The same for denominators."""
    covered: tuple[bool, ...]
    """Per setting, whether it has this language."""


@dataclass(frozen=True)
class Runs:
    """All runs of one target by its primary metric, in the languages other than the source."""

    target: str
    group: str
    """`syntactic`, `semantic` or `retrieval`."""
    settings: tuple[str, ...]
    """Clean first; then those that the target has, in the order of `perturbations.order`."""
    arms: tuple[str, ...]
    """The baseline first, then all intermediates of the study, whether or not they were run on this target."""
    seeds: tuple[int, ...]
    """All seeds of the study."""
    languages: tuple[Language, ...]


def runs(contributions: pd.DataFrame, source: str = SOURCE) -> Iterator[Runs]:
    """One `Runs` per target, sorted by name; a target with rows in the source language only has none.

    Raises ValueError where an example is scored twice in one run.
    """
    intermediates = sorted(set(contributions["intermediate"].astype(object).unique()) - {BASELINE})
    arms = (BASELINE, *map(str, intermediates))
    seeds = tuple(sorted(int(seed) for seed in contributions["seed"].unique()))
    rows = contributions[(contributions["language"] != source) & contributions["primary"].astype(bool)]
    for target, frame in rows.groupby(rows["target"].astype(object), sort=True):
        settings = tuple(order([str(name) for name in frame["perturbation"].unique()]))
        languages = tuple(
            _language(str(name), part, settings, arms, seeds, str(target))
            for name, part in frame.groupby(frame["language"].astype(object), sort=True)
        )
        group = str(groups_of(frame.iloc[:1]).iloc[0])
        yield Runs(str(target), group, settings, arms, seeds, languages)


def _language(
    name: str, part: pd.DataFrame, settings: Sequence[str], arms: Sequence[str], seeds: Sequence[int], target: str
) -> Language:
    codes, ids = pd.factorize(part["id"].to_numpy(dtype=object), sort=True)
    place = [
        pd.Categorical(part[column].astype(object), categories=list(known)).codes.astype(np.intp)
        for column, known in (("perturbation", settings), ("intermediate", arms), ("seed", seeds))
    ]
    where = (*place, codes)
    shape = (len(settings), len(arms), len(seeds), len(ids))
    numerators, denominators = np.full(shape, np.nan), np.full(shape, np.nan)
    numerators[where], denominators[where] = part["numerator"].to_numpy(float), part["denominator"].to_numpy(float)
    here = ~np.isnan(denominators)
    if int(here.sum()) != len(part):
        raise ValueError(f"{target}, {name}: an example is scored twice in one run")
    own = here.any(axis=(1, 2), keepdims=True)  # [settings, 1, 1, examples]: what the setting is made of
    whole = (here | ~own).all(axis=3, keepdims=True)
    for array in (numerators, denominators):
        array[np.broadcast_to(~own, shape)] = 0.0
        array[np.broadcast_to(~whole, shape)] = np.nan
    return Language(
        name, tuple(map(str, ids)), numerators, denominators, tuple(map(bool, own.any(axis=3).ravel()))
    )  # fmt: skip


def measures(one: Runs) -> Mapping[str, Floats]:
    """Per measure that the target has, the weight [settings, languages] of each score in it.

    A setting's score is the unweighted mean over its languages, `robust` the unweighted mean over the settings that
    are not clean. Weights sum to 1.
    """
    covered = np.array([language.covered for language in one.languages], dtype=float).T
    per_setting = covered / covered.sum(axis=1, keepdims=True)
    clean = np.array([name == CLEAN for name in one.settings])
    return {
        measure: np.where(use[:, None], per_setting, 0.0) / use.sum()
        for measure, use in zip(MEASURES, (clean, ~clean), strict=True)
        if use.any()
    }
