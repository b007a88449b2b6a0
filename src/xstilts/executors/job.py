"""One launch of one step, the same in every executor: how it is run in a worker, and what happens after its death."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from xstilts.errors import StepFailed
from xstilts.executors.engine import Engine, in_units
from xstilts.executors.launch import KINDS, launch
from xstilts.step import Interval, Step
from xstilts.store import Store

DEATHS = 2
"""Workers that one step may lose for no known reason."""
GRACE = 5.0
"""Seconds that a step has to unwind and clean up once it is ended."""
HALVINGS = 5
"""Times that the batch of a step is halved for want of memory: from 32 rows at a time down to one."""


@dataclass(frozen=True)
class Job:
    """A step as it is handed to a worker. Plain values only: it crosses process and machine borders."""

    root: Path
    """Of the store."""
    step: Step
    label: str
    save_every: Interval
    processes: int = 1
    deaths: int = 0
    """Workers that died under it so far, for no known reason."""
    halvings: int = 0
    """How often memory ran out."""

    @classmethod
    def of(cls, store: Store, step: Step, label: str, engine: Engine) -> Job:
        """The first launch of a step."""
        return cls(store.root, step, label, engine.save_every, engine.processes_of(step))


def run_job(job: Job, progress: Callable[[int, int], None]) -> None:
    """In a worker: run and publish the step. Raises what the step raises, `MemoryError` where memory ran out."""
    run = partial(launch, job.step, processes=job.processes) if job.processes > 1 and job.step.kind in KINDS else None
    Store(job.root).publish(job.step, job.label, progress, save_every=job.save_every, halvings=job.halvings, run=run)


def again(job: Job, out_of_memory: bool, how: str = "") -> Job | StepFailed:
    """What to launch after the worker of `job` died, or why that is no use. `how` says what is known of the death.

    A step that memory ran out for is read in half as many rows at a time; one whose worker died for no known reason is
    launched as it was, once. Either way it goes on from where its state was last saved.
    """
    if out_of_memory:
        if job.halvings == HALVINGS:
            return StepFailed(
                "memory ran out even with one row at a time", remedy="lower max_length, or run fewer steps at a time: "
                "--workers 1",
            )  # fmt: skip
        return replace(job, halvings=job.halvings + 1)
    if job.deaths + 1 == DEATHS:
        known = f" (the second time: {how})" if how else ""
        return StepFailed(f"its worker process died twice{known}", remedy="see the log; then run the study again")
    return replace(job, deaths=job.deaths + 1)


def is_memory(error: BaseException) -> bool:
    """Whether what a step raised says that memory ran out, of the machine or of an accelerator."""
    # by name: torch must not be imported to look at an error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # torch raises a bare RuntimeError for the machine's memory, and for that of the libraries on an accelerator
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED")


def overdue(seconds: float) -> StepFailed:
    """The failure of a step that did not end within its time limit."""
    number, unit = in_units(seconds)
    return StepFailed(
        f"it did not end within its time limit of {number:g} {unit}",
        remedy=f"if it needs longer and does not hang, raise the limit: --time-limit {2 * number:g}{unit}",
    )
