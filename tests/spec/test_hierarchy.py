"""The bootstrap of whole targets draws examples once for all that shares them, and is what a plain loop would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_fixture import Target, contributions

from xstilts.analysis.bootstrap import scores_of
from xstilts.analysis.components import pool
from xstilts.analysis.hierarchy import drawn_weights, evidence, resample
from xstilts.analysis.perturbations import CLEAN
from xstilts.analysis.ranking import rank, ranking
from xstilts.analysis.runs import ROBUST, Runs, measures, runs
from xstilts.analysis.simulate import World, frame

TARGETS = (
    Target("t", "T", "semantic", "classify", ("accuracy",), ("en", "de", "fr"), 0.7),
    Target("u", "U", "syntactic", "tag", ("accuracy",), ("en", "de"), 0.7),
)
ARMS = {"a": ("NLI", "", {"t": 5.0}), "b": ("QA", "", {"t": 0.0})}


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return contributions(ARMS, TARGETS, examples=60)


def by_hand(one: Runs, draws: int, seed: int) -> np.ndarray:
    """[measures, arms, seeds, draws], one language, setting and run after the other; for fewer draws than a block."""
    weights = list(measures(one).values())
    out = np.zeros((len(weights), len(one.arms) - 1, len(one.seeds), draws))
    for k, language in enumerate(one.languages):
        drawn = drawn_weights(draws, len(language.ids), seed, (one.target, "0", *language.ids)).astype(float)
        for m, weight in enumerate(weights):
            for p in range(len(one.settings)):
                sums = [np.einsum("ase,re->asr", x[p], drawn) for x in (language.numerators, language.denominators)]
                scores = scores_of(*sums)
                out[m] += weight[p, k] * (scores[1:] - scores[:1])
    return out


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("counted_alike", [True, False])
def test_resampled_gains_are_those_of_a_plain_loop(parallel: bool, counted_alike: bool) -> None:
    """Whether every example counts one or its own denominator, and whether or not languages share examples."""
    one = World(languages=3, examples=40, parallel=parallel).run(np.random.default_rng(0))[0]
    if not counted_alike:
        size = np.random.default_rng(1).integers(1, 9, one.languages[0].numerators.shape).astype(float)
        languages = [replace(x, numerators=x.numerators * size, denominators=size) for x in one.languages]
        one = replace(one, languages=tuple(languages))
    found = resample(one, 30, seed=5)
    expected = by_hand(one, 30, seed=5)
    for m, measure in enumerate((CLEAN, ROBUST)):
        np.testing.assert_allclose(found.measures[measure].resampled, expected[m], atol=2e-4)


def test_every_draw_takes_as_many_examples_as_there_are() -> None:
    weights = drawn_weights(50, 70, 0, ("t", "a"))
    assert (weights.sum(axis=1) == 70).all()
    assert (weights == drawn_weights(50, 70, 0, ("t", "a"))).all()
    assert (weights != drawn_weights(50, 70, 0, ("t", "b"))).any()


def test_draws_depend_on_nothing_else_in_the_study(small: pd.DataFrame) -> None:
    """Neither on the order of rows, nor on other intermediates, targets or further draws of the same block."""
    whole = evidence(small, 50)[0].measures[CLEAN].resampled
    shuffled = evidence(small.sample(frac=1, random_state=1), 50)[0].measures[CLEAN].resampled
    np.testing.assert_array_equal(whole, shuffled)
    part = small[(small["target"] == "t") & (small["intermediate"] != "b")]
    np.testing.assert_allclose(whole[:1], evidence(part, 50)[0].measures[CLEAN].resampled, atol=1e-4)


def test_spread_over_draws_is_the_textbook_standard_error() -> None:
    one = World(languages=1, examples=300, settings=0).run(np.random.default_rng(0))[0]
    found = resample(one, 4000, seed=0).measures[CLEAN].resampled[0, 0]
    right = one.languages[0].numerators[0, :, 0]
    expected = 100 * (right[1] - right[0]).std() / np.sqrt(300)
    assert found.std() == pytest.approx(expected, rel=0.05)


def test_a_frame_and_its_arrays_give_the_same_ranking() -> None:
    """What is calibrated on simulated arrays is what a study's frame goes through."""
    world = World(seeds=2, languages=2, examples=20, settings=1, targets={"s": "syntactic", "m": "semantic"})
    studied = world.run(np.random.default_rng(0))
    arms = {arm: (category, "") for arm, category in world.arms.items()}
    direct = rank([resample(one, 50, 0) for one in sorted(studied, key=lambda one: one.target)], arms)
    through = ranking(frame(studied, world.arms), draws=50)
    for name in ("categories", "intermediates", "contrasts", "levels"):
        pd.testing.assert_frame_equal(getattr(direct, name), getattr(through, name))


def test_a_run_that_lacks_an_example_is_no_pair(small: pd.DataFrame) -> None:
    one = (small["intermediate"] == "a") & (small["seed"] == 1) & (small["language"] == "de") & (small["target"] == "t")
    gained = evidence(small[~(one & (small["id"] == "00007"))], 20)[0].measures[CLEAN]
    assert np.isnan(gained.gains[0]).tolist() == [True, False, False]
    assert not np.isnan(gained.gains[1]).any()
    assert (gained.resampled[0, 0] == 0).all()


def test_an_example_scored_twice_is_a_fault(small: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="scored twice"):
        list(runs(pd.concat([small, small[small["language"] == "de"].iloc[:1]])))


def test_a_setting_with_fewer_examples_is_scored_on_its_own(small: pd.DataFrame) -> None:
    """The robust gain of a person's own test set compares both arms on its rows alone."""
    few = small[(small["id"] < "00025") & (small["target"] == "t") & (small["language"] == "de")]
    one = next(iter(runs(pd.concat([small, few.assign(perturbation="typos")]))))
    assert one.settings == (CLEAN, "typos")
    gained = resample(one, 20, 0).measures[ROBUST]
    mean = few.groupby(["intermediate", "seed"])["numerator"].mean().unstack("seed") * 100
    np.testing.assert_allclose(gained.gains, (mean.loc[["a", "b"]] - mean.loc["none"]).to_numpy(), atol=1e-9)
    assert gained.shares.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(gained.resampled, by_hand(one, 20, 0)[1], atol=2e-4)


def test_contributions_of_languages_add_up_to_the_gain() -> None:
    one = World(languages=4, examples=30).run(np.random.default_rng(0))[0]
    gained = resample(one, 10, 0, by_language=True).measures[ROBUST]
    np.testing.assert_allclose(gained.by_language.sum(axis=0), gained.gains.mean(axis=1), atol=1e-9)
    assert gained.shares.sum() == pytest.approx(1)
    assert gained.by_language_resampled.shape == (4, 6, 10)


def test_a_missing_seed_counts_with_the_spread_of_the_others() -> None:
    """The variance of a mean of two seeds is that of three with two thirds of the seeds."""
    world = World(seeds=3, languages=2, examples=30, settings=0, targets={"s": "syntactic"})
    found = resample(world.run(np.random.default_rng(0))[0], 20, 0)
    whole = found.measures[CLEAN]
    gains = whole.gains.copy()
    gains[0, 2] = np.nan
    cut = replace(whole, gains=gains, resampled=np.where(np.isnan(gains)[..., None], 0, whole.resampled))
    shared = pool({"s1": 1.0}, {"s1": replace(found, measures={CLEAN: cut})}, CLEAN, found.arms)
    assert shared.gains[0] == pytest.approx(whole.gains[0, :2].mean())
    variance_of_mean = (shared.residuals[0] ** 2).sum() / (3 * 2)
    assert variance_of_mean == pytest.approx(whole.gains[0, :2].var(ddof=1) / 2)
    assert (shared.seeds, shared.n_seeds) == (3, 2)
