"""The crossed mixed-effects model agrees with statsmodels, finds what was planted, and says what it cannot tell."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from report_fixture import MICRO, PLANTED, contributions
from scipy import stats

from xstilts.analysis.gains import gains
from xstilts.analysis.mixed import BETWEEN, CELL, OTHERS, Mixed, mixed_model, paired_gains
from xstilts.analysis.reml import reml

CATEGORIES, LEVELS = ("NLI", "span QA", "syntax"), ("semantic", "syntactic")


def simulated(
    *, intermediates: int = 6, targets: int = 4, languages: int = 5, seeds: int = 3, run: float = 0.5,
    random_state: int = 0, categories: tuple[str, ...] = CATEGORIES, effect: float = 2.0,
) -> pd.DataFrame:  # fmt: skip
    """Paired gains in which `syntax` gains `effect` points on syntactic targets and nothing else gains."""
    rng = np.random.default_rng(random_state)
    language, target, seed = rng.normal(0, 1, languages), rng.normal(0, 1, targets), rng.normal(0, 0.3, seeds)
    luck = rng.normal(0, run, (intermediates, targets, seeds))
    rows = []
    for i, t, x, s in np.ndindex(intermediates, targets, languages, seeds):
        category, group = categories[i % len(categories)], LEVELS[t % 2]
        planted = effect * (category == "syntax" and group == "syntactic")
        gain = planted + language[x] + target[t] + seed[s] + luck[i, t, s] + rng.normal(0, 1)
        rows.append((f"i{i}", category, f"t{t}", group, f"l{x}", s, gain))
    return pd.DataFrame(rows, columns=["intermediate", "category", "target", "group", "language", "seed", "gain"])


def term(found: Mixed, name: str, category: str, level: str) -> pd.Series:
    frame = found.terms
    return frame[(frame["term"] == name) & (frame["category"] == category) & (frame["level"] == level)].iloc[0]


@pytest.mark.skipif(find_spec("statsmodels") is None, reason="statsmodels is not installed (pip install statsmodels)")
def test_estimates_are_those_of_statsmodels() -> None:
    """Coefficients, their errors and the variances agree with another implementation on small data."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    rows = simulated(random_state=4)
    names = ["language", "seed", "target"]  # the order that statsmodels sorts them into
    cells = rows.groupby(["group", "category"]).ngroup().to_numpy()
    x = np.eye(cells.max() + 1)[cells]
    formula = {name: f"0 + C({name})" for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = MixedLM.from_formula(
            "gain ~ 0 + C(cell)", rows.assign(cell=cells), groups=np.ones(len(rows)), vc_formula=formula
        ).fit(reml=True, method="powell")  # its default search stops short of the maximum on some of these data
    assert oracle.converged
    fit = reml(rows["gain"].to_numpy(), x, [rows.groupby(name).ngroup().to_numpy() for name in names])
    assert fit.coefficients == pytest.approx(oracle.fe_params.to_numpy(), abs=1e-4)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx(oracle.bse_fe.to_numpy(), rel=1e-2)
    assert fit.variances[:-1] == pytest.approx(oracle.vcomp, rel=2e-2)
    assert fit.variances[-1] == pytest.approx(oracle.scale, rel=1e-3)


def test_balanced_data_give_the_variances_of_the_analysis_of_variance() -> None:
    """In a balanced one-way layout REML is the textbook's (MS_between - MS_within) / n, and its test the F test."""
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(8), 5)
    y = rng.normal(0, 2, 8)[code] + rng.normal(0, 1, 40)
    fit = reml(y, np.ones((40, 1)), [code])
    groups = y.reshape(8, 5)
    within, between = groups.var(axis=1, ddof=1).mean(), 5 * groups.mean(axis=1).var(ddof=1)
    assert fit.variances == pytest.approx([(between - within) / 5, within], rel=1e-4)
    mean = fit.contrast(np.ones(1), 0.95)
    assert mean["se"] == pytest.approx(np.sqrt(between / 40), rel=1e-4)
    assert mean["df"] == pytest.approx(7, rel=1e-2)  # that of the eight groups, not of the forty rows
    assert mean["high"] - mean["estimate"] == pytest.approx(stats.t.ppf(0.975, 7) * mean["se"], rel=1e-2)


def test_a_planted_effect_is_found_where_it_was_planted() -> None:
    """The category that helps one level is told from the others, at that level alone."""
    found = mixed_model(simulated(effect=3.0))
    assert term(found, OTHERS, "syntax", "syntactic")["low"] > 0
    assert term(found, OTHERS, "syntax", "semantic")["low"] < 0 < term(found, OTHERS, "syntax", "semantic")["high"]
    crossed = found.tests.set_index("term")["p"]
    assert crossed["category:level"] < 0.01 and found.converged
    sums = found.components["share"].sum()
    assert sums == pytest.approx(1.0) and found.components["term"].iloc[-1] == "residual"


def test_contrasts_are_differences_of_the_means() -> None:
    """Each term is what its name says, in terms of the cells' means."""
    found = mixed_model(simulated())
    cell = {(row["category"], row["level"]): row["estimate"]
            for row in found.terms[found.terms["term"] == CELL].to_dict("records")}  # fmt: skip
    others = np.mean([cell["NLI", "syntactic"], cell["span QA", "syntactic"]])
    assert term(found, OTHERS, "syntax", "syntactic")["estimate"] == pytest.approx(cell["syntax", "syntactic"] - others)
    between = term(found, BETWEEN, "syntax", "syntactic - semantic")["estimate"]
    assert between == pytest.approx(cell["syntax", "syntactic"] - cell["syntax", "semantic"])


def test_languages_of_one_run_are_not_taken_for_many_runs() -> None:
    """Without any effect, differences between categories are seen about one time in twenty although runs differ."""
    false = [
        (mixed_model(simulated(effect=0.0, run=1.5, languages=8, seeds=2, random_state=i)).terms.query(
            "term == @OTHERS")["p"] < 0.05).mean()
        for i in range(12)
    ]  # fmt: skip
    assert np.mean(false) <= 0.15


@pytest.mark.parametrize(
    ("changes", "note"),
    [({"seeds": 1}, "No random intercept for seed: it has one value."),
     ({"languages": 1}, "No random intercept for language: it has one value."),
     ({"targets": 1}, "No random intercept for target: it has one value."),
     ({"targets": 2}, "No random intercept for target: it says no more than category and level."),
     ({"seeds": 1}, "No random intercept for run: it is the same as intermediate on target."),
     ({"languages": 1}, "No random intercept for run: it has one gain per value, which is the residual.")],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_left_out_and_said(changes: dict[str, int], note: str) -> None:
    """One seed, target or language gives a smaller model with a note, never a crash or a made-up variance."""
    found = mixed_model(simulated(**changes))
    assert note in found.notes
    assert len(found.terms) and found.terms["se"].gt(0).all()


def test_one_category_has_nothing_to_be_compared_with() -> None:
    """Its mean gains are given and the contrasts left out."""
    found = mixed_model(simulated(categories=("NLI",)))
    assert set(found.terms["term"]) == {CELL, BETWEEN} and "category" not in set(found.tests["term"])


def test_retrieval_is_left_out_beside_others_and_fitted_alone() -> None:
    """Its spread never becomes that of the other targets."""
    rows = simulated()
    retrieval = rows.assign(group="retrieval", gain=10 * rows["gain"], target=rows["target"] + "r")
    both = mixed_model(pd.concat([rows, retrieval], ignore_index=True))
    pd.testing.assert_frame_equal(both.terms, mixed_model(rows).terms)
    assert any("Retrieval" in note for note in both.notes)
    assert set(mixed_model(retrieval).terms["level"]) == {"retrieval"}


@pytest.mark.parametrize("gain", [np.nan, 1.0])
def test_data_without_information_give_empty_frames_and_a_note(gain: float) -> None:
    """Nothing to fit is said, not raised."""
    for rows in (simulated().assign(gain=gain), simulated().iloc[:2], simulated().iloc[:0]):
        found = mixed_model(rows)
        assert found.terms.empty and found.notes and not found.converged


def test_a_variance_of_nothing_is_reported_as_singular() -> None:
    """A fit on the edge says so."""
    found = mixed_model(simulated(run=0.0))
    zero = found.components.query("variance == 0")["term"]
    assert found.singular == bool(len(zero)) and found.singular
    assert any("Singular" in note and zero.iloc[0] in note for note in found.notes)


def test_paired_gains_are_those_of_the_table_of_gains() -> None:
    """Averaged over seeds, what the model is fed equals the gains of the report; controls and English are no rows."""
    data = contributions(PLANTED, MICRO[:2], examples=40)
    pairs = paired_gains(data, "clean")
    assert "en" not in set(pairs["language"]) and not {"shuffled", "oracle", "none"} & set(pairs["intermediate"])
    keys = ["intermediate", "target", "language"]
    table = gains(data, draws=10).set_index(keys)["gain"]
    mine = pairs.groupby(keys)["gain"].mean()
    assert mine.to_numpy() == pytest.approx(table.loc[mine.index].to_numpy())
    assert paired_gains(data).empty


def test_robust_gains_are_means_over_settings() -> None:
    """All settings but clean count alike."""

    def made(setting: str, points: float, random_state: int) -> pd.DataFrame:
        planted = {"a": ("NLI", "", {"micro-pos": points})}
        return contributions(planted, MICRO[:1], examples=30, random_state=random_state).assign(perturbation=setting)

    def gained(*frames: pd.DataFrame) -> pd.DataFrame:
        return paired_gains(pd.concat(frames, ignore_index=True)).set_index(["language", "seed"])

    clean, first, second = made("clean", 0, 1), made("swap@0.1", 5, 2), made("swap@0.2", 15, 3)
    robust = gained(clean, first, second)
    assert robust["n_settings"].eq(2).all()
    mean = (gained(clean, first)["gain"] + gained(clean, second)["gain"]) / 2
    assert robust["gain"].to_numpy() == pytest.approx(mean.to_numpy())
