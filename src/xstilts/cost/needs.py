"""What a plan needs and what it saves, as plain values and as sentences: sharing, disk, hours, looks at dev rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from xstilts.cost.disk import disk
from xstilts.cost.estimate import Rate, durations, operations
from xstilts.cost.workload import ROWS, Load, unshared
from xstilts.graph import Plan
from xstilts.steps.prepare import Prepare
from xstilts.steps.train import Train
from xstilts.tasks import get_task


def needs(plan: Plan, work: Mapping[str, Load], rate: Rate) -> dict[str, Any]:
    """`sharing`, `disk` (bytes; None where the size of the encoder is not known), `compute`, `selection`, `missing` and
    `assumed` (data steps of assumed size), for the whole plan, done steps included."""
    # not above: it brings all readers of files along, and `status` none
    from xstilts.sources.assumed import ABSENT, looked_for

    found, space = operations(plan, work), disk(plan, work)
    seconds = durations(plan, work.values(), rate)
    data = [step for step in plan.steps.values() if isinstance(step, Prepare)]
    missing = [step for step in data if step.content.startswith(ABSENT)]
    return {
        "sharing": _sharing(plan, work),
        "disk": None if space is None else asdict(space),
        "compute": {
            "operations": found, "hours": {name: value / 3600 for name, value in seconds.items()},
            "total_hours": sum(seconds.values()) / 3600, "flops": rate.flops, "measured": rate.measured,
            "how": rate.how,
        },
        "selection": _selection(plan, work, found),
        "missing": [
            {"task": step.task, "split": step.split, "language": step.language,
             "looked_for": step.file or looked_for(get_task(step.task), step.split, step.language)}
            for step in missing
        ],
        "assumed": [plan.labels[step.key] for step in data if work[step.key].guessed],
    }  # fmt: skip


def _sharing(plan: Plan, work: Mapping[str, Load]) -> dict[str, Any]:
    """Training work with steps shared, and with every cell of the study run on its own."""
    asked = unshared(plan)
    trainings = [key for key, step in plan.steps.items() if isinstance(step, Train)]
    pieces, alone = (sum(work[key].pieces * (asked[key] if each else 1) for key in trainings) for each in (False, True))
    return {
        "trainings": len(trainings), "trainings_unshared": sum(asked[key] for key in trainings),
        "rows": sum(work[key].rows for key in trainings),
        "rows_unshared": sum(work[key].rows * asked[key] for key in trainings),
        "pieces": round(pieces), "pieces_unshared": round(alone), "saved": 1 - pieces / alone if alone else 0.0,
    }  # fmt: skip


def _selection(plan: Plan, work: Mapping[str, Load], found: Mapping[str, float]) -> dict[str, Any]:
    """What choosing checkpoints by dev rows costs."""
    choosing = [work[key] for key, step in plan.steps.items() if isinstance(step, Train) and step.dev]
    return {
        "trainings": len(choosing), "looks": sum(load.looks for load in choosing),
        "rows": sum(load.looked for load in choosing),
        "share": found["looks"] / found["training"] if found["training"] else 0.0,
    }  # fmt: skip


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """The values of `needs` for a person, a line each."""
    return [*_shared_words(facts["sharing"]), _disk_words(facts["disk"]), _compute_words(facts["compute"]),
            *_selection_words(facts["selection"]), *_assumed_words(facts["assumed"])]  # fmt: skip


def _shared_words(sharing: Mapping[str, Any]) -> list[str]:
    if not sharing["trainings"]:
        return []
    return [
        f"sharing: {sharing['trainings']:,} trainings on {count(sharing['rows'])} rows, every epoch counted, instead "
        f"of {sharing['trainings_unshared']:,} on {count(sharing['rows_unshared'])}; {100 * sharing['saved']:.0f} % of "
        "the training work saved"
    ]


def _disk_words(space: Mapping[str, Any] | None) -> str:
    if space is None:
        return "disk: not known, since the encoder's size is not; name a local folder to have it estimated"
    dropped = space["checkpoints"] - space["kept"]
    return (
        f"disk: {size(space['everything'])} with all {space['checkpoints']:,} checkpoints kept, "
        f"{size(space['checkpoint'])} each; {size(space['retained'])} with {dropped:,} of targets dropped once their "
        f"predictions are stored, {size(space['peak'])} at the peak"
    )


def _compute_words(compute: Mapping[str, Any]) -> str:
    hours = compute["hours"]
    return (
        f"compute: about {time(compute['total_hours'])} for the whole plan at {rate(compute['flops'])} "
        f"({compute['how']}): training {time(hours['training'])}, choosing checkpoints {time(hours['looks'])}, "
        f"predictions {time(hours['prediction'])}"
    )


def _selection_words(selection: Mapping[str, Any]) -> list[str]:
    if not selection["trainings"]:
        return []
    return [
        f"checkpoints: {selection['trainings']:,} trainings choose theirs in {selection['looks']:,} looks at "
        f"{count(selection['rows'])} dev rows in all, unless patience ends one sooner; that adds "
        f"{100 * selection['share']:.1f} % to the cost of training"
    ]


def _assumed_words(assumed: list[str]) -> list[str]:
    if not assumed:
        return []
    named = ", ".join(assumed[:6]) + (f" and {len(assumed) - 6} more" if len(assumed) > 6 else "")
    return [f"sizes not known before they are read, {ROWS:,} rows assumed: {named}"]


def count(n: float) -> str:
    """A number of rows in words: `12,345`, `1.23 million`, `4.56 billion`."""
    if n < 1e6:
        return f"{n:,.0f}"
    return f"{n / 1e6:.3g} million" if n < 999.5e6 else f"{n / 1e9:,.3g} billion"


def size(n: float) -> str:
    """Bytes in decimal units, three digits: `640 B`, `3.18 MB`, `2.24 GB`, `1.05 TB`."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n >= 0.9995 * scale:
            return f"{n / scale:.3g} {unit}"
    return f"{n / 1e3:.0f} kB" if n >= 1e3 or not n else f"{n:.0f} B"


def rate(flops: float) -> str:
    """Floating-point operations per second: `50 GFLOP/s`, `38.2 TFLOP/s`."""
    return f"{flops / 1e12:.3g} TFLOP/s" if flops >= 0.9995e12 else f"{flops / 1e9:.3g} GFLOP/s"


def time(hours: float) -> str:
    """Hours in words: `12 s`, `34 min`, `5.6 h`, `410 h`."""
    if hours < 1:
        return f"{hours * 60:.0f} min" if hours > 1 / 40 else f"{hours * 3600:.0f} s"
    return f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"
