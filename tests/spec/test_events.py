"""The event log of a run, and the curves for TensorBoard."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import mini

from xstilts.api import run_study
from xstilts.errors import UserError
from xstilts.events import Events, Tail, Watchers, events_file
from xstilts.graph import Plan
from xstilts.schedule import Watcher
from xstilts.step import Step
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.tensorboard import Curves


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store of a study that has been run, and its curves."""
    path = tmp_path_factory.mktemp("events")
    study = mini(languages=["en"], settings={"default": {**mini().settings["default"], "select": "best"}})
    assert run_study(
        study, path / "store", path / "report", "inline", Curves(path / "curves", Store(path / "store"))
    ).ok
    return path


@pytest.fixture(scope="module")
def small() -> Plan:
    """A plan that is not run."""
    return mini().plan()


def events(store: Store, plan: Plan, **more: Any) -> Events:
    """The events of a run that has begun."""
    found = Events(store, "mini", "inline", 1, **more)
    found.begin(plan, [])
    return found


def test_a_run_tells_all_it_does(folder: Path) -> None:
    """A run leaves its beginning, start and end of each step in between, and its end with the counts."""
    log = Tail(events_file(Store(folder / "store"), "mini")).read()
    first, *between, last = log
    assert {event["run"] for event in log} == {first["run"]}
    assert [event["at"] for event in log] == sorted(event["at"] for event in log)
    assert first["event"] == "run-begin" and first["executor"] == "inline" and first["steps"] * 2 == len(between)
    assert first["versions"]["xstilts"] and first["host"] and first["pid"] and first["reused"] == 0
    for start, end in zip(between[::2], between[1::2], strict=True):
        assert (start["event"], end["event"]) == ("step-start", "step-end")
        assert (start["key"], start["kind"], start["label"]) == (end["key"], end["kind"], end["label"])
        assert end["seconds"] > 0 and end["error"] is None and end["remedy"] is None and not start["resumed"]
    assert any(event["examples"] > 0 for event in between[1::2] if event["kind"] == "Train")
    counts = {name: last[name] for name in ("how", "done", "reused", "failed", "blocked")}
    assert counts == {"how": "finished", "done": first["steps"], "reused": 0, "failed": 0, "blocked": 0}


def test_runs_share_the_file(tmp_path: Path, small: Plan) -> None:
    """Runs that write at the same time leave whole lines, each of them all of its own."""
    runs = [events(Store(tmp_path), small, every=0) for _ in range(4)]
    step = next(iter(small.steps.values()))

    def write(run: Events) -> None:
        for i in range(200):
            run.progress(step, i, 200)

    threads = [threading.Thread(target=write, args=(run,)) for run in runs]
    for run in runs:
        run.start(step)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in events_file(Store(tmp_path), "mini").read_text().splitlines()]
    for run in runs:
        run.finish("finished", 0)
        told = [line["done"] for line in lines if line["run"] == run.run and line["event"] == "step-progress"]
        assert told == list(range(200))


def test_a_torn_line_costs_nothing_but_itself(tmp_path: Path, small: Plan) -> None:
    """Half a line that a killed run left is passed over, and the next run begins a line of its own."""
    killed = events(Store(tmp_path), small)
    path = events_file(Store(tmp_path), "mini")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    tail = Tail(path)
    assert [event["run"] for event in tail.read()] == [killed.run]
    after = events(Store(tmp_path), small)
    assert [event["run"] for event in tail.read()] == [after.run]


def test_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    """A reader gets each event once, and none before its line has ended; a file made anew is read from its start."""
    path = tmp_path / "log.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    line = json.dumps({"time": "2026-11-26T12:00:00.000+00:00", "run": "r", "event": "run-end"}) + "\n"
    path.write_text(line + line[:20])
    assert len(tail.read()) == 1 and tail.read() == []
    path.write_text(line + line + "no json\n{}\n")
    assert len(tail.read()) == 1
    path.write_text(line)
    assert len(tail.read()) == 1


def test_of_a_long_log_the_end_is_read(tmp_path: Path, small: Plan) -> None:
    """Of what is far back a reader learns which runs there were; of what is recent, and of what comes, everything."""
    step = next(iter(small.steps.values()))
    runs = [events(Store(tmp_path), small), events(Store(tmp_path), small)]
    for run in runs:
        for _ in range(50):
            run.start(step)
            run.end(step, None)
    size = runs[0].path.stat().st_size
    whole, tail = Tail(runs[0].path).read(), Tail(runs[0].path, size // 4)
    some = tail.read()
    assert [event for event in whole if event["event"] == "run-begin"] == some[:2]
    assert some[2:] == whole[-len(some) + 2 :] and 0 < len(some) - 2 < len(whole) // 3
    runs[1].start(step)
    assert [event["event"] for event in tail.read()] == ["step-start"]


@pytest.mark.parametrize("obstacle", ["full", "no folder"])
def test_a_run_goes_on_without_its_event_log(
    tmp_path: Path, small: Plan, obstacle: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the log cannot be written there is one warning, whatever happens after."""
    if obstacle == "full":
        (tmp_path / "events").mkdir()
        (tmp_path / "events" / "mini.jsonl").symlink_to("/dev/full")
    else:
        (tmp_path / "events").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        run = events(Store(tmp_path), small, every=0)
        for step in small.steps.values():
            run.start(step)
            run.progress(step, 1, 2)
            run.end(step, None)
        run.finish("finished", 0)
    assert len(caplog.records) == 1 and "the run goes on without" in caplog.text


def test_full_logs_do_not_end_a_run(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A run whose log file and event log are on a full disk gives the report of any other, and prints no traceback."""
    for name in ("events/mini.jsonl", "logs/mini.log"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).symlink_to("/dev/full")
    assert run_study(mini(intermediates=["none"], languages=["en"]), tmp_path, tmp_path / "report", "inline").ok
    assert "Traceback" not in capfd.readouterr().err


def test_progress_is_told_now_and_then(tmp_path: Path, small: Plan) -> None:
    """However often a step says how far it is, a line is written after `every` seconds at the earliest."""
    step = next(iter(small.steps.values()))
    for every, lines in ((3600.0, 0), (0.0, 500)):
        run = events(Store(tmp_path / str(every)).open(), small, every=every)
        run.start(step)
        for i in range(500):
            run.progress(step, i, 500)
        told = Tail(run.path).read()
        assert sum(event["event"] == "step-progress" for event in told) == lines
        run.end(step, None)
        assert Tail(run.path).read()[-1]["examples"] == 499


def test_a_failure_is_told_with_its_remedy(tmp_path: Path, small: Plan) -> None:
    """The end of a step that failed says why and what to type."""
    store, step = Store(tmp_path), next(iter(small.steps.values()))
    run = events(store, small)
    run.start(step)
    store.record_failure(step, "the disk is full", "make room")
    run.end(step, "the disk is full")
    run.finish("finished", 3)
    *_, end, last = Tail(run.path).read()
    assert (end["error"], end["remedy"]) == ("the disk is full", "make room")
    assert (last["failed"], last["blocked"]) == (1, 3)


def test_a_run_that_is_stopped_says_so(tmp_path: Path) -> None:
    """Ctrl-C leaves `stopped` in the log, wrong data `refused`."""

    class Impatient(Watcher):
        def start(self, step: Step) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(mini(), tmp_path, tmp_path / "report", "inline", Impatient())
    assert Tail(events_file(Store(tmp_path), "mini")).read()[-1]["how"] == "stopped"


def test_watchers_all_see_everything(small: Plan) -> None:
    """Several watchers see each call of a run, in its order."""
    step = next(iter(small.steps.values()))

    class Witness(Watcher):
        def __init__(self) -> None:
            self.seen: list[tuple[Any, ...]] = []

        def begin(self, plan: Plan, reused: list[str]) -> None:
            self.seen.append((plan, reused))

        def start(self, step: Step) -> None:
            self.seen.append((step,))

        def progress(self, step: Step, done: int, total: int) -> None:
            self.seen.append((step, done, total))

        def end(self, step: Step, error: str | None) -> None:
            self.seen.append((step, error))

        def elsewhere(self, step: Step, who: str) -> None:
            self.seen.append((step, who))

    one, other = Witness(), Witness()
    both = Watchers(one, Watchers(other))
    both.begin(small, ["a"])
    both.elsewhere(step, "host")
    both.start(step)
    both.progress(step, 1, 2)
    both.end(step, "why")
    assert one.seen == other.seen == [(small, ["a"]), (step, "host"), (step,), (step, 1, 2), (step, "why")]


def curves_of(folder: Path) -> Any:
    """The scalars in a folder, as TensorBoard itself reads them."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="pip install tensorboard"
    )
    return reader.EventAccumulator(str(folder)).Reload()


def test_tensorboard_reads_the_curves(folder: Path) -> None:
    """Loss, learning rate and dev score of each training are what its log has; steps have their seconds."""
    store, plan = Store(folder / "store"), mini().plan()
    trainings = [path for path in (folder / "curves" / "mini").iterdir() if path.name != "steps"]
    assert len(trainings) == sum(isinstance(step, Train) for step in plan.steps.values())
    for path in trainings:
        (log,) = (store.root / "train").glob(f"*/{path.name.split()[-1]}*/log.jsonl")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        curves = curves_of(path)
        for tag, field in (("loss", "loss"), ("learning_rate", "rate"), ("dev_score", "dev_score")):
            expected = [(line["step"], pytest.approx(line[field], rel=1e-6)) for line in lines if field in line]
            assert expected and [(e.step, e.value) for e in curves.Scalars(tag)] == expected
    seconds = curves_of(folder / "curves" / "mini" / "steps")
    assert len(seconds.Scalars("seconds/Train")) == len(trainings)


def test_curves_of_what_was_done_before_are_written_once(folder: Path, tmp_path: Path) -> None:
    """A run with nothing left to do writes the curves that are missing, and a further one changes no file."""
    study = mini(languages=["en"], settings={"default": {**mini().settings["default"], "select": "best"}})
    for _ in range(2):
        run_study(study, folder / "store", tmp_path / "report", "inline", Curves(tmp_path, Store(folder / "store")))
        names = {path.parent.name for path in tmp_path.rglob("*tfevents*")}
        assert names == {path.parent.name for path in (folder / "curves").rglob("*tfevents*")} - {"steps"}
    assert len(list(tmp_path.rglob("*tfevents*"))) == len(names)


def test_curves_need_tensorboard_and_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, or where nothing can be written, one line says what to type."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--tensorboard"):
        Curves(tmp_path / "file" / "curves", Store(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(UserError, match=r"pip install 'xstilts\[tensorboard\]'"):
        Curves(tmp_path, Store(tmp_path))
