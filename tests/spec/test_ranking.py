"""The ranking is the mean it says it is, counts what is missing, and its tests are the known ones."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_fixture import NATURAL, PLANTED, Target, contributions
from scipy import stats

from xstilts.analysis.chances import seeds_needed
from xstilts.analysis.components import NO_ESTIMATE, Estimate
from xstilts.analysis.gains import scores
from xstilts.analysis.multiple import benjamini_hochberg, holm, sign_flip
from xstilts.analysis.ranking import CATEGORIES, CONTRASTS, INTERMEDIATES, LEVELS, Ranking, ranking

TARGETS = (
    Target("pos", "POS", "syntactic", "tag", ("chunk_f1", "token_accuracy"), ("en", "de", "fr", "th"), 0.8),
    Target("ner", "NER", "syntactic", "tag", ("chunk_f1",), ("en", "de"), 0.7),
    Target("nli", "NLI", "semantic", "classify", ("accuracy",), ("en", "de", "fr"), 0.7),
    Target("bitext", "Bitext", "semantic", "retrieve", ("accuracy",), ("de", "fr"), 0.5),
    Target("english", "English", "semantic", "classify", ("accuracy",), ("en",), 0.5),
)
ARMS = {
    "tags": ("syntax", "", {"pos": 6.0, "ner": 6.0}),
    "mnli": ("NLI", "", {"nli": 5.0, "bitext": 9.0}),
    "snli": ("NLI", "", {"nli": 4.0, "bitext": 9.0}),
    "squad": ("span QA", "", {"nli": 2.0}),
    "shuffled": ("NLI", "shuffled", {}),
    "oracle": ("", "oracle", {target.name: 12.0 for target in TARGETS}),
}
SETTINGS = ("clean", "keyboard@0.1", "keyboard@0.2")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    parts = [
        contributions(ARMS, TARGETS, examples=80, random_state=k).assign(perturbation=name)
        for k, name in enumerate(SETTINGS)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def found(rows: pd.DataFrame) -> Ranking:
    return ranking(rows, draws=200)


def row(frame: pd.DataFrame, **where: object) -> pd.Series:
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def expected(rows: pd.DataFrame, arms: list[str], targets: list[str], settings: list[str]) -> float:
    """The mean gain from the table of scores, in percent."""
    table = scores(rows)
    table = table[(table["language"] == "zero-shot") & table["primary"] & table["perturbation"].isin(settings)]
    mean = table.groupby(["target", "intermediate"])["score"].mean().unstack()
    return float((mean.loc[targets, arms].mean(axis=1) - mean.loc[targets, "none"]).mean())


def test_a_gain_is_the_mean_over_targets_intermediates_settings_languages_and_seeds(
    rows: pd.DataFrame, found: Ranking
) -> None:
    for measure, settings in (("clean", ["clean"]), ("robust", list(SETTINGS[1:]))):
        mine = row(found.categories, group="syntactic", measure=measure, category="NLI")
        assert mine["gain"] == pytest.approx(expected(rows, ["mnli", "snli"], ["pos", "ner"], settings), abs=1e-9)
        one = row(found.intermediates, group="semantic", measure=measure, intermediate="squad")
        assert one["gain"] == pytest.approx(expected(rows, ["squad"], ["nli"], settings), abs=1e-9)
        control = row(found.intermediates, group="retrieval", measure=measure, intermediate="oracle")
        assert control["gain"] == pytest.approx(expected(rows, ["oracle"], ["bitext"], settings), abs=1e-9)


def test_counts_say_what_a_row_is_made_of(found: Ranking) -> None:
    mine = row(found.categories, group="syntactic", measure="robust", category="NLI")
    assert mine[["n_targets", "missing", "n_languages", "n_seeds", "n_examples", "n_settings"]].tolist() == [
        2, 0, 3, 3, 4 * 80, 2]  # fmt: skip
    assert mine["n_intermediates"] == 2 and mine["seeds_covered"]


def test_a_target_in_the_source_language_only_takes_no_part(found: Ranking) -> None:
    assert row(found.categories, group="semantic", measure="clean", category="NLI")["n_targets"] == 1


def test_controls_are_no_category_have_no_rank_and_are_no_comparison(found: Ranking) -> None:
    assert set(found.categories["category"]) == {"NLI", "syntax", "span QA"}
    controls = found.intermediates[found.intermediates["control"] != ""]
    assert set(controls["intermediate"]) == {"shuffled", "oracle"} and controls["gain"].notna().all()
    assert controls[["best", "p_holm", "p_bh"]].isna().all(axis=None) and controls["p"].notna().all()
    others = found.intermediates[found.intermediates["control"] == ""]
    assert others[["best", "p_holm", "p_bh"]].notna().all(axis=None)


def test_the_probabilities_of_being_best_sum_to_one_and_name_the_planted(found: Ranking) -> None:
    for frame in (found.categories, found.intermediates):
        sums = frame.groupby(["group", "measure"])["best"].sum()
        np.testing.assert_allclose(sums, 1.0)
    for group, category in (("syntactic", "syntax"), ("retrieval", "NLI")):
        assert row(found.categories, group=group, measure="robust", category=category)["best"] > 0.95


def test_rows_come_by_group_measure_and_falling_gain(found: Ranking) -> None:
    assert list(dict.fromkeys(found.categories["group"])) == ["syntactic", "semantic", "retrieval"]
    for _, part in found.categories.groupby(["group", "measure"]):
        assert part["gain"].is_monotonic_decreasing


def test_contrasts_and_levels_are_differences_of_gains(found: Ranking) -> None:
    gains = found.categories.set_index(["group", "measure", "category"])["gain"]
    for _, mine in found.contrasts.iterrows():
        expect = gains[mine["group"], mine["measure"], mine["category"]] - gains[mine["group"], mine["measure"],
                                                                                 mine["other"]]  # fmt: skip
        assert mine["difference"] == pytest.approx(expect, abs=1e-9)
        assert mine["low"] < mine["difference"] < mine["high"]
    for _, mine in found.levels.iterrows():
        expect = gains["syntactic", mine["measure"], mine["category"]] - gains["semantic", mine["measure"],
                                                                               mine["category"]]  # fmt: skip
        assert mine["difference"] == pytest.approx(expect, abs=1e-9)
    assert len(found.contrasts) == 3 * 2 * 3 and len(found.levels) == 2 * 3


def test_a_p_value_never_contradicts_its_interval(found: Ranking) -> None:
    for frame, value in ((found.categories, "gain"), (found.contrasts, "difference"), (found.levels, "difference")):
        apart = (frame["low"] > 0) | (frame["high"] < 0)
        assert (apart == (frame["p"] < 0.05)).all()
        assert (frame["p_holm"] >= frame["p_bh"]).all() and (frame["p_bh"] >= frame["p_cautious"]).all()
        assert (frame["p_cautious"] >= frame["p"]).all()
        np.testing.assert_allclose((frame["low"] + frame["high"]) / 2, frame[value], atol=1e-9)
        parts = np.sqrt(frame["se_examples"] ** 2 + frame["se_seeds"] ** 2 + frame["se_languages"] ** 2)
        np.testing.assert_allclose(parts, frame["se"])


def test_the_family_is_all_rows_of_a_measure_that_are_not_of_controls(found: Ranking) -> None:
    for _, frame in found.intermediates.groupby("measure"):
        p = frame.loc[frame["control"] == "", "p_cautious"].to_numpy()
        np.testing.assert_allclose(frame.loc[frame["control"] == "", "p_holm"], holm(p))
        assert len(p) == 3 * 4


def test_the_order_of_rows_changes_nothing(rows: pd.DataFrame, found: Ranking) -> None:
    again = ranking(rows.sample(frac=1, random_state=3), draws=200)
    for name in ("categories", "intermediates", "contrasts", "levels"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name))


def test_another_group_of_targets_changes_no_interval(rows: pd.DataFrame, found: Ranking) -> None:
    alone = ranking(rows[rows["level"] == "syntactic"], draws=200).categories
    columns = [c for c in CATEGORIES if c not in ("p_holm", "p_bh")]
    whole = found.categories[found.categories["group"] == "syntactic"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone[columns], whole[columns])


def test_a_target_without_the_pair_is_left_out_and_counted(rows: pd.DataFrame) -> None:
    gone = (rows["intermediate"] == "mnli") & (rows["target"] == "pos")
    cut = ranking(rows[~gone], draws=50)
    mine = row(cut.categories, group="syntactic", measure="clean", category="NLI")
    assert (mine["n_targets"], mine["missing"], mine["n_intermediates"]) == (1, 1, 2)
    assert mine["gain"] == pytest.approx(expected(rows, ["mnli", "snli"], ["ner"], ["clean"]), abs=1e-9)
    assert row(cut.intermediates, group="syntactic", measure="clean", intermediate="snli")["missing"] == 0
    contrast = row(cut.contrasts, group="syntactic", measure="clean", category="NLI", other="syntax")
    assert (contrast["n_targets"], contrast["missing"]) == (1, 1)
    assert contrast["difference"] == pytest.approx(
        expected(rows, ["mnli", "snli"], ["ner"], ["clean"]) - expected(rows, ["tags"], ["ner"], ["clean"]), abs=1e-9
    )
    assert (cut.categories.query("group == 'syntactic'")["n_best"] == 1).all()


def test_an_intermediate_without_any_pair_is_left_aside(rows: pd.DataFrame) -> None:
    cut = ranking(rows[(rows["intermediate"] != "mnli") | (rows["level"] != "syntactic")], draws=50)
    mine = row(cut.categories, group="syntactic", measure="clean", category="NLI")
    assert (mine["n_intermediates"], mine["n_targets"], mine["missing"]) == (1, 2, 0)
    none = row(cut.intermediates, group="syntactic", measure="clean", intermediate="mnli")
    assert np.isnan(none["gain"]) and none["n_targets"] == 0 and none["missing"] == 2 and np.isnan(none["best"])
    assert cut.categories.query("group == 'syntactic'").groupby("measure")["best"].sum().tolist() == [1, 1]


def test_a_single_pair_of_runs_among_several_seeds_is_missing(rows: pd.DataFrame) -> None:
    gone = (rows["intermediate"] == "tags") & (rows["target"] == "ner") & (rows["seed"] > 1)
    mine = row(ranking(rows[~gone], draws=50).categories, group="syntactic", measure="clean", category="syntax")
    assert (mine["n_targets"], mine["missing"]) == (1, 1)


def test_a_missing_setting_makes_the_robust_pair_missing_but_not_the_clean_one(rows: pd.DataFrame) -> None:
    gone = (rows["intermediate"] == "squad") & (rows["target"] == "nli") & (rows["perturbation"] == SETTINGS[1])
    cut = ranking(rows[~gone], draws=50).categories
    assert np.isnan(row(cut, group="semantic", measure="robust", category="span QA")["gain"])
    assert row(cut, group="semantic", measure="clean", category="span QA")["missing"] == 0


def test_targets_without_settings_have_no_robust_gain_and_are_not_missing(rows: pd.DataFrame) -> None:
    cut = ranking(rows[(rows["target"] != "ner") | (rows["perturbation"] == "clean")], draws=50).categories
    assert row(cut, group="syntactic", measure="clean", category="syntax")["n_targets"] == 2
    mine = row(cut, group="syntactic", measure="robust", category="syntax")
    assert (mine["n_targets"], mine["missing"]) == (1, 0)
    clean = ranking(rows[rows["perturbation"] == "clean"], draws=50)
    assert set(clean.categories["measure"]) == {"clean"}


def test_without_rows_or_baseline_there_is_no_gain(rows: pd.DataFrame) -> None:
    nothing = ranking(rows.iloc[:0])
    for frame, columns in ((nothing.categories, CATEGORIES), (nothing.intermediates, INTERMEDIATES),
                           (nothing.contrasts, CONTRASTS), (nothing.levels, LEVELS)):  # fmt: skip
        assert frame.empty and list(frame) == columns
    assert ranking(rows[rows["intermediate"] != "none"], draws=50).categories["gain"].isna().all()


def test_one_seed_says_nothing_of_seeds(rows: pd.DataFrame) -> None:
    one = ranking(rows[rows["seed"] == 1], draws=50)
    assert not one.categories["seeds_covered"].any() and one.categories["low"].notna().all()
    assert (one.categories["se_seeds"] == 0).all() and one.categories["seeds_needed"].isna().all()


def test_languages_such_as_these_are_less_sure_than_these(rows: pd.DataFrame, found: Ranking) -> None:
    such = ranking(rows, draws=200, languages="such")
    assert such.languages == "such" and found.languages == "these"
    one = such.categories.set_index(["group", "measure", "category"])
    these = found.categories.set_index(["group", "measure", "category"])
    assert (one["se"] >= these["se"] - 1e-9).all() and (one["se_languages"] > 0).any()
    np.testing.assert_allclose(one["gain"], these["gain"])
    assert (found.categories["se_languages"] == 0).all()


def test_planted_gains_are_in_their_intervals() -> None:
    found = ranking(contributions(PLANTED, NATURAL[:3], examples=150), draws=200).intermediates
    planted = {arm: np.mean([gains.get(t, 0.0) for t in ("udpos", "panx")]) for arm, (_, _, gains) in PLANTED.items()}
    for _, mine in found[found["group"] == "syntactic"].iterrows():
        assert abs(mine["gain"] - planted[mine["intermediate"]]) < 4 * mine["se"]


def test_holm_is_the_textbook_procedure() -> None:
    """Step down: the smallest times k, the next times k - 1, never falling (Holm 1979)."""
    p = np.array([0.01, 0.04, 0.03, np.nan, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, np.nan, 0.02])
    assert np.isnan(holm(np.array([np.nan]))).all() and holm(np.zeros(0)).size == 0


def test_benjamini_hochberg_is_scipys_without_the_missing() -> None:
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(benjamini_hochberg(p)[[0, 1, 3, 4]], stats.false_discovery_control(p[[0, 1, 3, 4]]))
    assert np.isnan(benjamini_hochberg(p)[2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_step_down_rule_rejects(p: list[float]) -> None:
    """Going up from the smallest p, reject while p <= 0.05 / (hypotheses left)."""
    values = np.array(p)
    rejected: set[int] = set()
    for step, i in enumerate(np.argsort(values, kind="stable")):
        if values[i] * (len(values) - step) > 0.05:
            break
        rejected.add(int(i))
    assert set(np.flatnonzero(holm(values) <= 0.05).tolist()) == rejected


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=7))
def test_sign_flips_are_counted_exactly(units: list[int]) -> None:
    """All flips of up to 14 units, against enumeration."""
    values = np.array(units, dtype=float)
    kept = values[values != 0]
    if len(kept) == 0:
        assert np.isnan(sign_flip(values))
        return
    sums = [abs(np.dot(signs, kept)) for signs in itertools.product((1, -1), repeat=len(kept))]
    assert sign_flip(values) == pytest.approx(np.mean([s >= abs(kept.sum()) for s in sums]))
    assert sign_flip(values) >= 2 / 2 ** len(kept)


def test_many_units_are_flipped_at_random_but_always_alike() -> None:
    units = np.random.default_rng(0).normal(0.5, 1, 40)
    assert sign_flip(units) == sign_flip(units) != sign_flip(units, seed=1)
    assert sign_flip(units) == pytest.approx(float(stats.ttest_1samp(units, 0).pvalue), abs=0.02)
    assert sign_flip(np.ones(40)) == pytest.approx(1e-4)


ESTIMATE = Estimate(1.0, -0.5, 2.5, 0.55, 0.1, np.sqrt(0.55**2 - 0.1**2), 0.0, 4.3, 0.14, 0.2, 3)


def half_width(found: Estimate, m: float) -> float:
    """With all doubt about the variance put down to seeds."""
    seeds = found.se_seeds**2 * found.n_seeds / m
    nu = found.df * (found.se_seeds / found.se) ** 4 * (m - 1) / (found.n_seeds - 1)
    square = found.se_examples**2 + seeds
    return float(stats.t.ppf(0.975, square**2 / (seeds**2 / nu)) * np.sqrt(square))


def test_the_seeds_that_are_needed_are_the_fewest_that_settle_it() -> None:
    needed = seeds_needed(ESTIMATE)
    assert needed > 3
    assert half_width(ESTIMATE, needed) < 1.0 <= half_width(ESTIMATE, needed - 1)


def test_no_seeds_help_where_examples_are_the_limit_and_none_are_needed_where_it_is_settled() -> None:
    assert seeds_needed(replace(ESTIMATE, se_examples=0.54, se_seeds=np.sqrt(0.55**2 - 0.54**2))) == np.inf
    assert seeds_needed(replace(ESTIMATE, low=0.1)) == 3
    assert np.isnan(seeds_needed(replace(ESTIMATE, n_seeds=1))) and np.isnan(seeds_needed(NO_ESTIMATE))
