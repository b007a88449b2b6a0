"""What Ray adds to what every executor promises: a cluster, its nodes, and GPUs as something that is scheduled."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster
from ray.exceptions import OutOfMemoryError
from tests.contract.engines import wait_for

from xstilts.errors import StepFailed, UserError
from xstilts.executors import get_executor
from xstilts.executors.engine import Engine
from xstilts.executors.ray import Ray
from xstilts.step import Step, Work
from xstilts.store import Store

Make = Callable[..., Ray]
NODE = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


class Seen(Step):
    """Notes where it runs, waits for so many to run beside it, or for the file `go`."""

    kind: ClassVar[str] = "Score"
    name: str
    scratch: str
    beside: int = 1
    seconds: float = 0.0
    waits: bool = False

    def run(self, work: Work) -> None:
        here = {"node": ray.get_runtime_context().get_node_id(), "pid": os.getpid(),
                "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}  # fmt: skip
        with (Path(self.scratch) / f"{self.name}.seen").open("a") as file:
            file.write(json.dumps(here) + "\n")
        until = time.monotonic() + 90
        while len(list(Path(self.scratch).glob("*.seen"))) < self.beside:
            assert time.monotonic() < until, "it was to run beside others, and does not"
            time.sleep(0.05)
        time.sleep(self.seconds)
        done = 0
        while self.waits and not (Path(self.scratch) / "go").exists():
            assert time.monotonic() < until, "nobody said go"
            time.sleep(0.1)
            work.progress(done := done + 1, 1000)
        (work.out / "name.txt").write_text(self.name)


class OnGpu(Seen):
    kind: ClassVar[str] = "Train"


class Unreadable(Step):
    kind: ClassVar[str] = "Score"


Unreadable.__module__ = "not_on_the_nodes"


def seen(step: Seen) -> list[dict[str, Any]]:
    """Where its launches ran."""
    return [json.loads(line) for line in (Path(step.scratch) / f"{step.name}.seen").read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """The classes of this file are found by its name, on nodes that start with this in their environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        yield


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of one node with four processors and two GPUs, none of which need exist."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 4, "num_gpus": 2})
    yield cluster.address
    cluster.shutdown()


@pytest.fixture
def two() -> Iterator[tuple[Cluster, Any]]:
    """A cluster of two nodes with a processor each, and that of the two which may be killed."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 1})
    yield cluster, cluster.add_node(num_cpus=1, object_store_memory=NODE["object_store_memory"])
    cluster.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


@pytest.fixture
def make(store: Store) -> Iterator[Make]:
    """Makes executors and closes them."""
    with ExitStack() as stack:

        def one(**engine: Any) -> Ray:
            executor = get_executor(Engine(executor="ray", **engine), store)
            assert isinstance(executor, Ray)
            return stack.enter_context(closing(executor))

        yield one


def submit(executor: Ray, *steps: Step) -> dict[str, Exception | None]:
    """How each ended; all are handed over at once."""
    for step in steps:
        executor.submit(step, step.kind, lambda done, total: None)
    ended = [executor.wait(120) for _ in steps]
    return {end[0]: end[1] for end in ended if end is not None}


def test_halves_of_gpus_are_shared_out(address: str, make: Make, tmp_path: Path) -> None:
    """Four steps that ask for half a GPU run at a time on two GPUs, two on each, and see no other."""
    steps = [OnGpu(name=str(i), scratch=str(tmp_path), beside=4) for i in range(4)]
    assert submit(make(address=address, gpus={"Train": 0.5}), *steps) == {step.key: None for step in steps}
    assert sorted(seen(step)[0]["gpus"] for step in steps) == ["0", "0", "1", "1"]


def test_a_step_without_a_gpu_sees_none(address: str, make: Make, tmp_path: Path) -> None:
    """What was not asked for is not used, nor by a process that another step has used a GPU in."""
    on, off = (kind(name=kind.kind, scratch=str(tmp_path)) for kind in (OnGpu, Seen))
    executor = make(address=address, gpus={"Train": 1, "Score": 0})
    assert submit(executor, on) == {on.key: None}
    assert submit(executor, off) == {off.key: None}
    assert seen(on)[0]["gpus"] in ("0", "1") and seen(off)[0]["gpus"] == ""
    assert seen(on)[0]["pid"] != seen(off)[0]["pid"]


def test_a_model_gets_a_gpu_where_there_are_some(address: str, make: Make, tmp_path: Path) -> None:
    """On a cluster with GPUs a training takes one though the engine does not say so; a score takes none."""
    on, off = (kind(name=kind.kind, scratch=str(tmp_path)) for kind in (OnGpu, Seen))
    assert submit(make(address=address), on, off) == {on.key: None, off.key: None}
    assert seen(on)[0]["gpus"] in ("0", "1") and seen(off)[0]["gpus"] == ""


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"gpus": {"Train": 3}}, ["3 GPUs", "4 processors, 2 GPUs"]),
        ({"gpus": {"Train": 1.5}}, ["1.5 GPUs", "a fraction"]),
        ({"cpus": 5}, ["5 processors", "4 processors, 2 GPUs"]),
        ({"memory": 1e6}, ["1e+06 GiB", "4 processors, 2 GPUs"]),
    ],
)
def test_a_step_that_no_node_can_run_says_so(
    engine: dict[str, Any], words: list[str], address: str, make: Make, tmp_path: Path
) -> None:
    """It fails at once with what it asks for and what the nodes have, where Ray would wait for ever."""
    step = OnGpu(name="a", scratch=str(tmp_path))
    error = submit(make(address=address, **engine), step)[step.key]
    assert isinstance(error, UserError) and all(word in str(error) for word in words)


def test_the_time_that_a_step_waits_is_not_counted(address: str, make: Make, tmp_path: Path) -> None:
    """A time limit begins with the step: the second of two that run one after the other has as long as the first."""
    steps = [Seen(name=str(i), scratch=str(tmp_path), seconds=4.0) for i in range(2)]
    assert submit(make(address=address, cpus=4, time_limit=7.0), *steps) == {step.key: None for step in steps}


def test_progress_is_seen_while_a_step_runs(address: str, make: Make, tmp_path: Path) -> None:
    """Not only at its end; and its last word is never lost."""
    said: list[int] = []
    executor = make(address=address)
    executor.submit(Seen(name="a", scratch=str(tmp_path), waits=True), "a", lambda done, total: said.append(done))
    until = time.monotonic() + 60
    while not said and time.monotonic() < until:
        assert executor.wait(0.5) is None
    assert said
    early = len(said)
    (tmp_path / "go").touch()
    assert executor.wait() is not None
    assert len(said) > early and said == sorted(said)


def test_progress_outlives_what_carries_it(address: str, make: Make, tmp_path: Path) -> None:
    """The actor that running steps talk to is replaced when it dies."""
    said: list[int] = []
    executor = make(address=address)
    ray.kill(executor._news)
    assert executor.wait(3.0) is None
    executor.submit(Seen(name="a", scratch=str(tmp_path), waits=True), "a", lambda done, total: said.append(done))
    until = time.monotonic() + 60
    while not said and time.monotonic() < until:
        assert executor.wait(0.5) is None
    assert said


def test_a_step_that_a_node_cannot_read_fails_with_the_reason(address: str, make: Make, monkeypatch: Any) -> None:
    """A plug-in that is not installed on a node is named; nothing is tried again."""
    # importable here and nowhere else
    monkeypatch.setitem(sys.modules, "not_on_the_nodes", sys.modules[__name__])
    error = submit(make(address=address), step := Unreadable())[step.key]
    assert isinstance(error, StepFailed) and "No module named 'not_on_the_nodes'" in str(error)


def test_a_node_that_does_not_share_the_store_is_named(address: str, make: Make, store: Store, tmp_path: Path) -> None:
    """Its work would be lost: the step fails with what to do, and writes nothing."""
    executor = make(address=address)
    next(store.root.glob(".ray-*")).rename(tmp_path / "elsewhere")
    step = Seen(name="a", scratch=str(tmp_path))
    error = submit(executor, step)[step.key]
    (tmp_path / "elsewhere").rename(executor._mark)
    assert isinstance(error, StepFailed) and "is not on this node" in str(error) and "--store" in error.remedy
    assert not (tmp_path / "a.seen").exists()


def test_memory_that_ray_takes_for_run_out_is_asked_for_half(address: str, make: Make, tmp_path: Path) -> None:
    """A worker that Ray's memory monitor has killed counts as one that memory ran out for, not as a death."""
    executor = make(address=address)
    executor.submit(Seen(name="a", scratch=str(tmp_path), waits=True), "a", lambda done, total: None)
    ((number, launch),) = executor._launches.items()
    ray.cancel(launch.ref, force=True)
    executor._launches.pop(number)
    killed: Future[Any] = Future()
    killed.set_exception(OutOfMemoryError("the node was running low on memory"))
    executor._end(launch, killed)
    ((_, following),) = executor._launches.items()
    assert (following.job.halvings, following.job.deaths) == (1, 0)
    (tmp_path / "go").touch()
    assert executor.wait(60) == (launch.job.step.key, None)


def test_a_cluster_outlives_the_run(address: str, make: Make) -> None:
    """Closing disconnects from a cluster that was there before; it takes the next run."""
    make(address=address).close()
    assert not ray.is_initialized()
    make(address=address).close()


def test_two_nodes_share_the_steps_and_the_death_of_one_costs_none(
    two: tuple[Cluster, Any], make: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each node runs one of two steps. One node is killed meanwhile: its step is done anew on the other. What Ray has
    to say of that does not go to the terminal."""
    cluster, other = two
    executor = make(address=cluster.address)
    capfd.readouterr()
    steps = [Seen(name=str(i), scratch=str(tmp_path), beside=2, waits=True) for i in range(2)]
    for step in steps:
        executor.submit(step, step.name, lambda done, total: None)
    for step in steps:
        wait_for(tmp_path / f"{step.name}.seen")
    where = {seen(step)[0]["node"]: step for step in steps}
    assert len(where) == 2
    lost = where.pop(other.node_id)
    ((head, kept),) = where.items()
    # as when a machine is lost: its raylet and its workers at a time
    cluster.remove_node(other, allow_graceful=False)
    with suppress(ProcessLookupError):
        os.kill(seen(lost)[0]["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    ended = [executor.wait(120) for _ in steps]
    assert sorted(end for end, error in ended if error is None) == sorted(step.key for step in steps)
    assert [launch["node"] for launch in seen(lost)] == [other.node_id, head] and len(seen(kept)) == 1
    assert capfd.readouterr().out == ""


RUN = """
import sys
from pathlib import Path
from test_ray import Seen
from xstilts.executors import get_executor
from xstilts.executors.engine import Engine
from xstilts.store import Store
scratch, how, address = sys.argv[1:]
executor = get_executor(Engine(executor="ray", workers=1, address=address or None), Store(Path(scratch)).open())
executor.submit(Seen(name="a", scratch=scratch, waits=how == "wait"), "a", lambda done, total: None)
print(executor.wait()[1], flush=True)
executor.close()
"""


def run_apart(tmp_path: Path, how: str = "", address: str = "") -> subprocess.Popen[str]:
    """A run of one step in a process of its own, as the command line's."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}:{Path(__file__).parent}"}
    # set in this process by its own cluster, and in no one's shell
    environment.pop("RAY_AUTH_MODE", None)
    command = [sys.executable, "-W", "error", "-c", RUN, str(tmp_path), how, address]
    return subprocess.Popen(
        command, env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_another_process_finds_the_cluster_by_its_address(address: str, tmp_path: Path) -> None:
    """With the token that guards it, where there is one; and nothing is said on the way."""
    assert run_apart(tmp_path, address=address).communicate(timeout=120)[0] == "None\n"


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_a_local_ray_ends_with_its_run(killed: bool, tmp_path: Path) -> None:
    """Nothing of it is left, whether the run comes to its end or is killed with -9; and it says nothing."""
    run = run_apart(tmp_path, "wait" if killed else "")
    wait_for(tmp_path / "a.seen")
    started = psutil.Process(run.pid).children(recursive=True)
    names = {process.pid: process.name() for process in started}
    assert seen(Seen(name="a", scratch=str(tmp_path)))[0]["pid"] in names
    if killed:
        run.send_signal(signal.SIGKILL)
    output = run.communicate(timeout=120)[0]
    assert output == ("" if killed else "None\n")
    if killed:
        # two agents of Ray's own take a minute or so to see that their node is gone
        started = [process for process in started if not names[process.pid].endswith("Agent")]
    _, left = psutil.wait_procs(started, timeout=60)
    assert started and not left


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "somewhere", "auto"])
def test_a_cluster_that_is_not_there_is_said_at_once(address: str, make: Make, monkeypatch: Any) -> None:
    """In one line with what to write, in seconds."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address == "auto":
        # whatever runs on this machine, this is the answer where nothing does
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(UserError, match="address|cluster") as error:
        make(address=address)
    assert "\n" not in str(error.value) and time.monotonic() - began < 30


def test_without_ray_it_is_said_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the executor needs Ray."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "xstilts.executors.ray")
    with pytest.raises(UserError, match=r"pip install 'xstilts\[ray\]'"):
        get_executor("ray", store)
    monkeypatch.undo()
    importlib.import_module("xstilts.executors.ray")
