"""Inline: one step after the other, in this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial

from xstilts.errors import StepFailed, UserError
from xstilts.executors.engine import Engine
from xstilts.executors.job import Job, again, is_memory, run_job
from xstilts.executors.limit import within
from xstilts.step import Step
from xstilts.store import Store


class Inline:
    """Runs each step when it is waited for.

    A time limit is an alarm that is raised inside the step. It reaches Python code, sleep and most input and output; a
    call into native code (a matrix product, a tokenizer) is ended only when it returns, and one that never returns is
    not. `pool` ends those too. Raises `UserError` where there are no alarms: on Windows, and in any thread but the main
    one.
    """

    capacity = 1

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store, self.engine = store, engine
        self._queue: list[tuple[Job, Callable[[int, int], None]]] = []
        alarms = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        if engine.time_limit is not None and not alarms:
            raise UserError("inline cannot end a step at its time limit here", remedy="use --executor pool")

    def submit(self, step: Step, label: str, progress: Callable[[int, int], None]) -> None:
        """Remember the step."""
        self._queue.append((Job.of(self.store, step, label, self.engine), progress))

    def wait(self, seconds: float | None = None) -> tuple[str, Exception | None] | None:
        """Run the step that was submitted first, however long it takes. Ctrl-C passes through; nothing of the step
        remains but its saved state."""
        job, progress = self._queue.pop(0)
        while True:
            following: Job | Exception
            try:
                within(self.engine.time_limit, partial(run_job, job, progress))
            except Exception as error:
                following = again(job, out_of_memory=True) if is_memory(error) else error
                if isinstance(following, StepFailed):
                    following.__cause__ = error if following is not error else error.__cause__
            else:
                return job.step.key, None
            if isinstance(following, Exception):
                return job.step.key, following
            job = following

    def close(self) -> None:
        """Nothing runs between calls."""
