"""The pool's own promises: what comes back from a worker, what a death means, who is ended with whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.contract.engines import Toy, wait_for
from tests.contract.tricks import Trick, gone, outcome

from xstilts.errors import StepFailed
from xstilts.executors import pool
from xstilts.executors.engine import Engine
from xstilts.executors.pool import Pool
from xstilts.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


@pytest.fixture
def two(store: Store) -> Iterator[Pool]:
    with closing(Pool(store, Engine(workers=2))) as executor:
        yield executor


@pytest.mark.parametrize(
    ("does", "words"),
    [("odd", "Odd: one and two"), ("interrupt", "KeyboardInterrupt"), ("leave", "SystemExit: enough")],
)
def test_what_cannot_cross_is_told_in_words(does: str, words: str, two: Pool) -> None:
    """An exception that no other process can make again, or that would end one, becomes a failure with type and
    words; the worker goes on."""
    failure = outcome(two, Trick(does=does))
    assert isinstance(failure, StepFailed) and str(failure) == words
    assert outcome(two, Toy(name="next")) is None


def test_a_failure_shows_where_in_the_worker(two: Pool) -> None:
    """The log has the traceback of the process where it happened."""
    failure = outcome(two, Toy(name="a", does="fail"))
    assert failure is not None and "in _fail" in "".join(failure.__notes__)


def test_a_worker_that_dies_idle_costs_nothing(two: Pool) -> None:
    """It is replaced before the next step, and no try is lost."""
    assert outcome(two, Toy(name="a")) is None
    worker = two._workers[0].process
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    assert outcome(two, Toy(name="b")) is None


def test_what_a_killed_worker_had_started_is_ended(store: Store, tmp_path: Path) -> None:
    """A death is seen though a forked child holds the pipes open, and the child goes too."""
    with closing(Pool(store, Engine(workers=1))) as executor:
        failure = outcome(executor, Trick(does="be_killed_with_a_child", scratch=str(tmp_path)))
    assert isinstance(failure, StepFailed)
    assert gone(int((tmp_path / "child").read_text()))


def test_a_step_that_will_not_end_is_killed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is over its time and does not unwind is killed with -9, and its seat is filled anew."""
    monkeypatch.setattr(pool, "GRACE", 0.5)
    with closing(Pool(store, Engine(workers=1, time_limit=6.0))) as executor:
        began = time.monotonic()
        assert "time limit" in str(outcome(executor, Trick(does="insist")))
        assert time.monotonic() - began < 60
        assert outcome(executor, Toy(name="next")) is None


def test_ctrl_c_is_the_parents(two: Pool, tmp_path: Path) -> None:
    """A worker takes no notice of Ctrl-C: its parent ends it, or does not."""
    step = Toy(name="a", does="wait", scratch=str(tmp_path))
    two.submit(step, "a step", lambda done, total: None)
    wait_for(tmp_path / "a-launches")
    os.kill(two._workers[0].process.pid or 0, signal.SIGINT)
    (tmp_path / "go").touch()
    assert two.wait() == (step.key, None)
    assert len((tmp_path / "a-launches").read_text().splitlines()) == 1


PARENT = """\
import sys
from pathlib import Path
from tests.contract.engines import Toy, wait_for
from xstilts.executors import get_executor
from xstilts.executors.engine import Engine
from xstilts.store import Store

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    executor = get_executor(Engine(workers=2), Store(folder / "store").open())
    for name in "ab":
        executor.submit(Toy(name=name, does="hang", scratch=str(folder)), "a step", lambda done, total: None)
    for name in "ab":
        wait_for(folder / f"{name}-launches")
    if sys.argv[2] == "stay":
        executor.wait()
"""


@pytest.mark.parametrize("how", ["killed with -9", "ended without closing"])
def test_workers_end_with_their_parent(how: str, store: Store, tmp_path: Path) -> None:
    """However a run ends, its workers end too, and their steps clean up."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    killed = how.startswith("killed")
    command = [sys.executable, "-W", "error", str(script), str(tmp_path), "stay" if killed else "go"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as parent:
        notes = [tmp_path / f"{name}-launches" for name in "ab"]
        for note in notes:
            wait_for(note)
        if killed:
            parent.kill()
        _, errors = parent.communicate(timeout=60)
    assert errors == ""
    assert all(gone(int(note.read_text())) for note in notes)
    assert not [path for path in store.root.rglob(".*") if path.is_dir()]


def test_more_steps_than_workers_wait(two: Pool) -> None:
    """What is submitted beyond the capacity runs when there is room."""
    steps = [Toy(name=str(i)) for i in range(5)]
    for step in steps:
        two.submit(step, "a step", lambda done, total: None)
    assert {two.wait() for _ in steps} == {(step.key, None) for step in steps}
