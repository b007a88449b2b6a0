"""What the terminal shows of a study on its way: once, or again and again until it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from xstilts.screens import duration
from xstilts.watch import STATES, Watch

_FEW = 6
"""Failures, and running steps, that the live screen has room for."""


def print_status(facts: dict[str, Any]) -> None:
    """Steps by kind and state, what runs now, speed, time left, and every failure with its remedy."""
    console = Console()
    for part in _parts(facts, most=None):
        console.print(part, highlight=False, soft_wrap=isinstance(part, Text))


def follow(watch: Watch, interval: float, as_json: bool) -> bool:
    """Show a study every `interval` seconds until it is done, or Ctrl-C: a live screen on a terminal, a line a time
    elsewhere, an object a time as JSON. True unless it ended with failures."""
    console = Console()
    on_screen = console.is_terminal and not as_json
    live = Live(console=console, auto_refresh=False) if on_screen else nullcontext()
    with live as screen:
        for facts in _looks(watch, interval):
            if screen is not None:
                screen.update(Group(*_parts(facts, most=_FEW)), refresh=True)
            else:
                print(json.dumps(facts, ensure_ascii=False) if as_json else line(facts), flush=True)
    return bool(facts["state"] == "done")


def _looks(watch: Watch, interval: float) -> Iterator[dict[str, Any]]:
    while True:
        facts = watch.look()
        yield facts
        if facts["state"] in ("done", "stuck"):
            return
        time.sleep(interval)


def line(facts: dict[str, Any]) -> str:
    """How far a study is, in one line."""
    total = facts["total"]
    counts = [f"{total[state]} {state}" for state in STATES[1:] if total[state]]
    parts = [", ".join([f"{total['done']}/{total['steps']} steps done", *counts])]
    if facts["state"] != "done":
        parts += [text for text in (_speed(facts), _left(facts)) if text]
    now = [f"{one['label']}{_share(one)}" for one in facts["running"][:_FEW]]
    parts += ["now: " + ", ".join(now)] if now else []
    return f"{facts['time']} {facts['study']}: {'; '.join(parts)}"


def _parts(facts: dict[str, Any], most: int | None) -> Iterator[RenderableType]:
    """What is shown, from top to bottom; of running and failed steps `most` each."""
    yield _kinds(facts)
    yield Text(f"{facts['study']}: {facts['cells']} cells on {facts['model']}")
    if facts["running"]:
        yield _running(facts["running"][:most])
        yield from _more(facts["running"], most, "running")
    if speed := _speed(facts):
        yield Text(speed)
    if left := _left(facts):
        yield Text(f"{left} ({facts['rest']['how']})")
    for failure in facts["failures"][:most]:
        yield Text(f"failed {failure['key'][:12]} {failure['kind']} {failure['label']}: {failure['error']}", "red")
        if failure["remedy"]:
            yield Text(f"  what to do: {failure['remedy']}")
    yield from _more(facts["failures"], most, "failed")
    if facts["state"] == "done":
        yield Text("nothing left to do")
    elif facts["state"] == "idle":
        yield Text("no run of this study is alive; `xstilts run` goes on with it")
    if facts["failures"]:
        yield Text("run the study again to retry what failed")


def _kinds(facts: dict[str, Any]) -> Table:
    table = Table("kind", "steps", *STATES)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, counts in facts["kinds"].items():
        table.add_row(kind, str(counts["steps"]), *(str(counts[state] or "") for state in STATES))
    if len(facts["kinds"]) > 1:
        table.add_section()
        table.add_row("all", str(facts["total"]["steps"]), *(str(facts["total"][state] or "") for state in STATES))
    return table


def _running(steps: list[dict[str, Any]]) -> Table:
    table = Table("runs now", "", "for", "on", box=None, padding=(0, 2, 0, 0))
    for one in steps:
        where = f"{one['host']}, process {one['pid']}"
        name = Text(f"{one['kind'].lower()} {one['label']}")
        table.add_row(name, _share(one).strip(" ()"), duration(one["seconds"]), Text(where))
    return table


def _share(one: dict[str, Any]) -> str:
    return f" ({100 * one['done'] / one['total']:.0f} %)" if one["total"] else ""


def _speed(facts: dict[str, Any]) -> str:
    speed = facts["speed"]
    if speed is None or facts["state"] == "done":
        return ""
    steps, examples = speed["steps_per_minute"], speed["examples_per_second"]
    return f"{steps:.1f} steps/min, {examples:,.0f} examples/s (last {duration(speed['seconds'])})"


def _left(facts: dict[str, Any]) -> str:
    left, workers = facts["rest"].get("left"), facts["rest"].get("workers")
    if facts["state"] in ("done", "stuck") or left is None:
        return ""
    where = "one worker" if workers < 2 else f"{workers} workers"
    within = "" if left["low"] is None else f", {duration(left['low'])} to {duration(left['high'])} in nine of ten"
    return f"time left: about {duration(left['seconds'])}{within}, on {where}"


def _more(some: list[Any], most: int | None, what: str) -> Iterator[Text]:
    if most is not None and len(some) > most:
        yield Text(f"and {len(some) - most} more {what}; `xstilts status` lists them")
