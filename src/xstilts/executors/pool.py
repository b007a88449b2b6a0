"""Pool: as many steps at a time as there are processors, each in a worker process of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from queue import Empty
from threading import Thread
from typing import Any

from xstilts.errors import StepFailed
from xstilts.executors.engine import Engine
from xstilts.step import Step
from xstilts.store import Store

_MOST = 8
"""Workers at most: each holds an encoder, and memory runs out before processors do."""


@dataclass
class _Job:
    step: Step
    label: str
    progress: Callable[[int, int], None]
    again: bool = False
    """Whether this is the second try, after a worker died."""


class Pool:
    """Worker processes that live as long as the run, so that torch is imported once in each."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store = store
        # one accelerator serves one step at a time
        self.capacity = 1 if Path("/dev/nvidia0").exists() else max(1, min(_MOST, len(os.sched_getaffinity(0))))
        # spawned, not forked: torch's threads do not survive a fork
        self._context = get_context("spawn")
        self._news: Any = self._context.Queue()
        self._workers: ProcessPoolExecutor | None = None
        self._jobs: dict[Future[None], _Job] = {}

    def submit(self, step: Step, label: str, progress: Callable[[int, int], None]) -> None:
        """Hand the step to a worker."""
        self._launch(_Job(step, label, progress))

    def _launch(self, job: _Job) -> None:
        if self._workers is None:
            self._workers = ProcessPoolExecutor(
                self.capacity, mp_context=self._context, initializer=_remember, initargs=(self._news,)
            )
        self._jobs[self._workers.submit(_work, self.store.root, job.step, job.label)] = job

    def wait(self, seconds: float | None = None) -> tuple[str, Exception | None] | None:
        """Pass progress on until a step ends. A step whose worker died is tried once more."""
        while True:
            ended, _ = wait(self._jobs, timeout=0.2, return_when=FIRST_COMPLETED)
            self._pass_progress_on()
            for future in ended:
                job = self._jobs.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    # every running step is told so, whichever worker died
                    self._workers = None
                    if not job.again:
                        self._launch(_Job(job.step, job.label, job.progress, again=True))
                        continue
                    error = StepFailed("its worker process died twice; is there enough memory?")
                if error is not None and not isinstance(error, Exception):
                    raise error
                return job.step.key, error

    def close(self) -> None:
        """End the workers; what they were doing is dropped."""
        if self._workers is not None:
            if self._jobs:
                for process in list((self._workers._processes or {}).values()):
                    process.terminate()
            self._workers.shutdown(wait=True, cancel_futures=True)
            self._workers = None
        self._news.close()

    def _pass_progress_on(self) -> None:
        watchers = {job.step.key: job.progress for job in self._jobs.values()}
        try:
            while True:
                key, done, total = self._news.get_nowait()
                if key in watchers:
                    watchers[key](done, total)
        except Empty:
            return


_news: Any = None
_busy = False


def _remember(news: Any) -> None:
    """In a worker, once: where its progress goes, and how it ends.

    Ctrl-C is the parent's to handle. When the parent ends a worker, or is itself killed, the running step is
    dropped and its folder cleaned up.
    """
    global _news
    _news = news
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    Thread(target=_follow_parent, daemon=True).start()


def _end(*_: object) -> None:
    """A running step unwinds and cleans up; an idle worker goes at once, since it may hold the queue's lock."""
    if _busy:
        sys.exit(1)
    os._exit(1)


def _follow_parent() -> None:
    """Without this a worker whose parent was killed with -9 would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _work(root: Path, step: Step, label: str) -> None:
    """In a worker: run and publish one step."""
    global _busy
    _busy = True
    try:
        Store(root).publish(step, label, lambda done, total: _news.put((step.key, done, total)))
    except SystemExit:
        # the pool's loop would take it for the step's result and wait for more work
        os._exit(1)
    finally:
        _busy = False
