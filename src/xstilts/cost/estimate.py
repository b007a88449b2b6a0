"""How long a plan takes: from what its done steps took, from a measured throughput, else from a guess that says so."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from xstilts.cost.measured import Group, Measured, group, measure
from xstilts.cost.spread import Spread, quantile
from xstilts.cost.workload import TRAINING, Load, loads
from xstilts.errors import UserError
from xstilts.graph import Plan, needed
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
    spread: Spread | None = None
    """Of the seconds per operation of the trainings it was measured in; None of any other figure."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that the steps still to be done will take, on one worker."""

    seconds: float
    measured: bool
    """Whether every kind of work in it has been timed; if not it is a guess."""
    how: str
    low: float | None = None
    high: float | None = None
    """90 % interval of the seconds (`estimate` says how); None where some work in it was not measured twice."""

    def rounded(self) -> dict[str, Any]:
        """As plain values, to a tenth of a second."""
        low, high = (None if seconds is None else round(seconds, 1) for seconds in (self.low, self.high))
        return {"seconds": round(self.seconds, 1), "low": low, "high": high, "measured": self.measured, "how": self.how}


def find_rate(plan: Plan, store: Store, known: Measured | None = None) -> Rate:
    """The throughput that was measured for this store, else that of the plan's done trainings (of those whose manifests
    `measure` reads), else a guess. Nothing counts as measured where the encoder's size, and so the work, is not known.

    Raises `UserError` for a `throughput.json` that is not one.
    """
    rate = _find_rate(plan, store, known)
    if plan.model.body_parameters:
        return rate
    how = f"{rate.how}; the encoder's size is not known, {_PARAMETERS / 1e6:.0f} million parameters assumed"
    return Rate(rate.flops, False, how)


def _find_rate(plan: Plan, store: Store, known: Measured | None) -> Rate:
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
    spread = Spread()
    devices: dict[str, None] = {}
    known = known or measure(plan, store)
    for _, manifest in known.of(plan.steps, Train) if plan.model.body_parameters else ():
        spread.add(manifest["seconds"], TRAINING * plan.model.body_parameters * manifest["pieces"])
        devices[manifest.get("device", "cpu")] = None
    if spread.work and spread.seconds:
        done = sum(n for (kind, _), n in known.counts.items() if kind == Train.kind)
        of = "" if done == spread.n else f"{spread.n} of "
        how = f"measured in {of}{done} trainings of this store, on {', '.join(devices)}"
        return Rate(spread.work / spread.seconds, True, how, spread)
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


def estimate(
    plan: Plan, store: Store, work: Mapping[str, Load], rate: Rate, known: Measured | None = None,
    ahead: Set[str] | None = None,
) -> Estimate:  # fmt: skip
    """Time left of a plan: of the steps `ahead` (keys; those that a run would do where not given).

    Rates are seconds per row by kind and shape, from the manifests of the plan's done steps that `measure` reads;
    `rate` stands in for work that none of them did.

    The interval is that of a sum of steps of which each takes r seconds a row, give or take: the seconds of one with x
    rows have the variance s2 x, where s2 is the variance about r among the n done steps of its group (sum of
    (seconds - r x)**2 / x, by n - 1). X rows ahead and D done make s2 (X + X**2 / D): the luck of each step, and what
    is not known of r. Work that `rate` stands in for may be of a sort that is slower or faster throughout, so its steps
    count as one that is drawn from the done trainings. The variances of the groups are added, with Student's t at
    Welch-Satterthwaite degrees of freedom. Not in it: that a machine may become slower. Steps without an encoder that
    were never timed count as exact; they take next to nothing.
    """
    known = known or measure(plan, store)
    if ahead is None:
        ahead = needed(plan, store.done)
    spreads: dict[Group, Spread] = defaultdict(Spread)
    for key, manifest in known.manifests.items():
        spreads[group(plan.steps[key])].add(manifest["seconds"], max(1, manifest.get("examples", 1)))
    rows: dict[Group, float] = defaultdict(float)
    parameters = plan.model.body_parameters or _PARAMETERS
    operations = reading = 0.0
    for key, step in plan.steps.items():
        if key not in ahead:
            continue
        load = work[key]
        if (sort := group(step)) in spreads:
            rows[sort] += load.rows
        elif load.passes:
            operations += load.operations(parameters) + load.look_operations(parameters)
        else:
            reading += load.rows * _SECONDS_PER_ROW
    total = sum(n * spreads[sort].rate for sort, n in rows.items()) + operations / rate.flops + reading
    errors = [spreads[sort].error(n) for sort, n in rows.items() if n]
    errors += [None if rate.spread is None else rate.spread.error_of_one(operations)] * (operations > 0)
    low, high = _interval(total, errors)
    ways = ["measured rates of this store"] * bool(rows) + [rate.how] * (operations > 0)
    return Estimate(total, rate.measured or not operations, "; ".join(ways) or "nothing but reading", low, high)


def _interval(total: float, errors: list[tuple[float, int] | None]) -> tuple[float | None, float | None]:
    """From (variance, degrees of freedom) of independent parts of a total."""
    sure = [error for error in errors if error is not None]
    if len(sure) < len(errors) or not errors:
        return None, None
    variance = sum(part for part, _ in sure)
    df = variance**2 / sum(part**2 / n for part, n in sure) if variance else math.inf
    half = quantile(df) * math.sqrt(variance)
    return max(0.0, total - half), total + half


def time_left(plan: Plan, store: Store, ahead: Set[str] | None = None) -> Estimate:
    """Time left of a plan, by what the store knows. `ahead` is what `needed` says of the plan, where that is at hand.
    Raises `UserError` as `find_rate` does."""
    ahead = needed(plan, store.done) if ahead is None else ahead
    known = measure(plan, store, plan.steps.keys() - ahead)
    work = loads(plan, store, known, needed(plan, frozenset(), ahead))
    return estimate(plan, store, work, find_rate(plan, store, known), known, ahead)
