"""Pool: as many steps at a time as there are processors, each in a worker process of its own."""

from __future__ import annotations

import logging
import math
import os
import signal
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.process import BaseProcess

from xstilts.executors.engine import Engine
from xstilts.executors.failure import Failure
from xstilts.executors.job import GRACE, Job, again, overdue
from xstilts.executors.memory import oom_kills
from xstilts.executors.pool_worker import serve
from xstilts.executors.seats import seats
from xstilts.step import Step
from xstilts.store import Store

log = logging.getLogger("xstilts")

_TICK = 1.0
"""Seconds between two looks at whether workers live. Their ends are told at once, unless something that a step has
forked still holds the worker's end of a pipe."""

Progress = Callable[[int, int], None]


class Pool:
    """Worker processes that live as long as the run, so that torch is imported once in each.

    How many, and which GPUs each has: `seats`. Raises `UserError` where a step is to have more GPUs than there are.
    """

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store, self.engine = store, engine
        self._workers = [_Worker(environment) for environment in seats(engine)]
        self.capacity = len(self._workers)
        self._waiting: deque[tuple[Job, Progress]] = deque()
        self._ended: deque[tuple[str, Exception | None]] = deque()
        self._oom_kills = oom_kills()
        # also where nobody closes it: Python waits at its end for processes that still run
        self._end = weakref.finalize(self, _end_all, self._workers)

    def submit(self, step: Step, label: str, progress: Progress) -> None:
        """Hand the step to a worker, at once where one is free."""
        self._waiting.append((Job.of(self.store, step, label, self.engine), progress))
        self._launch()

    def wait(self, seconds: float | None = None) -> tuple[str, Exception | None] | None:
        """Pass progress on until a step ends. A step whose worker died is tried again; other steps are not touched. One
        that is over its time limit is ended, at the latest `GRACE` seconds later."""
        until = math.inf if seconds is None else time.monotonic() + seconds
        while not self._ended:
            busy = [worker for worker in self._workers if worker.job]
            first = min([until, *(worker.due for worker in busy)])
            awake = connection.wait(
                [thing for worker in busy for thing in (worker.pipe, worker.process.sentinel)],
                timeout=min(max(first - time.monotonic(), 0), _TICK),
            )
            for worker in busy:
                speaks = worker.pipe not in awake or self._hear(worker)
                if not worker.job:
                    continue
                if not speaks or not worker.process.is_alive():
                    self._died(worker)
                elif time.monotonic() >= worker.due:
                    self._overdue(worker)
            self._launch()
            if not self._ended and time.monotonic() >= until:
                return None
        return self._ended.popleft()

    def close(self) -> None:
        """End the workers; what they were doing is dropped."""
        self._end()

    def _launch(self) -> None:
        for worker in self._workers:
            if self._waiting and not worker.job:
                worker.give(*self._waiting.popleft(), self.engine.time_limit or math.inf)

    def _hear(self, worker: _Worker) -> bool:
        """Take in what a worker has said. False where it says nothing any more."""
        while worker.job and worker.pipe.poll():
            try:
                said = worker.pipe.recv()
            except (EOFError, OSError):
                return False
            if isinstance(said, tuple):
                worker.progress(*said)
            else:
                self._take(worker, said)
        return True

    def _take(self, worker: _Worker, failure: Failure | None) -> None:
        """A step has ended in a worker that lives."""
        job, worker.job = worker.job, None
        assert job is not None
        if failure is None or not failure.memory:
            self._ended.append((job.step.key, None if failure is None else failure.error()))
            return
        # what a step that failed still holds is given back for certain when its process ends
        worker.stop(GRACE)
        self._follow(job, worker.progress, again(job, out_of_memory=True), failure.words)

    def _died(self, worker: _Worker) -> None:
        """A worker is no more. If it had finished its step before, nothing is lost."""
        # the pipe may end a moment before the process
        worker.process.join(1.0)
        code = worker.stop()
        self._hear(worker)
        job, worker.job = worker.job, None
        if job is not None:
            out_of_memory = code == -signal.SIGKILL and self._memory_ran_out()
            how = "memory ran out" if out_of_memory else signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self._follow(job, worker.progress, again(job, out_of_memory, how), f"its worker died ({how})")

    def _memory_ran_out(self) -> bool:
        """Whether a worker that was killed with -9 just now was killed by the kernel for want of memory; so it is taken
        to be where the kernel does not say."""
        kills = oom_kills()
        if kills is None or self._oom_kills is None:
            return True
        rose = kills > self._oom_kills
        # by one: the next worker may have been killed at the same time
        self._oom_kills += rose
        return rose

    def _follow(self, job: Job, progress: Progress, following: Job | Exception, why: str) -> None:
        """Launch a step again before all others, or let it fail."""
        if isinstance(following, Job):
            log.warning("again   %s %s: %s", job.step.kind, job.label, why)
            self._waiting.appendleft((following, progress))
        else:
            self._ended.append((job.step.key, following))

    def _overdue(self, worker: _Worker) -> None:
        """End a step that takes too long, if it has not ended by itself meanwhile."""
        worker.stop(GRACE)
        self._hear(worker)
        job, worker.job = worker.job, None
        if job is not None:
            self._ended.append((job.step.key, overdue(self.engine.time_limit or math.inf)))


# spawned, not forked: torch's threads do not survive a fork
_CONTEXT = get_context("spawn")


class _Worker:
    """A place for one worker process: started with the first step, and again after its process has ended."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.process: BaseProcess = _CONTEXT.Process()
        """Has no pid before it is started."""
        self.job: Job | None = None
        """What it is doing."""

    def give(self, job: Job, progress: Progress, seconds: float) -> None:
        """Let it do a job within so many seconds."""
        if not self.process.is_alive():
            self.clear()
            self._start()
        self.job, self.progress, self.due = job, progress, time.monotonic() + seconds
        # if it has died since: that is found when it is waited for
        with suppress(OSError):
            self.pipe.send(job)

    def _start(self) -> None:
        self.pipe, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=serve, args=(theirs, self.environment))
        # Ctrl-C is for this process alone, from the first moment: a new process takes over what is blocked here. The
        # tracker comes first, since it unblocks
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def stop(self, grace: float = 0.0) -> int:
        """End the process and what it has started, and return its exit code (negative: by that signal). A running
        step has `grace` seconds to clean up."""
        if grace:
            self.process.terminate()
        self.process.join(grace)
        code = self.process.exitcode
        with suppress(ProcessLookupError, PermissionError):
            assert self.process.pid, "0 would be this process and all of its group"
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        # not for ever: nothing ends a process that waits for a file server
        self.process.join(GRACE)
        return code or 0

    def clear(self) -> None:
        """Give back what belongs to a process that has ended."""
        if self.process.pid is not None:
            self.pipe.close()
            with suppress(ValueError):
                self.process.close()
            self.process = _CONTEXT.Process()


def _end_all(workers: list[_Worker]) -> None:
    begun = [worker for worker in workers if worker.process.pid is not None]
    for worker in begun:
        worker.process.terminate()
    until = time.monotonic() + GRACE
    for worker in begun:
        worker.stop(max(0.0, until - time.monotonic()))
        worker.job = None
        worker.clear()
