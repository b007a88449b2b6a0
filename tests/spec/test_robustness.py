"""Measures of robustness are exact on planted numbers, corrected for chance, and silent where they would mislead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report_fixture import Target, contributions

from xstilts.analysis.gains import gains
from xstilts.analysis.guessing import guessed, guessed_from_gold, guesses
from xstilts.analysis.perturbations import ROBUST
from xstilts.analysis.robustness import COLUMNS, measures
from xstilts.tasks import get_task

LANGUAGES = ("en", "de", "fr", "hi")
TARGETS = (
    Target("xnli", "XNLI", "semantic", "classify", ("accuracy",), LANGUAGES, 0.75),
    Target("tatoeba", "Tatoeba", "semantic", "retrieve", ("accuracy",), LANGUAGES[1:], 0.5),
)


def exact(scores: dict[tuple[str, str, str, int], float], target: str = "xnli", n: int = 100) -> pd.DataFrame:
    """Contributions with these scores: {(intermediate, perturbation, language, seed): percent}, right answers first."""
    frames = [
        pd.DataFrame({"intermediate": arm, "category": "" if arm == "none" else "NLI", "control": "", "target": target,
                      "level": "semantic", "shape": "classify", "metric": "accuracy", "primary": True,
                      "perturbation": setting, "seed": seed, "language": language, "seen": True,
                      "id": [f"{i:04d}" for i in range(n)],
                      "numerator": (np.arange(n) < round(n * score / 100)).astype(float), "denominator": 1.0})
        for (arm, setting, language, seed), score in scores.items()
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def row(frame: pd.DataFrame, **where: object) -> pd.Series:
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


PLANTED = exact({
    ("none", "clean", "en", 1): 80, ("none", "clean", "de", 1): 70, ("none", "clean", "fr", 1): 60,
    ("none", "swap@0.1", "en", 1): 70, ("none", "swap@0.1", "de", 1): 50, ("none", "swap@0.1", "fr", 1): 40,
    ("a", "clean", "en", 1): 85, ("a", "clean", "de", 1): 75, ("a", "clean", "fr", 1): 65,
    ("a", "swap@0.1", "en", 1): 80, ("a", "swap@0.1", "de", 1): 65, ("a", "swap@0.1", "fr", 1): 59,
})  # fmt: skip


@pytest.fixture(scope="module")
def noisy() -> pd.DataFrame:
    """Three seeds, two targets, a clean and a perturbed setting in which all arms lose 20 points."""
    clean = contributions({"a": ("NLI", "", {"xnli": 4.0})}, TARGETS, examples=150)
    lower = tuple(Target(**{**vars(t), "base": t.base - 0.2}) for t in TARGETS)
    swapped = contributions({"a": ("NLI", "", {"xnli": 8.0})}, lower, examples=150)
    return pd.concat([clean, swapped.assign(perturbation="swap@0.1")], ignore_index=True)


@pytest.fixture(scope="module")
def measured(noisy: pd.DataFrame) -> pd.DataFrame:
    return measures(noisy, draws=100)


def test_every_measure_is_that_of_its_formula() -> None:
    """Numbers worked out by hand from planted scores."""
    found = row(measures(PLANTED, draws=20), intermediate="a", perturbation="swap@0.1", language="zero-shot")
    wanted = {"score": 62, "clean": 70, "drop": 8, "clean_gain": 5, "gain": 17, "saved": 12, "chance": 100 / 3,
              "retention": 100 * (62 - 100 / 3) / (70 - 100 / 3), "gap": 18, "gap_change": -7, "worst": 59,
              "worst_gain": 19, "sd_languages": np.std([65, 59], ddof=1),
              "sd_languages_change": np.std([65, 59], ddof=1) - np.std([50, 40], ddof=1)}  # fmt: skip
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    base = 100 * (45 - 100 / 3) / (65 - 100 / 3)
    assert found["retention_gain"] == pytest.approx(wanted["retention"] - base)
    assert np.isnan(found["sd_seeds"]) and found["n_languages"] == 2


def test_the_clean_setting_loses_nothing() -> None:
    """Curves of retention over rate start at 100."""
    clean = measures(PLANTED, draws=20).query("perturbation == 'clean'")
    assert (clean["drop"] == 0).all() and (clean["saved"] == 0).all()
    assert clean["retention"].to_numpy() == pytest.approx(100.0)
    assert (clean["gain"] == clean["clean_gain"]).all()


def test_gains_are_those_of_the_table_of_gains(noisy: pd.DataFrame, measured: pd.DataFrame) -> None:
    """One number is never computed in two ways that differ, and neither is its interval."""
    table = gains(noisy, draws=100)
    for mine in table[table["perturbation"] != ROBUST].to_dict("records"):
        keys = {name: mine[name] for name in ("intermediate", "target", "perturbation", "language")}
        found = row(measured, **keys)
        assert (found["gain"], found["score"]) == pytest.approx((mine["gain"], mine["score"]))
        assert (found["gain_low"], found["gain_high"]) == pytest.approx((mine["low"], mine["high"]))


def test_intervals_hold_their_estimate(measured: pd.DataFrame) -> None:
    """Every interval lies about the number it belongs to, and has a width where seeds and examples differ."""
    swapped = measured[measured["perturbation"] != "clean"]
    for name in ("drop", "gain", "clean_gain", "saved", "retention", "retention_gain", "gap", "gap_change"):
        known = swapped[swapped[name].notna()]
        assert len(known) and (known[f"{name}_low"] <= known[name] + 1e-9).all()
        assert (known[f"{name}_high"] >= known[name] - 1e-9).all()
    drop = swapped[swapped["language"] == "zero-shot"]
    assert (drop["drop_low"] < drop["drop_high"]).all()


def test_saved_is_gain_less_clean_gain(measured: pd.DataFrame) -> None:
    """The identities of the docs hold in every row: saved = gain - clean_gain = drop of none - own drop."""
    assert measured["saved"].to_numpy() == pytest.approx((measured["gain"] - measured["clean_gain"]).to_numpy())
    keys = ["target", "perturbation", "language"]
    base = measured[measured["intermediate"] == "none"].set_index(keys)["drop"].rename("base")
    joined = measured.join(base, on=keys)
    assert joined["saved"].to_numpy() == pytest.approx((joined["base"] - joined["drop"]).to_numpy())


def test_a_score_near_chance_has_no_retention() -> None:
    """Where clean is 34 of 33.3 by chance, losing 0.5 points is not a loss of three quarters."""
    cells = [(arm, setting, x, 1) for arm in ("none", "a") for setting in ("clean", "swap@0.1") for x in ("en", "de")]
    near = exact({cell: 35 - 2 * (cell[1] != "clean") for cell in cells})
    found = measures(near, draws=20)
    assert found["retention"].isna().all() and found["reason"].str.contains("not clearly above chance, 33.3").all()
    assert found["drop"].notna().all()


def test_an_unknown_chance_gives_no_retention() -> None:
    """A target that is no known task is not assumed to have a chance of 0."""
    found = measures(PLANTED.assign(target="mystery"), draws=20)
    assert found["retention"].isna().all() and set(found["reason"]) == {"the score of guessing is not known"}


def test_plain_relative_drop_would_mislead_where_retention_does_not() -> None:
    """Two languages that keep the same share above chance have one retention, whatever their clean score."""
    third = 100 / 3
    scores = {}
    for arm in ("none", "a"):
        for language, clean in (("de", third + 45), ("fr", third + 27)):
            scores[arm, "clean", language, 1] = clean
            scores[arm, "swap@0.1", language, 1] = third + (clean - third) / 3
    found = measures(exact(scores, n=3000), draws=20).query("perturbation == 'swap@0.1' and intermediate == 'a'")
    alone = found.set_index("language").loc[["de", "fr"]]
    assert alone["retention"].to_numpy() == pytest.approx(third, abs=0.1)
    relative = alone["score"] / alone["clean"]
    assert abs(relative["de"] - relative["fr"]) > 0.08


def test_an_own_test_set_is_compared_with_the_clean_rows_of_its_ids() -> None:
    """A noisy set that holds the easy rows only is no gain over the clean score of all rows."""
    own = PLANTED.query("perturbation == 'swap@0.1' and language == 'de' and id < '0050'").assign(perturbation="typos")
    found = row(measures(pd.concat([PLANTED, own]), draws=20), perturbation="typos", language="de", intermediate="none")
    assert (found["clean"], found["score"], found["n_examples"]) == (100.0, 100.0, 50)
    assert found["drop"] == 0 and np.isnan(found["rate"]) and found["kind"] == "typos"


def test_own_sets_change_nothing_else(noisy: pd.DataFrame, measured: pd.DataFrame) -> None:
    """Numbers of generated settings are the same with and without somebody's own set."""
    own = noisy.query("perturbation == 'swap@0.1' and language == 'de'").assign(perturbation="typos")
    found = measures(pd.concat([noisy, own], ignore_index=True), draws=100).query("perturbation != 'typos'")
    pd.testing.assert_frame_equal(found.reset_index(drop=True), measured)


def test_a_target_without_the_source_language_has_no_gap(measured: pd.DataFrame) -> None:
    """Retrieval towards English has no English score, so no gap is made up for it."""
    zero_shot = measured[measured["language"] == "zero-shot"].set_index("target")
    assert zero_shot.loc["tatoeba", "gap"].isna().all() and zero_shot.loc["xnli", "gap"].notna().all()
    assert zero_shot.loc["tatoeba", "chance"].unique().tolist() == pytest.approx([100 / 150])


def test_a_missing_run_leaves_its_pair_out(noisy: pd.DataFrame) -> None:
    """A seed whose perturbed run failed counts neither in the clean nor in the perturbed mean."""
    failed = noisy.eval("intermediate == 'a' and perturbation == 'swap@0.1' and seed == 2 and language == 'de'")
    found = measures(noisy[~failed], draws=20)
    mine = {"intermediate": "a", "target": "xnli", "perturbation": "swap@0.1"}
    assert row(found, **mine, language="de")["n_seeds"] == 2
    assert row(found, **mine, language="zero-shot")["n_seeds"] == 2
    assert row(found, **mine, language="fr")["n_seeds"] == 3


def test_the_order_of_rows_does_not_matter(noisy: pd.DataFrame, measured: pd.DataFrame) -> None:
    """Measures are a function of the set of rows."""
    shuffled = measures(noisy.sample(frac=1, random_state=3), draws=100)
    pd.testing.assert_frame_equal(shuffled, measured)


def test_nothing_in_gives_an_empty_frame_with_all_columns() -> None:
    """An unfinished study has no measures, and no crash."""
    for frame in (PLANTED.iloc[:0], PLANTED[PLANTED["intermediate"] != "none"]):
        assert measures(frame).empty and list(measures(frame)) == COLUMNS


@pytest.mark.parametrize(
    ("task", "metric", "n", "wanted"),
    [("xnli", "accuracy", 5010, 100 / 3), ("pawsx", "accuracy", 2000, 50.0), ("udpos", "token_accuracy", 9, 100 / 17),
     ("udpos", "chunk_f1", 9, 0.0), ("xquad", "qa_f1", 1190, 0.0), ("tatoeba", "accuracy", 1000, 0.1),
     ("bucc2018", "set_f1", 10, 0.0), ("mw_entailment", "accuracy", 60, 100 / 3)],
)  # fmt: skip
def test_guessing_is_known_from_the_task(task: str, metric: str, n: int, wanted: float) -> None:
    """What can be known without gold, by shape and metric."""
    assert guessed(get_task(task), metric, n) == pytest.approx(wanted)


def test_the_number_of_choices_is_asked_for_not_assumed() -> None:
    """Choices are not in a task's declaration."""
    task = get_task("xcopa")
    assert np.isnan(guessed(task, "accuracy", 500)) and guessed(task, "accuracy", 500, choices=2) == 50.0


def test_gold_gives_the_share_of_the_most_frequent_answer() -> None:
    """With gold, chance is the best constant answer, by the metric itself."""
    assert guessed_from_gold(get_task("pawsx"), "accuracy", ["0"] * 11 + ["1"] * 9) == pytest.approx(55.0)
    tags = [["NOUN", "VERB", "NOUN"], ["NOUN", "PUNCT"]]
    assert guessed_from_gold(get_task("udpos"), "token_accuracy", tags) == pytest.approx(60.0)
    panx = [["O", "B-PER", "I-PER"], ["O", "O"]]
    assert guessed_from_gold(get_task("panx"), "chunk_f1", panx) == 0.0
    assert guessed_from_gold(get_task("xcopa"), "accuracy", [0, 1, 1, 1]) == pytest.approx(75.0)


def test_gold_goes_before_what_the_task_declares() -> None:
    """Per language, where it is at hand."""
    golds = pd.DataFrame({"target": "xnli", "language": "de", "gold": ["entailment"] * 3 + ["neutral"]})
    found = guesses(PLANTED, golds).set_index("language")["chance"]
    assert found["de"] == pytest.approx(75.0) and found["fr"] == pytest.approx(100 / 3)
