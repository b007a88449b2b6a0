"""Intervals cover and tests err as often as they say, on simulated studies with known effects.

A short version of benchmarks/power.py, whose 1,000 replications and more are in docs/power.md. Seeds are fixed, so
the outcome is too; the bounds are three binomial standard deviations around what is claimed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xstilts.analysis.components import estimate, pool
from xstilts.analysis.hierarchy import resample
from xstilts.analysis.perturbations import CLEAN
from xstilts.analysis.ranking import rank
from xstilts.analysis.simulate import World

STUDIES = 150
TOLERANCE = 3 * np.sqrt(0.95 * 0.05 / STUDIES)  # 5.3 %
WORLD = World(targets={"s1": "syntactic", "m1": "semantic", "m2": "semantic"}, languages=2, examples=60, settings=1,
              sd_run=3.0, sd_run_language=1.0, sd_checkpoint=2.0, gains={"a": 2.0, "c": -3.0})  # fmt: skip
NULL = replace(WORLD, gains={})


def simulated(world: World, frame: str) -> pd.DataFrame:
    """The rows of one frame of all studies, with their true value in `true`."""
    generator = np.random.default_rng(5)
    arms = {arm: (category, "") for arm, category in world.arms.items()}
    parts = []
    for k in range(STUDIES):
        found = rank([resample(one, 100, k) for one in world.run(generator)], arms, chance_draws=10, only=(frame,))
        parts.append(getattr(found, frame).assign(study=k))
    rows = pd.concat(parts, ignore_index=True)
    true = rows["category"].map(lambda name: world.gains.get(name, 0.0))
    return rows.assign(true=true - (rows["other"].map(lambda n: world.gains.get(n, 0.0)) if "other" in rows else 0.0))


@pytest.fixture(scope="module")
def null() -> pd.DataFrame:
    return simulated(NULL, "categories")


@pytest.mark.parametrize("frame", ["categories", "contrasts"])
def test_nominal_95_percent_intervals_hold_the_true_gain_as_often(frame: str) -> None:
    rows = simulated(WORLD, frame)
    covered = ((rows["low"] <= rows["true"]) & (rows["true"] <= rows["high"])).mean()
    assert 0.95 - TOLERANCE <= covered <= 0.95 + TOLERANCE


def test_without_any_effect_at_most_one_study_in_twenty_finds_one(null: pd.DataFrame) -> None:
    """Any row of the family that is significant after Holm's correction."""
    assert (null.groupby("study")["p_holm"].min() <= 0.05).mean() <= 0.05 + TOLERANCE


def test_the_luck_of_the_examples_alone_is_far_too_narrow(null: pd.DataFrame) -> None:
    """What a permutation of examples would call significant: it speaks of these runs only."""
    assert (null["gain"].abs() > 1.96 * null["se_examples"]).mean() > 0.12


def test_flipping_pairs_of_runs_errs_as_often_as_it_says(null: pd.DataFrame) -> None:
    assert (null["p_permutation"] <= 0.05).mean() <= 0.05 + TOLERANCE


def test_with_languages_at_random_the_interval_speaks_of_others_such_as_these() -> None:
    """Where gains differ by language, intervals of these languages miss the gain in such languages, the others not."""
    world = World(targets={"m1": "semantic"}, arms={"a1": "a", "b1": "b"}, languages=8, examples=100, settings=0,
                  seeds=2, sd_run=0.5, sd_run_language=0.5, sd_language=12.0, random_languages=True)  # fmt: skip
    generator = np.random.default_rng(1)
    hits = {True: 0, False: 0}
    for k in range(STUDIES):
        one = world.run(generator)[0]
        for such in hits:
            found = {"m1": resample(one, 100, k, by_language=such)}
            made = estimate(pool({"m1": 1.0}, found, CLEAN, {"a1", "b1"}), {"a1": 1.0})
            hits[such] += made.low <= 0 <= made.high
    assert abs(hits[True] / STUDIES - 0.95) <= TOLERANCE
    assert hits[False] / STUDIES < 0.85
