"""The loop between plan and executor: ready steps out, finished steps in."""

from __future__ import annotations

import errno
import heapq
import logging
import os
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from xstilts.errors import StepFailed, UserError
from xstilts.executors import Executor
from xstilts.graph import Plan, needed
from xstilts.step import Step
from xstilts.store import Store
from xstilts.store.claims import Claims

log = logging.getLogger("xstilts")

_LOOKS = (0.5, 10.0)
"""Seconds between two looks at what other runs are doing: at first, and when nothing happens."""


@dataclass
class Outcome:
    """How a run of a plan went, by step key."""

    reused: list[str] = field(default_factory=list)
    """Done before, or by another run meanwhile."""
    done: list[str] = field(default_factory=list)
    """Done by this run."""
    failed: dict[str, str] = field(default_factory=dict)
    """Failed, with the reason in one line."""
    remedies: dict[str, str] = field(default_factory=dict)
    """What to type, of those failed steps where that is known."""
    blocked: list[str] = field(default_factory=list)
    """Not run because an input failed."""


class InputErrors(UserError):
    """Several things wrong with a study's input, each in its own line."""

    def __init__(self, errors: list[UserError]) -> None:
        super().__init__(str(errors[0]))
        self.errors = errors


class Watcher:
    """Sees a run go by: override what is to be seen. This one does not look."""

    def begin(self, plan: Plan, reused: list[str]) -> None:
        """The run begins; `reused` steps are done already."""

    def start(self, step: Step) -> None:
        """A step is launched."""

    def progress(self, step: Step, done: int, total: int) -> None:
        """`done` of `total` examples have passed through a step."""

    def end(self, step: Step, error: str | None) -> None:
        """A step has ended; `error` is why it failed, None if it did not. What another run has done meanwhile ends
        without a start."""

    def elsewhere(self, step: Step, who: str) -> None:
        """A step that is ready is being done by another run on this store, which `who` names."""


def schedule(
    plan: Plan, store: Store, executor: Executor, watcher: Watcher | None = None, wanted: Iterable[str] | None = None
) -> Outcome:
    """Run what `wanted` steps (by key; what the study is after where not given) need and is not in the store. A failed
    step blocks what depends on it, nothing else. What another run on the same store is doing is waited for, and done
    here if that run ends without it.

    Data steps have no inputs and come first; if any of them finds the person's data wrong, nothing else is
    started and `InputErrors` is raised. Later a `UserError` of any step (no such model) stops the run too.
    """
    with closing(Claims(store.root)) as claims:
        return _Run(plan, store, executor, watcher or Watcher(), claims).run(wanted)


class _Run:
    """What one run knows of its steps."""

    def __init__(self, plan: Plan, store: Store, executor: Executor, watcher: Watcher, claims: Claims) -> None:
        self.plan, self.store, self.executor, self.watcher, self.claims = plan, store, executor, watcher, claims
        self.outcome, self.errors = Outcome(), list[UserError]()
        # data steps before all others, then the order of the plan
        self.rank = {key: (bool(plan.inputs(key)), i) for i, key in enumerate(plan.steps)}
        self.ready: list[tuple[tuple[bool, int], str]] = []
        self.running: set[str] = set()
        self.elsewhere: set[str] = set()
        """Steps that are ready and that other runs do."""
        self.told: dict[str, str] = {}
        """What the watcher knows of who does them."""
        self.broken: set[str] = set()
        self.pause, self.looked = _LOOKS[0], 0.0

    def run(self, wanted: Iterable[str] | None) -> Outcome:
        done = self.store.done(self.plan.steps.values())
        self.outcome.reused = [key for key in self.plan.steps if key in done]
        self.watcher.begin(self.plan, self.outcome.reused)
        # inputs of a step that is done need not exist (a checkpoint may have been dropped): they are no work either
        ahead = needed(self.plan, done, wanted)
        inputs = self.plan.inputs
        self.graph = TopologicalSorter({key: [i for i in inputs(key) if i in ahead] for key in ahead})
        self.graph.prepare()
        while self.graph.is_active():
            for key in self.graph.get_ready():
                heapq.heappush(self.ready, (self.rank[key], key))
            if self.elsewhere and time.monotonic() - self.looked >= self.pause:
                self.look_elsewhere()
            while self.ready and len(self.running) < self.executor.capacity:
                if self.errors and self.rank[self.ready[0][1]][0]:
                    raise InputErrors(self.errors)
                self.begin(heapq.heappop(self.ready)[1])
            if self.running:
                ended = self.executor.wait(self.pause if self.elsewhere else None)
                if ended is not None:
                    self.end(*ended)
            elif self.elsewhere and not self.ready:
                time.sleep(self.pause)
        if self.errors:
            raise InputErrors(self.errors)
        return self.outcome

    def begin(self, key: str) -> None:
        """Launch a step that is ready, if that is this run's to do."""
        step = self.plan.steps[key]
        if any(i in self.broken for i in self.plan.inputs(key)):
            self.broken.add(key)
            self.outcome.blocked.append(key)
            self.graph.done(key)
        elif not self.claims.take(key):
            who = self.claims.holder(key) or "another run"
            if who != self.told.get(key):
                self.told[key] = who
                self.watcher.elsewhere(step, who)
            self.elsewhere.add(key)
            self.looked = time.monotonic()
        elif self.store.has(step):
            self.claims.release(key)
            self.reuse(key)
        else:
            self.running.add(key)
            self.watcher.start(step)
            self.executor.submit(step, self.plan.labels[key], lambda d, t: self.watcher.progress(step, d, t))

    def reuse(self, key: str) -> None:
        """Another run has done a step meanwhile."""
        self.outcome.reused.append(key)
        self.watcher.end(self.plan.steps[key], None)
        self.graph.done(key)

    def look_elsewhere(self) -> None:
        """See what has become of the steps that other runs do: done, still being done, or given up."""
        news = [key for key in self.elsewhere if self.store.has(self.plan.steps[key]) or not self.claims.holder(key)]
        self.pause, self.looked = (_LOOKS[0] if news else min(2 * self.pause, _LOOKS[1])), time.monotonic()
        for key in news:
            self.elsewhere.discard(key)
            heapq.heappush(self.ready, (self.rank[key], key))

    def end(self, key: str, error: Exception | None) -> None:
        """Take note of how a step went."""
        self.running.discard(key)
        self.claims.release(key)
        step, label = self.plan.steps[key], self.plan.labels[key]
        reason = None
        if error is None:
            self.outcome.done.append(key)
            log.info("done    %s %s", step.kind, label)
        else:
            reason, remedy = explain(error)
            self.broken.add(key)
            self.outcome.failed[key] = reason
            if remedy:
                self.outcome.remedies[key] = remedy
            log.error("failed  %s %s: %s", step.kind, label, reason, exc_info=error)
            try:
                self.store.record_failure(step, reason, remedy)
            except OSError as full:
                log.warning("the failure cannot be kept for `xstilts status` (%s)", full.strerror)
            if isinstance(error, UserError):
                self.errors.append(error)
        self.watcher.end(step, reason)
        self.graph.done(key)


def explain(error: Exception) -> tuple[str, str]:
    """(why a step failed, what to type where that is known), a line each."""
    if isinstance(error, StepFailed):
        return str(error), error.remedy
    if isinstance(error, UserError):
        return str(error), ""
    first = str(error).strip().split("\n")[0]
    reason = f"{type(error).__name__}: {first}" if first else type(error).__name__
    if _is(error, errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({reason})", "make room, with `xstilts store gc STUDY` for one; then run again"
    if _is(error, errno.EROFS):
        return f"the store cannot be written to ({reason})", "make its folder writable; then run again"
    if _is(error, errno.EACCES, errno.EPERM):
        return reason, "give yourself the right to that file or folder; then run again"
    return reason, ""


def _is(error: Exception, *numbers: int) -> bool:
    """Whether an error is the system's, of one of these numbers. Libraries that write files themselves have errors of
    their own, and the system's words in them."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in numbers
    return any(f"{os.strerror(number)} (os error {number})" in str(error) for number in numbers)
