"""What the plan shares, and what it may not cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import mini

from xstilts.errors import UserError
from xstilts.graph import Plan
from xstilts.plan import plan
from xstilts.steps.part import Part
from xstilts.steps.predict import Predict
from xstilts.steps.prepare import Prepare
from xstilts.steps.score import Score
from xstilts.steps.train import Train


def trainings(graph: Plan) -> list[Train]:
    return [step for step in graph.steps.values() if isinstance(step, Train)]


def test_one_intermediate_checkpoint_serves_every_target() -> None:
    """With two targets the intermediate is trained once per seed."""
    graph = plan(mini(targets=["mw_entailment", "mw_pos"], seeds=[1, 2]))
    intermediates = [step for step in trainings(graph) if step.key in {t.base for t in trainings(graph)}]
    assert len(intermediates) == 2
    assert len(trainings(graph)) == 2 + 2 * 2 * 2
    assert graph.unshared["Train"] == 4 + 2 * 2 * 2


def test_retrieval_trains_nothing() -> None:
    """A retrieval target is predicted by the pretrained or intermediate encoder itself."""
    graph = plan(mini(targets=["mw_retrieval"], languages=["qaa"], intermediates=[]))
    assert trainings(graph) == []
    assert len(graph.cells) == 1


def test_the_baseline_is_in_every_study() -> None:
    """Every target and seed has a cell without an intermediate."""
    graph = plan(mini(seeds=[1, 2]))
    assert {(c.seed, c.target) for c in graph.cells if c.arm.name == "none"} == {(s, "mw_entailment") for s in (1, 2)}


def test_inputs_come_before_what_reads_them() -> None:
    """The steps of a plan are in an order in which they can run."""
    graph, seen = plan(mini(controls={"shuffled": "mw_nli", "oracle": True})), set()
    for key, step in graph.steps.items():
        assert set(step.inputs()) <= seen
        seen.add(key)


def test_the_oracle_shares_no_row_with_its_target() -> None:
    """The oracle learns the target's rows from where the target's own end."""
    graph = plan(mini(controls={"oracle": True}))
    parts = [step.parts[0] for step in trainings(graph)]
    oracle = next(part for part in parts if part.start)
    target = next(part for part in parts if part.data == oracle.data and not part.start)
    assert target.stop is not None and oracle.start == target.stop


def test_an_oracle_without_rows_is_refused() -> None:
    """A target that trains on all its rows leaves none for the oracle, and the remedy is said."""
    with pytest.raises(UserError, match="no rows left.*train_rows"):
        plan(mini(controls={"oracle": True}, settings={}))


def test_an_intermediate_that_is_the_targets_own_task_is_said() -> None:
    """More of the same training is no transfer between tasks, and a reader of the report is told."""
    note = "mw_pos learns what mw_pos is fine-tuned on: a gain there is no transfer between tasks."
    assert note in plan(mini(intermediates=["mw_pos"], targets=["mw_pos", "mw_entailment"])).notes
    assert not any("no transfer" in note for note in plan(mini(controls={"oracle": True})).notes)


def test_seed_and_settings_change_what_they_should() -> None:
    """A seed changes every training and no data step; a test_rows change keeps all trainings."""
    one, two = plan(mini(seeds=[1])), plan(mini(seeds=[2]))
    assert not {t.key for t in trainings(one)} & {t.key for t in trainings(two)}
    assert {k for k, s in one.steps.items() if s.kind == "Prepare"} == {
        k for k, s in two.steps.items() if s.kind == "Prepare"
    }
    fields = mini().settings["default"]
    shorter = plan(mini(settings={"default": {**fields, "test_rows": 5}}))
    assert {t.key for t in trainings(one)} == {t.key for t in trainings(shorter)}


def test_keys_do_not_move() -> None:
    """Keys of fixed steps are what they were: a refactoring must not throw a person's results away.

    If this fails because a step's meaning changed, raise that step's `version` and write the new keys here.
    """
    prepare = Prepare(task="xnli", split="test", language="de", source="files", content="c" * 64, folder="/anywhere")
    train = Train(
        encoder="sha256:0", parts=(Part(shape="classify", labels=("a", "b"), data=(prepare.key,), stop=24),), seed=1,
        recipe={"learning_rate": 0.001, "epochs": 1.0}, model="/anywhere", precision="float32",
    )  # fmt: skip
    predict = Predict(
        encoder="sha256:0", checkpoint=train.key, task="xnli", shape="classify", data=(("de", prepare.key),),
        options={"max_length": 128},
    )  # fmt: skip
    score = Score(predictions=predict.key, metrics=("accuracy",))
    assert {step.kind: step.key[:16] for step in (prepare, train, predict, score)} == {
        "Prepare": "eaeaffe72e4dc9a3",
        "Train": "401099e2fe9641fd",
        "Predict": "85d8344d450d1353",
        "Score": "0e2081e3fd9fef8b",
    }


def test_planning_reporting_and_status_import_no_torch(tmp_path: Path) -> None:
    """Neither planning nor collecting results imports torch."""
    code = (
        "import sys; from tests.conftest import mini; from xstilts.api import collect; import xstilts.report.html;"
        f"collect(mini(), {str(tmp_path)!r}); assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
