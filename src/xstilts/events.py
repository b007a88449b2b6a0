"""The event log of a study: what its runs do, a JSON object a line, for `xstilts status` and whatever else follows it.

    STORE/events/<study>.jsonl

Every event has `time` (UTC, milliseconds), `run` (16 hex digits, new for every run) and `event`:

    run-begin      study, host, pid, began, space, executor, workers, steps, reused, versions
    step-start     key, kind, label, resumed (whether it goes on from a saved state)
    step-progress  key, kind, label, done, total (examples); at most every ten seconds for each step
    step-end       key, kind, label, seconds, examples, error, remedy; the last two are null where it is done
    step-elsewhere key, kind, label, who: another run is doing it
    step-reused    key, kind, label: another run has done it meanwhile
    run-end        how (finished, stopped, refused), done, reused, failed, blocked (null where it did not finish)

`space` and `began` say what process `pid` is: a host since its start or a container on it, and when the process was
started. Each line is one append, so runs on one store share the file. It only tells: what is done, the store knows.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xstilts.graph import Plan
from xstilts.schedule import Watcher
from xstilts.step import Step
from xstilts.store import Store, versions
from xstilts.store.claims import this_process

log = logging.getLogger("xstilts")

EVERY = 10.0
"""Seconds between two `step-progress` of one step."""
RECENT = 8_000_000
"""Bytes of a log that are read in full: ten minutes of 25 steps a second."""
_OF_A_RUN = b'"event": "run-'


def events_file(store: Store, study: str) -> Path:
    """Where the events of a study are."""
    return store.root / "events" / f"{study}.jsonl"


class Watchers(Watcher):
    """Several watchers as one."""

    def __init__(self, *watchers: Watcher) -> None:
        self.all = watchers

    def begin(self, plan: Plan, reused: list[str]) -> None:
        """Tell all."""
        for watcher in self.all:
            watcher.begin(plan, reused)

    def start(self, step: Step) -> None:
        """Tell all."""
        for watcher in self.all:
            watcher.start(step)

    def progress(self, step: Step, done: int, total: int) -> None:
        """Tell all."""
        for watcher in self.all:
            watcher.progress(step, done, total)

    def end(self, step: Step, error: str | None) -> None:
        """Tell all."""
        for watcher in self.all:
            watcher.end(step, error)

    def elsewhere(self, step: Step, who: str) -> None:
        """Tell all."""
        for watcher in self.all:
            watcher.elsewhere(step, who)


class Events(Watcher):
    """Writes the events of one run. Where they cannot be written the run goes on without, with one warning."""

    def __init__(self, store: Store, study: str, executor: str, workers: int, every: float = EVERY) -> None:
        self.store, self.every, self.run = store, every, uuid.uuid4().hex[:16]
        self.path = events_file(store, study)
        self._engine: dict[str, Any] = {"executor": executor, "workers": workers}
        self._labels: dict[str, str] = {}
        self._counts: dict[str, Any] = {"done": 0, "reused": 0, "failed": 0}
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._examples: dict[str, int] = {}
        self._file: int | None = None
        self._torn = self._warned = False

    def begin(self, plan: Plan, reused: list[str]) -> None:
        """Say who runs what, and with which versions."""
        self._labels = plan.labels
        self._counts["reused"] = len(reused)
        self._write(
            "run-begin", study=plan.study.name, **this_process(), **self._engine, steps=len(plan.steps),
            reused=len(reused), versions=versions(),
        )  # fmt: skip

    def start(self, step: Step) -> None:
        """Say that a step is launched."""
        self._began[step.key] = self._told[step.key] = time.monotonic()
        self._examples[step.key] = 0
        self._write("step-start", step, resumed=self.store.partial(step).is_dir())

    def progress(self, step: Step, done: int, total: int) -> None:
        """Say how far a step is, if it has not been said lately."""
        self._examples[step.key] = done
        now = time.monotonic()
        if now - self._told.get(step.key, now) >= self.every:
            self._told[step.key] = now
            self._write("step-progress", step, done=done, total=total)

    def end(self, step: Step, error: str | None) -> None:
        """Say how a step went."""
        if step.key not in self._began:
            self._counts["reused"] += 1
            self._write("step-reused", step)
            return
        seconds = round(time.monotonic() - self._began.pop(step.key), 3)
        examples = self._examples.pop(step.key)
        remedy = None
        if error:
            failure = self.store.failure(step) or {}
            remedy = failure.get("remedy") or None
        self._counts["failed" if error else "done"] += 1
        self._write("step-end", step, seconds=seconds, examples=examples, error=error, remedy=remedy)

    def elsewhere(self, step: Step, who: str) -> None:
        """Say that another run has a step."""
        self._write("step-elsewhere", step, who=who)

    def finish(self, how: str, blocked: int | None = None) -> None:
        """Say how the run ended, and close the file."""
        self._write("run-end", how=how, **self._counts, blocked=blocked)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, event: str, step: Step | None = None, **more: Any) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": self.run, "event": event}
        if step is not None:
            line |= {"key": step.key, "kind": step.kind, "label": self._labels[step.key]}
        text = (json.dumps(line | more, ensure_ascii=False) + "\n").encode()
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            text = b"\n" * self._torn + text
            self._torn = os.write(self._file, text) < len(text)
        except OSError as error:
            if not self._warned:
                log.warning("no event log (%s: %s); the run goes on without", self.path, error.strerror)
            self._warned = True

    def _open(self) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._file).st_size
        # a run that was killed may have left half a line
        self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"


class Tail:
    """Reads a growing event log: each call of `read` gives what is new. A line that is not yet whole is left for the
    next call; one that never became whole is passed over.

    Of what lies further back than `recent` bytes there are only the beginnings and ends of runs: the log of 100,000
    steps has 54 MB, and whoever asks how far a study is does not wait for that.
    """

    def __init__(self, path: Path, recent: int = RECENT) -> None:
        self.path, self.recent, self._offset = path, recent, 0

    def read(self) -> list[dict[str, Any]]:
        """The events since the last call; none where there is no file."""
        found = []
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self._offset:  # another file by now
                    self._offset = 0
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    if (size - self._offset < self.recent or _OF_A_RUN in line) and (event := _parse(line)) is not None:
                        found.append(event)
        except FileNotFoundError:
            pass
        return found


def _parse(line: bytes) -> dict[str, Any] | None:
    """An event, with `at`: when it was, in seconds since 1970."""
    try:
        event: dict[str, Any] = json.loads(line)
        return event | {"at": datetime.fromisoformat(event["time"]).timestamp(), "run": event["run"]}
    except (ValueError, KeyError, TypeError):
        return None
