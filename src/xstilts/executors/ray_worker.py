"""The far side of the executor `ray`: what a task does on a node, and the actor that carries its progress back."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import ray

from xstilts.errors import StepFailed
from xstilts.executors.failure import Failure
from xstilts.executors.job import Job, run_job
from xstilts.executors.limit import within

_PAUSE = 1.0
"""Least seconds between two messages of a step. One that is shorter sends none: its last goes with the result."""
_SIGHT = 3.0
"""Seconds that a file which was written before may take to be seen on another node."""

_PULSE = 1.0
"""Seconds between two signals in a running step, without which one that sleeps would not hear that it is cancelled."""

Progress = Callable[[int, int], None]


class News:
    """Carries what running steps say to the run that launched them; a Ray actor that takes no processor."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[tuple[int, int, int]] = asyncio.Queue()

    async def say(self, launch: int, done: int, total: int) -> None:
        """Progress of a launch; (0, 0): it has begun."""
        self._said.put_nowait((launch, done, total))

    async def hear(self) -> list[tuple[int, int, int]]:
        """What was said since the last time, as soon as there is something."""
        said = [await self._said.get()]
        while not self._said.empty():
            said.append(self._said.get_nowait())
        return said


@dataclass(frozen=True)
class Task:
    """What a worker is sent: all in one, since Ray takes its time over each argument."""

    job: Job
    launch: int
    """Number of this launch."""
    gpus: float
    limit: float | None
    """Seconds that it may run."""
    mark: Path
    """A file in the store; a node that cannot see it does not share the folder. Its name is the actor's too."""


def work(task: Task) -> tuple[Failure | None, tuple[int, int] | None]:
    """Run and publish one step. How it went, and the last of its progress if that was not said yet.

    `KeyboardInterrupt`, by which Ray cancels a task, passes through: the step unwinds and cleans up.
    """
    if not task.gpus:
        # Ray leaves all GPUs of a node visible to a task that asked for none
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    teller = _Teller(task)
    if task.limit is not None:
        teller.say(0, 0)
    try:
        _look_for(task.mark)
        within(task.limit, partial(run_job, task.job, teller), _PULSE)
    except (Exception, SystemExit) as error:
        return Failure.of(error), teller.unsaid
    return None, teller.unsaid


class _Teller:
    """Progress of one step on its way to the actor, thinned out."""

    def __init__(self, task: Task) -> None:
        self.task, self.next = task, time.monotonic() + _PAUSE
        self.unsaid: tuple[int, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        self.unsaid = (done, total)
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + _PAUSE
            self.say(done, total)
            self.unsaid = None

    def say(self, done: int, total: int) -> None:
        # no actor, no progress: nothing else hangs on it
        with suppress(ValueError):
            _actor(self.task.mark.name).say.remote(self.task.launch, done, total)


@lru_cache(maxsize=1)
def _actor(name: str) -> Any:
    return ray.get_actor(name)


@lru_cache(maxsize=1)
def _look_for(mark: Path) -> None:
    """Raises `StepFailed` where the store is not on this node. Looked up once in a process."""
    until = time.monotonic() + _SIGHT
    while not mark.exists():
        if time.monotonic() > until:
            raise StepFailed(
                f"the store {mark.parent} is not on this node ({platform.node()}); it must be on a shared folder",
                remedy="name a folder that all nodes see, with --store DIR or XSTILTS_STORE; then run again",
            )
        time.sleep(0.2)
