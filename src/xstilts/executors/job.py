"""One launch of one step, the same in every executor: how it is run in a worker, and what happens after its death."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from xstilts.errors import StepFailed
from xstilts.executors.engine import Engine
from xstilts.step import Interval, Step
from xstilts.store import Store

DEATHS = 2
"""Workers that one step may lose for no known reason."""
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
    Store(job.root).publish(job.step, job.label, progress, save_every=job.save_every, halvings=job.halvings)


def again(job: Job, out_of_memory: bool) -> Job | StepFailed:
    """What to launch after the worker of `job` died, or why that is no use.

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
        return StepFailed("its worker process died twice", remedy="see the log; then run the study again")
    return replace(job, deaths=job.deaths + 1)


def is_memory(error: BaseException) -> bool:
    """Whether what a step raised says that memory ran out, of the machine or of an accelerator."""
    # by name: torch must not be imported to look at an error
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
