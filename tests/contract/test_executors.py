"""What every executor promises: the same tests over all of them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from xstilts.executors import EXECUTORS, Executor, get_executor
from xstilts.step import Step, Work
from xstilts.store import Store


class Toy(Step):
    kind: ClassVar[str] = "Toy"
    name: str
    does: str = ""
    scratch: str = ""

    def run(self, work: Work) -> None:
        if self.does == "fail":
            raise RuntimeError("broken on purpose")
        if self.does.startswith("die"):
            tries = Path(self.scratch) / "tries"
            with tries.open("a") as file:
                file.write("x")
            if self.does == "die always" or len(tries.read_text()) < 2:
                os.kill(os.getpid(), signal.SIGKILL)
        work.progress(1, 2)
        (work.out / "name.txt").write_text(self.name)
        work.progress(2, 2)


@pytest.fixture(params=sorted(EXECUTORS.targets()))
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Executor:
    engine = get_executor(request.param, Store(tmp_path / "store").open())
    with closing(engine):
        yield engine


def submit(engine: Executor, *steps: Toy) -> dict[str, Exception | None]:
    waiting, outcomes = list(steps), {}
    running = 0
    while waiting or running:
        while waiting and running < engine.capacity:
            engine.submit(waiting.pop(0), "a toy", lambda done, total: None)
            running += 1
        key, error = engine.wait()
        outcomes[key] = error
        running -= 1
    return outcomes


def test_every_step_is_published_once(executor: Executor, tmp_path: Path) -> None:
    """What is submitted is published, and each end is reported once."""
    steps = [Toy(name=str(i)) for i in range(7)]
    outcomes = submit(executor, *steps)
    assert outcomes == {step.key: None for step in steps}
    store = Store(tmp_path / "store")
    assert [(store.of(step) / "name.txt").read_text() for step in steps] == [str(i) for i in range(7)]


def test_a_failure_keeps_its_type_and_words(executor: Executor) -> None:
    """What a step raises comes back as it was raised; other steps are not touched."""
    bad, good = Toy(name="bad", does="fail"), Toy(name="good")
    outcomes = submit(executor, bad, good)
    assert isinstance(outcomes[bad.key], RuntimeError) and str(outcomes[bad.key]) == "broken on purpose"
    assert outcomes[good.key] is None


def test_progress_arrives(executor: Executor) -> None:
    """Examples are counted while a step runs."""
    seen: list[tuple[int, int]] = []
    executor.submit(Toy(name="a"), "a toy", lambda done, total: seen.append((done, total)))
    executor.wait()
    deadline = time.monotonic() + 5
    while (2, 2) not in seen and time.monotonic() < deadline:
        executor.submit(Toy(name=f"b{len(seen)}{time.monotonic()}"), "a toy", lambda d, t: seen.append((d, t)))
        executor.wait()
    assert (2, 2) in seen


def test_a_killed_worker_costs_one_more_try(tmp_path: Path) -> None:
    """A worker killed with -9 (out of memory, say) is replaced, and its step is tried once more."""
    store = Store(tmp_path / "store").open()
    with closing(get_executor("pool", store)) as engine:
        step = Toy(name="a", does="die once", scratch=str(tmp_path))
        assert submit(engine, step) == {step.key: None}
        assert store.has(step) and (tmp_path / "tries").read_text() == "xx"


def test_a_step_that_kills_every_worker_fails_and_the_others_go_on(tmp_path: Path) -> None:
    """Twice is enough: the step fails with a line that says so, and the run goes on."""
    store = Store(tmp_path / "store").open()
    with closing(get_executor("pool", store)) as engine:
        bad = Toy(name="a", does="die always", scratch=str(tmp_path))
        outcomes = submit(engine, bad)
        assert "died twice" in str(outcomes[bad.key])
        good = Toy(name="b")
        assert submit(engine, good) == {good.key: None}
