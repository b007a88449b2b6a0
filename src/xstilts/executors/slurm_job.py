"""A job of Slurm: one step on a compute node, where submitit starts it and may start it again."""

from __future__ import annotations

import faulthandler
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from xstilts.executors.failure import Failure
from xstilts.executors.job import Job, run_job
from xstilts.executors.limit import within
from xstilts.store import Store
from xstilts.store.claims import Claims

_GRACE = 30.0
"""Seconds that a step has to unwind and clean up at its time limit."""


def progress_file(folder: Path, job_id: str) -> Path:
    """Where a job writes how far it is: examples done and in all."""
    return folder / f"{job_id}_progress"


def hang_file(folder: Path, job_id: str) -> Path:
    """Where a job that hangs leaves what each of its threads was doing. Empty until then."""
    return folder / f"{job_id}_hang.txt"


@dataclass(frozen=True)
class SlurmJob:
    """One step, called on a compute node. Returns what it raised, if anything."""

    job: Job
    time_limit: float | None = None
    """Seconds from its start, and from each new one, after which it is ended."""

    def __call__(self) -> Failure | None:
        """Run the step, unless it is done: this job may have waited for days."""
        from submitit import JobEnvironment

        here, step, store = JobEnvironment(), self.job.step, Store(self.job.root)
        if store.has(step):
            return None
        notice = _Notice()
        signal.signal(signal.SIGTERM, notice)
        progress = _Progress(progress_file(here.paths.folder, here.job_id))
        with closing(Claims(self.job.root)) as claims, self._watchdog(hang_file(here.paths.folder, here.job_id)):
            try:
                # the run that sent this job may be gone: another one leaves the step alone while this job lives
                claims.adopt(step.key)
                within(self.time_limit, partial(run_job, self.job, progress))
            except Exception as error:
                if store.has(step):
                    return None
                traceback.print_exc()
                if notice.given:
                    # what the step started was told to end, and it failed for want of that: no fault of its own
                    raise SystemExit(1) from None
                return Failure.of(error)
        return None

    @contextmanager
    def _watchdog(self, file: Path) -> Iterator[None]:
        """Ends this process where it does not notice that its time is over, in a call that never returns to Python."""
        if self.time_limit is None:
            yield
            return
        with file.open("w") as hang:
            faulthandler.dump_traceback_later(self.time_limit + _GRACE, exit=True, file=hang)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()

    def checkpoint(self) -> Any:
        """What submitit requeues when the job is pre-empted or its time is over: the same. The step goes on from the
        state that it saved last."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class _Notice:
    """Slurm's notice that a job will soon be killed. The step goes on meanwhile: ending by itself, a job that is being
    pre-empted would count as finished, and would not be requeued."""

    given = False

    def __call__(self, *_: object) -> None:
        self.given = True


class _Progress:
    """Writes how far a step is, at most once a second, and at its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.written >= 1 or done >= total:
            self.written = now
            with suppress(OSError):  # no step fails for its progress
                self.path.write_text(f"{done} {total}", "utf-8")
