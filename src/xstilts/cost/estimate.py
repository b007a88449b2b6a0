"""How long a plan takes: from what its done steps took, from a measured throughput, else from a guess that says so."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from xstilts.cost.measured import Group, Measured, group, measure
from xstilts.cost.spread import Spread, quantile
from xstilts.cost.workload import TRAINING, Load, loads
from xstilts.errors import UserError
from xstilts.graph import Plan, needed
from xstilts.steps.train import Train
from xstilts.store import Store

THROUGHPUT = "throughput.json"
"""What `xstilts bench` writes into the root of a store."""
_GUESS = 5e10
"""Floating-point operations per second assumed of a machine nothing is known of (two CPU cores)."""
_PARAMETERS = 86_000_000
"""Body parameters assumed of an encoder nothing is known of: 12 layers of width 768."""
_SECONDS_PER_ROW = 2e-5
"""Of steps in which no encoder runs."""


Speeds = tuple[tuple[float, float], ...]
"""(pieces of a row, floating-point operations per second on such rows), by rising pieces."""


@dataclass(frozen=True)
class Rate:
    """How fast a machine trains and predicts: 6 and 2 operations per body parameter and piece, whatever else it does
    meanwhile."""

    flops: float
    """Floating-point operations per second: of training, and of whatever has no figure of its own."""
    measured: bool
    how: str
    """Where the figure is from, to be printed behind it."""
    spread: Spread | None = None
    """Of the seconds per operation of the trainings it was measured in; None of any other figure."""
    training: Speeds = ()
    prediction: Speeds = ()

    def seconds(self, load: Load, parameters: int) -> dict[str, float]:
        """What a step of an encoder with this many body parameters takes, as `training`, `looks` and `prediction`."""
        found: dict[str, float] = {}
        if load.passes:
            sort, speeds = ("training", self.training) if load.passes == TRAINING else ("prediction", self.prediction)
            found[sort] = load.operations(parameters) / self._at(speeds, load.pieces, load.rows)
        if load.looked:
            found["looks"] = load.look_operations(parameters) / self._at(
                self.prediction, load.looked_pieces, load.looked
            )
        return found

    def _at(self, speeds: Speeds, pieces: float, rows: float) -> float:
        """Operations per second on rows of pieces: what lies between two measured lengths takes a time between."""
        if not speeds:
            return self.flops
        length = pieces / max(1, rows)
        after = next((i for i, (measured, _) in enumerate(speeds) if measured >= length), len(speeds) - 1)
        (short, slow), (long, fast) = speeds[max(0, after - 1)], speeds[after]
        share = min(1.0, (length - short) / (long - short)) if short < long and length > short else 0.0
        return 1 / ((1 - share) / slow + share / fast)


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


def find_rate(
    plan: Plan, store: Store, known: Measured | None = None, found: Mapping[str, Any] | None = None
) -> Rate:  # fmt: skip
    """The rate that was measured for this store, else that of the plan's done trainings (of those whose manifests
    `measure` reads), else a guess. Nothing counts as measured where the encoder's size, and so the work, is not known.

    `found` is what `xstilts bench` found, where it is not in the store. Raises `UserError` for a `throughput.json` that
    is not one.
    """
    rate = _find_rate(plan, store, known, found)
    if plan.model.body_parameters:
        return rate
    how = f"{rate.how}; the encoder's size is not known, {_PARAMETERS / 1e6:.0f} million parameters assumed"
    return replace(rate, measured=False, how=how)


def _find_rate(plan: Plan, store: Store, known: Measured | None, found: Mapping[str, Any] | None) -> Rate:
    path = store.root / THROUGHPUT
    if found is not None or path.is_file():
        try:
            return _of_plan(plan, json.loads(path.read_text("utf-8")) if found is None else found, store)
        except (ValueError, KeyError, TypeError, AttributeError):
            what, remedy = "is no measurement of throughput", f"measure again: {_command(plan, store)}"
            raise UserError(what, file=path, remedy=remedy) from None
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
    return Rate(_GUESS, False, f"a guess; measure it: {_command(plan, store)}")


def rate_of(found: Mapping[str, Any]) -> Rate:
    """The rate in what `xstilts bench` found, or the script that was there before it and had one figure for all work.
    Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError` where it is no such thing."""
    rates = found.get("rates", {})
    training, prediction = (
        tuple((float(pieces), float(flops)) for pieces, flops in rates.get(name, ()))
        for name in ("training", "prediction")
    )
    flops = float(found["flops"])
    if not all(0 < number < math.inf for number in (flops, *(n for pair in training + prediction for n in pair))):
        raise ValueError("a rate is a number above zero")
    with_what = "xstilts bench" if rates else "the benchmark of an earlier version"
    how = f"measured on {found['device']} in {found['precision']} with {with_what}"
    if found.get("processes", 1) > 1:
        how += f", {found['processes']} processes at once"
    return Rate(flops, True, how, training=tuple(sorted(training)), prediction=tuple(sorted(prediction)))


def _of_plan(plan: Plan, found: Mapping[str, Any], store: Store) -> Rate:
    """The same, measured only where it is of such an encoder and arithmetic as the plan's."""
    rate, body, shape = rate_of(found), int(found["body_parameters"]), found["encoder"]
    size = f"{shape['num_hidden_layers']} layers of width {shape['hidden_size']}"
    if body != plan.model.body_parameters:
        return replace(rate, measured=False, how=f"{rate.how}, but for another size: {size}")
    if plan.study.precision not in ("auto", found["precision"]):
        how = f"{rate.how}, but the study computes in {plan.study.precision}; measure it: {_command(plan, store)}"
        return replace(rate, measured=False, how=how)
    return rate


def _command(plan: Plan, store: Store) -> str:
    """What measures the rate for a plan; of its study, where that asks for an arithmetic."""
    study = plan.study.file if plan.study.precision != "auto" else None
    what = shlex.quote(study) if study else f"--model {shlex.quote(plan.model.location)}"
    return f"xstilts bench {what} --store {shlex.quote(str(store.root))}"


def operations(plan: Plan, work: Mapping[str, Load]) -> dict[str, float]:
    """Floating-point operations of a plan: `training`, `looks` at dev rows on the way, `prediction`."""
    parameters = plan.model.body_parameters or _PARAMETERS
    found = {"training": 0.0, "looks": 0.0, "prediction": 0.0}
    for load in work.values():
        found["training" if load.passes == TRAINING else "prediction"] += load.operations(parameters)
        found["looks"] += load.look_operations(parameters)
    return found


def durations(plan: Plan, work: Collection[Load], rate: Rate) -> dict[str, float]:
    """Seconds that the `operations` of these loads take at a rate."""
    parameters = plan.model.body_parameters or _PARAMETERS
    found = {"training": 0.0, "looks": 0.0, "prediction": 0.0}
    # most are one and the same object: those of steps that differ in seed or checkpoint alone
    different, times = {id(load): load for load in work}, Counter(map(id, work))
    for which, load in different.items():
        for sort, seconds in rate.seconds(load, parameters).items():
            found[sort] += times[which] * seconds
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
    computed: list[Load] = []
    for key, step in plan.steps.items():
        if key not in ahead:
            continue
        load = work[key]
        if (sort := group(step)) in spreads:
            rows[sort] += load.rows
        elif load.passes:
            operations += load.operations(parameters) + load.look_operations(parameters)
            computed.append(load)
        else:
            reading += load.rows * _SECONDS_PER_ROW
    computing = sum(durations(plan, computed, rate).values())
    total = sum(n * spreads[sort].rate for sort, n in rows.items()) + computing + reading
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


def time_left(
    plan: Plan, store: Store, ahead: Set[str] | None = None, found: Mapping[str, Any] | None = None
) -> Estimate:  # fmt: skip
    """Time left of a plan, by what the store knows. `ahead` is what `needed` says of the plan, where that is at hand;
    `found` and errors as in `find_rate`."""
    ahead = needed(plan, store.done) if ahead is None else ahead
    known = measure(plan, store, plan.steps.keys() - ahead)
    work = loads(plan, store, known, needed(plan, frozenset(), ahead))
    return estimate(plan, store, work, find_rate(plan, store, known, found), known, ahead)
