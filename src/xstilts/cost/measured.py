"""What the done steps of a plan took: the manifests of a few of each kind of work, each read once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from xstilts.graph import Plan
from xstilts.step import Step
from xstilts.steps.prepare import Prepare
from xstilts.store import Store

SAMPLE = 30
"""Manifests read per kind and shape: enough for a mean and its spread, however many steps are done."""

Group = tuple[str, str]
"""Kind and shape: work of one sort."""


@dataclass(frozen=True)
class Measured:
    """What is known of a plan's done steps."""

    manifests: Mapping[str, dict[str, Any]]
    """By key."""
    counts: Mapping[Group, int]
    """How many of each group are done, read or not."""

    def of(self, steps: Mapping[str, Step], kind: type[Step]) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The steps of a kind whose manifests were read, with them."""
        for key, manifest in self.manifests.items():
            if isinstance(steps[key], kind):
                yield steps[key], manifest


def measure(plan: Plan, store: Store, candidates: Collection[str] | None = None) -> Measured:
    """The manifests of the plan's done steps: of data steps all, since their rows are counted, of every other group all
    up to `SAMPLE`, else so many, evenly spread over the plan. What took its time and was dropped since counts too.

    `candidates` are keys of the steps that may be done, where that is known; the store is then asked about fewer.
    """
    if candidates is None:
        candidates = _there(store, plan.steps.values())
    groups: dict[Group, list[str]] = defaultdict(list)
    for key, step in plan.steps.items():
        if key in candidates:
            groups[group(step)].append(key)
    found: dict[str, dict[str, Any]] = {}
    for (kind, _), keys in groups.items():
        some = _read(plan, store, keys if kind == Prepare.kind else _spread(keys))
        if len(some) < min(len(keys), SAMPLE):  # some are gone without a record
            there = _there(store, map(plan.steps.__getitem__, keys))
            keys[:] = [key for key in keys if key in there]
            some = _read(plan, store, keys if kind == Prepare.kind else _spread(keys))
        found |= some
    return Measured(found, {one: len(keys) for one, keys in groups.items()})


def _there(store: Store, steps: Iterable[Step]) -> set[str]:
    steps = list(steps)
    done = store.done(steps)
    return done | store.dropped(step for step in steps if step.key not in done)


def _read(plan: Plan, store: Store, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {key: manifest for key in keys if (manifest := store.record(plan.steps[key])) is not None}


def group(step: Step) -> Group:
    """What work a step is of."""
    fields: Any = step
    return step.kind, fields.shape if _has_shape(type(step)) else ""


@cache
def _has_shape(kind: type[Step]) -> bool:
    # of the class: that a step lacks it takes pydantic longer to find out than all else here together
    return "shape" in kind.model_fields or hasattr(kind, "shape")


def _spread(keys: list[str]) -> list[str]:
    """At most `SAMPLE` of them, from the first to the last."""
    n = len(keys)
    return keys if n <= SAMPLE else [keys[i * (n - 1) // (SAMPLE - 1)] for i in range(SAMPLE)]
