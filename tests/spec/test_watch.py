"""What `xstilts status` sees of a study, from its store alone."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conftest import mini

from xstilts import watch as watching
from xstilts.events import Events, events_file
from xstilts.graph import Plan
from xstilts.step import Step
from xstilts.store import Store
from xstilts.store.claims import Claims, this_process
from xstilts.watch import STATES, Watch
from xstilts.watch_screen import follow, line, print_status

REST = {"seconds": 100.0, "low": 80.0, "high": 150.0, "measured": True, "how": "measured"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan with two intermediates, so that one can fail beside the other."""
    return mini(intermediates=["mw_nli", "mw_pos"]).plan()


@pytest.fixture(autouse=True)
def estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker takes as long as `REST` says."""
    monkeypatch.setattr(watching, "time_left", lambda plan, store, ahead: SimpleNamespace(rounded=lambda: REST))


def finish(store: Store, steps: Iterable[Step]) -> None:
    """Make the store say that steps are done."""
    for step in steps:
        store.of(step).mkdir(parents=True)
        (store.of(step) / "manifest.json").write_text("{}")


def of_kind(plan: Plan, kind: str, label: str = "") -> list[Step]:
    return [step for key, step in plan.steps.items() if step.kind == kind and label in plan.labels[key]]


def states(facts: dict[str, Any]) -> dict[str, int]:
    return {state: facts["total"][state] for state in STATES if facts["total"][state]}


def write(store: Store, *events: dict[str, Any]) -> None:
    """Append events of this process's run `r`, each `ago` seconds old."""
    path = events_file(store, "mini")
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        for event in events:
            at = datetime.fromtimestamp(time.time() - event.pop("ago"), UTC).isoformat(timespec="milliseconds")
            file.write(json.dumps({"time": at, "run": "r", **event}) + "\n")


def begin(ago: float, host: str = "", **process: Any) -> dict[str, Any]:
    """The event of a run that began."""
    there = {"host": host or platform.node(), "space": "another machine's", "pid": 7, "began": 0.0}
    who = there if host else {**this_process(), **process}
    return {"event": "run-begin", "ago": ago, "executor": "pool", "workers": 2, **who}


def test_every_step_has_one_state(tmp_path: Path, plan: Plan) -> None:
    """Done, running, failed, blocked by what failed, to do: all steps of the plan, each once, by kind."""
    store = Store(tmp_path)
    finish(store, of_kind(plan, "Prepare"))
    failing, running = (of_kind(plan, "Train", label)[0] for label in ("mw_pos", "mw_nli"))
    store.record_failure(failing, "the loss is nan", "lower learning_rate")
    claims = Claims(tmp_path)
    claims.take(running.key)
    facts = Watch(plan, store).look()
    claims.close()
    prepared = len(of_kind(plan, "Prepare"))
    assert facts["kinds"]["Prepare"] == {"steps": prepared, **dict.fromkeys(STATES, 0), "done": prepared}
    # of each arm: its training, the one after it; of each language a prediction and a score
    train = facts["kinds"]["Train"]
    assert {state: train[state] for state in STATES} == {"done": 0, "running": 1, "failed": 1, "blocked": 1, "to do": 2}
    after = sum("mw_pos" in plan.labels[key] for key, step in plan.steps.items() if step.kind in ("Predict", "Score"))
    assert facts["total"]["blocked"] == 1 + after
    assert sum(facts["total"][state] for state in STATES) == facts["total"]["steps"] == len(plan.steps)
    assert facts["state"] == "running"
    (failure,) = facts["failures"]
    assert (failure["error"], failure["remedy"]) == ("the loss is nan", "lower learning_rate")
    (one,) = facts["running"]
    assert (one["key"], one["host"], one["pid"]) == (running.key, platform.node(), os.getpid())


def test_what_nothing_waits_for_is_not_to_do(tmp_path: Path, plan: Plan) -> None:
    """A study whose scores and predictions are all there is done, though its checkpoints are not."""
    finish(Store(tmp_path), of_kind(plan, "Score") + of_kind(plan, "Predict"))
    facts = Watch(plan, Store(tmp_path)).look()
    assert facts["state"] == "done" and states(facts) == {"done": len(plan.steps)}


def test_a_retry_is_running_and_no_failure(tmp_path: Path, plan: Plan) -> None:
    """A step that failed before and is being tried again counts as running; once it is done nothing is left of it."""
    store, step = Store(tmp_path), of_kind(plan, "Prepare")[0]
    store.record_failure(step, "no disk")
    claims = Claims(tmp_path)
    claims.take(step.key)
    watch = Watch(plan, store)
    facts = watch.look()
    assert facts["total"]["running"] == 1 and not facts["failures"] and not facts["total"]["blocked"]
    finish(store, [step])
    claims.close()
    assert states(watch.look()) == {"done": 1, "to do": len(plan.steps) - 1}


def test_claims_of_a_dead_run_run_nothing(tmp_path: Path, plan: Plan) -> None:
    """What a killed run had claimed is to do, and a run that did not say its end is over once its process is gone."""
    claims = Claims(tmp_path)
    claims.take(next(iter(plan.steps)))
    (runner,) = (tmp_path / "runners").iterdir()
    known = json.loads(runner.read_text())
    runner.write_text(json.dumps({**known, "began": known["began"] - 1000}))
    store = Store(tmp_path)
    write(store, begin(60, began=known["began"] - 1000))
    facts = Watch(plan, store).look()
    claims.close()
    assert states(facts) == {"to do": len(plan.steps)} and facts["state"] == "idle" and not facts["runs"]


def test_a_run_on_another_host_lives_while_its_heart_beats(tmp_path: Path, plan: Plan) -> None:
    """Of another host's process there is its heartbeat: a fresh one, or one that moves on though that host's clock is
    an hour behind."""
    store, key = Store(tmp_path), next(iter(plan.steps))
    for name in ("claims", "runners"):
        (tmp_path / name).mkdir()
    (tmp_path / "claims" / key).write_text("far")
    beat = tmp_path / "runners" / "far.json"
    beat.write_text(json.dumps({"host": "far", "pid": 7, "began": 0.0, "space": "another machine's"}))
    assert Watch(plan, store).look()["running"][0]["host"] == "far"
    os.utime(beat, (time.time() - 3600,) * 2)
    watch = Watch(plan, store)
    assert watch.look()["running"] == []
    os.utime(beat, (time.time() - 3590,) * 2)
    assert watch.look()["running"][0]["host"] == "far"
    write(store, begin(9000, host="far"))
    assert [run["host"] for run in watch.look()["runs"]] == ["far"]


def test_speed_is_that_of_the_last_ten_minutes(tmp_path: Path, plan: Plan) -> None:
    """Steps that ended well and examples of all that ran, over ten minutes or since the run began; examples that a
    saved state brought along were done before."""
    store = Store(tmp_path)
    write(store, begin(3600), {"event": "step-start", "ago": 3000, "key": "old", "resumed": False},
          {"event": "step-end", "ago": 2000, "key": "old", "examples": 10**6, "error": None},
          {"event": "step-start", "ago": 590, "key": "a", "resumed": False},
          {"event": "step-progress", "ago": 300, "key": "a", "done": 400, "total": 1000},
          {"event": "step-end", "ago": 200, "key": "a", "examples": 1000, "error": None},
          {"event": "step-start", "ago": 190, "key": "b", "resumed": True},
          {"event": "step-progress", "ago": 180, "key": "b", "done": 50_000, "total": 60_000},
          {"event": "step-progress", "ago": 100, "key": "b", "done": 50_200, "total": 60_000},
          {"event": "step-start", "ago": 90, "key": "c", "resumed": False},
          {"event": "step-end", "ago": 80, "key": "c", "examples": 0, "error": "broken"})  # fmt: skip
    speed = Watch(plan, store).look()["speed"]
    assert speed == {"seconds": 600, "steps_per_minute": 0.1, "examples_per_second": 2.0}
    events_file(store, "mini").unlink()
    write(store, begin(100), {"event": "step-start", "ago": 90, "key": "a", "resumed": False},
          {"event": "step-end", "ago": 80, "key": "a", "examples": 500, "error": None})  # fmt: skip
    speed = Watch(plan, store).look()["speed"]
    assert speed is not None and speed["examples_per_second"] == pytest.approx(5, rel=0.1)


def test_what_started_too_far_back_counts_from_here_on(tmp_path: Path, plan: Plan) -> None:
    """Of a step whose start the tail of the log has not, the examples since its first line there are counted, and its
    claim says since when it runs."""
    store, step = Store(tmp_path), of_kind(plan, "Prepare")[0]
    claims = Claims(tmp_path)
    claims.take(step.key)
    os.utime(tmp_path / "claims" / step.key, (time.time() - 5000,) * 2)
    write(store, begin(7000), {"event": "step-progress", "ago": 60, "key": step.key, "done": 9000, "total": 12_000},
          {"event": "step-progress", "ago": 30, "key": step.key, "done": 9600, "total": 12_000})  # fmt: skip
    facts = Watch(plan, store).look()
    claims.close()
    assert facts["speed"] == {"seconds": 600, "steps_per_minute": 0.0, "examples_per_second": 1.0}
    (one,) = facts["running"]
    assert (one["done"], one["total"]) == (9600, 12_000) and one["seconds"] >= 4999


def test_progress_is_that_of_the_event_log(tmp_path: Path, plan: Plan) -> None:
    """A step that runs is shown with its share done and since when it runs; each look takes in what is new."""
    store, step = Store(tmp_path), of_kind(plan, "Prepare")[0]
    claims = Claims(tmp_path)
    claims.take(step.key)
    os.utime(tmp_path / "claims" / step.key, (time.time() - 60,) * 2)
    write(store, begin(70), {"event": "step-start", "ago": 60, "key": step.key, "resumed": False})
    watch = Watch(plan, store)
    (one,) = watch.look()["running"]
    assert (one["done"], one["total"]) == (0, 0) and 59 < one["seconds"] < 90
    write(store, {"event": "step-progress", "ago": 0, "key": step.key, "done": 30, "total": 120})
    facts = watch.look()
    claims.close()
    assert (facts["running"][0]["done"], facts["running"][0]["total"]) == (30, 120)
    assert "(25 %)" in line(facts)


def test_time_left_is_shared_by_the_workers(tmp_path: Path, plan: Plan) -> None:
    """What one worker would take, less what the running steps have taken, by the number that run; with its interval."""
    claims = Claims(tmp_path)
    for step in of_kind(plan, "Prepare")[:2]:
        claims.take(step.key)
        os.utime(tmp_path / "claims" / step.key, (time.time() - 10,) * 2)
    rest = Watch(plan, Store(tmp_path)).look()["rest"]
    claims.close()
    assert rest["workers"] == 2
    for name in ("seconds", "low", "high"):
        assert rest["left"][name] == pytest.approx((REST[name] - 20) / 2, abs=3)


def test_looking_costs_little(tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps known to be done are not asked for again, and an estimate that takes long is not taken at every look."""
    asked: list[str] = []
    estimates = 0

    class Counting(Store):
        def done(self, steps: Iterable[Step]) -> set[str]:
            listed = list(steps)
            asked.extend(step.key for step in listed)
            return super().done(listed)

    def slow(plan: Plan, store: Store, ahead: set[str]) -> Any:
        nonlocal estimates
        estimates += 1
        time.sleep(0.3)
        return SimpleNamespace(rounded=lambda: REST)

    monkeypatch.setattr(watching, "time_left", slow)
    store = Counting(tmp_path)
    watch = Watch(plan, store)
    first = list(plan.steps.values())[:5]
    for step in first:
        watch.look()
        finish(store, [step])
    watch.look()
    watch.look()
    assert [asked.count(step.key) for step in first] == [2, 3, 4, 5, 6]
    assert estimates == 1


def test_watching_ends_with_the_study(tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """Off a terminal each look is a line, or an object of JSON; the last is that of the finished study."""
    finish(Store(tmp_path), of_kind(plan, "Prepare"))
    for as_json in (False, True):
        watch = Watch(plan, Store(tmp_path / str(as_json)))

        def look(watch: Watch = watch, before: Any = watch.look) -> dict[str, Any]:
            facts: dict[str, Any] = before()
            if facts["state"] != "done":
                finish(watch.store, of_kind(plan, "Score") + of_kind(plan, "Predict"))
            return facts

        watch.look = look  # type: ignore[method-assign]
        assert follow(watch, 0.01, as_json)
        first, last = capsys.readouterr().out.splitlines()
        if as_json:
            assert [json.loads(text)["state"] for text in (first, last)] == ["idle", "done"]
        else:
            assert f"mini: 0/{len(plan.steps)} steps done" in first and "time left: about" in first
            assert f"mini: {len(plan.steps)}/{len(plan.steps)} steps done" in last


def test_watching_ends_where_nothing_can_go_on(tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """When all that is left failed, or waits for what failed, and no run is alive, watching ends and says so; while a
    run lives it goes on."""
    store = Store(tmp_path)
    for step in of_kind(plan, "Prepare"):
        store.record_failure(step, "no such file", "name another with --data")
    watch = Watch(plan, store)
    assert not follow(watch, 0.01, False)
    assert "failed" in capsys.readouterr().out
    run = Events(store, "mini", "inline", 1)
    run.begin(plan, [])
    assert watch.look()["state"] == "running"
    run.finish("finished", 1)
    assert watch.look()["state"] == "stuck"


def test_status_says_why_and_what_to_do(tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """Each failure has its reason and what to type, whatever is in them."""
    store = Store(tmp_path)
    store.record_failure(of_kind(plan, "Train")[0], "[red]odd[/] reason", "xstilts store gc [mini]")
    print_status(Watch(plan, store).look())
    out = capsys.readouterr().out
    assert "[red]odd[/] reason" in out and "what to do: xstilts store gc [mini]" in out
    assert "blocked" in out and "run the study again" in out
