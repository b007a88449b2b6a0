"""Curves of trainings as TensorBoard events: loss, learning rate and dev score by optimiser step, seconds of steps.

    DIR/<study>/<label> <key>/   one training, from the log it leaves
    DIR/<study>/steps/           `seconds/<kind>` of the steps of this run, in the order in which they ended

TensorBoard shows each folder as a run. A training gets its curves when it ends; those that were done before and have
none get them at the beginning, so a folder is complete whenever it is first asked for.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from xstilts.errors import UserError
from xstilts.graph import Plan
from xstilts.schedule import Watcher
from xstilts.step import Step
from xstilts.steps.train import Train
from xstilts.store import Store

log = logging.getLogger("xstilts")


class Curves(Watcher):
    """Writes them while a run goes by. Raises `UserError` where TensorBoard is not installed or the folder cannot be
    written to; where it cannot later on, the run goes on without, with one warning."""

    def __init__(self, folder: Path, store: Store) -> None:
        try:
            import tensorboard.summary.writer.record_writer  # noqa: F401
        except ImportError:
            raise UserError("TensorBoard is not installed", remedy="pip install 'xstilts[tensorboard]'") from None
        self.store, self.folder = store, folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"cannot write curves to {folder} ({error.strerror})"
            raise UserError(what, remedy="name another folder with --tensorboard") from None
        self._began: dict[str, float] = {}
        self._ended, self._warned = 0, False

    def begin(self, plan: Plan, reused: list[str]) -> None:
        """Write the curves of trainings that were done before."""
        self._labels, self._home = plan.labels, self.folder / plan.study.name
        self._steps = self._home / "steps" / _name()
        for key in reused:
            self._add(plan.steps[key], None)

    def start(self, step: Step) -> None:
        """Note the time."""
        self._began[step.key] = time.time()

    def end(self, step: Step, error: str | None) -> None:
        """Write how long the step took, and the curves of a training."""
        began = self._began.pop(step.key, None)
        if error is None:
            self._add(step, None if began is None else time.time() - began)

    def _add(self, step: Step, seconds: float | None) -> None:
        try:
            if seconds is not None:
                self._ended += 1
                with _open(self._steps) as file:
                    _write(file, {f"seconds/{step.kind}": seconds}, self._ended, time.time())
            if isinstance(step, Train):
                self._curves(step)
        except OSError as error:
            if not self._warned:
                log.warning("no curves in %s (%s); the run goes on without", self.folder, error.strerror)
            self._warned = True

    def _curves(self, step: Train) -> None:
        label = re.sub(r"[^\w.+@=-]+", " ", self._labels[step.key]).strip()
        folder, lines = self._home / f"{label:.80} {step.key[:12]}", self.store.of(step) / "log.jsonl"
        if any(folder.glob("*tfevents*")) or not lines.is_file():
            return
        ended = lines.stat().st_mtime
        # under a name that TensorBoard passes over until it is whole
        (folder / "unfinished").unlink(missing_ok=True)
        with _open(folder / "unfinished") as file:
            for number, values in _values(lines):
                _write(file, values, number, ended)
        (folder / "unfinished").rename(folder / _name())


def _values(log: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """(optimiser step, what is drawn at it) of the log of a training."""
    with log.open(encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            loss = f"loss/{line['task']}" if "task" in line else "loss"
            yield line["step"], {
                loss: line["loss"], "learning_rate": line["rate"],
                **({"dev_score": line["dev_score"]} if "dev_score" in line else {}),
            }  # fmt: skip


def _name() -> str:
    return f"events.out.tfevents.{time.time():.0f}.{platform.node()}.{os.getpid()}"


def _open(path: Path) -> BinaryIO:
    """An event file, to be added to. Without a thread behind it: what goes wrong is to be seen where it does."""
    from tensorboard.compat.proto.event_pb2 import Event

    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    if file.tell() == 0:
        _record(file, Event(wall_time=time.time(), file_version="brain.Event:2"))
    return file


def _write(file: BinaryIO, values: dict[str, float], step: int, when: float) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    _record(file, Event(wall_time=when, step=step, summary=Summary(value=found)))


def _record(file: BinaryIO, event: Any) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    RecordWriter(file).write(event.SerializeToString())
