"""The report's tables as plain cells, which the HTML and the Markdown template print alike."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from xstilts.analysis.gains import BASELINE, MEAN, SOURCE, ZERO_SHOT
from xstilts.analysis.perturbations import CLEAN, ROBUST
from xstilts.metrics import METRICS
from xstilts.report.frames import Frames, keyed
from xstilts.report.text import DASH, clean, excludes_zero, plain, signed, span


@dataclass(frozen=True)
class Cell:
    """One cell: its text, and classes for its looks (`strong`, `quiet`, `wide` or none)."""

    text: str
    look: str = ""


@dataclass(frozen=True)
class Table:
    """A table: `numeric` says which columns are aligned right; the first cell of a row is its heading."""

    title: str
    columns: list[str]
    numeric: list[bool]
    rows: list[list[Cell]] = field(default_factory=list)


def _cells(texts: Iterable[object], look: str = "") -> list[Cell]:
    return [Cell(clean(text), look) for text in texts]


_KEY = ("intermediate", "target", "perturbation")


def gain_table(frames: Frames, marked: Container[tuple[str, str]] = (), mark: str = "") -> Table:
    """Zero-shot gain of every intermediate on every target, with English beside it; gains of the (intermediate,
    target) in `marked` bear the mark."""
    rows = frames.gains[frames.gains["primary"].astype(bool)]
    english = keyed(rows[rows["language"] == SOURCE], *_KEY)
    perturbations = [name for name in (CLEAN, ROBUST) if name in set(rows["perturbation"])]
    many = len(perturbations) > 1
    table = Table(
        "Gains by target and intermediate",
        ["target", "intermediate", *(["measure"] if many else []), "gain", "95 % interval",
         "without", "with", "gain in English", "95 % interval", "seeds", "pairs missing"],
        [False, False, *([False] if many else []), *[True] * 8],
    )  # fmt: skip
    zero_shot = keyed(rows[rows["language"] == ZERO_SHOT], *_KEY)
    for target in frames.targets:
        for arm in frames.intermediates:
            for perturbation in perturbations:
                key = (arm.name, target.name, perturbation)
                if key not in zero_shot:
                    continue
                row, en = zero_shot[key], english.get(key)
                look = "strong" if excludes_zero(row["low"], row["high"]) else ""
                table.rows.append([
                    *_cells([target.title, arm.title, *([perturbation] if many else [])]),
                    Cell(signed(row["gain"]) + (mark if key[:2] in marked else ""), look),
                    Cell(span(row["low"], row["high"]), look), Cell(plain(row["baseline"])), Cell(plain(row["score"])),
                    Cell(DASH if en is None else signed(en["gain"])),
                    Cell(DASH if en is None else span(en["low"], en["high"])),
                    Cell(str(row["n_seeds"])), Cell(str(row["missing"]), "" if row["missing"] else "quiet"),
                ])  # fmt: skip
    return table


def score_tables(frames: Frames) -> list[Table]:
    """One table per target, metric and perturbation: intermediates by languages, mean over seeds ± spread."""
    titles = {BASELINE: "none (baseline)"} | {e.name: e.title for e in frames.intermediates}
    tables = []
    for target in frames.targets:
        mine = frames.scores[frames.scores["target"] == target.name]
        mine = mine.sort_values("primary", ascending=False, kind="stable")
        for (metric, perturbation), part in mine.groupby(["metric", "perturbation"], sort=False):
            cells = part.groupby(["intermediate", "language"])["score"].agg(["mean", "std"])
            codes = part["language"].unique()
            languages = [x for x in (SOURCE, *sorted(set(codes) - {SOURCE, MEAN, ZERO_SHOT})) if x in codes]
            shown_metric = METRICS[metric].title if metric in METRICS else metric
            title = f"{target.title}: {shown_metric}" + ("" if perturbation == "clean" else f", {perturbation}")
            columns = [ZERO_SHOT, MEAN, *languages]
            table = Table(clean(title), ["intermediate", *map(clean, columns)], [False, *[True] * len(columns)])
            for name, shown in titles.items():
                if name in cells.index.get_level_values(0):
                    numbers = cells.loc[name].reindex(columns)
                    table.rows.append([*_cells([shown]), *(_spread(*pair) for pair in numbers.to_numpy())])
            tables.append(table)
    return tables


def _spread(mean: float, std: float) -> Cell:
    """Mean ± standard deviation over seeds; the mean alone with one seed."""
    return Cell(plain(mean) if np.isnan(std) else f"{plain(mean)} ±{std:.1f}")


def control_table(controls: pd.DataFrame, frames: Frames) -> Table:
    """The controls target by target."""
    table = Table(
        "Controls by target", ["target", "control", "gain", "95 % interval", "as it should"],
        [False, False, True, True, False],
    )  # fmt: skip
    rows = controls[controls["target"] != ""]
    for target in frames.targets:
        for _, row in rows[rows["target"] == target.name].iterrows():
            ok = {True: "yes", False: "no"}.get(row["ok"], "undecided")
            table.rows.append([
                *_cells([target.title, row["control"]]), Cell(signed(row["gain"])),
                Cell(span(row["low"], row["high"])), Cell(ok, "" if row["ok"] else "strong"),
            ])  # fmt: skip
    return table


def data_table(data: Any) -> Table:
    """Where each split came from: a row per split, with the first twelve characters of each identity."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for entry in data or []:
        key = tuple(str(entry.get(name) or "") for name in ("task", "split", "source"))
        shown = f"{entry.get('language') or ''} {str(entry.get('identity') or '')[:12]}"
        rows.setdefault((key[0], key[1], key[2]), []).append(shown.strip())
    table = Table("Data", ["task", "split", "source", "language and revision"], [False] * 4)
    for key, parts in rows.items():
        table.rows.append([*_cells(key), Cell(clean(", ".join(parts), 4000), "quiet wide")])
    return table


def step_table(steps: pd.DataFrame) -> Table:
    """How many steps of each kind there are, and how many of them ended how."""
    table = Table("Steps by kind", ["kind", "steps", "done", "failed", "not run"], [False, *[True] * 4])
    for kind, part in steps.groupby("kind", sort=False):
        states = part["state"].value_counts()
        done, failed = int(states.get("done", 0)), int(states.get("failed", 0))
        table.rows.append([
            *_cells([kind]), *_cells([len(part), done]), Cell(str(failed), "strong" if failed else "quiet"),
            Cell(str(len(part) - done - failed), "quiet"),
        ])  # fmt: skip
    return table


def failed_table(steps: pd.DataFrame) -> Table:
    """The steps that failed, with their one-line errors."""
    table = Table("Failed steps", ["kind", "step", "error"], [False] * 3)
    for _, row in steps[steps["state"] == "failed"].iterrows():
        table.rows.append([*_cells([row["kind"], row["label"]]), Cell(clean(row["error"]), "wide")])
    return table


def facts(mapping: Any, prefix: str = "") -> list[tuple[str, str]]:
    """(name, value) lines of a nested mapping, in its order; anything else is one line."""
    if not isinstance(mapping, dict):
        values = mapping if isinstance(mapping, list | tuple) else [mapping]
        return [(clean(prefix), clean(", ".join(str(v) for v in values), 2000))]
    return [line for name, value in mapping.items() for line in facts(value, f"{prefix} {name}".strip())]
