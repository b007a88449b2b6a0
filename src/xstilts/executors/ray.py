"""Ray: steps are tasks of a Ray cluster, or of a local Ray; processors, GPUs and memory are what Ray schedules by."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
import uuid
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from xstilts.errors import StepFailed, UserError

try:
    # Ray guards what it starts by this token where there is one, and forgets about it where it connects. It reads the
    # mode when it is imported; to change it afterwards would set this process against those that it starts
    if "ray" not in sys.modules and Path("~/.ray/auth_token").expanduser().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray
    from ray import exceptions as deaths
except ImportError:
    raise UserError("the executor ray needs Ray, which is not installed", remedy="pip install 'xstilts[ray]'") from None

from xstilts.executors.engine import MODELS, Engine
from xstilts.executors.job import GRACE, Job, again, overdue
from xstilts.executors.ray_cluster import connect, lacking, needs, nodes, places
from xstilts.executors.ray_worker import News, Progress, Task, work
from xstilts.step import Step
from xstilts.store import Store

log = logging.getLogger("xstilts")

_TICK, _LOOK = 1.0, 5.0
"""Seconds between two looks at time limits, and at what the cluster has."""
_AHEAD = 4
"""Steps that wait for each one that runs: so that no worker ever does, and a cluster that grows by demand sees some."""
_LESS = "ask for less (gpus, cpus, memory of the engine file), or add such a node and run again"


@dataclass
class _Launch:
    """A task of Ray's, running or waiting."""

    job: Job
    progress: Progress
    ref: Any
    due: float = math.inf
    """When it is killed, if it has not ended by itself; known once it has begun."""
    failure: StepFailed | None = None
    """Why it is being ended."""


class Ray:
    """One Ray task a step. Ray itself retries nothing: what follows a death is what `again` says, as everywhere.

    Connects to the cluster at `engine.address`, or starts a local Ray that ends with the run. In a process that is
    connected already (a notebook's) it uses that connection. Raises `UserError` where there is no such cluster.
    """

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store, self.engine = Store(store.root.absolute()), engine
        self._connected = connect(engine)
        self._events: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()
        self._launches: dict[int, _Launch] = {}
        self._ids = count(1)
        self._ended: deque[tuple[str, Exception | None]] = deque()
        self._functions: dict[str, Any] = {}
        self._mark = self.store.root / f".ray-{uuid.uuid4().hex[:16]}"
        self._mark.touch()
        self._news: Any = None
        self._listen()
        self._ticked = time.monotonic()
        self._look()

    def submit(self, step: Step, label: str, progress: Progress) -> None:
        """Hand the step to Ray. It fails with a `UserError` where no node has what it asks for."""
        if lacking(self._nodes, self._needs(step)):
            self._look()
        if lack := lacking(self._nodes, self._needs(step)):
            error = UserError(f"a step of kind {step.kind} cannot run: {lack}", file=self.engine.file, remedy=_LESS)
            self._ended.append((step.key, error))
        else:
            self._launch(Job.of(self.store, step, label, self.engine), progress)

    def wait(self, seconds: float | None = None) -> tuple[str, Exception | None] | None:
        """Pass progress on until a step ends. A step whose worker or node died is tried again; one that is over its
        time limit is ended, at the latest `GRACE` seconds later."""
        until = math.inf if seconds is None else time.monotonic() + seconds
        while not self._ended:
            with suppress(Empty):
                self._hear(*self._events.get(timeout=max(0.0, min(_TICK, until - time.monotonic()))))
            now = time.monotonic()
            if now >= self._ticked + _TICK:
                self._ticked = now
                self._tick(now)
            if not self._ended and now >= until:
                return None
        return self._ended.popleft()

    def close(self) -> None:
        """Cancel what still runs, and leave the cluster; a local Ray ends."""
        refs = [launch.ref for launch in self._launches.values()]
        self._launches.clear()
        if self._mark.exists():
            with suppress(deaths.RayError, ConnectionError):
                for ref in refs:
                    ray.cancel(ref)
                rest = ray.wait(refs, num_returns=len(refs), timeout=3 * GRACE)[1] if refs else []
                for ref in rest:
                    ray.cancel(ref, force=True)
                if self._news is not None:
                    ray.kill(self._news)
            self._mark.unlink()
            if self._connected:
                ray.shutdown()

    def _launch(self, job: Job, progress: Progress) -> None:
        kind, number, need = job.step.kind, next(self._ids), self._needs(job.step)
        if kind not in self._functions:
            # a worker that has used a GPU is not used again (max_calls): CUDA cannot move to the GPU of its next step,
            # and would hold on to memory of this one. Ray sees to that only where the number is given here
            self._functions[kind] = ray.remote(
                num_cpus=need["CPU"], num_gpus=need.get("GPU", 0), memory=need.get("memory"), max_retries=0, name=kind
            )(work)
        task = Task(job, number, need.get("GPU", 0.0), self.engine.time_limit, self._mark)
        ref = self._functions[kind].remote(task)
        self._launches[number] = _Launch(job, progress, ref)
        ref.future().add_done_callback(partial(self._put, number))

    def _listen(self) -> None:
        """Have what running steps say put among the events, as launch 0."""
        if self._news is None:
            # Ray starts it again where it dies with its node
            actor = ray.remote(num_cpus=0, max_restarts=-1)(News)
            self._news = actor.options(name=self._mark.name, get_if_exists=True).remote()
        self._news.hear.remote().future().add_done_callback(partial(self._put, 0))

    def _put(self, number: int, future: Future[Any]) -> None:
        self._events.put((number, future))

    def _hear(self, number: int, future: Future[Any]) -> None:
        """Take in what was said, or that a task has ended."""
        if number == 0 and future.exception():
            # a new one with the next tick: where there can be none, this is not to turn in circles
            self._news = None
        elif number == 0:
            for said, done, total in future.result():
                if (launch := self._launches.get(said)) is None:
                    continue
                if total:
                    launch.progress(done, total)
                else:
                    launch.due = time.monotonic() + (self.engine.time_limit or math.inf) + GRACE
            self._listen()
        elif launch := self._launches.pop(number, None):
            self._end(launch, future)

    def _end(self, launch: _Launch, future: Future[Any]) -> None:
        """Take note of how a task went."""
        job, why = launch.job, ""
        following: Job | Exception | None = None
        try:
            failure, unsaid = future.result()
        except deaths.RayTaskError as error:
            # not from the step, which returns what it raises: the node could not even read it
            cause = getattr(error.cause, "client_exc", error.cause)
            following = launch.failure or StepFailed(
                f"a node of the Ray cluster cannot run it ({type(cause).__name__}: {cause})",
                remedy="install the same xstilts and plug-ins on every node",
            )
        except deaths.RayError as error:
            why = type(error).__name__
            memory = isinstance(error, deaths.OutOfMemoryError)
            if not self.store.has(job.step):
                following = launch.failure or again(job, memory, why)
        else:
            if unsaid:
                launch.progress(*unsaid)
            if failure and failure.memory:
                following, why = again(job, out_of_memory=True), failure.words
            elif failure:
                following = launch.failure or failure.error()
        if isinstance(following, Job):
            log.warning("again   %s %s: %s", job.step.kind, job.label, why)
            self._launch(following, launch.progress)
        else:
            self._ended.append((job.step.key, following))

    def _tick(self, now: float) -> None:
        """End what should have ended by itself at its time limit, and what no node can run any more."""
        if self._news is None:
            self._listen()
        for launch in self._launches.values():
            if now >= launch.due:
                launch.failure = overdue(self.engine.time_limit or math.inf)
                ray.cancel(launch.ref, force=True)
        if now >= self._looked + _LOOK:
            self._look()
            for launch in self._launches.values():
                if launch.failure is None and (lack := lacking(self._nodes, self._needs(launch.job.step))):
                    launch.failure = StepFailed(f"it waits for what is gone: {lack}", remedy=_LESS)
                    ray.cancel(launch.ref)

    def _look(self) -> None:
        """See what the cluster has now. `capacity`: what the engine says, else some more than there is room for."""
        self._nodes, self._looked = nodes(), time.monotonic()
        room = max(1, places(self._nodes, needs(self.engine)))
        self.capacity = self.engine.workers or (1 + _AHEAD) * room

    def _needs(self, step: Step) -> dict[str, float]:
        return needs(self.engine, self._gpus(step), self.engine.processes_of(step))

    def _gpus(self, step: Step) -> float:
        """GPUs of a step. Where nobody says so and the cluster has some, one for each step that runs a model: else all
        would run on processors, side by side with idle GPUs."""
        if self.engine.gpus or not any(node.get("GPU") for node in self._nodes):
            return self.engine.gpus_of(step)
        return float(self.engine.processes_of(step)) if step.kind in MODELS else 0.0
