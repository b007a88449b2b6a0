"""Forecasts train no target, and a report says honestly what they were worth."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_fixture import NATURAL, PLANTED, contributions, results
from scipy.stats import spearmanr
from tests.conftest import mini
from typer.testing import CliRunner

from xstilts.analysis.forecasts import judge, overall, spearman
from xstilts.analysis.gains import COLUMNS as GAIN_COLUMNS
from xstilts.analysis.transferability import logme
from xstilts.api import predict_gain, run_study
from xstilts.cli import app
from xstilts.errors import UserError
from xstilts.forecast import plan_forecasts
from xstilts.graph import Plan
from xstilts.plan import plan
from xstilts.report.html import write_report
from xstilts.step import Work
from xstilts.steps.embed import Embed
from xstilts.steps.forecast import Forecast
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.study import Study
from xstilts.tasks import get_task
from xstilts.tasks.shapes import Spec

TWO: dict[str, Any] = {
    "intermediates": ["mw_nli", "mw_supertags"],
    "targets": ["mw_entailment", "mw_pos"],
    "controls": {"shuffled": "mw_nli", "oracle": True},
}


def trainings(graph: Plan) -> set[str]:
    return {key for key, step in graph.steps.items() if isinstance(step, Train)}


def frames(scores: dict[str, list[float]], gained: dict[str, list[float]], **controls: str) -> Any:
    """(forecasts, gains) of intermediates a, b, c, ... with their scores and zero-shot gains by target."""
    forecasts, gains = [], []
    for target, values in scores.items():
        for name, score, gain in zip("abcdefghij", values, gained[target], strict=False):
            control = controls.get(name, "")
            forecasts.append(("logme", target, name, "", control, score))
            gains.append({"intermediate": name, "category": "", "control": control, "target": target,
                          "level": "semantic", "shape": "classify", "metric": "accuracy", "primary": True,
                          "perturbation": "clean", "language": "zero-shot", "gain": gain, "low": gain - 1,
                          "high": gain + 1})  # fmt: skip
    columns = ["method", "target", "intermediate", "category", "control", "score"]
    return pd.DataFrame(forecasts, columns=columns), pd.DataFrame(gains, columns=GAIN_COLUMNS)


# -- what is run ------------------------------------------------------------------------------------------------


def test_no_target_is_trained() -> None:
    """A forecast needs the intermediate trainings of the first seed, and no other training of the study."""
    study = mini(**TWO, seeds=[1, 2])
    whole, forecasts = plan(study), plan_forecasts(study)
    targets = {cell.training for cell in whole.cells}
    bases = {cell.base for cell in whole.cells if cell.base and cell.seed == 1}
    assert trainings(forecasts.plan) == bases and not targets & bases
    assert {step.kind for step in forecasts.plan.steps.values()} == {"Prepare", "Train", "Embed", "Forecast"}
    assert set(forecasts.wanted) <= set(forecasts.plan.steps)


def test_similarity_trains_nothing() -> None:
    """What text similarity is computed from goes through the pretrained encoder alone."""
    graph = plan_forecasts(mini(**TWO)).plan
    for step in graph.steps.values():
        if getattr(step, "method", "") == "similarity":
            assert all(getattr(graph.steps[key], "checkpoint", "") is None for key in step.inputs())


def test_inputs_come_before_what_reads_them() -> None:
    """The steps of a forecast are in an order in which they can run."""
    seen: set[str] = set()
    for key, step in plan_forecasts(mini(**TWO)).plan.steps.items():
        assert set(step.inputs()) <= seen
        seen.add(key)


def test_every_arm_has_a_score_for_every_target() -> None:
    """Both methods score all intermediates and controls; the baseline has a LogME and nothing to be similar to."""
    found = {(e.method, e.target, e.arm.name) for e in plan_forecasts(mini(**TWO)).entries}
    arms = ("mw_nli", "mw_supertags", "shuffled", "oracle")
    for target in TWO["targets"]:
        assert {a for m, t, a in found if (m, t) == ("logme", target)} == {"none", *arms}
        assert {a for m, t, a in found if (m, t) == ("similarity", target)} == set(arms)


def test_retrieval_alone_has_nothing_to_foretell(tmp_path: Path) -> None:
    """A study without a fine-tuned target is refused with the remedy."""
    with pytest.raises(UserError, match="add a target other than retrieval"):
        predict_gain(mini(targets=["mw_retrieval"], languages=["qaa"]), tmp_path, "inline")


def test_rows_that_no_target_learns_from_are_not_read() -> None:
    """A forecast reads no more rows than the target is fine-tuned on, and at most a thousand."""
    embeds = [s for s in plan_forecasts(mini(**TWO)).plan.steps.values() if isinstance(s, Embed)]
    assert {step.stop - step.start for step in embeds} == {24}
    large = plan_forecasts(mini(settings={})).plan.steps.values()
    assert {step.stop for step in large if isinstance(step, Embed)} == {1000}


def test_arms_of_every_kind_are_scored_by_what_they_learn_from() -> None:
    """A mixture is as similar as the mean of its tasks, a translated arm as the English rows that were translated, and
    an arm of running text alone has a LogME only."""
    arms = [
        "mw_nli",
        {"name": "mix", "tasks": "mw_nli+mw_squad", "mlm": {"languages": ["en", "qaa"]}},
        {"name": "abroad", "tasks": "mw_nli", "translate": {"to": ["qaa"], "backend": "table"}},
        {"name": "text", "mlm": {"languages": ["en"]}, "settings": {"steps": 3}},
    ]
    forecasts = plan_forecasts(mini(intermediates=arms))
    steps = forecasts.plan.steps
    texts = {e.arm.name: steps[e.key].texts for e in forecasts.entries if e.method == "similarity"}
    assert set(texts) == {"mw_nli", "mix", "abroad"} and len(texts["mix"]) == 2
    assert texts["mw_nli"] == texts["abroad"] and texts["mw_nli"][0] == texts["mix"][0]
    assert {e.arm.name for e in forecasts.entries if e.method == "logme"} == {"none", "mw_nli", "mix", "abroad", "text"}


def test_keys_do_not_move() -> None:
    """Keys of fixed steps are what they were: a refactoring must not throw a person's forecasts away."""
    embed = Embed(encoder="sha256:0", checkpoint="c" * 64, shape="classify", data=("d" * 64,), stop=1000, vectors=2000,
                  options={"max_length": 128}, model="/anywhere", precision="float32")  # fmt: skip
    score = Forecast(method="logme", target=embed.key)
    assert (embed.key[:16], score.key[:16]) == ("a4bc047c663a0376", "76f33f47f2d2bdef")


# -- what is embedded -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("mw_entailment", {"entailment", "neutral", "contradiction"}),
        ("mw_choice", {"right", "wrong"}),
        ("mw_pos", {"NOUN", "VERB"}),
        ("mw_questions", {"inside", "outside"}),
    ],
)
def test_every_trained_shape_has_labelled_places(task: str, expected: set[str], loaded: Any) -> None:
    """Places lie on real pieces and carry the labels of the rows."""
    from xstilts.sources import get_source
    from xstilts.training.places import places

    _, tokenizer = loaded
    rows = get_source("microworld", None).rows(get_task(task), "train", "en")[:40]
    features, found = places(get_task(task).shape, rows, tokenizer, Spec(max_length=96), most=10_000)
    assert expected <= {place.label for place in found}
    for feature, sequence, position, _ in found:
        pieces = features[feature].sequences[sequence].ids
        assert position is None or 0 < position < len(pieces) - 1
    _, few = places(get_task(task).shape, rows, tokenizer, Spec(max_length=96), most=7)
    assert len(few) == 7 and set(few) <= set(found)


def test_words_have_their_own_labels(loaded: Any) -> None:
    """A word's place is its first piece, in a long sentence that is read in chunks too."""
    from xstilts.training.places import places

    _, tokenizer = loaded
    row = {"id": "0", "tokens": [f"w{i}" for i in range(40)], "tags": [str(i) for i in range(40)]}
    features, found = places("tag", [row], tokenizer, Spec(max_length=32), most=100)
    assert len(features) > 1 and [place.label for place in found] == row["tags"]
    assert len({place[:3] for place in found}) == 40


def test_answers_and_their_surroundings_count_alike(loaded: Any) -> None:
    """Of each context as many pieces outside the answer are taken as it has inside."""
    from xstilts.training.places import places

    _, tokenizer = loaded
    row = {"id": "0", "question": "who", "context": "one two three four five six", "answers": ["two three"],
           "starts": [4]}  # fmt: skip
    without = {**row, "id": "1", "answers": [], "starts": []}
    _, found = places("span", [row, without], tokenizer, Spec(max_length=96), most=100)
    labels = [place.label for place in found]
    assert labels.count("inside") == labels.count("outside") > 0 and {place.feature for place in found} == {0}


def test_the_mean_vector_is_that_of_each_text_alone(loaded: Any, tmp_path: Path) -> None:
    """Batches and padding change nothing: the mean of texts embedded together is that of texts embedded one by one."""
    from xstilts.training.embedding import embed
    from xstilts.training.places import places

    encoder, tokenizer = loaded
    rows = [{"id": str(i), "text_a": "a b c " * (i + 1), "text_b": None, "label": "xy"[i % 2]} for i in range(4)]
    features, found = places("classify", rows, tokenizer, Spec(max_length=96), most=100)
    mean, vectors, _ = embed(encoder, tokenizer, features, found, "float32", lambda *_: None)
    one_by_one = [places("classify", [row], tokenizer, Spec(max_length=96), most=0)[0] for row in rows]
    alone = [embed(encoder, tokenizer, one, [], "float32", lambda *_: None)[0] for one in one_by_one]
    np.testing.assert_allclose(mean, np.mean(alone, axis=0), atol=1e-5)
    np.testing.assert_allclose(vectors, alone, atol=1e-5)


# -- what is said -----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=9))
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    """It agrees with scipy, ties included; a missing value leaves its pair out."""
    a, b = np.array(pairs, dtype=float).T
    if len(set(a)) > 1 and len(set(b)) > 1:
        expected = spearmanr(a, b).statistic
        assert spearman(a, b) == pytest.approx(expected)
        assert spearman([*a, 9.0, np.nan], [*b, np.nan, 9.0]) == pytest.approx(expected)
    else:
        assert np.isnan(spearman(a, b))


def test_regret_is_what_following_the_score_loses() -> None:
    """Regret is the best gain less that of the highest score; at random it is the best less the mean."""
    forecasts, gains = frames({"t": [3, 2, 1, 9]}, {"t": [1.0, 4.0, -2.0, 9.0]}, d="oracle")
    (row,) = judge(forecasts, gains).to_dict("records")
    assert (row["predicted"], row["best"], row["n"]) == ("a", "b", 3)
    assert row["regret"] == 3 and row["random"] == pytest.approx(3) and row["rho"] == pytest.approx(0.5)


def test_a_perfect_forecast_has_the_smallest_p_and_no_regret() -> None:
    """With k intermediates the smallest p is 1 / k!, however many targets agree, and a reversed forecast has p 1."""
    gained = {t: [4.0, 3.0, 2.0, 1.0] for t in "uvw"}
    (good,) = overall(*frames(gained, gained)).to_dict("records")
    assert good["rho"] == pytest.approx(1) and good["p"] == good["smallest"] == pytest.approx(1 / 24)
    assert good["regret"] == 0 and good["targets"] == 3
    (bad,) = overall(*frames({t: [1, 2, 3, 4] for t in "uvw"}, gained)).to_dict("records")
    assert bad["rho"] == pytest.approx(-1) and bad["p"] == 1


def test_random_scores_are_rarely_taken_for_forecasts() -> None:
    """Where scores know nothing of gains, p falls below 0.05 no more often than it says."""
    rng, low = np.random.default_rng(5), 0
    for _ in range(100):
        scores, gained = ({t: list(rng.normal(size=5)) for t in "uvw"} for _ in range(2))
        low += int(overall(*frames(scores, gained))["p"].iloc[0] <= 0.05)
    assert low <= 13  # the 99.9 % quantile of a binomial of 100 and 0.05


def test_targets_that_rank_alike_are_no_independent_evidence() -> None:
    """One lucky ranking repeated on ten targets has the p of one target."""
    one = overall(*frames({"t": [1, 2, 3]}, {"t": [1.0, 2.0, 3.0]}))
    ten = overall(*frames({str(t): [1, 2, 3] for t in range(10)}, {str(t): [1.0, 2.0, 3.0] for t in range(10)}))
    assert one["p"].iloc[0] == ten["p"].iloc[0] == pytest.approx(1 / 6)


def test_missing_gains_and_constant_scores_are_no_evidence() -> None:
    """Intermediates without a gain and targets with one are left out; equal scores correlate with nothing."""
    forecasts, gains = frames({"t": [1, 2, 3], "u": [1, 2, 3]}, {"t": [1.0, 2.0, np.nan], "u": [np.nan, 1.0, np.nan]})
    assert judge(forecasts, gains)[["target", "n"]].to_numpy().tolist() == [["t", 2]]
    flat = overall(*frames({"t": [1, 1, 1]}, {"t": [1.0, 2.0, 3.0]})).iloc[0]
    assert np.isnan(flat["rho"]) and np.isnan(flat["p"])


@pytest.fixture(scope="module")
def foretold(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of made-up results: with scores that are the planted gains, with none."""
    targets = NATURAL[2:4]
    arms = [name for name, (_, control, _) in PLANTED.items() if not control]
    scores = [
        ("logme", t.name, name, "", PLANTED[name][1], PLANTED[name][2].get(t.name, 0.0))
        for t in targets for name in ("shuffled", *arms)
    ]  # fmt: skip
    forecasts = pd.DataFrame(scores, columns=["method", "target", "intermediate", "category", "control", "score"])
    frame = contributions(PLANTED, targets, examples=150, seeds=(1, 2))
    folder = tmp_path_factory.mktemp("foretold")
    whole = results(targets, contributions=frame)
    write_report(dataclasses.replace(whole, forecasts=forecasts), folder / "with")
    write_report(whole, folder / "without")
    return {"with": folder / "with", "without": folder / "without"}


def test_the_report_says_what_forecasts_were_worth(foretold: dict[str, Path]) -> None:
    """The section has the numbers of `judge` and a verdict; its scores are beside it; no forecast, no section."""
    gains = pd.read_csv(foretold["with"] / "gains.csv", keep_default_na=False, na_values=[""])
    forecasts = pd.read_csv(foretold["with"] / "forecasts.csv", keep_default_na=False, na_values=[])
    judged, (mean,) = judge(forecasts, gains), overall(forecasts, gains).to_dict("records")
    assert len(forecasts) == 12 and len(judged) == 2 and mean["arms"] == 5
    for name in ("report.html", "report.md"):
        page = (foretold["with"] / name).read_text()
        section = page.partition("Could the gains have been predicted?")[2].partition("Percent, mean over")[0]
        for rho in (*judged["rho"], mean["rho"]):
            assert f"{rho:+.2f}" in section
        assert f"p = {mean['p']:.3f}" in section and "LogME" in section
        assert "Could the gains" not in (foretold["without"] / name).read_text()
    assert not (foretold["without"] / "forecasts.csv").exists()


@pytest.mark.parametrize(
    ("scores", "gained", "said"),
    [
        ([1, 2, 3], [1.0, 2.0, 3.0], "With 3 intermediates no agreement can be told from chance: p cannot be below"),
        ([1, 2, 3, 4, 5], [1.0, 2.0, 3.0, 4.0, 5.0], "it may be followed for studies like this one"),
        ([1, 2, 3, 4, 5], [5.0, 1.0, 4.0, 3.0, 2.0], "do not choose by it"),
        ([1, 1, 1], [1.0, 2.0, 3.0], "foretells nothing here"),
    ],
)
def test_the_verdict_never_claims_more_than_chance_allows(scores: list[float], gained: list[float], said: str) -> None:
    """Few intermediates are said to be few, chance to be chance, and only what passes both is to be trusted."""
    from xstilts.report.forecasts import _verdict

    (row,) = overall(*frames({"t": scores}, {"t": gained})).to_dict("records")
    assert said in _verdict(row)


# -- all of it --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A study whose forecasts were computed before anything else, then run."""
    folder = tmp_path_factory.mktemp("forecast")
    study = mini(**TWO)
    steps, before = predict_gain(study, folder / "store", "inline")
    assert not steps.failed and before.contributions.empty and len(before.forecasts) == 18
    store = Store(folder / "store")
    trained = {key for key, step in plan(study).steps.items() if isinstance(step, Train) and store.has(step)}
    assert trained == trainings(plan_forecasts(study).plan)
    assert run_study(study, folder / "store", folder / "report", "inline").ok
    return study, folder


def test_a_forecast_before_the_run_is_in_its_report(finished: tuple[Study, Path]) -> None:
    """The report of a study with forecasts judges them; with two intermediates it says that this proves nothing."""
    study, folder = finished
    text = (folder / "report" / "report.md").read_text()
    assert "Could the gains have been predicted?" in text and "p cannot be below 0.500" in text
    assert len(pd.read_csv(folder / "report" / "forecasts.csv")) == 18
    steps, results = predict_gain(study, folder / "store", "inline")
    assert steps.done == [] and len(results.contributions)


def test_a_score_is_that_of_its_vectors(finished: tuple[Study, Path]) -> None:
    """What is published is LogME of the published vectors, finite, and differs between encoders."""
    study, folder = finished
    store, forecasts = Store(folder / "store"), plan_forecasts(study)
    found = {}
    for entry in forecasts.entries:
        if (entry.method, entry.target) == ("logme", "mw_pos"):
            (key,) = forecasts.plan.steps[entry.key].inputs()
            vectors = np.load(store.path("Embed", key) / "vectors.npy")
            labels = json.loads((store.path("Embed", key) / "labels.json").read_text("utf-8"))
            found[entry.arm.name] = logme(vectors, labels)
            score = json.loads((store.path("Forecast", entry.key) / "forecast.json").read_text("utf-8"))["score"]
            assert score == pytest.approx(found[entry.arm.name])
    assert len(set(found.values())) == len(found) == 5


def test_embedding_again_gives_the_same_bytes(finished: tuple[Study, Path], tmp_path: Path) -> None:
    """An embedding depends on nothing but its key."""
    study, folder = finished
    store = Store(folder / "store")
    step = next(s for s in plan_forecasts(study).plan.steps.values() if isinstance(s, Embed) and s.checkpoint)
    step.run(Work(store=store, out=tmp_path))
    for name in ("mean.npy", "vectors.npy", "labels.json"):
        assert (tmp_path / name).read_bytes() == (store.of(step) / name).read_bytes()


def test_a_share_of_the_intermediate_lies_between_the_encoders(finished: tuple[Study, Path], tmp_path: Path) -> None:
    """With alpha the encoder that targets start from is looked at: at 0 the pretrained one, at 1 the trained one."""
    study, folder = finished
    store, means = Store(folder / "store"), []
    trained = next(s for s in plan_forecasts(study).plan.steps.values() if isinstance(s, Embed) and s.checkpoint)
    for i, changes in enumerate(({"checkpoint": None}, {"alpha": 0.0}, {"alpha": 0.5}, {})):
        (tmp_path / str(i)).mkdir()
        trained.model_copy(update=changes).run(Work(store=store, out=tmp_path / str(i)))
        means.append(np.load(tmp_path / str(i) / "mean.npy"))
    assert np.array_equal(means[0], means[1])
    assert len({mean.tobytes() for mean in means}) == 3


def test_the_verb_shows_ranks_and_regret(finished: tuple[Study, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """`predict-gain` prints every score, and with gains at hand how they compare."""
    study, folder = finished
    monkeypatch.setenv("COLUMNS", "120")
    file = folder / "mini.yaml"
    file.write_text(json.dumps(study.model_dump(mode="json", exclude_defaults=True, exclude={"file"})))
    arguments = ["predict-gain", str(file), "--store", str(folder / "store"), "--executor", "inline"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0 and "best first" in shown.output and "at random" in shown.output
    facts = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert len(facts["scores"]) == 18 and {row["target"] for row in facts["targets"]} == set(TWO["targets"])
    assert all(row["regret"] >= 0 for row in facts["targets"])
