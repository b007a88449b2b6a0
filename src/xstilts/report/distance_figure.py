"""Gain against similarity to English: a point per language, a regression line with its band, a panel per group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from xstilts.report.canvas import INK, QUIET, RULE, Canvas, series
from xstilts.report.drawing import (
    Axis,
    Key,
    fitted,
    gain_axis,
    legend,
    legend_height,
    number,
    ordered_groups,
    text_width,
)
from xstilts.report.text import excludes_zero, signed

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 430, 250, 46, 30, 26
_CODE, _CODES = 10, 6  # size of the language codes, and lines of them at most
_ACROSS = 2  # panels side by side


def distance(
    points: pd.DataFrame, fit: pd.DataFrame, name: str, *, axis: str = "syntactic similarity to English"
) -> Markup | None:
    """One panel per group of targets; None where no point has a gain and a similarity.

    `points`: a row per `group`, `category` and `language` with `gain`, `low`, `high` in points and `similarity` (any
    unit, usually 0..1). `fit`: the regression line of a `group` as points `x` (similarity), `y` with its band `low`,
    `high` (points); a group without rows has no line. `axis` names the similarity. The codes of the languages stand
    below each panel, under their points.
    """
    points = points[points["gain"].notna() & points["similarity"].notna()]
    if points.empty:
        return None
    groups = ordered_groups(points["group"])
    categories = list(dict.fromkeys(map(str, points["category"])))
    keys = _keys(categories, fitted_line=len(fit) > 0)
    across = min(_ACROSS, len(groups))
    width = across * (_LEFT + _WIDTH) + (across - 1) * _GAP + 8
    x = _similarities(points)
    lines = {group: _code_lines(points[points["group"] == group], x) for group in groups}
    deepest = max((line for placed in lines.values() for _, _, line in placed), default=0) + 1
    step = _TOP + _HEIGHT + 14 + deepest * 12 + 46
    head = legend_height(width, keys) + 6
    sheet = Canvas(width, head + math.ceil(len(groups) / across) * step)
    legend(sheet, 4, 9, width, keys)
    for i, group in enumerate(groups):
        left, top = (i % across) * (_LEFT + _WIDTH + _GAP) + _LEFT, head + (i // across) * step + _TOP
        mine, line = points[points["group"] == group], fit[fit["group"] == group].sort_values("x")
        here = Axis(left, left + _WIDTH, x.low, x.high)
        _panel(sheet, here, top, group, mine, line, categories)
        _x_axis(sheet, here, top + _HEIGHT, lines[group], deepest, axis)
    return sheet.svg(
        name, f"Gain per language against {axis}",
        "Scatter plot: one panel per group of targets, one point per language and category of intermediate, gain in "
        "points with its 95 % interval, and a regression line with a 95 % band.",
    )  # fmt: skip


def _keys(categories: Sequence[str], *, fitted_line: bool) -> list[Key]:
    marks = [Key(c or "other", series(i)[0], series(i)[1]) for i, c in enumerate(categories)]
    told = [Key("open: the 95 % interval includes zero", QUIET, "o", filled=False)]
    line = [Key("regression with 95 % band", INK, dashes=())] if fitted_line else []
    return [*(marks if len(marks) > 1 else []), *told, *line]


def _similarities(points: pd.DataFrame) -> Axis:
    low, high = float(points["similarity"].min()), float(points["similarity"].max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(0, _WIDTH, low - margin, high + margin)


def _code_lines(points: pd.DataFrame, x: Axis) -> list[tuple[str, float, int]]:
    """(language, pixel, line) of every code that finds room without touching another."""
    ends: list[float] = []
    placed = []
    for language, similarity in points.groupby("language")["similarity"].first().sort_values(kind="stable").items():
        shown = fitted(str(language), 60, _CODE)
        half = text_width(shown, _CODE) / 2 + 1.5
        middle = x(similarity)
        line = next((i for i, end in enumerate(ends) if end <= middle - half), len(ends))
        if line < _CODES:
            ends[line : line + 1] = [middle + half]
            placed.append((shown, middle, line))
    return placed


def _panel(
    sheet: Canvas, x: Axis, top: float, group: str, points: pd.DataFrame, fit: pd.DataFrame, categories: Sequence[str]
) -> None:  # fmt: skip
    band = fit[["y", "low", "high"]].set_axis(["gain", "low", "high"], axis=1)
    y = gain_axis(pd.concat([points[["gain", "low", "high"]], band]), top + _HEIGHT, top, squeeze=1)
    left = x.start
    sheet.text(left, top - 14, fitted(f"{group} targets", _WIDTH, 12.5), size=12.5, bold=True)
    for value in y.ticks(5):
        sheet.line(left, y(value), left + _WIDTH, y(value), QUIET if value == 0 else RULE, 1 if value == 0 else 0.6)
        shown = signed(value, 0) if value == round(value) else signed(value)
        sheet.text(left - 6, y(value), shown, size=10, colour=QUIET, anchor="right")
    sheet.text(left - 36, top + _HEIGHT / 2, "gain in points", size=10.5, colour=QUIET, anchor="center", upwards=True)
    if len(fit):
        xs, lows, highs = ([at(v) for v in fit[c]] for at, c in ((x, "x"), (y, "low"), (y, "high")))
        sheet.band(xs, lows, highs, INK, 0.1)
    for row in points.to_dict("records"):
        i = categories.index(str(row["category"]))
        colour, shape, _ = series(i)
        # categories of one language stand side by side, or their intervals would lie on one another
        at = x(row["similarity"]) + (i - (len(categories) - 1) / 2) * min(4.0, 24 / len(categories))
        if not (math.isnan(row["low"]) or math.isnan(row["high"])):
            sheet.line(at, y(row["low"]), at, y(row["high"]), colour, 0.7)
        sure = excludes_zero(row["low"], row["high"])
        sheet.mark(at, y(row["gain"]), 3.2, colour, shape=shape, filled=sure)
    if len(fit):
        sheet.path(xs, [y(v) for v in fit["y"]], INK, 1.6)


def _x_axis(
    sheet: Canvas, x: Axis, bottom: float, codes: Sequence[tuple[str, float, int]], lines: int, axis: str
) -> None:
    left = x.start
    for shown, pixel, line in codes:
        sheet.line(left + pixel, bottom, left + pixel, bottom + 4, QUIET, 0.6)
        sheet.text(left + pixel, bottom + 10 + line * 12, shown, size=_CODE, anchor="center")
    bottom += 14 + lines * 12
    sheet.line(left, bottom, left + _WIDTH, bottom)
    for value in x.ticks(6):
        sheet.line(x(value), bottom, x(value), bottom + 4)
        sheet.text(x(value), bottom + 12, number(value), size=10, colour=QUIET, anchor="center")
    sheet.text(left + _WIDTH / 2, bottom + 27, axis, size=10.5, colour=QUIET, anchor="center")
