"""The report's figures: the heat map of gains, and the gains language by language."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import groupby

import pandas as pd
from markupsafe import Markup

from xstilts.analysis.gains import MEAN, SOURCE, ZERO_SHOT
from xstilts.analysis.multiple import ALPHA
from xstilts.analysis.summary import RETRIEVAL, by_intermediate, headline
from xstilts.report.canvas import GAIN, INK, LOSS, QUIET, Canvas
from xstilts.report.drawing import (
    Axis,
    Key,
    Row,
    fitted,
    gain_mark,
    label_width,
    legend,
    legend_height,
)
from xstilts.report.frames import Entry, Frames, keyed
from xstilts.report.text import DASH, excludes_zero, plain, signed

_CELL, _ROW, _GAP, _LABELS = 104, 44, 12, 190
_STRONGEST = 0.62  # opacity of the largest gain: text on it stays readable in light and dark


def heat_map(
    frames: Frames, name: str, *, cells: pd.DataFrame | None = None, means: pd.DataFrame | None = None,
    what: str = "Zero-shot gain",
) -> Markup:  # fmt: skip
    """Gain of every intermediate (rows) on every target (columns), and their mean, with marks of significance.

    `cells` has a row per `intermediate` and `target` with `gain`, `low`, `high` in points and, if known, `p_holm`, the
    p-value after Holm's correction over the family of comparisons; `means` a row per `intermediate` with the same,
    and without it there is no column of means. Neither given: the zero-shot gains on clean rows, as `headline` and
    `by_intermediate` have them; `headline(frames.gains, "keyboard@0.1")` is that of a perturbation. `what` heads the
    description.
    """
    if cells is None:
        cells, means = headline(frames.gains), by_intermediate(frames.gains)
    per_target = keyed(cells, "intermediate", "target")
    overall = {} if means is None else keyed(means, "intermediate")
    targets, arms = frames.targets, frames.intermediates
    labels = max(label_width([a.title for a in arms], _LABELS), label_width([a.group for a in arms], _LABELS, 10))
    x, left = {}, labels + 14
    place: float = left
    for _, members in groupby(targets, key=lambda e: e.group):
        for target in members:
            x[target.name] = place
            place += _CELL
        place += _GAP
    mean_x = place
    with_mean = bool(overall) and sum(t.group != RETRIEVAL for t in targets) > 1
    width = max(mean_x + (_CELL if with_mean else -_GAP) + 2, 240)
    first_control = next((i for i, arm in enumerate(arms) if arm.control), len(arms))
    top = 62
    y = {arm.name: top + i * _ROW + (_GAP if i >= first_control else 0) for i, arm in enumerate(arms)}
    bottom = top + len(arms) * _ROW + _GAP
    keys = [Key("the 95 % interval excludes zero", shape="o")]
    if any("p_holm" in row for row in (*per_target.values(), *overall.values())):
        keys.append(Key("p < 0.05 after Holm's correction", shape="*"))
    sheet = Canvas(width, bottom + 6 + legend_height(width, keys))
    for group, members in groupby(targets, key=lambda e: e.group):
        names = [t.name for t in members]
        start, end = x[names[0]], x[names[-1]] + _CELL
        sheet.text((start + end) / 2, 9, fitted(group, end - start, 10.5), size=10.5, colour=QUIET, anchor="center")
        sheet.line(start + 3, 19, end - 3, 19)
    for target in targets:
        _heading(sheet, x[target.name] + _CELL / 2, target.title)
    if with_mean:
        _heading(sheet, mean_x + _CELL / 2, "mean without retrieval" if _has_retrieval(targets) else "mean")
    gains = [row["gain"] for row in (*per_target.values(), *overall.values()) if not math.isnan(row["gain"])]
    largest = max(map(abs, gains), default=1.0) or 1.0
    for arm in arms:
        middle = y[arm.name] + _ROW / 2
        sheet.text(left - 10, middle - (7 if arm.group else 0), fitted(arm.title, labels), anchor="right")
        if arm.group:
            sheet.text(left - 10, middle + 8, fitted(arm.group, labels, 10), size=10, colour=QUIET, anchor="right")
        for target in targets:
            _cell(sheet, x[target.name], y[arm.name], per_target.get((arm.name, target.name)), largest)
        if with_mean:
            _cell(sheet, mean_x, y[arm.name], overall.get((arm.name,)), largest)
    legend(sheet, 4, bottom + 12, width, keys)
    return sheet.svg(
        name, f"{what} of every intermediate on every target",
        "Heat map: one row per intermediate, one column per target, gain in points with its 95 % interval; "
        "the same numbers are in the table of gains.",
    )  # fmt: skip


def _has_retrieval(targets: Sequence[Entry]) -> bool:
    return any(t.group == RETRIEVAL for t in targets)


def _heading(sheet: Canvas, x: float, title: str) -> None:
    lines = textwrap.wrap(title, 14, max_lines=2, placeholder="…")
    for i, line in enumerate(lines):
        sheet.text(x, 49 + 14 * (i - len(lines) + 1), fitted(line, _CELL), anchor="center", bold=True)


def _cell(sheet: Canvas, x: float, y: float, found: Row | None, largest: float) -> None:
    x, y, width, height = x + 1.5, y + 1.5, _CELL - 3, _ROW - 3
    gain = math.nan if found is None else float(found["gain"])
    if found is None or math.isnan(gain):
        sheet.hatched(x, y, width, height)
        sheet.text(x + width / 2, y + height / 2, DASH, colour=QUIET, anchor="center")
        return
    low, high = float(found["low"]), float(found["high"])
    sure = excludes_zero(low, high)
    sheet.box(x, y, width, height, GAIN if gain > 0 else LOSS, 0.05 + (_STRONGEST - 0.05) * abs(gain) / largest)
    sheet.text(x + width / 2, y + height / 2 - 7, signed(gain), size=13, anchor="center", bold=sure)
    if not math.isnan(low):
        text = f"{plain(low)} to {plain(high)}"
        sheet.text(x + width / 2, y + height / 2 + 9, text, size=10, anchor="center")
    if sure:
        sheet.mark(x + width - 7, y + 7, 2, INK, filled=True)
    if found.get("p_holm", math.nan) < ALPHA:
        sheet.mark(x + width - 16, y + 7, 3.4, INK, shape="*", filled=True)


_PANEL, _LINE, _AXIS = 140, 17, 26


def by_language(frames: Frames, target: Entry, name: str) -> Markup | None:
    """One target's gain per language (rows) and intermediate (panels) with 95 % intervals; None without a
    gain.

    Languages that the encoder was not pretrained on stand apart below the others, as diamonds.
    """
    rows = frames.gains
    rows = rows[
        (rows["target"] == target.name) & rows["primary"].astype(bool) & (rows["perturbation"] == "clean")
        & ~rows["language"].isin([MEAN, ZERO_SHOT]) & rows["gain"].notna()
    ]  # fmt: skip
    arms = [arm for arm in frames.intermediates if arm.name in set(rows["intermediate"])]
    if not arms:
        return None
    seen = rows.groupby("language")["seen"].first().astype(bool)
    order = sorted(seen.index, key=lambda code: (not seen[code], code != SOURCE, code))
    top, left = 42, label_width(order, 90, 11) + 10
    y = {code: top + 10 + i * _LINE + (0 if seen[code] else 12) for i, code in enumerate(order)}
    bottom = max(y.values()) + 11
    low, high, step = _scale(rows)
    sheet = Canvas(left + len(arms) * _PANEL, bottom + _AXIS + 14)
    for code in order:
        sheet.text(
            left - 8, y[code], fitted(code, 90, 11), size=11, anchor="right", colour=INK if seen[code] else QUIET
        )
    if not seen.all():
        edge = y[next(code for code in order if not seen[code])] - _LINE / 2 - 5
        sheet.line(0, edge, sheet.width, edge)
    indexed = keyed(rows, "intermediate", "language")
    for i, arm in enumerate(arms):
        start, end = left + i * _PANEL + 12, left + (i + 1) * _PANEL - 12
        at = Axis(start, end, low, high)
        sheet.text((start + end) / 2, 12, fitted(arm.title, _PANEL - 6), anchor="center", bold=True)
        sheet.text((start + end) / 2, 28, fitted(arm.group, _PANEL - 6, 10), size=10, colour=QUIET, anchor="center")
        for k in range(math.ceil(low / step), math.floor(high / step) + 1):
            sheet.line(at(k * step), top, at(k * step), bottom, width=1.6 if k == 0 else 0.6)
            sheet.text(at(k * step), bottom + 11, signed(k * step, 0), size=10, colour=QUIET, anchor="center")
        for code in order:
            if (arm.name, code) in indexed:
                row = indexed[arm.name, code]
                gain_mark(sheet, at, y[code], row, shape="o" if row["seen"] else "D", radius=2.8)
    middle = left + len(arms) * _PANEL / 2
    sheet.text(middle, bottom + 29, "gain in points", size=10.5, colour=QUIET, anchor="center")
    return sheet.svg(
        name, f"Gain per language on {target.title}",
        "One panel per intermediate, one row per language: gain in points with its 95 % interval, filled "
        "where the interval excludes zero; diamonds are languages that the encoder was not pretrained on. "
        "The numbers are in gains.csv.",
    )  # fmt: skip


def _scale(rows: pd.DataFrame) -> tuple[float, float, int]:
    """(low, high, step) of an axis with at most five ticks. It holds all gains and nine in ten interval
    ends: the widest intervals, which two seeds can make very wide, run off the edge rather than squeeze the
    rest."""
    low = min(0.0, float(rows["gain"].min()), float(rows["low"].fillna(0).quantile(0.1)))
    high = max(0.0, float(rows["gain"].max()), float(rows["high"].fillna(0).quantile(0.9)))
    margin = max(0.04 * (high - low), 0.5)
    low, high = low - margin, high + margin
    step = next((step for step in (1, 2, 5, 10, 20) if high - low <= 4.5 * step), 50)
    return low, high, step
