"""How long the rest of a plan will take: from what its done steps took, else from the size of the model."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from xstilts.graph import Plan
from xstilts.step import Step
from xstilts.store import Store

_RATE = 5e10
"""Floating-point operations per second assumed of a machine nothing is known of (two CPU cores)."""
_PIECES = {
    "classify": 50,
    "tag": 30,
    "features": 30,
    "parse": 30,
    "span": 250,
    "choice": 300,
    "retrieve": 40,
    "mine": 40,
}
"""Typical pieces per row of a shape, for a first guess."""
_ROWS = 10_000
"""Rows assumed of a split whose size is not known before it is read."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that the steps not yet done will take, on one worker."""

    seconds: float
    measured: bool
    """Whether every kind of work in it has been timed in this store; if not it is a guess."""


def estimate(plan: Plan, store: Store) -> Estimate:
    """Time left of a plan. Rates are per kind and shape, from the manifests of the plan's done steps."""
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    examples: dict[tuple[str, str], float] = defaultdict(float)
    rest: list[Step] = []
    for step in plan.steps.values():
        if store.has(step):
            manifest = store.manifest(step)
            seconds[_group(step)] += manifest["seconds"]
            examples[_group(step)] += max(1, manifest.get("examples", 1))
        else:
            rest.append(step)
    total, measured = 0.0, True
    for step in rest:
        rows = plan.examples[step.key] or _ROWS
        if _group(step) in seconds:
            total += rows * seconds[_group(step)] / examples[_group(step)]
        else:
            measured &= step.kind not in ("Train", "Predict")
            total += rows * _guess(step, plan.model.body_parameters)
    return Estimate(total, measured)


def _group(step: Step) -> tuple[str, str]:
    return step.kind, getattr(step, "shape", "")


def _guess(step: Step, parameters: int) -> float:
    """Seconds per row: 2 operations per parameter and piece forward, 4 more backward."""
    if step.kind not in ("Train", "Predict"):
        return 2e-5
    operations = {"Train": 6, "Predict": 2}[step.kind] * (parameters or 86_000_000)
    return operations * _PIECES.get(_group(step)[1], 50) / _RATE
