"""The best intermediate for each target: its gain is not inflated by having been chosen, and controls stay out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_fixture import NATURAL, PLANTED, Target, contributions, results

from xstilts.analysis.best import Best, averages, best_per_target, half
from xstilts.analysis.gains import gains
from xstilts.report.html import write_report
from xstilts.report.text import signed, span

SMALL = (
    Target("t", "T", "semantic", "classify", ("accuracy",), ("en", "de", "fr"), 0.7),
    Target("qa", "QA", "semantic", "span", ("qa_f1", "qa_em"), ("en", "de"), 0.6),
    Target("r", "R", "semantic", "retrieve", ("accuracy",), ("de", "fr"), 0.5),
)
ARMS: dict[str, tuple[str, str, dict[str, float]]] = {
    "a": ("NLI", "", {"t": 12.0, "qa": -9.0, "r": -9.0}),
    "b": ("span QA", "", {"t": -9.0, "qa": 12.0, "r": -9.0}),
    "oracle": ("", "oracle", {"t": 25.0, "qa": 25.0, "r": 25.0}),
}


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return contributions(ARMS, SMALL)


@pytest.fixture(scope="module")
def found(small: pd.DataFrame) -> Best:
    return best_per_target(small, draws=100)


def figure(best: Best, **where: str) -> pd.Series:
    frame = best.figures
    for name, value in {"figure": "best", "target": "", "scope": "", "language": "mean", **where}.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_the_planted_winner_of_each_target_is_found(found: Best) -> None:
    """Under a planted winner the winner is chosen every time, and its gain is the planted one within the interval."""
    for target, arm in (("t", "a"), ("qa", "b")):
        row = figure(found, target=target)
        assert row["intermediate"] == arm and row["low"] <= 12 <= row["high"]


def test_a_control_is_never_chosen(found: Best) -> None:
    """The oracle is better than everything else, and neither chosen nor among the naive or single figures."""
    assert "oracle" not in set(found.choices["intermediate"]) | set(found.figures["intermediate"])


def test_where_nothing_helps_none_is_chosen_and_gains_nothing(found: Best) -> None:
    """`none` is a candidate; where it is always chosen, the gain is 0 without doubt."""
    row = figure(found, target="r")
    assert row["intermediate"] == "none"
    assert (row[["gain", "low", "high", "se"]] == 0).all()
    assert figure(found, target="r", figure="naive")["gain"] == 0


def test_an_arm_that_always_wins_has_its_own_gain(small: pd.DataFrame, found: Best) -> None:
    """Where all choices agree, the rows put together are that intermediate's rows, so the gain is that of `gains`."""
    table = gains(small, draws=100).query("intermediate == 'a' and target == 't'").set_index("language")
    for language in ("mean", "zero-shot"):
        assert figure(found, target="t", language=language)["gain"] == pytest.approx(table["gain"][language])


def test_question_answering_counts_the_mean_of_f1_and_exact_match(small: pd.DataFrame) -> None:
    """XTREME's QA score is the mean of F1 and exact match; other targets count their primary metric alone."""
    exact = (small["target"] == "qa") & (small["metric"] == "qa_em")
    data = small.assign(numerator=small["numerator"].where(~exact, 0.0))  # no answer is exact: half the gain is lost
    table = gains(data, draws=20).query("intermediate == 'b' and language == 'mean'").set_index(["target", "metric"])
    best = best_per_target(data, draws=20)
    f1 = table["gain"]["qa", "qa_f1"]
    assert figure(best, target="qa")["gain"] == pytest.approx(f1 / 2) and f1 > 5
    extra = contributions(ARMS, [dataclasses.replace(SMALL[0], metrics=("chunk_f1", "token_accuracy"))])
    halved = extra.assign(numerator=extra["numerator"].where(extra["primary"], 0.0))
    pd.testing.assert_frame_equal(best_per_target(extra, draws=20).figures, best_per_target(halved, draws=20).figures)


def test_ids_of_parallel_languages_go_to_one_half() -> None:
    """A half is a function of the id alone, and the halves are about equal."""
    data = contributions({}, SMALL[:1], seeds=(1,))
    halves = data.assign(half=data["id"].map(half)).groupby("id")["half"]
    assert (halves.nunique() == 1).all() and set(halves.first()) == {0, 1}
    assert 0.4 < np.mean([half(f"{i:05d}") for i in range(1000)]) < 0.6


def _wins(data: pd.DataFrame, where: pd.Series, arm: str) -> pd.DataFrame:
    """The same data with all answers of `arm` right where `where` holds."""
    return data.assign(numerator=data["numerator"].mask(where & (data["intermediate"] == arm), 1.0))


def test_a_half_is_reported_with_what_the_other_half_chose(small: pd.DataFrame) -> None:
    """An intermediate that wins in one half only is chosen for the other half, where it loses."""
    t = small[(small["target"] == "t") & small["intermediate"].isin(["none", "a"])]
    first = (t["id"].map(half) == 0).astype(float)
    best = best_per_target(t.assign(numerator=t["numerator"].where(t["intermediate"] == "none", first)), draws=20)
    chosen = best.choices.groupby("half")["intermediate"].unique()
    assert list(chosen[1]) == ["a"] and list(chosen[0]) == ["none"]
    assert figure(best, target="t")["gain"] < -20


def test_a_seed_is_reported_with_what_the_other_seeds_chose(small: pd.DataFrame) -> None:
    """An intermediate that was lucky in one seed only is not reported for that seed."""
    t = small[small["target"] == "t"]
    b_alone = t[t["intermediate"].isin(["none", "b"])]
    best = best_per_target(_wins(b_alone, b_alone["seed"] == 2, "b"), draws=20)
    chosen = best.choices.groupby("seed")["intermediate"].unique()
    assert list(chosen[2]) == ["none"] and list(chosen[1]) == list(chosen[3]) == ["b"]


def test_one_seed_chooses_for_itself(small: pd.DataFrame) -> None:
    """With one seed the rows alone are held out, and a choice is still made."""
    best = best_per_target(small[small["seed"] == 1], draws=20)
    assert set(best.choices["seed"]) == {1} and figure(best, target="t")["intermediate"] == "a"


@pytest.fixture(scope="module")
def with_dev(small: pd.DataFrame) -> tuple[pd.DataFrame, Best]:
    english = dataclasses.replace(SMALL[0], languages=("en",))
    dev = contributions({**ARMS, "a": ("NLI", "", {"t": -9.0}), "b": ("span QA", "", {"t": 12.0})}, [english])
    return dev, best_per_target(small, dev, draws=20)


def test_dev_rows_go_before_halves(with_dev: tuple[pd.DataFrame, Best]) -> None:
    """A target with dev rows is chosen by them, the others by halves; each says which."""
    how = with_dev[1].choices.groupby("target")["how"].unique()
    assert list(how["t"]) == ["dev"] and list(how["qa"]) == list(how["r"]) == ["held-out"]
    assert figure(with_dev[1], target="t")["intermediate"] == "b"


def test_dev_rows_never_enter_a_reported_gain(small: pd.DataFrame, with_dev: tuple[pd.DataFrame, Best]) -> None:
    """The gain of what dev rows chose is that on the test rows, to the last bit of their number."""
    table = gains(small, draws=20).query("intermediate == 'b' and target == 't' and language == 'mean'")
    row = figure(with_dev[1], target="t")
    assert row["gain"] == pytest.approx(table["gain"].iloc[0]) and row["gain"] < 0


def test_perturbed_rows_neither_choose_nor_count(small: pd.DataFrame, found: Best) -> None:
    """Clean text alone is looked at."""
    t = small["target"] == "t"
    noisy = _wins(small, t, "b").assign(perturbation="typos")
    pd.testing.assert_frame_equal(best_per_target(pd.concat([small, noisy]), draws=100).figures, found.figures)


def test_a_failed_run_is_not_chosen_for(small: pd.DataFrame) -> None:
    """Without its run of a seed an intermediate is no candidate for that seed, and the seed still counts."""
    gone = (small["intermediate"] == "a") & (small["seed"] == 3)
    best = best_per_target(small[~gone], draws=20)
    mine = best.choices.query("target == 't'").groupby("seed")["intermediate"].unique()
    assert list(mine[1]) == ["a"] and "a" not in mine[3] and figure(best, target="t")["n_seeds"] == 3


def test_no_baseline_or_no_rows_give_no_figure(small: pd.DataFrame) -> None:
    """What cannot be compared is not chosen from."""
    assert best_per_target(small.iloc[:0]).figures.empty
    without = best_per_target(small[small["intermediate"] != "none"], draws=20)
    assert without.choices.empty and without.figures["gain"].isna().all()
    alone = small[(small["target"] != "t") | (small["intermediate"] == "none")]
    some = best_per_target(alone, draws=20)
    row = figure(some, target="t")
    assert np.isnan(row["gain"]) and row["intermediate"] == row["how"] == ""
    assert figure(some, scope="all targets")["n_targets"] == 2


def test_averages_are_over_targets_and_a_second_time_without_retrieval(found: Best) -> None:
    """The average is the mean of the targets' gains; retrieval is in the first alone."""
    one = {name: figure(found, target=name)["gain"] for name in ("t", "qa", "r")}
    assert figure(found, scope="all targets")["gain"] == pytest.approx(sum(one.values()) / 3)
    assert figure(found, scope="without retrieval")["gain"] == pytest.approx((one["t"] + one["qa"]) / 2)
    naive = figure(found, scope="all targets", figure="naive")
    assert naive["gain"] >= figure(found, scope="all targets")["gain"] and np.isnan(naive["low"])
    assert figure(found, scope="all targets", figure="single", intermediate="a")["n_targets"] == 3


def _no_effect(targets: Sequence[str], arms: int, seeds: int, examples: int, seed_sd: float) -> pd.DataFrame:
    """All arms equal to the baseline but for the luck of training (`seed_sd` points) and of examples."""
    rng = np.random.default_rng(0)
    shape = (len(targets), arms + 1, seeds, examples)
    difficulty = rng.uniform(size=(len(targets), 1, 1, examples))
    shared = rng.uniform(size=shape) < 0.7
    right = np.where(shared, difficulty, rng.uniform(size=shape)) < 0.7 + rng.normal(0, seed_sd, (*shape[:3], 1)) / 100
    target, arm, seed, example = np.indices(shape).reshape(4, -1)
    names, ids = ["none", *(f"a{i}" for i in range(arms))], [f"{i:05d}" for i in range(examples)]
    return pd.DataFrame({
        "intermediate": np.array(names, object)[arm], "category": "", "control": "",
        "target": np.array(targets, object)[target], "level": "semantic", "shape": "classify", "metric": "accuracy",
        "primary": True, "perturbation": "clean", "seed": seed, "language": "de", "seen": True,
        "id": np.array(ids, object)[example], "numerator": right.ravel().astype(float), "denominator": 1.0,
    })  # fmt: skip


def test_with_no_effect_at_all_the_naive_average_is_high_and_the_honest_one_is_not() -> None:
    """Calibration: over 100 studies of 2 targets, 4 equal arms, 3 seeds that differ by luck and 200 examples, the
    naive average is far above zero, the mean of the honest one within its Monte-Carlo error of it, and about one
    honest interval in twenty or fewer lies above it."""
    studies = 100
    data = _no_effect([f"{r:03d} {t}" for r in range(studies) for t in "xy"], 4, 3, 200, seed_sd=3.0)
    figures = best_per_target(data, draws=60).figures
    figures = figures[(figures["target"] != "") & (figures["language"] == "mean")].assign(shape="classify")
    means = pd.concat([averages(part) for _, part in figures.groupby(figures["target"].str[:3])])
    means = means[means["scope"] == "all targets"]
    naive, honest = (means[means["figure"] == name] for name in ("naive", "best"))
    assert len(naive) == len(honest) == studies
    assert naive["gain"].mean() > 10 * naive["gain"].std() / studies**0.5
    assert abs(honest["gain"].mean()) < 2.5 * honest["gain"].std() / studies**0.5
    assert (honest["low"] > 0).mean() <= 0.09  # 0.05 and twice the Monte-Carlo error of 100 studies


def test_the_report_shows_choice_gains_and_averages(small: pd.DataFrame, tmp_path: Path) -> None:
    """HTML and Markdown show the figures of `best.csv`, the naive one labelled as such, and the paper's beside them."""
    found = best_per_target(small)
    page = write_report(results(SMALL, contributions=small, intermediates=list(ARMS)), tmp_path)
    html, text = page.read_text(), (tmp_path / "report.md").read_text()
    for document in (html, text):
        for said in ("The best intermediate for each target", "naive: chosen on the rows it is reported on",
                     "2005.13013", "5.4 points", "the other half of the test rows"):  # fmt: skip
            assert said in document, said
    row, mean = figure(found, target="qa"), figure(found, scope="all targets")
    assert f">{signed(row['gain'])}</td>" in html and f">{span(row['low'], row['high'])}</td>" in html
    assert f"{signed(mean['gain'])} {span(mean['low'], mean['high'])}" in html
    written = pd.read_csv(tmp_path / "best.csv")
    np.testing.assert_allclose(written["gain"], found.figures["gain"], atol=1e-6)


def test_differing_choices_are_shown_with_their_counts(tmp_path: Path) -> None:
    """Where the choices of halves and seeds differ, each is named with how often it was chosen."""
    target = (dataclasses.replace(NATURAL[2], languages=("en", "de")),)
    data = contributions({k: (*v[:2], {}) for k, v in PLANTED.items()}, target, examples=60, seed_sd=4.0)
    best = best_per_target(data, draws=20)
    assert best.choices["intermediate"].nunique() > 1
    page = write_report(results(target, contributions=data), tmp_path).read_text()
    assert figure(best, target="xnli")["intermediate"] in page and " of 6)" in page
