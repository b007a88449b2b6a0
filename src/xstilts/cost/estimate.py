"""How long a plan takes: from what its done steps took, from a measured throughput, else from a guess that says so."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xstilts.cost.workload import TRAINING, Load
from xstilts.errors import UserError
from xstilts.graph import Plan
from xstilts.step import Step
from xstilts.steps.train import Train
from xstilts.store import Store

THROUGHPUT = "throughput.json"
"""What `benchmarks/throughput.py` writes into the root of a store."""
_GUESS = 5e10
"""Floating-point operations per second assumed of a machine nothing is known of (two CPU cores)."""
_PARAMETERS = 86_000_000
"""Body parameters assumed of an encoder nothing is known of: 12 layers of width 768."""
_SECONDS_PER_ROW = 2e-5
"""Of steps in which no encoder runs."""


@dataclass(frozen=True)
class Rate:
    """How fast a machine trains: 6 operations per body parameter and piece, whatever else it does meanwhile."""

    flops: float
    """Floating-point operations per second."""
    measured: bool
    how: str
    """Where the figure is from, to be printed behind it."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that the steps not yet done will take, on one worker."""

    seconds: float
    measured: bool
    """Whether every kind of work in it has been timed; if not it is a guess."""
    how: str


def find_rate(plan: Plan, store: Store) -> Rate:
    """The throughput that was measured for this store, else that of the plan's done trainings, else a guess. Nothing
    counts as measured where the encoder's size, and so the work, is not known.

    Raises `UserError` for a `throughput.json` that is not one.
    """
    rate = _find_rate(plan, store)
    if plan.model.body_parameters:
        return rate
    how = f"{rate.how}; the encoder's size is not known, {_PARAMETERS / 1e6:.0f} million parameters assumed"
    return Rate(rate.flops, False, how)


def _find_rate(plan: Plan, store: Store) -> Rate:
    path = store.root / THROUGHPUT
    if path.is_file():
        try:
            found = json.loads(path.read_text("utf-8"))
            flops, body, shape = float(found["flops"]), int(found["body_parameters"]), found["encoder"]
            how = f"measured on {found['device']} in {found['precision']} with benchmarks/throughput.py"
            size = f"{shape['num_hidden_layers']} layers of width {shape['hidden_size']}"
        except (ValueError, KeyError, TypeError):
            flops, body, how, size = 0.0, 0, "", ""
        if not flops > 0:
            raise UserError("is no measurement of throughput", file=path, remedy="run benchmarks/throughput.py again")
        if body != plan.model.body_parameters:
            return Rate(flops, False, f"{how}, but for another size: {size}")
        return Rate(flops, True, how)
    operations = seconds = 0.0
    devices: dict[str, None] = {}
    done = 0
    for step in plan.steps.values() if plan.model.body_parameters else ():
        if isinstance(step, Train) and store.has(step):
            manifest = store.manifest(step)
            operations += TRAINING * plan.model.body_parameters * manifest["pieces"]
            seconds += manifest["seconds"]
            devices[manifest.get("device", "cpu")] = None
            done += 1
    if operations and seconds:
        return Rate(operations / seconds, True, f"measured in {done} trainings of this store, on {', '.join(devices)}")
    command = f"python benchmarks/throughput.py --model {plan.model.location} --store {store.root}"
    return Rate(_GUESS, False, f"a guess; measure it: {command}")


def operations(plan: Plan, work: Mapping[str, Load]) -> dict[str, float]:
    """Floating-point operations of a plan: `training`, `looks` at dev rows on the way, `prediction`."""
    parameters = plan.model.body_parameters or _PARAMETERS
    found = {"training": 0.0, "looks": 0.0, "prediction": 0.0}
    for load in work.values():
        found["training" if load.passes == TRAINING else "prediction"] += load.operations(parameters)
        found["looks"] += load.look_operations(parameters)
    return found


def estimate(plan: Plan, store: Store, work: Mapping[str, Load], rate: Rate) -> Estimate:
    """Time left of a plan. Rates are per kind and shape, from the manifests of the plan's done steps; `rate` stands in
    for work that none of them did."""
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
    parameters = plan.model.body_parameters or _PARAMETERS
    total, known, timed, from_rate = 0.0, True, False, False
    for step in rest:
        load = work[step.key]
        if _group(step) in seconds:
            total += load.rows * seconds[_group(step)] / examples[_group(step)]
            timed = True
        elif load.passes:
            total += (load.operations(parameters) + load.look_operations(parameters)) / rate.flops
            known, from_rate = known and rate.measured, True
        else:
            total += load.rows * _SECONDS_PER_ROW
    ways = ["measured rates of this store"] * timed + [rate.how] * from_rate
    return Estimate(total, known, "; ".join(ways) or "nothing but reading")


def _group(step: Step) -> tuple[str, str]:
    shape: Any = getattr(step, "shape", "")
    return step.kind, shape
