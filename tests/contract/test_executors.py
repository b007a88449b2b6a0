"""What every executor promises: the same tests over all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
from tests.contract.engines import ALL, KILLABLE, Toy, engine_for, wait_for

from xstilts.errors import StepFailed
from xstilts.executors import Executor, get_executor
from xstilts.store import Store

Make = Callable[..., Executor]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Iterator[Make]:
    """Makes executors by name, with changes to their engines, and closes them."""
    with ExitStack() as stack:

        def one(name: str, **changes: object) -> Executor:
            engine = engine_for(name, tmp_path).model_copy(update=changes)
            return stack.enter_context(closing(get_executor(engine, store)))

        yield one


def submit(executor: Executor, *steps: Toy) -> dict[str, Exception | None]:
    """How each step ended. All are given at once, up to the executor's capacity."""
    waiting, outcomes, running = list(steps), dict[str, Exception | None](), 0
    while waiting or running:
        while waiting and running < executor.capacity:
            executor.submit(waiting.pop(0), "a toy", lambda done, total: None)
            running += 1
        ended = executor.wait()
        assert ended is not None and ended[0] not in outcomes
        outcomes[ended[0]] = ended[1]
        running -= 1
    return outcomes


def launches(step: Toy) -> int:
    return len((Path(step.scratch) / f"{step.name}-launches").read_text().splitlines())


@pytest.mark.parametrize("name", ALL)
def test_every_step_is_published_once(name: str, make: Make, store: Store) -> None:
    """What is submitted is published, and each end is reported once."""
    steps = [Toy(name=str(i)) for i in range(7)]
    assert submit(make(name), *steps) == {step.key: None for step in steps}
    assert [(store.of(step) / "name.txt").read_text() for step in steps] == [str(i) for i in range(7)]


@pytest.mark.parametrize("name", ALL)
def test_a_failure_keeps_its_type_and_words(name: str, make: Make) -> None:
    """What a step raises comes back as it was raised, with what to type; other steps are not touched."""
    bad, told, good = Toy(name="bad", does="fail"), Toy(name="told", does="fail with remedy"), Toy(name="good")
    outcomes = submit(make(name), bad, told, good)
    assert isinstance(outcomes[bad.key], RuntimeError) and str(outcomes[bad.key]) == "broken on purpose"
    failure = outcomes[told.key]
    assert isinstance(failure, StepFailed) and (str(failure), failure.remedy) == ("broken on purpose", "mend it")
    assert outcomes[good.key] is None


@pytest.mark.parametrize("name", ALL)
def test_progress_arrives(name: str, make: Make) -> None:
    """Examples are counted while a step runs, and all of them before its end is told."""
    seen: list[tuple[int, int]] = []
    executor = make(name)
    executor.submit(Toy(name="a"), "a toy", lambda done, total: seen.append((done, total)))
    executor.wait()
    assert seen[-1] == (2, 2) and seen == sorted(seen)


@pytest.mark.parametrize("name", ALL)
def test_memory_that_ran_out_is_asked_for_half(name: str, make: Make, store: Store) -> None:
    """A step that raises `MemoryError` is launched again with its batch halved once."""
    step = Toy(name="a", does="need memory")
    assert submit(make(name), step) == {step.key: None}
    assert (store.of(step) / "halvings.txt").read_text() == "1"


@pytest.mark.parametrize("name", ALL)
def test_a_link_in_a_steps_output_is_refused(name: str, make: Make, store: Store) -> None:
    """What a link points at may lie outside of the store: the step fails, and nothing is published."""
    step = Toy(name="a", does="link")
    failure = submit(make(name), step)[step.key]
    assert isinstance(failure, StepFailed) and "link is a link" in str(failure)
    assert not store.has(step)


@pytest.mark.parametrize("name", ALL)
def test_a_step_that_hangs_is_ended_at_its_time_limit(name: str, make: Make, store: Store) -> None:
    """It fails with a line that says how long it had and what to type; its folder is gone, and the rest goes on."""
    bad, good = Toy(name="bad", does="hang"), [Toy(name=str(i)) for i in range(3)]
    outcomes = submit(make(name, time_limit=8.0), bad, *good)
    failure = outcomes.pop(bad.key)
    assert isinstance(failure, StepFailed) and "8 s" in str(failure) and "--time-limit" in failure.remedy
    assert outcomes == {step.key: None for step in good}
    assert not half_written(store)


@pytest.mark.parametrize("name", KILLABLE)
def test_a_killed_worker_costs_one_more_try(name: str, make: Make, store: Store, tmp_path: Path) -> None:
    """A worker killed with -9 is replaced, and its step is tried once more."""
    step = Toy(name="a", does="die once", scratch=str(tmp_path))
    assert submit(make(name), step) == {step.key: None}
    assert store.has(step) and launches(step) == 2


@pytest.mark.parametrize("name", KILLABLE)
def test_a_step_that_kills_every_worker_fails_and_the_others_go_on(name: str, make: Make, tmp_path: Path) -> None:
    """Twice is enough: the step fails with a line that says so, and the run goes on."""
    bad, good = Toy(name="a", does="die always", scratch=str(tmp_path)), [Toy(name=str(i)) for i in range(3)]
    outcomes = submit(make(name), bad, *good)
    failure = outcomes.pop(bad.key)
    assert isinstance(failure, StepFailed) and "died twice" in str(failure)
    assert launches(bad) == 2 and outcomes == {step.key: None for step in good}


@pytest.mark.parametrize("name", KILLABLE)
def test_the_death_of_a_worker_touches_no_other_step(name: str, make: Make, tmp_path: Path) -> None:
    """A step that runs while the worker of another is killed with -9 goes on, in the worker that it has."""
    executor = make(name)
    beside = Toy(name="beside", does="wait", scratch=str(tmp_path))
    victim = Toy(name="victim", does="die once beside", scratch=str(tmp_path))
    for step in (beside, victim):
        executor.submit(step, "a toy", lambda done, total: None)
    assert executor.wait() == (victim.key, None)
    (tmp_path / "go").touch()
    assert executor.wait() == (beside.key, None)
    assert launches(victim) == 2 and launches(beside) == 1


@pytest.mark.parametrize("name", KILLABLE)
def test_waiting_ends_in_time(name: str, make: Make, tmp_path: Path) -> None:
    """`wait(seconds)` returns None when nothing has ended by then, and what runs goes on."""
    executor = make(name)
    step = Toy(name="a", does="wait", scratch=str(tmp_path))
    executor.submit(step, "a toy", lambda done, total: None)
    began = time.monotonic()
    assert executor.wait(1.0) is None
    assert 1.0 <= time.monotonic() - began < 15
    (tmp_path / "go").touch()
    assert executor.wait() == (step.key, None)


@pytest.mark.parametrize("name", KILLABLE)
def test_closing_leaves_no_folder_and_no_process(name: str, make: Make, store: Store, tmp_path: Path) -> None:
    """Steps that run when a run is broken off are ended, and clean up behind them."""
    executor = make(name)
    steps = [Toy(name=str(i), does="hang", scratch=str(tmp_path)) for i in range(2)]
    for step in steps:
        executor.submit(step, "a toy", lambda done, total: None)
    assert executor.wait(0.1) is None  # not before does Slurm send what has gathered
    notes = [tmp_path / f"{step.name}-launches" for step in steps]
    for note in notes:
        wait_for(note)
    executor.close()
    processes = [int(note.read_text()) for note in notes]
    until = time.monotonic() + 30
    while (any(map(psutil.pid_exists, processes)) or half_written(store)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(psutil.pid_exists, processes))
    # Ray ends by force what does not wake in time on a loaded machine; `store gc` removes what such a worker leaves
    assert name == "ray" or not half_written(store)
    assert not any(map(store.has, steps))


def half_written(store: Store) -> list[Path]:
    """Folders of steps that are neither published nor gone."""
    return [path for path in store.root.rglob(".*") if path.is_dir()]
