"""What the terminal shows: tables of plans, states and tasks, and the live table of a run."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from xstilts.cost.estimate import estimate, find_rate
from xstilts.cost.measured import measure
from xstilts.cost.needs import needs, sentences
from xstilts.cost.workload import loads
from xstilts.graph import Plan, needed
from xstilts.metrics import get_metric
from xstilts.schedule import Watcher
from xstilts.step import KINDS, Step
from xstilts.store import Store
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

log = logging.getLogger("xstilts")
TABLE = 200
"""Steps up to which a plan lists them without being asked."""


def plan_facts(plan: Plan, store: Store) -> dict[str, Any]:
    """All that `plan` shows, as plain values.

    The state of a step is `done`, `failed`, `to do`, or `dropped`: not in the store, and nothing that is still to be
    done needs it, as a checkpoint whose predictions are stored. Dropped ones count as done. `rest` is the time left on
    one worker, with a 90 % interval from `low` to `high` where enough was measured (`cost.estimate.estimate`).
    """
    done = store.done(plan.steps.values())
    ahead, failed = needed(plan, done), store.failures()
    known = measure(plan, store, plan.steps.keys() - ahead)
    kinds = {kind: {"steps": 0, "done": 0, "unshared": plan.unshared[kind]} for kind in KINDS if kind in plan.unshared}
    steps, failures = [], []
    for key, step in plan.steps.items():
        state = "done" if key in done else "dropped" if key not in ahead else "failed" if key in failed else "to do"
        steps.append({"key": key, "kind": step.kind, "label": plan.labels[key], "state": state})
        kinds[step.kind]["steps"] += 1
        kinds[step.kind]["done"] += key not in ahead
        if state == "failed":
            failures.append({**failed[key], "key": key, "kind": step.kind, "label": plan.labels[key]})
    work, rate = loads(plan, store, known), find_rate(plan, store, known)
    rest = estimate(plan, store, work, rate, known, ahead)
    return {
        "study": plan.study.name, "model": plan.model.description, "cells": len(plan.cells), "notes": plan.notes,
        "kinds": kinds, "steps": steps, "failures": failures, "rest": rest.rounded(), **needs(plan, work, rate),
    }  # fmt: skip


def print_plan(facts: dict[str, Any], steps: bool = False) -> None:
    """The plan: one line per step where they are few or `steps` asks for it, then the totals and what it needs."""
    console = Console()
    if steps or len(facts["steps"]) <= TABLE:
        table = Table("kind", "step", "state", "key", title=f"Plan of {facts['study']}", title_justify="left")
        for step in facts["steps"]:
            table.add_row(step["kind"], step["label"], step["state"], step["key"][:12])
        console.print(table)
    _print_kinds(console, facts)
    lines = sentences(facts) + [f"note: {note}" for note in facts["notes"]]
    if steps:
        lines += ["not at hand: {task} {split} {language} (looked for {looked_for})".format(**split)
                  for split in facts["missing"]]  # fmt: skip
    elif len(facts["steps"]) > TABLE:
        lines.append(f"{len(facts['steps'])} steps; --steps lists them")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_kinds(console: Console, facts: dict[str, Any]) -> None:
    table = Table("kind", *(("steps", "done", "without sharing")), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, counts in facts["kinds"].items():
        table.add_row(kind, str(counts["steps"]), str(counts["done"]), str(counts["unshared"]))
    console.print(table)
    console.print(f"{facts['study']}: {facts['cells']} cells on {facts['model']}", highlight=False, markup=False)
    seconds = facts["rest"]["seconds"]
    if any(c["done"] < c["steps"] for c in facts["kinds"].values()):
        line = f"time left: about {duration(seconds)} on one worker ({facts['rest']['how']})"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    else:
        console.print("nothing left to do", highlight=False)


def duration(seconds: float) -> str:
    """Seconds in words a person reads at a glance."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"


def print_tasks(tasks: list[Task], mixtures: dict[str, tuple[str, ...]]) -> None:
    """One line per task, then the mixtures that have a name."""
    table = Table("task", "shape", "category", "level", "languages", "metric", box=None, padding=(0, 1, 0, 0))
    for task in tasks:
        languages = str(len(task.languages)) + (f" + {len(task.more_languages)}" if task.more_languages else "")
        table.add_row(task.name, task.shape, task.category, task.level, languages, task.metrics[0])
    console = Console()
    console.print(table)
    for name, members in mixtures.items():
        console.print(f"{name}, as an intermediate: {' + '.join(members)} on one head", highlight=False)


def print_task(task: Task, row: Row, where: str, encoded: list[str], model: str) -> None:
    """Every field of one task, then a row of it and how the encoder `model` reads it."""
    console = Console()
    table = Table(show_header=False, title=task.title, title_justify="left")
    for name, value in task.model_dump(exclude_none=True).items():
        if value not in ("", (), False):
            table.add_row(name, _words(value))
    table.add_row("greater is better", _words([name for name in task.metrics if get_metric(name).greater_is_better]))
    console.print(table)
    console.print(f"A row ({where}):", highlight=False, markup=False)
    for name, value in row.items():
        console.print(f"  {name}: {_words(value)}", highlight=False, markup=False)
    console.print(f"As {model} reads it:", highlight=False, markup=False)
    for line in encoded:
        console.print(f"  {line}", highlight=False, markup=False)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_words(inner)}" for name, inner in value.items() if inner not in ("", (), None))
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@contextmanager
def live(quiet: bool = False) -> Iterator[Watcher]:
    """A watcher for a run: a live table on a terminal, a line per finished training elsewhere; warnings in both."""
    console = Console(stderr=True)
    warnings = _Warnings(console)
    log.addHandler(warnings)
    try:
        if quiet:
            yield Watcher()
        elif not console.is_terminal:
            yield Lines()
        else:
            board = Board(console)
            with board.live:
                yield board
    finally:
        log.removeHandler(warnings)


class _Warnings(logging.Handler):
    """Shows what goes wrong with the run itself. What goes wrong with a step the watchers say."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning above whatever is live."""
        if record.levelno == logging.WARNING:
            with suppress(OSError):
                text = f"warning: {record.getMessage()}"
                self.console.print(text, highlight=False, markup=False, soft_wrap=True)


class Lines(Watcher):
    """Progress for logs and pipes: one line per finished step that took a second or more."""

    def begin(self, plan: Plan, reused: list[str]) -> None:
        """Remember the names and how much there is to do."""
        self._labels, self._total, self._done = plan.labels, len(plan.steps), len(reused)
        self._began: dict[str, float] = {}
        self._say(f"{plan.study.name}: {self._total} steps, {self._done} done before")

    def start(self, step: Step) -> None:
        """Note the time."""
        self._began[step.key] = time.perf_counter()

    def end(self, step: Step, error: str | None) -> None:
        """Print the line."""
        self._done += 1
        seconds = time.perf_counter() - self._began.pop(step.key, inf)
        if error or seconds >= 1:
            how = f"failed: {error}" if error else f"{seconds:.1f} s"
            self._say(f"[{self._done}/{self._total}] {step.kind.lower()} {self._labels[step.key]}: {how}")

    def elsewhere(self, step: Step, who: str) -> None:
        """Say who does it."""
        self._say(f"waiting for {step.kind.lower()} {self._labels[step.key]}: {who} is doing it")

    def _say(self, line: str) -> None:
        # a full disk under the file that this goes to, or a reader that went away, is no reason to end a run
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)


class Board(Watcher):
    """The live table: steps in all, and the running step with its progress, examples per second and time left."""

    def __init__(self, console: Console) -> None:
        self._all = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True), console=console,
        )  # fmt: skip
        self._running = Progress(
            TextColumn("{task.fields[kind]:8}{task.description:44.44}"), BarColumn(24),
            TextColumn("{task.percentage:3.0f} %"), TextColumn("{task.fields[rate]:>7} ex/s"), TimeRemainingColumn(),
            console=console,
        )  # fmt: skip
        self._bars: dict[str, Any] = {}
        self._console = console
        self.live = Live(Group(self._all, self._running), console=console, refresh_per_second=4)

    def begin(self, plan: Plan, reused: list[str]) -> None:
        """Show the whole."""
        self._labels = plan.labels
        self._whole = self._all.add_task(plan.study.name, total=len(plan.steps), completed=len(reused))

    def start(self, step: Step) -> None:
        """Add a line for the step."""
        self._remove(step)
        self._add(step, self._labels[step.key])

    def progress(self, step: Step, done: int, total: int) -> None:
        """Move the step's line on."""
        bar = self._bars[step.key]
        speed = self._running.tasks[self._running.task_ids.index(bar)].speed
        self._running.update(bar, completed=done, total=total, rate=f"{speed:.0f}" if speed else "")

    def elsewhere(self, step: Step, who: str) -> None:
        """Add a line that says who does the step."""
        self._remove(step)
        self._add(step, f"{self._labels[step.key]:.22} ({who})")

    def end(self, step: Step, error: str | None) -> None:
        """Take the step's line away; a failure leaves a line above the table."""
        self._remove(step)
        self._all.advance(self._whole)
        if error:
            text = f"failed: {step.kind.lower()} {self._labels[step.key]}: {error}"
            self._console.print(text, highlight=False, markup=False)

    def _add(self, step: Step, text: str) -> None:
        self._bars[step.key] = self._running.add_task(text, total=None, kind=step.kind.lower(), rate="")

    def _remove(self, step: Step) -> None:
        if step.key in self._bars:
            self._running.remove_task(self._bars.pop(step.key))
