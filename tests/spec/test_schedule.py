"""What a run does when things go well, and when they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.conftest import mini

from xstilts.errors import UserError
from xstilts.executors import get_executor
from xstilts.graph import Arm, Cell, Plan
from xstilts.models.identity import Model
from xstilts.schedule import InputErrors, Watcher, schedule
from xstilts.step import Step, Work
from xstilts.store import Store


class Copy(Step):
    kind: ClassVar[str] = "Copy"
    name: str
    needs: tuple[str, ...] = ()
    breaks: str = ""

    def inputs(self) -> tuple[str, ...]:
        return self.needs

    def run(self, work: Work) -> None:
        if self.breaks == "input":
            raise UserError("blank label", file="rows.tsv", line=3, remedy="fill it")
        if self.breaks == "stop":
            raise KeyboardInterrupt
        if self.breaks:
            raise RuntimeError(self.breaks)
        (work.out / "name").write_text(self.name)


def graph(*steps: Copy) -> Plan:
    plan = Plan(mini(), Model("sha256:0", "", 0, False, ""))
    for step in steps:
        plan.add(step, step.name)
        plan.cells.append(Cell(Arm("none", "none"), "mw_pos", 1, step.key))
    return plan


def run(plan: Plan, folder: Path, watcher: Any = None) -> Any:
    store = Store(folder).open()
    return schedule(plan, store, get_executor("inline", store), watcher)


def test_a_second_run_repeats_nothing(tmp_path: Path) -> None:
    """What is done is never done again."""
    a = Copy(name="a")
    plan = graph(a, Copy(name="b", needs=(a.key,)))
    assert len(run(plan, tmp_path).done) == 2
    again = run(plan, tmp_path)
    assert again.done == [] and len(again.reused) == 2


def test_a_failed_step_blocks_what_depends_on_it_and_nothing_else(tmp_path: Path) -> None:
    """The rest of the study goes on, and the failure says why in one line."""
    bad, good = Copy(name="bad", breaks="no\nluck"), Copy(name="good")
    after = Copy(name="after", needs=(bad.key, good.key))
    last = Copy(name="last", needs=(after.key,))
    outcome = run(graph(bad, after, last, good), tmp_path)
    assert outcome.done == [good.key]
    assert outcome.failed == {bad.key: "RuntimeError: no"}
    assert set(outcome.blocked) == {after.key, last.key}


def test_a_failed_step_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    """A failure is not remembered as a result."""
    plan = graph(Copy(name="bad", breaks="once"))
    run(plan, tmp_path)
    assert list(run(plan, tmp_path).failed.values()) == ["RuntimeError: once"]


def test_wrong_data_stops_the_run_before_any_training(tmp_path: Path) -> None:
    """All data steps are tried, every mistake is named, and nothing that has inputs is started."""
    bad, worse, good = (Copy(name=n, breaks=b) for n, b in (("x", "input"), ("y", "input"), ("z", "")))
    training = Copy(name="train", needs=(good.key,))
    with pytest.raises(InputErrors) as caught:
        run(graph(good, training, bad, worse), tmp_path)
    assert [str(e) for e in caught.value.errors] == ["rows.tsv:3: blank label; fill it"] * 2
    store = Store(tmp_path)
    assert store.has(good) and not store.has(training)


def test_an_interrupted_run_leaves_no_half_step_and_goes_on(tmp_path: Path) -> None:
    """Ctrl-C passes through; finished steps stay, the running one leaves nothing."""
    a, b = Copy(name="a"), Copy(name="b", breaks="stop")
    with pytest.raises(KeyboardInterrupt):
        run(graph(a, b), tmp_path)
    store = Store(tmp_path)
    assert store.has(a) and not store.has(b)
    assert [p for p in store.of(b).parent.glob(".*")] == []


def test_inputs_of_a_finished_step_are_not_needed(tmp_path: Path) -> None:
    """A checkpoint that was dropped after its predictions were stored is not trained again."""
    a = Copy(name="a")
    b = Copy(name="b", needs=(a.key,))
    plan = Plan(mini(), Model("sha256:0", "", 0, False, ""))
    plan.add(a, "a")
    plan.add(b, "b")
    plan.cells.append(Cell(Arm("none", "none"), "mw_pos", 1, b.key))
    store = Store(tmp_path).open()
    store.publish(b, "b")
    assert run(plan, tmp_path).done == []


def test_a_watcher_sees_every_step_begin_and_end(tmp_path: Path) -> None:
    """The live table hears of each step once at its start and once at its end."""
    seen: list[tuple[str, str]] = []

    class Watch(Watcher):
        def start(self, step: Step) -> None:
            seen.append(("start", step.key))

        def end(self, step: Step, error: str | None) -> None:
            seen.append(("end" if error is None else "failed", step.key))

    a, b = Copy(name="a"), Copy(name="b", breaks="x")
    run(graph(a, b), tmp_path, Watch())
    assert seen == [("start", a.key), ("end", a.key), ("start", b.key), ("failed", b.key)]
