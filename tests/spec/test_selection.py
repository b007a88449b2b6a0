"""Which checkpoint a training ends with, and whose labels may choose it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import mini
from torch import nn

from xstilts.api import find_store, run_study
from xstilts.collect import describe
from xstilts.errors import UserError
from xstilts.graph import Plan
from xstilts.plan import plan
from xstilts.steps.train import Train
from xstilts.training.selection import Best

FIELDS: dict[str, Any] = {"train_rows": 24, "test_rows": 16, "epochs": 2, "batch_size": 8, "learning_rate": 1e-3,
                          "select_rows": 20, "evaluate_every": 2}  # fmt: skip


def selecting(how: str, **changes: Any) -> Plan:
    return plan(mini(select=how, settings={"default": FIELDS}, **changes))


def dev_languages(graph: Plan, role: str) -> set[str]:
    steps = [s for s in graph.steps.values() if isinstance(s, Train)]
    bases = {s.base for s in steps}
    chosen = [s for s in steps if (s.key in bases) == (role == "intermediate")]
    return {code for s in chosen for code, _ in s.dev}


def test_the_last_checkpoint_needs_no_dev_rows() -> None:
    """By default nothing is selected, so no training reads a dev split."""
    assert dev_languages(plan(mini()), "target") == dev_languages(plan(mini()), "intermediate") == set()


def test_the_best_checkpoint_is_chosen_in_english_alone() -> None:
    """`best` reads English dev rows for both phases, whatever languages are evaluated."""
    graph = selecting("best")
    assert dev_languages(graph, "target") == dev_languages(graph, "intermediate") == {"en"}


def test_the_oracle_reads_dev_rows_of_the_evaluated_languages_for_targets_only() -> None:
    """`oracle` chooses targets by evaluated languages, intermediates by English; the report says so first."""
    graph = selecting("oracle")
    assert dev_languages(graph, "target") == {"en", "qaa"}
    assert dev_languages(graph, "intermediate") == {"en"}
    assert "not zero-shot" in describe(graph)["cautions"][0]
    assert describe(selecting("best"))["cautions"] == []


@pytest.mark.parametrize("how", ["best", "oracle"])
def test_no_test_row_takes_part_in_training_or_selection(how: str) -> None:
    """The rows that a study reads for training and selection are disjoint from those it evaluates on."""
    graph = selecting(how, controls={"shuffled": "mw_nli", "oracle": True})
    steps = graph.steps.values()
    read = {key for s in steps if isinstance(s, Train) for key in (*s.data, *(k for _, k in s.dev))}
    evaluated = {key for s in steps if s.kind == "Predict" for _, key in s.data}  # type: ignore[attr-defined]
    assert read and evaluated and not read & evaluated
    assert {graph.steps[key].split for key in read} == {"train", "dev"}  # type: ignore[attr-defined]


def test_a_study_that_trains_on_evaluated_rows_is_refused() -> None:
    """A stand-in that makes the test set the training set, or the dev set, is an error with the split's name."""
    with pytest.raises(UserError, match="trains on rows that it evaluates on: mw_entailment train en"):
        plan(mini(stand_ins={"mw_entailment.test": "mw_entailment.train"}, languages=["en"]))
    with pytest.raises(UserError, match="chooses checkpoints on rows"):
        selecting("best", stand_ins={"mw_entailment.test": "mw_entailment.dev"}, languages=["en"])


def test_languages_can_be_given_per_target() -> None:
    """A target's own languages, `default` for the others, and a wrong name or code is said."""
    graph = plan(mini(targets=["mw_entailment", "mw_pos"], languages={"default": ["qaa"], "mw_pos": ["en", "qab"]}))
    found = {s.task: tuple(code for code, _ in s.data) for s in graph.steps.values() if s.kind == "Predict"}  # type: ignore[attr-defined]
    assert found == {"mw_entailment": ("qaa",), "mw_pos": ("en", "qab")}
    with pytest.raises(ValueError, match="did you mean 'mw_pos'"):
        mini(targets=["mw_pos"], languages={"mw_po": ["en"]})
    with pytest.raises(ValueError, match="mw_pos has not language 'xx'"):
        mini(targets=["mw_pos"], languages={"mw_pos": ["xx"]})


def test_the_best_weights_come_back() -> None:
    """Of scores 1, 3, 3, 2 the first 3 is kept, and its weights are restored bit for bit."""
    module, scores = nn.Linear(2, 2), iter([1.0, 3.0, 3.0, 2.0])
    best = Best((module,), lambda: next(scores), every=1, patience=2)
    for step in range(1, 5):
        with torch.no_grad():
            module.weight.fill_(step)
        assert not best.out_of_patience
        best.look(step)
    assert best.out_of_patience
    assert best.restore() == {"best_step": 2, "best_dev_score": 3.0, "dev_looks": 4}
    assert module.weight.eq(2).all() and module.training


def test_looking_changes_nothing_of_what_is_trained_and_the_best_look_is_kept(tmp_path: Path) -> None:
    """The losses of a run with selection are those of the run without; the manifest names the best of the looks."""
    logs, notes = {}, {}
    for how in ("last", "best"):
        study = mini(select=how, settings={"default": FIELDS}, intermediates=[])
        outcome = run_study(study, tmp_path / how, tmp_path / "report", "inline")
        assert outcome.ok
        graph, store = plan(study), find_store(tmp_path / how)
        (step,) = (s for s in graph.steps.values() if isinstance(s, Train))
        logs[how] = [
            json.loads(line) for line in (store.path("Train", step.key) / "log.jsonl").read_text().splitlines()
        ]
        notes[how] = store.manifest(step)
    assert [line["loss"] for line in logs["last"]] == [line["loss"] for line in logs["best"]]
    looks = {line["step"]: line["dev_score"] for line in logs["best"] if "dev_score" in line}
    assert list(looks) == [2, 4, 6]
    assert notes["best"]["best_dev_score"] == max(looks.values())
    assert looks[notes["best"]["best_step"]] == max(looks.values()) and "best_step" not in notes["last"]
