"""Scores and gains are exact, paired, order-free, honest about what is missing, and their intervals cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report_fixture import MICRO, NATURAL, PLANTED, Target, contributions

from xstilts.analysis.bootstrap import Spread, common, interval, resampled_scores, spread
from xstilts.analysis.gains import gains, scores
from xstilts.analysis.summary import RETRIEVAL_SHAPES, by_intermediate, controls, headline, significant

SMALL = (
    Target("t", "T", "semantic", "classify", ("accuracy",), ("en", "de", "fr"), 0.7),
    Target("r", "R", "semantic", "retrieve", ("accuracy",), ("de", "fr"), 0.5),
)
ARMS = {"a": ("NLI", "", {"t": 5.0}), "b": ("NLI", "", {"t": 0.0})}


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return contributions(ARMS, SMALL, examples=100)


def row(frame: pd.DataFrame, **where: object) -> pd.Series:
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_scores_are_ratios_of_sums_and_means_are_over_languages(small: pd.DataFrame) -> None:
    found = scores(small)
    run = small.query("intermediate == 'a' and target == 't' and seed == 2")
    by_language = 100 * run.groupby("language")["numerator"].sum() / run.groupby("language")["denominator"].sum()
    mine = found.query("intermediate == 'a' and target == 't' and seed == 2").set_index("language")["score"]
    for language in ("en", "de", "fr"):
        assert mine[language] == pytest.approx(by_language[language], abs=1e-9)
    assert mine["mean"] == pytest.approx(by_language.mean(), abs=1e-9)
    assert mine["zero-shot"] == pytest.approx(by_language[["de", "fr"]].mean(), abs=1e-9)


def test_gain_is_the_mean_difference_of_scores_paired_by_seed(small: pd.DataFrame) -> None:
    table = scores(small).pivot_table(index=["target", "language", "seed"], columns="intermediate", values="score")
    found = gains(small, draws=50)
    for (target, language), part in table.groupby(level=[0, 1]):
        mine = row(found, intermediate="a", target=target, language=language)
        assert mine["gain"] == pytest.approx((part["a"] - part["none"]).mean(), abs=1e-9)
        assert mine["baseline"] == pytest.approx(part["none"].mean(), abs=1e-9)
        assert mine["score"] == pytest.approx(part["a"].mean(), abs=1e-9)
        assert mine["low"] < mine["gain"] < mine["high"]
        assert mine["se"] == pytest.approx(np.hypot(mine["se_examples"], mine["se_seeds"]))
        assert mine["df"] >= mine["n_seeds"] - 1


def test_row_order_and_other_arms_do_not_change_an_interval(small: pd.DataFrame) -> None:
    first = gains(small, draws=50)
    pd.testing.assert_frame_equal(first, gains(small.sample(frac=1, random_state=1), draws=50))
    own = gains(small, draws=50, pool_seeds=False)
    alone = gains(small[small["intermediate"] != "b"], draws=50, pool_seeds=False)
    pd.testing.assert_frame_equal(own[own["intermediate"] == "a"].reset_index(drop=True), alone)
    pd.testing.assert_frame_equal(alone, gains(small[small["intermediate"] != "b"], draws=50))


def test_runs_on_the_same_examples_share_their_resamples() -> None:
    numerators = np.random.default_rng(0).integers(0, 2, size=(1, 50)).astype(float)
    ones = np.ones_like(numerators)
    draw = lambda sample: resampled_scores(numerators, ones, draws=20, seed=0, sample=sample)  # noqa: E731
    assert (draw(["t", "1", "2"]) == draw(["t", "1", "2"])).all()
    assert (draw(["t", "1", "2"]) != draw(["t", "1", "3"])).any()


def test_bootstrap_matches_the_textbook_standard_error_of_a_mean() -> None:
    numerators = np.random.default_rng(0).integers(0, 2, size=(1, 400)).astype(float)
    star = resampled_scores(numerators, np.ones_like(numerators), draws=4000, seed=0, sample=["x"])
    assert star.std() == pytest.approx(100 * numerators.std() / 20, rel=0.05)


def test_a_failed_run_is_left_out_and_counted(small: pd.DataFrame) -> None:
    failed = (small["intermediate"] == "a") & (small["target"] == "t") & (small["seed"] == 2)
    found = gains(small[~(failed & (small["language"] == "de"))], draws=50)
    de = row(found, intermediate="a", target="t", language="de")
    assert (de["n_seeds"], de["n_pairs"], de["missing"]) == (2, 2, 1)
    fr = row(found, intermediate="a", target="t", language="fr")
    assert (fr["n_seeds"], fr["missing"]) == (3, 0)
    mean = row(found, intermediate="a", target="t", language="zero-shot")  # no mean over fewer languages
    assert (mean["n_seeds"], mean["n_pairs"], mean["missing"]) == (2, 4, 2)
    table = scores(small[~(failed & (small["language"] == "de"))])
    assert np.isnan(row(table, intermediate="a", target="t", seed=2, language="mean")["score"])


def test_a_run_on_other_examples_is_no_pair(small: pd.DataFrame) -> None:
    one = (small["intermediate"] == "a") & (small["seed"] == 1) & (small["language"] == "de")
    found = gains(small[~(one & (small["id"] == "00007"))], draws=20)
    assert row(found, intermediate="a", target="t", language="de")["n_pairs"] == 2


def test_a_combination_without_any_pair_is_a_row_of_nan(small: pd.DataFrame) -> None:
    found = gains(small[~((small["intermediate"] == "a") & (small["target"] == "t"))], draws=20)
    mine = row(found, intermediate="a", target="t", language="zero-shot")
    assert np.isnan(mine["gain"]) and mine["n_pairs"] == 0 and mine["missing"] == 6
    without_baseline = gains(small[small["intermediate"] != "none"], draws=20)
    assert len(without_baseline) and without_baseline["gain"].isna().all()


def test_empty_contributions_give_empty_tables(small: pd.DataFrame) -> None:
    nothing = small.iloc[:0]
    for frame in (scores(nothing), gains(nothing), by_intermediate(gains(nothing))):
        assert frame.empty
    assert controls(gains(nothing))["ok"].isna().all()


def test_one_seed_covers_the_examples_only(small: pd.DataFrame) -> None:
    found = gains(small[small["seed"] == 1], draws=50)
    assert not found["seeds_covered"].any() and (found["se_seeds"] == 0).all() and found["low"].notna().all()
    assert gains(small, draws=50)["seeds_covered"].all()


def test_an_example_scored_twice_is_a_fault(small: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="scored twice"):
        gains(pd.concat([small, small.iloc[:1]]), draws=10)


def coverage(
    *, sd_seed: float, sd_shared: float, sd_own: float, seeds: int = 3, arms: int = 1, repeats: int = 250
) -> float:
    """Share of intervals that hold the true gain, 0, of `arms` arms over a baseline, normal per-example scores."""
    rng = np.random.default_rng(7)
    n, hits = 80, 0
    weights = np.random.default_rng(8).multinomial(n, np.full(n, 1 / n), size=300) / n
    for _ in range(repeats):
        runs = rng.normal(0, sd_seed, (arms + 1, seeds, 1)) + rng.normal(0, sd_own, (arms + 1, seeds, n))
        difference = (runs[1:] - runs[0]) / np.sqrt(2) + rng.normal(0, sd_shared, (arms, 1, n))
        found = [(d.mean(axis=1), d @ weights.T) for d in difference]
        spreads = [s for d, star in found if (s := spread(d, star)) is not None]
        made = interval(*found[0], n, shared=common(spreads) if arms > 1 else None)
        hits += made.low <= 0 <= made.high
    return hits / repeats


@pytest.mark.parametrize(("seeds", "arms"), [(3, 1), (2, 6)])
@pytest.mark.parametrize(
    ("sd_seed", "sd_shared", "sd_own"), [(0.0, 1.0, 1.0), (0.1, 1.0, 1.0), (0.1, 0.5, 1.0), (0.2, 1.0, 0.5)]
)
def test_nominal_95_percent_intervals_cover(
    sd_seed: float, sd_shared: float, sd_own: float, seeds: int, arms: int
) -> None:
    share = coverage(sd_seed=sd_seed, sd_shared=sd_shared, sd_own=sd_own, seeds=seeds, arms=arms)
    assert 0.90 <= share <= 0.99


def test_an_unstable_arm_is_not_lent_the_calm_of_the_others() -> None:
    rng = np.random.default_rng(0)
    wild = np.array([-30.0, 5.0, 4.0])
    star = wild[:, None] + rng.normal(0, 0.5, (3, 100))
    shared = common([Spread(1.0, 0.2, 2.0)] * 6)
    assert interval(wild, star, 500, shared=shared) == interval(wild, star, 500)


def test_noise_alone_is_no_gain_and_planted_gains_are_found() -> None:
    found = gains(contributions(PLANTED, NATURAL[:3], examples=150), draws=200)
    top = found[(found["language"] == "zero-shot") & found["primary"]]
    for (arm, target), mine in top.set_index(["intermediate", "target"]).iterrows():
        planted = PLANTED[arm][2].get(target, 0.0)
        assert abs(mine["gain"] - planted) < 4 * mine["se"] + 0.5
    noise = contributions({f"x{i}": ("NLI", "", {}) for i in range(8)}, SMALL[:1], seed_sd=0.0)
    flat = gains(noise, draws=200)
    covered = (flat["low"] <= 0) & (flat["high"] >= 0)
    assert covered.mean() > 0.85
    corrected = significant(headline(flat))
    assert (corrected["p_holm"] >= corrected["p"]).all() and (corrected["p_holm"] > 0.05).all()


def test_means_over_targets_leave_retrieval_out() -> None:
    found = gains(contributions(PLANTED, MICRO, examples=60), draws=50)
    assert row(by_intermediate(found), intermediate="nli")["n"] == 5


def test_the_robust_gain_is_the_mean_over_settings(small: pd.DataFrame) -> None:
    """`robust` is the unweighted mean of a target's settings but clean, with an interval, and clean is not in it."""
    clean = small.assign(perturbation="clean")
    worse = [small.assign(perturbation=name, numerator=small["numerator"] * share)
             for name, share in (("swap@0.1", 0.5), ("swap@0.2", 0.25))]  # fmt: skip
    found = gains(pd.concat([clean, *worse]), draws=50)
    wide = found.pivot_table(index=["intermediate", "target", "metric", "language"], columns="perturbation",
                             values="gain")  # fmt: skip
    np.testing.assert_allclose(wide["robust"], (wide["swap@0.1"] + wide["swap@0.2"]) / 2)
    assert found.loc[found["perturbation"] == "robust", "low"].notna().any()
    alone = gains(clean, draws=50)
    assert set(alone["perturbation"]) == {"clean"}


def test_controls_say_what_they_mean_for_the_study() -> None:
    good = controls(gains(contributions(PLANTED, NATURAL[2:4], examples=150), draws=100))
    assert good[good["target"] == ""]["ok"].tolist() == [True, True]
    swapped = {
        "shuffled": ("", "shuffled", {"xnli": 9.0, "xquad": 9.0}),
        "oracle": ("", "oracle", {}),
    }
    bad = controls(gains(contributions(swapped, NATURAL[2:4], examples=150), draws=100))
    overall = bad[bad["target"] == ""].set_index("control")
    assert overall["ok"].tolist() == [False, False]
    assert "cannot be put down to" in overall["verdict"]["shuffled"]
    assert "no gain elsewhere says little" in overall["verdict"]["oracle"]
    none = controls(gains(contributions({}, NATURAL[2:3], examples=20), draws=10))
    assert none["ok"].tolist() == [None, None] and none["verdict"].str.contains("no result").all()


@pytest.mark.parametrize("shape", RETRIEVAL_SHAPES)
def test_retrieval_of_either_shape_is_left_out_of_averages(shape: str) -> None:
    """Neither nearest neighbours nor mining carries an average over targets."""
    fields = {"language": "zero-shot", "primary": True, "perturbation": "clean", "level": "semantic"}
    frame = pd.DataFrame({**fields, "shape": ["classify", shape]})
    assert list(headline(frame)["group"]) == ["semantic", "retrieval"]
