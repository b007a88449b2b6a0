"""The loop between plan and executor: ready steps out, finished steps in."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from xstilts.errors import StepFailed, UserError
from xstilts.executors import Executor
from xstilts.graph import Plan
from xstilts.step import Step
from xstilts.store import Store

log = logging.getLogger("xstilts")


@dataclass
class Outcome:
    """How a run of a plan went, by step key."""

    reused: list[str] = field(default_factory=list)
    """Done before."""
    done: list[str] = field(default_factory=list)
    """Done by this run."""
    failed: dict[str, str] = field(default_factory=dict)
    """Failed, with the reason in one line."""
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
        """A step has ended; `error` is why it failed, None if it did not."""


def schedule(
    plan: Plan, store: Store, executor: Executor, watcher: Watcher | None = None, wanted: Iterable[str] | None = None
) -> Outcome:
    """Run what `wanted` steps (by key; the scores of all cells where not given) need and is not in the store. A failed
    step blocks what depends on it, nothing else.

    Data steps have no inputs and come first; if any of them finds the person's data wrong, nothing else is
    started and `InputErrors` is raised. Later a `UserError` of any step (no such model) stops the run too.
    """
    watcher = watcher or Watcher()
    outcome, errors = Outcome(), list[UserError]()
    outcome.reused = [key for key, step in plan.steps.items() if store.has(step)]
    watcher.begin(plan, outcome.reused)
    done = set(outcome.reused)
    # inputs of a step that is done need not exist (a checkpoint may have been dropped): they are no work either
    needed = _needed(plan, done, _asked(plan) if wanted is None else wanted)
    graph = TopologicalSorter({key: [i for i in plan.steps[key].inputs() if i in needed] for key in needed})
    graph.prepare()
    # data steps before all others, then the order of the plan
    rank = {key: (bool(step.inputs()), i) for i, (key, step) in enumerate(plan.steps.items())}
    ready: list[tuple[tuple[bool, int], str]] = []
    running: set[str] = set()
    broken: set[str] = set()
    while graph.is_active():
        for key in graph.get_ready():
            heapq.heappush(ready, (rank[key], key))
        while ready and len(running) < executor.capacity:
            if errors and rank[ready[0][1]][0]:
                raise InputErrors(errors)
            _, key = heapq.heappop(ready)
            step = plan.steps[key]
            if any(i in broken for i in step.inputs()):
                broken.add(key)
                outcome.blocked.append(key)
                graph.done(key)
                continue
            running.add(key)
            watcher.start(step)
            executor.submit(step, plan.labels[key], lambda d, t, step=step: watcher.progress(step, d, t))  # type: ignore[misc]
        if not running:
            continue
        ended = executor.wait()
        assert ended is not None  # it was given all the time there is
        key, error = ended
        running.discard(key)
        reason = None if error is None else explain(error)
        if error is None:
            outcome.done.append(key)
            log.info("done    %s %s", plan.steps[key].kind, plan.labels[key])
        else:
            broken.add(key)
            outcome.failed[key] = str(reason)
            store.record_failure(plan.steps[key], str(reason))
            log.error("failed  %s %s: %s", plan.steps[key].kind, plan.labels[key], reason, exc_info=error)
            if isinstance(error, UserError):
                errors.append(error)
        watcher.end(plan.steps[key], reason)
        graph.done(key)
    if errors:
        raise InputErrors(errors)
    return outcome


def _asked(plan: Plan) -> list[str]:
    """What a study is after: the scores of its cells."""
    return [key for cell in plan.cells for key in (cell.score, cell.dev) if key is not None]


def _needed(plan: Plan, done: set[str], wanted: Iterable[str]) -> set[str]:
    """Steps to run: those not done, on a path to something wanted that is not done."""
    needed: set[str] = set()
    rest = list(wanted)
    while rest:
        key = rest.pop()
        if key not in done and key not in needed:
            needed.add(key)
            rest.extend(plan.steps[key].inputs())
    return needed


def explain(error: Exception) -> str:
    """Why a step failed, in one line."""
    if isinstance(error, StepFailed | UserError):
        return str(error)
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
