"""Perturbed evaluation: how a study asks for it, what is planned, and what a checkpoint answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from tests.conftest import mini

from xstilts.collect import collect_plan, predictions
from xstilts.errors import UserError
from xstilts.executors import get_executor
from xstilts.graph import Plan
from xstilts.plan import plan
from xstilts.schedule import schedule
from xstilts.steps.perturb import Perturb, read_perturbed
from xstilts.steps.predict import Predict
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.study import Study

TARGETS = ["mw_pos", "mw_entailment", "mw_questions", "mw_retrieval"]


def noisy(**changes: Any) -> Study:
    fields = {"targets": TARGETS, "perturbations": {"swap": [0.1, 0.3]}, "intermediates": []}
    return mini(**{**fields, **changes})


def of_kind(graph: Plan, kind: type[Any]) -> list[Any]:
    return [step for step in graph.steps.values() if isinstance(step, kind)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Store]:
    """A study with perturbed evaluation, run."""
    graph = plan(noisy(perturbations={"swap": [0.05, 0.3], "word_delete": 0.3}, precision="float32"))
    store = Store(tmp_path_factory.mktemp("noise")).open()
    assert not schedule(graph, store, get_executor("inline", store)).failed
    return graph, store


@pytest.mark.parametrize(("wrong", "says"), [
    ({"keybord": 0.1}, "keyboard"),
    ({"swap": 1.5}, "between|up to 1"),
    ({"swap": 0}, "above 0"),
    ({"swap": [0.1, 0.1]}, "twice"),
    ({"swap": {}}, "rates"),
    ({"swap": {"rates": [0.1], "targets": ["mw_po"]}}, "mw_pos"),
    ({"mine": {"files": {"mw_nli": "x"}}}, "no target"),
    ({"clean": 0.1}, "cannot be the name"),
])  # fmt: skip
def test_what_is_wrong_with_a_perturbation_is_said(wrong: dict[str, Any], says: str) -> None:
    """Unknown kinds, rates outside 0 to 1 and targets that the study has not are refused with what would be right."""
    with pytest.raises(ValidationError, match=says):
        noisy(perturbations=wrong)


def test_a_rate_may_be_written_bare() -> None:
    """`swap: 0.1`, `swap: [0.1]` and `swap: {rates: [0.1]}` are the same study."""
    assert (
        noisy(perturbations={"swap": 0.1})
        == noisy(perturbations={"swap": [0.1]})
        == noisy(perturbations={"swap": {"rates": [0.1]}})
    )


def test_perturbing_the_evaluation_trains_nothing_anew() -> None:
    """A study with perturbations plans the very trainings of the study without, and one prediction per checkpoint."""
    without, under = plan(noisy(perturbations={})), plan(noisy())
    trainings = [{step.key for step in of_kind(graph, Train)} for graph in (without, under)]
    assert trainings[0] == trainings[1] and trainings[0]
    assert len(of_kind(without, Predict)) == len(of_kind(under, Predict))


def test_every_setting_of_a_checkpoint_is_a_cell() -> None:
    """Each arm, target and seed has a clean cell and one per kind and rate, all of the same predictions."""
    graph = plan(noisy(seeds=[1, 2]))
    for target in TARGETS:
        for seed in (1, 2):
            cells = [cell for cell in graph.cells if (cell.target, cell.seed) == (target, seed)]
            assert [cell.perturbation for cell in cells] == ["clean", "swap@0.1", "swap@0.3"]
            assert len({cell.score for cell in cells}) == 1


def test_all_checkpoints_see_the_same_noise() -> None:
    """The rows of a setting depend on the target alone: one step for all arms and seeds, so comparisons are paired."""
    graph = plan(noisy(intermediates=["mw_nli", "mw_squad"], seeds=[1, 2]))
    assert len(of_kind(graph, Perturb)) == len(TARGETS) * 2


def test_kinds_that_labels_do_not_survive_are_left_out_and_the_plan_says_so() -> None:
    """A kind that changes the number of tokens is not applied to tagging; the note names both."""
    graph = plan(noisy(perturbations={"word_delete": 0.2}))
    assert {step.shape for step in of_kind(graph, Perturb)} == {"classify", "span", "retrieve"}
    assert any("mw_pos" in note and "word_delete" in note for note in graph.notes)
    assert {cell.perturbation for cell in graph.cells if cell.target == "mw_pos"} == {"clean"}


def test_targets_of_a_perturbation_may_be_named() -> None:
    """`targets` limits a kind to some of them."""
    graph = plan(noisy(perturbations={"swap": {"rates": [0.2], "targets": ["mw_pos"]}}))
    assert {cell.target for cell in graph.cells if cell.perturbation != "clean"} == {"mw_pos"}


def test_an_unchanged_row_keeps_its_clean_answer(ran: tuple[Plan, Store]) -> None:
    """Where text and gold are those of the clean row, so are gold and prediction; and there are such rows."""
    graph, store = ran
    kept = 0
    for step in of_kind(graph, Predict):
        folder = store.path("Predict", step.key)
        clean = pd.read_parquet(folder / "predictions.parquet").set_index(["language", "id"])
        found = pd.read_parquet(folder / "perturbed.parquet")
        for name, key in step.perturbed:
            rates = pd.read_parquet(store.path("Perturb", key) / "rates.parquet")
            same = rates.loc[rates["edits"] == 0, ["language", "id"]]
            part = found[found["perturbation"] == name].merge(same, on=["language", "id"])
            for _, row in part.iterrows():
                if step.shape != "retrieve":  # there other rows, which changed, are candidates too
                    assert row["prediction"] == clean.loc[(row["language"], row["id"]), "prediction"]
                kept += 1
    assert kept > 0


def test_perturbed_answers_are_those_of_the_perturbed_rows(ran: tuple[Plan, Store]) -> None:
    """What is put together from clean and changed rows equals predicting all perturbed rows by themselves."""
    from xstilts.models.encoder import load_head
    from xstilts.steps.train import checkpoint_folder, load_start
    from xstilts.tasks.shapes import SHAPES, Spec
    from xstilts.training.inference import predict

    graph, store = ran
    for step in of_kind(graph, Predict):
        encoder, tokenizer = load_start(store, step.model, step.encoder, step.checkpoint, step.pretrained)
        shape = SHAPES.get(step.shape)
        folder = checkpoint_folder(store, step.checkpoint, step.pretrained)
        head, labels = load_head(folder if step.checkpoint else None, shape, encoder.config.hidden_size)
        spec = Spec.of(step.options, labels, encoder.config.num_hidden_layers)
        head = head if head.state_dict() else shape.head(encoder.config.hidden_size, spec)
        stored = pd.read_parquet(store.path("Predict", step.key) / "perturbed.parquet")
        for name, key in step.perturbed:
            for language, rows in read_perturbed(store, key).items():
                answers, _ = predict(encoder, tokenizer, head, shape, spec, rows, step.precision)
                part = stored[(stored["perturbation"] == name) & (stored["language"] == language)]
                assert [json.loads(text) for text in part["prediction"]] == answers
                assert [json.loads(text) for text in part["gold"]] == shape.golds(rows)


def test_no_row_is_read_twice(ran: tuple[Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder reads every clean row once and of the perturbed rows those that changed, and is loaded once."""
    from xstilts.models import encoder as encoders
    from xstilts.step import Work
    from xstilts.training import inference

    graph, store = ran
    (step,) = [s for s in of_kind(graph, Predict) if s.shape == "classify"]
    passed, loads = [], []
    real_outputs, real_load = inference._outputs, encoders.load_encoder

    def outputs(*args: Any) -> Any:
        passed.append(len({feature.row for feature in args[5]}))
        return real_outputs(*args)

    def load(*args: Any) -> Any:
        loads.append(args)
        return real_load(*args)

    monkeypatch.setattr(inference, "_outputs", outputs)
    monkeypatch.setattr(encoders, "load_encoder", load)
    out = tmp_path / "out"
    out.mkdir()
    step.run(Work(store=store, out=out))
    changed = clean = 0
    for _, key in step.data:
        clean += min(step.rows, pq.read_metadata(store.path("Prepare", key) / "rows.parquet").num_rows)
    for _, key in step.perturbed:
        rows = pd.read_parquet(store.path("Perturb", key) / "rates.parquet")
        changed += int((rows["edits"] > 0).sum())
    assert sum(passed) == clean + changed and len(loads) == 1


def test_rates_come_back_with_the_results(ran: tuple[Plan, Store]) -> None:
    """`Results.rates` has every perturbed example once, with what was asked and what was done to it."""
    graph, store = ran
    rates = collect_plan(graph, store).rates
    assert not rates.duplicated(["target", "perturbation", "language", "id"]).any()
    total = rates.groupby("perturbation")[["edits", "units"]].sum()
    reached = total["edits"] / total["units"]
    assert reached["swap@0.3"] == pytest.approx(0.3, abs=0.03) and reached["swap@0.05"] == pytest.approx(0.05, abs=0.02)
    scored = collect_plan(graph, store).contributions
    assert set(scored["perturbation"]) == {"clean", "swap@0.05", "swap@0.3", "word_delete@0.3"}
    assert set(predictions(graph, store)["perturbation"]) == set(scored["perturbation"])


def test_an_intermediate_may_learn_from_perturbed_rows() -> None:
    """`perturb` adds the perturbed training rows to the clean ones, or puts them in their place."""
    how = {"kind": "swap", "rate": 0.1}
    arms = [{"name": "beside", "tasks": "mw_nli", "perturb": how},
            {"name": "instead", "tasks": "mw_nli", "perturb": {**how, "keep_clean": False}}]  # fmt: skip
    graph = plan(mini(intermediates=arms))
    steps = {cell.arm.name: graph.steps[cell.base] for cell in graph.cells if cell.base}
    beside, instead = (steps[name].parts[0] for name in ("beside", "instead"))
    assert beside.data and beside.more == instead.more and not instead.data
    assert {cell.arm.category for cell in graph.cells if cell.base} == {"variant"}


def test_augmenting_tags_by_a_kind_that_breaks_them_is_refused() -> None:
    """Training rows obey the same rule as evaluation rows."""
    arm = {"name": "x", "tasks": "mw_supertags", "perturb": {"kind": "word_delete", "rate": 0.1}}
    with pytest.raises(UserError, match="number of tokens"):
        plan(mini(intermediates=[arm]))
