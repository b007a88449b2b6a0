"""What the contract tests run: an engine for each executor, and steps that do what a test needs."""

from __future__ import annotations

import atexit
import os
import signal
import time
from functools import cache
from pathlib import Path
from typing import ClassVar

from tests import slurm_cluster

from xstilts.errors import StepFailed
from xstilts.executors import EXECUTORS
from xstilts.executors.engine import Engine
from xstilts.step import Step, Work

ALL = tuple(sorted(EXECUTORS.targets()))
KILLABLE = tuple(name for name in ALL if name != "inline")
"""Executors with workers of their own. `inline` runs steps in the test's process: what kills a step would kill the
test, and there is nothing beside a running step."""


def engine_for(name: str, tmp_path: Path) -> Engine:
    """The engine that an executor's tests run on: two steps at a time where it can."""
    if name == "slurm":
        slurm_cluster.in_reach()
    return Engine(executor=name, workers=2, address=ray_address() if name == "ray" else None)


@cache
def ray_address() -> str:
    """Of a Ray cluster that all tests share: to start one takes seconds. It ends with the test process."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    atexit.register(cluster.shutdown)
    return str(cluster.address)


class Toy(Step):
    """A step that does one thing. Where it is said to, it waits or notes its launches in the folder `scratch`."""

    kind: ClassVar[str] = "Toy"
    name: str
    does: str = ""
    scratch: str = ""

    def run(self, work: Work) -> None:
        launch = self._note_launch() if self.scratch else 1
        getattr(self, f"_{self.does.replace(' ', '_')}", lambda *_: None)(work, launch)
        work.progress(1, 2)
        (work.out / "name.txt").write_text(self.name)
        work.progress(2, 2)

    def _note_launch(self) -> int:
        launches = Path(self.scratch) / f"{self.name}-launches"
        with launches.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return len(launches.read_text().splitlines())

    def _fail(self, work: Work, launch: int) -> None:
        raise RuntimeError("broken on purpose")

    def _fail_with_remedy(self, work: Work, launch: int) -> None:
        raise StepFailed("broken on purpose", remedy="mend it")

    def _die_once(self, work: Work, launch: int) -> None:
        if launch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def _die_always(self, work: Work, launch: int) -> None:
        os._exit(7)

    def _die_once_beside(self, work: Work, launch: int) -> None:
        """Not before the step called `beside` runs."""
        wait_for(Path(self.scratch) / "beside-launches")
        self._die_once(work, launch)

    def _wait(self, work: Work, launch: int) -> None:
        """For the test to say go."""
        wait_for(Path(self.scratch) / "go", empty=True)

    def _hang(self, work: Work, launch: int) -> None:
        (work.out / "half-written").touch()
        time.sleep(600)

    def _need_memory(self, work: Work, launch: int) -> None:
        if work.halvings == 0:
            raise MemoryError("as much as that")
        (work.out / "halvings.txt").write_text(str(work.halvings))

    def _link(self, work: Work, launch: int) -> None:
        (work.out / "link").symlink_to("/etc/hostname")


def wait_for(path: Path, seconds: float = 120, empty: bool = False) -> None:
    """Until a file is there with something in it, or `empty` too: who opens one to write makes it first and fills it
    then. Raises `TimeoutError`."""
    until = time.monotonic() + seconds
    while not path.exists() or not (empty or path.stat().st_size):
        if time.monotonic() > until:
            raise TimeoutError(f"no {path.name} after {seconds} s")
        time.sleep(0.02)
