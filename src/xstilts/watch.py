"""How far a study is, seen from its store alone: by this process or another, on this machine or another."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from xstilts.cost.estimate import time_left
from xstilts.events import Tail, events_file
from xstilts.graph import Plan, needed
from xstilts.runners import Runners
from xstilts.step import KINDS, Step
from xstilts.store import Store

STATES = ("done", "running", "failed", "blocked", "to do")
WINDOW = 600.0
"""Seconds back over which speed is measured."""


class Watch:
    """Looks at a study again and again. The plan is made once; a look lists the store's folders, reads what is new in
    the event log, and takes the estimate anew as often as that costs a twentieth of the time at most."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self._kinds = Counter(step.kind for step in plan.steps.values())
        self._done: set[str] = set()
        self._failures: dict[str, dict[str, Any]] = {}
        self._pace = Pace(Tail(events_file(store, plan.study.name)))
        self._runners = Runners(store.root)
        self._rest: dict[str, Any] = {}
        self._rest_of, self._rest_at, self._rest_cost = -1, 0.0, 0.0

    def look(self) -> dict[str, Any]:
        """All that `xstilts status` shows, as plain values.

        `state` is `done`, `running`, `idle` (there is something to do and no run alive) or `stuck` (what is left failed
        or waits for what failed, and no run is alive).
        """
        steps, labels = self.plan.steps, self.plan.labels
        ahead = needed(self.plan, self._known)
        self._pace.read(self._runners)
        self._runners.look()
        holders = self._runners.holders(ahead)
        reasons = self._failed()
        failed = {key: reasons[key] for key in steps if key in reasons and key in ahead and key not in holders}
        blocked = self._blocked(ahead, set(failed))
        kinds = {kind: dict.fromkeys(("steps", *STATES), 0) for kind in (*KINDS, *self._kinds)}
        for kind, n in self._kinds.items():
            kinds[kind]["steps"] = kinds[kind]["done"] = n
        for key in ahead:
            state = (
                "running" if key in holders else "failed" if key in failed else "blocked" if key in blocked else "to do"
            )
            kinds[steps[key].kind]["done"] -= 1
            kinds[steps[key].kind][state] += 1
        runs = self._pace.runs_alive(self._runners)
        left = len(ahead) - len(failed) - len(blocked)
        state = "done" if not ahead else "running" if runs or holders else "idle" if left else "stuck"
        named = {key: {"key": key, "kind": steps[key].kind, "label": labels[key]} for key in (*holders, *failed)}
        running = [named[key] | self._pace.of(key, who) for key, who in holders.items()]
        return {
            "study": self.plan.study.name, "time": datetime.now(UTC).isoformat(timespec="seconds"), "state": state,
            "cells": len(self.plan.cells), "model": self.plan.model.description,
            "kinds": {kind: counts for kind, counts in kinds.items() if counts["steps"]},
            "total": {name: sum(counts[name] for counts in kinds.values()) for name in ("steps", *STATES)},
            "running": sorted(running, key=lambda one: -one["seconds"]),
            "runs": runs, "speed": self._pace.speed(runs), "rest": self._time_left(ahead, running),
            "failures": [named[key] | {"remedy": ""} | why for key, why in failed.items()],
        }  # fmt: skip

    def _known(self, steps: Iterable[Step]) -> set[str]:
        """Which of some steps are done. What is done stays done: over a network folder only what is not known costs a
        request."""
        self._done |= self.store.done(step for step in steps if step.key not in self._done)
        return self._done

    def _blocked(self, ahead: set[str], failed: set[str]) -> set[str]:
        if not failed:
            return set()
        broken = set(failed)
        for key in self.plan.steps:
            if key in ahead and not broken.isdisjoint(self.plan.inputs(key)):
                broken.add(key)
        return broken - failed

    def _failed(self) -> dict[str, dict[str, Any]]:
        with suppress(OSError, ValueError):  # one of them is being written at this moment: the next look sees it
            self._failures = self.store.failures()
        return self._failures

    def _time_left(self, ahead: set[str], running: list[dict[str, Any]]) -> dict[str, Any]:
        """What the estimate says of one worker, and `left`: the same for the workers there are, each of which has
        another step. What they have spent on their steps so far is taken off."""
        now = time.monotonic()
        if self._rest_of != len(ahead) and now - self._rest_at >= 20 * self._rest_cost:
            self._rest = time_left(self.plan, self.store, ahead).rounded()
            self._rest_of, self._rest_at, self._rest_cost = len(ahead), now, time.monotonic() - now
        rest, spent, workers = self._rest, sum(one["seconds"] for one in running), max(1, len(running))
        left = {
            name: None if rest.get(name) is None else round(max(0.0, rest[name] - spent) / workers, 1)
            for name in ("seconds", "low", "high")
        }
        return {**rest, "workers": len(running), "left": left}


class Pace:
    """What the event log tells: the runs, how far each step is, and how fast it all goes."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self._runs: dict[str, dict[str, Any]] = {}
        self._steps: dict[str, dict[str, Any]] = {}
        self._recent: deque[tuple[float, int, int]] = deque()
        """(when, steps done, examples done) of the last minutes."""
        self._last = 0.0

    def read(self, runners: Runners) -> None:
        """Take in what is new."""
        signs = {}
        for event in self.tail.read():
            signs[event["run"]] = event["at"]
            self._take(event)
        for run, at in signs.items():
            runners.beat(run, at)
        self._last = max(self._last, time.time())
        while self._recent and self._recent[0][0] < self._last - WINDOW:
            self._recent.popleft()

    def _take(self, event: dict[str, Any]) -> None:
        self._last = max(self._last, event["at"])
        what, run, key = event["event"], event["run"], event.get("key", "")
        if what == "run-begin":
            self._runs[run] = event
        elif what == "run-end":
            self._runs.pop(run, None)
        elif what == "step-start":
            # of examples that a saved state brings along none was done now
            self._steps[key] = event | {"done": None if event.get("resumed") else 0, "total": 0}
        elif what in ("step-progress", "step-end"):
            # what started too far back for the tail counts from here on
            known, ended = self._steps.setdefault(key, {"at": 0.0, "done": None}), what == "step-end"
            done = event["examples" if ended else "done"]
            new = 0 if known["done"] is None else max(0, done - known["done"])
            known |= {"done": done, "total": event.get("total", 0)}
            self._recent.append((event["at"], int(ended and event["error"] is None), new))
            if ended:
                del self._steps[key]

    def runs_alive(self, runners: Runners) -> list[dict[str, Any]]:
        """The runs that have begun and not ended, and whose process is there."""
        names = ("run", "host", "pid", "executor", "workers", "time", "at")
        return [{name: run[name] for name in names} for id, run in self._runs.items() if runners.alive(id, run)]

    def of(self, key: str, who: dict[str, Any]) -> dict[str, Any]:
        """How far a step is that `who` does: examples `done` of `total`, for how many `seconds`, on which `host`."""
        known = self._steps.get(key, {})
        seconds = max(0.0, self._last - max(known.get("at", 0.0), who["since"]))
        done, total = known.get("done") or 0, known.get("total", 0)
        return {"host": who["host"], "pid": who["pid"], "seconds": round(seconds, 1), "done": done, "total": total}

    def speed(self, runs: list[dict[str, Any]]) -> dict[str, float] | None:
        """Steps a minute and examples a second over the last ten minutes, or since the first of `runs` began if that
        was later; None where no run is alive."""
        if not runs:
            return None
        since = max(self._last - WINDOW, min(run["at"] for run in runs))
        seconds = max(1.0, self._last - since)
        recent = [(steps, examples) for at, steps, examples in self._recent if at >= since]
        return {
            "seconds": round(seconds),
            "steps_per_minute": round(60 * sum(steps for steps, _ in recent) / seconds, 2),
            "examples_per_second": round(sum(examples for _, examples in recent) / seconds, 1),
        }
