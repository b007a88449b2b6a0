"""What happens when two runs share one store."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import ClassVar

import pytest
from tests.conftest import mini

from xstilts.executors import get_executor
from xstilts.graph import Arm, Cell, Plan
from xstilts.models.identity import Model
from xstilts.schedule import Watcher, schedule
from xstilts.step import Step, Work
from xstilts.store import Store
from xstilts.store.claims import Claims

KEY = "0" * 64


class Slow(Step):
    kind: ClassVar[str] = "Slow"
    name: str
    needs: tuple[str, ...] = ()
    scratch: str = ""

    def inputs(self) -> tuple[str, ...]:
        return self.needs

    def run(self, work: Work) -> None:
        with (Path(self.scratch) / self.name).open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.05)
        (work.out / "name").write_text(self.name)


def graph(scratch: Path, width: int = 8) -> Plan:
    """Three layers of steps, each of the second and third going on from one before it."""
    plan = Plan(mini(), Model("sha256:0", "", 0, False, ""))
    before: list[str] = [""] * width
    for layer in range(3):
        steps = [Slow(name=f"{layer}-{i}", needs=(k,) if (k := before[i]) else (), scratch=str(scratch))
                 for i in range(width)]  # fmt: skip
        before = [plan.add(step, step.name) for step in steps]
    plan.cells += [Cell(Arm("none", "none"), "mw_pos", 1, key) for key in before]
    return plan


def run(folder: Path, scratch: Path, names: list[str] | None = None) -> tuple[int, int]:
    store = Store(folder).open()
    with closing(get_executor("inline", store)) as engine:
        outcome = schedule(graph(scratch), store, engine)
    return len(outcome.done), len(outcome.reused)


def report(folder: Path, scratch: Path, out: Path) -> None:
    out.write_text(json.dumps(run(folder, scratch)))


def test_two_runs_do_no_step_twice(tmp_path: Path) -> None:
    """Two runs that start at a time on one store share its steps: each is done once, and both end with all of them."""
    scratch, context = tmp_path / "scratch", get_context("spawn")
    scratch.mkdir()
    outs = [tmp_path / f"out-{i}" for i in range(2)]
    runs = [context.Process(target=report, args=(tmp_path / "store", scratch, out)) for out in outs]
    for process in runs:
        process.start()
    for process in runs:
        process.join()
    done = [json.loads(out.read_text()) for out in outs]
    assert [sum(pair) for pair in done] == [24, 24] and sum(first for first, _ in done) == 24
    assert all(len(path.read_text().splitlines()) == 1 for path in scratch.iterdir())
    assert list((tmp_path / "store" / "claims").iterdir()) == list((tmp_path / "store" / "runners").iterdir()) == []


def die(folder: Path) -> None:
    assert Claims(folder).take(KEY)
    os._exit(9)  # as kill -9 does: nothing is released


def test_the_claims_of_a_dead_run_are_free_at_once(tmp_path: Path) -> None:
    """A run on the same machine that was killed is not waited for."""
    process = get_context("spawn").Process(target=die, args=(tmp_path,))
    process.start()
    process.join()
    with closing(Claims(tmp_path)) as claims:
        assert (tmp_path / "claims" / KEY).is_file() and claims.holder(KEY) is None
        assert claims.take(KEY)


def another_host(folder: Path, age: float) -> None:
    """A run on another host that claimed KEY, with a heartbeat `age` seconds ago."""
    (folder / "runners").mkdir(parents=True)
    (folder / "claims").mkdir()
    runner = folder / "runners" / "other.json"
    runner.write_text(json.dumps({"host": "far", "pid": 7, "began": 0.0, "space": "another"}))
    os.utime(runner, (time.time() - age,) * 2)
    (folder / "claims" / KEY).write_text("other")


def test_a_run_on_another_host_is_believed_while_its_heart_beats(tmp_path: Path) -> None:
    """A claim of another host holds while the heartbeat is young, and names who has it."""
    another_host(tmp_path, age=60)
    with closing(Claims(tmp_path)) as claims:
        assert not claims.take(KEY) and claims.holder(KEY) == "far, process 7"


def test_a_heart_that_stopped_frees_the_claims(tmp_path: Path) -> None:
    """A claim whose run has missed six heartbeats is taken over."""
    another_host(tmp_path, age=121)
    with closing(Claims(tmp_path)) as claims:
        assert claims.holder(KEY) is None and claims.take(KEY)
        assert (tmp_path / "claims" / KEY).read_text() == claims.id


def test_the_heart_beats(tmp_path: Path) -> None:
    """A run that lives says so again and again, also after someone removed its file."""
    with closing(Claims(tmp_path, beat=0.05)) as claims:
        claims.take(KEY)
        (runner,) = (tmp_path / "runners").iterdir()
        os.utime(runner, (0, 0))
        deadline = time.monotonic() + 30
        while runner.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert runner.stat().st_mtime > 0
        runner.unlink()
        while not runner.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert runner.exists()


def test_a_claim_that_was_never_written_does_not_hold_for_ever(tmp_path: Path) -> None:
    """A run that died between creating a claim and writing its name into it blocks nobody for long."""
    (tmp_path / "claims").mkdir()
    claim = tmp_path / "claims" / KEY
    claim.touch()
    with closing(Claims(tmp_path)) as claims:
        assert not claims.take(KEY)
        os.utime(claim, (0, 0))
        assert claims.take(KEY)


class Waiting(Watcher):
    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, []

    def elsewhere(self, step: Step, who: str) -> None:
        self.seen.append(who)
        # the other run gives up without a result
        (self.folder / "runners" / "other.json").unlink()


def test_what_another_run_gave_up_is_done_here(tmp_path: Path) -> None:
    """A step that another run had claimed and did not finish is done by the run that waited for it."""
    plan = graph(tmp_path, width=1)
    another_host(tmp_path / "store", age=0)
    first = next(iter(plan.steps))
    (tmp_path / "store" / "claims" / KEY).rename(tmp_path / "store" / "claims" / first)
    store, watcher = Store(tmp_path / "store").open(), Waiting(tmp_path / "store")
    outcome = schedule(plan, store, get_executor("inline", store), watcher)
    assert watcher.seen == ["far, process 7"] and len(outcome.done) == 3


@pytest.mark.parametrize("root", ["/proc/nowhere"])
def test_without_claims_a_run_goes_on(root: str) -> None:
    """Where claims cannot be written the step is done all the same: claims are advice, not locks."""
    with closing(Claims(Path(root))) as claims:
        assert claims.take(KEY)
