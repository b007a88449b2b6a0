"""What `xstilts bench` shows, and what it means in hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from xstilts.bench.measure import PASSES
from xstilts.bench.subject import SORTS
from xstilts.cost.estimate import rate_of, time_left
from xstilts.cost.needs import size
from xstilts.cost.workload import TRAINING, Load
from xstilts.graph import Plan
from xstilts.screens import duration
from xstilts.settings import resolve
from xstilts.store import Store
from xstilts.tasks.sizes import official_rows

_BYTES = 4
"""Of a number in a checkpoint."""


@contextmanager
def telling(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Something to tell what is being done, shown in one line of a terminal and nowhere else."""
    console = Console(stderr=True, quiet=quiet)
    with console.status("") as status:
        yield lambda what: status.update(f"measuring: {what}")


def print_bench(found: Mapping[str, Any], written: str | None, sentence: str) -> None:
    """The figures as a table and sentences, where they were written, and as the last line what they mean."""
    console = Console()
    several = [f"{found['processes']} at once"] if found["processes"] > 1 else []
    table = Table("", "one process", *several, "share", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:]:
        column.justify = "right"
    sections = {"matrix": "matrix products", **{kind: kind for kind in PASSES}}
    for kind, words in sections.items():
        scale, unit = _unit(found[kind].values(), "FLOP/s" if kind == "matrix" else "pieces/s")
        table.add_row(f"{words}, {unit}")
        for name, each in found[kind].items():
            rows = f"{SORTS[name]}, {each['batch']} x {each['pieces']}" if name in SORTS else name
            cells = [_spread(each.get(how), scale) for how in ("one", "together")[: 1 + len(several)]]
            table.add_row(f"  {rows}", *cells, f"{100 * each['share']:.0f} %" if "share" in each else "")
    for line in _titles(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(table, highlight=False)
    where = "not written, and the disk not measured (--dry)" if written is None else f"written to {written}"
    for line in (*_sentences(found), where, sentence):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _unit(rows: Iterable[Mapping[str, Any]], unit: str) -> tuple[float, str]:
    """(what to divide rates by, in what unit they are then) so that they are short."""
    least = min(row["one"]["median"] for row in rows)
    if unit == "FLOP/s":
        return (1e12, f"T{unit}") if least >= 1e12 else (1e9, f"G{unit}")
    return (1e3, f"1,000 {unit}") if least >= 1e3 else (1.0, unit)


def _spread(spread: Mapping[str, float] | None, scale: float) -> str:
    if spread is None:
        return ""
    median, lowest, highest = (_short(spread[name] / scale) for name in ("median", "lowest", "highest"))
    return f"{median} ({lowest} to {highest})"


def _short(n: float) -> str:
    """Three digits."""
    return f"{n:,.0f}" if n >= 100 else f"{n:.3g}"


def _titles(found: Mapping[str, Any]) -> list[str]:
    shape = found["encoder"]
    depth = shape["num_hidden_layers"]
    memory = f" with {size(found['memory'])} of memory" if found["accelerator"] else ""
    part = "" if found["layers"] == depth else f"measured on {found['layers']} of {depth} layers; "
    return [
        f"{found['name']}: {depth} layers of width {shape['hidden_size']}, "
        f"{found['body_parameters'] / 1e6:.3g} million parameters in them",
        f"{found['precision']} on {found['device']}{memory}",
        f"{part}median (lowest to highest) of {found['rounds']} round{'s' * (found['rounds'] > 1)}",
    ]


def _sentences(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "32 x 50: 32 sequences of 50 pieces at a time; share: of the rate of matrix products in "
        f"{found['precision']}, at 6 and 2 operations a parameter and piece"
    ]
    if found["scaling"]:
        gain = _spread(found["scaling"]["training"], 1)
        lines.append(
            f"{found['processes']} processes at once train {gain} times as fast as one; plans reckon with that"
        )
    if found["disk"]:
        speeds = ", ".join(f"{_spread(each, 1e6)} MB/s {name}" for name, each in found["disk"].items())
        bytes_ = _BYTES * found["parameters"]
        seconds = duration(max(1.0, bytes_ / found["disk"]["written"]["median"]))
        lines.append(f"disk of the store: {speeds}; a checkpoint of {size(bytes_)} takes about {seconds}")
    return lines


def meaning(found: Mapping[str, Any], plan: Plan | None, store: Store) -> tuple[str, float]:
    """(what the figures mean for a plan, or where there is none for a fine-tuning on MNLI; seconds of one process)."""
    count = found["processes"]
    if plan is not None:
        seconds = time_left(plan, store, found=found).seconds
        at_once = f", {duration(seconds / count)} with {count} steps at a time" if count > 1 else ""
        return f"{plan.study.name}: about {duration(seconds)} of work left{at_once}", seconds
    rows, epochs = official_rows("mnli", "train", "en") or 0, resolve({}, ()).epochs
    pieces = found["training"]["classify"]["pieces"]
    load = Load(round(rows * epochs), pieces=rows * epochs * pieces, passes=TRAINING)
    seconds = rate_of(found).seconds(load, found["body_parameters"])["training"]
    at_once = f", and {count} of them at a time take no longer" if count > 1 else ""
    return (
        f"a fine-tuning on MNLI ({rows:,} pairs, {epochs:g} epochs) takes about {duration(seconds)}{at_once}",
        seconds,
    )
