"""Inline: one step after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable

from xstilts.executors.engine import Engine
from xstilts.executors.job import Job, again, is_memory, run_job
from xstilts.step import Step
from xstilts.store import Store


class Inline:
    """Runs each step when it is waited for."""

    capacity = 1

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store, self.engine = store, engine
        self._queue: list[tuple[Job, Callable[[int, int], None]]] = []

    def submit(self, step: Step, label: str, progress: Callable[[int, int], None]) -> None:
        """Remember the step."""
        self._queue.append((Job.of(self.store, step, label, self.engine), progress))

    def wait(self, seconds: float | None = None) -> tuple[str, Exception | None] | None:
        """Run the step that was submitted first, however long it takes. Ctrl-C passes through; nothing of the step
        remains but its saved state."""
        job, progress = self._queue.pop(0)
        while True:
            try:
                run_job(job, progress)
            except Exception as error:
                following = again(job, out_of_memory=True) if is_memory(error) else error
                if isinstance(following, Job):
                    job = following
                    continue
                return job.step.key, following
            return job.step.key, None

    def close(self) -> None:
        """Nothing runs between calls."""
