"""The forest plot: gain of each category of intermediate by group of targets, robust and clean, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from xstilts.analysis.multiple import ALPHA
from xstilts.analysis.summary import RETRIEVAL
from xstilts.report.canvas import INK, QUIET, Canvas
from xstilts.report.drawing import (
    SHAPES,
    Axis,
    Key,
    Row,
    fitted,
    gain_axis,
    gain_grid,
    gain_mark,
    label_width,
    legend,
    legend_height,
    measure_keys,
    ordered_groups,
    text_width,
)
from xstilts.report.frames import keyed
from xstilts.report.text import DASH, signed, span

_LINE, _PLOT, _HEAD, _FOOT = 17, 430, 34, 30
_NUMBERS, _BEST = 142, 74  # widths of the columns of text


def forest(rows: pd.DataFrame, name: str) -> Markup | None:
    """Categories (rows, sorted by robust gain) within groups of targets (panels); None where there is no gain.

    `rows`: a row per `group` (`syntactic`, `semantic`, `retrieval`), `category` and `measure` (`robust`, `clean`) with
    `gain`, `low`, `high` in points, `p_holm` (0..1, after Holm's correction), `best` (0..1, the probability of being
    the best category of the group) and `n_targets`. Any number may be NaN. The panels share a scale, but retrieval has
    its own.
    """
    rows = rows[rows["measure"].isin(SHAPES)]
    if not rows["gain"].notna().any():
        return None
    measures = [m for m in SHAPES if m in set(rows["measure"])]
    left = label_width([f"{category} (00)" for category in rows["category"]], 200) + 14
    panels = _panels(rows, measures, left)
    width = left + _PLOT + 20 + _NUMBERS + _BEST
    keys = [*measure_keys(measures), Key("p < 0.05 after Holm's correction", INK, "*")]
    bottom = panels[-1].bottom + _FOOT
    sheet = Canvas(width, bottom + 26 + legend_height(width, keys))
    for panel in panels:
        _draw(sheet, panel, measures, left)
    sheet.text(left + _PLOT / 2, bottom + 6, "gain in points", size=10.5, colour=QUIET, anchor="center")
    legend(sheet, 4, bottom + 32, width, keys)
    return sheet.svg(
        name, "Gain of each category of intermediate by group of targets",
        "Forest plot: one panel per group of targets, one row per category of intermediate, sorted by robust gain; "
        "points with 95 % intervals under perturbation and on clean rows, and the probability that a category is the "
        "best of its group. The same numbers are in the table of categories.",
    )  # fmt: skip


@dataclass(frozen=True)
class _Panel:
    group: str
    top: float
    bottom: float
    categories: list[str]
    found: dict[tuple[str, ...], Row]
    at: Axis


def _panels(rows: pd.DataFrame, measures: list[str], left: float) -> list[_Panel]:
    panels, top = [], 0.0
    groups = ordered_groups(rows["group"])
    shared = rows[rows["group"] != RETRIEVAL]
    for group in groups:
        mine = rows[rows["group"] == group]
        found = keyed(mine, "category", "measure")

        def place(category: str, found: dict[tuple[str, ...], Row] = found) -> tuple[float, str]:
            gains = [found[category, m]["gain"] for m in measures if (category, m) in found]
            return (-next((g for g in gains if not math.isnan(g)), -math.inf), category)

        categories = sorted({str(category) for category in mine["category"]}, key=place)
        bottom = top + _HEAD + len(categories) * (_LINE * len(measures) + 8)
        at = gain_axis(mine if group == RETRIEVAL else shared, left, left + _PLOT)
        panels.append(_Panel(group, top, bottom, categories, found, at))
        top = bottom + _FOOT + 8
    return panels


def _draw(sheet: Canvas, panel: _Panel, measures: list[str], left: float) -> None:
    numbers = left + _PLOT + 20
    counts = {int(row["n_targets"]) for row in panel.found.values() if not math.isnan(row["n_targets"])}
    same = len(counts) == 1
    targets = f"{panel.group} targets" + (f" ({next(iter(counts))})" if same else "")
    sheet.text(0, panel.top + 16, fitted(targets, left + _PLOT, 12.5), size=12.5, bold=True)
    sheet.text(numbers, panel.top + 16, "gain and 95 % interval", size=10, colour=QUIET)
    sheet.text(sheet.width - 2, panel.top + 16, "P(best)", size=10, colour=QUIET, anchor="right")
    sheet.line(0, panel.top + 27, sheet.width, panel.top + 27)
    gain_grid(sheet, panel.at, panel.top + _HEAD, panel.bottom, ticks=9)
    y = panel.top + _HEAD + 4
    for category in panel.categories:
        middle = y + _LINE * len(measures) / 2
        here = [panel.found.get((category, m)) for m in measures]
        count = max((row["n_targets"] for row in here if row), default=math.nan)
        suffix = "" if same or math.isnan(count) else f" ({count:.0f})"
        shown = fitted(category or "other", left - 14 - text_width(suffix), 12) + suffix
        sheet.text(left - 14, middle, shown, anchor="right")
        for i, (measure, row) in enumerate(zip(measures, here, strict=True)):
            if row is not None:
                _line(sheet, panel.at, y + _LINE * (i + 0.5), row, SHAPES[measure], numbers, first=i == 0)
        y += _LINE * len(measures) + 8


def _line(sheet: Canvas, at: Axis, y: float, row: Row, shape: str, numbers: float, *, first: bool) -> None:
    gain_mark(sheet, at, y, row, shape=shape, radius=4 if first else 3.2)
    if math.isnan(row["gain"]):
        sheet.text(numbers + 50, y, DASH, size=11, colour=QUIET)
        return
    if row["p_holm"] < ALPHA:
        sheet.mark(numbers - 6, y, 4.2, INK, shape="*", filled=True)
    colour = INK if first else QUIET
    sheet.text(numbers + 42, y, signed(row["gain"]), size=11, colour=colour, anchor="right", bold=first)
    sheet.text(numbers + 50, y, span(row["low"], row["high"]), size=11, colour=colour)
    sheet.text(sheet.width - 2, y, probability(row["best"]), size=11, colour=colour, anchor="right", bold=first)


def probability(value: float) -> str:
    """A share as whole percents, never rounded to certainty: `63 %`, `< 1 %`, `> 99 %`; a dash for NaN."""
    if math.isnan(value):
        return DASH
    return "< 1 %" if value < 0.005 else "> 99 %" if value > 0.995 else f"{100 * value:.0f} %"
