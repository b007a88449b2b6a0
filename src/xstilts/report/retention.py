"""Retention over the rate of perturbation: a panel per target and kind, a line per intermediate."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from xstilts.analysis.gains import BASELINE
from xstilts.report.canvas import INK, QUIET, RULE, Canvas, series
from xstilts.report.drawing import Axis, Key, fitted, legend, legend_height, number
from xstilts.report.text import clean

_WIDTH, _HEIGHT, _GAP, _LEFT, _ACROSS = 205, 170, 28, 66, 4
_HEAD, _FOOT = 46, 40  # above the panels: target and kind; below: the rates


def retention(
    rows: pd.DataFrame, name: str, *, titles: Mapping[str, str] | None = None,
    what: str = "chance-corrected retention",
) -> Markup | None:  # fmt: skip
    """One row of panels per target, one panel per kind of perturbation; None where there is no value.

    `rows`: a row per `target`, `intermediate` (or category of them; `none` is the reference, drawn in ink), `kind` and
    `rate` (0..1; 0 is clean) with `value`, `low`, `high` in any one unit, which `what` names. A line needs two rates; a
    single one is a mark. `titles` are names of targets and intermediates for people. Panels of a target share an axis.
    """
    rows = rows[rows["value"].notna() & rows["rate"].notna()]
    if rows.empty:
        return None
    known = {} if titles is None else titles
    arms = _arms(rows)
    keys = [Key(known.get(a, "none (baseline)" if a == BASELINE else a), look.colour, look.shape, dashes=look.dashes)
            for a, look in arms.items()]  # fmt: skip
    kinds = {str(t): sorted(set(map(str, part["kind"]))) for t, part in rows.groupby("target", sort=False)}
    across = min(_ACROSS, max(map(len, kinds.values())))
    width = max(_LEFT + across * (_WIDTH + _GAP) + 4, 320)
    head = legend_height(width, keys) + 4
    blocks = [(t, i, own[i : i + across]) for t, own in kinds.items() for i in range(0, len(own), across)]
    sheet = Canvas(width, head + len(blocks) * (_HEAD + _HEIGHT + _FOOT) + 16)
    legend(sheet, 4, 9, width, keys)
    for i, (target, first, shown) in enumerate(blocks):
        top = head + i * (_HEAD + _HEIGHT + _FOOT)
        mine = rows[rows["target"] == target]
        title = fitted(known.get(target, target), width - 90, 12.5) + (", continued" if first else "")
        sheet.text(4, top + 12, title, size=12.5, bold=True)
        _values(sheet, top + _HEAD, what)
        for k, kind in enumerate(shown):
            left = _LEFT + k * (_WIDTH + _GAP)
            _panel(sheet, left, top + _HEAD, kind, mine, arms, labels=k == 0)
    middle = _LEFT + (across * (_WIDTH + _GAP) - _GAP) / 2
    sheet.text(middle, sheet.height - 10, "rate of perturbation asked for", size=10.5, colour=QUIET, anchor="center")
    return sheet.svg(
        name, f"{clean(what)} over the rate of perturbation",
        "Line charts: one panel per target and kind of perturbation, the rate asked for against the value, one line "
        "per intermediate with its 95 % interval as a band; the line of no intermediate is the reference.",
    )  # fmt: skip


@dataclass(frozen=True)
class _Look:
    colour: str
    shape: str
    dashes: tuple[float, ...]


def _arms(rows: pd.DataFrame) -> dict[str, _Look]:
    """How each intermediate is drawn, the baseline first."""
    names = [name for name in dict.fromkeys(map(str, rows["intermediate"])) if name != BASELINE]
    looks = {name: _Look(*series(i)) for i, name in enumerate(names)}
    reference = {BASELINE: _Look(INK, "o", ())} if (rows["intermediate"] == BASELINE).any() else {}
    return reference | looks


def _values(sheet: Canvas, top: float, what: str) -> None:
    lines = textwrap.wrap(clean(what), 24, max_lines=2, placeholder="…")
    for i, line in enumerate(lines):
        x = 24 - 14 * (len(lines) - 1 - i)
        sheet.text(x, top + _HEIGHT / 2, line, size=10.5, colour=QUIET, anchor="center", upwards=True)


def _axes(mine: pd.DataFrame, left: float, top: float) -> tuple[Axis, Axis]:
    """Rates and values of a target. Bands may leave the axis by no more than the values' own range on either side."""
    least, most = float(mine["value"].min()), float(mine["value"].max())
    reach = (most - least) or abs(most) or 1.0
    low = max(min([least, *mine["low"].dropna()]), least - reach)
    high = min(max([most, *mine["high"].dropna()]), most + reach)
    margin = 0.06 * (high - low) or 0.05 * reach
    fastest = float(mine["rate"].max()) or 1.0
    x = Axis(left + 8, left + _WIDTH - 8, 0.0, fastest)
    return x, Axis(top + _HEIGHT, top, low - margin, high + margin)


def _panel(
    sheet: Canvas, left: float, top: float, kind: str, mine: pd.DataFrame, arms: Mapping[str, _Look], *, labels: bool
) -> None:
    x, y = _axes(mine, left, top)
    part = mine[mine["kind"] == kind]
    sheet.text(left, top - 12, fitted(kind.replace("_", " "), _WIDTH, 11), size=11)
    for value in y.ticks(5):
        sheet.line(left, y(value), left + _WIDTH, y(value), RULE, 0.6)
        if labels:
            sheet.text(left - 6, y(value), number(value), size=10, colour=QUIET, anchor="right")
    sheet.line(left, top + _HEIGHT, left + _WIDTH, top + _HEIGHT, RULE)
    end = float("-inf")
    for rate in sorted(set(part["rate"])):
        sheet.line(x(rate), top + _HEIGHT, x(rate), top + _HEIGHT + 4, RULE)
        if x(rate) - end > 30:  # the tick of a rate close to the last is left without its number
            shown = "clean" if rate == 0 else f"{number(round(100 * rate, 2))} %"
            sheet.text(x(rate), top + _HEIGHT + 12, shown, size=10, colour=QUIET, anchor="center")
            end = x(rate)
    lines = {arm: part[part["intermediate"] == arm].sort_values("rate") for arm in arms}
    alpha = 0.14 if len(arms) <= 4 else 0.07
    for arm, line in lines.items():
        band = line[line["low"].notna() & line["high"].notna()]
        if len(band) > 1:
            xs, lows, highs = ([at(v) for v in band[c]] for at, c in ((x, "rate"), (y, "low"), (y, "high")))
            sheet.band(xs, lows, highs, arms[arm].colour, alpha)
        elif len(band):
            at = x(float(band["rate"].iloc[0]))
            sheet.line(at, y(float(band["low"].iloc[0])), at, y(float(band["high"].iloc[0])), arms[arm].colour, 0.8)
    for arm, line in reversed(lines.items()):  # the reference on top
        look, xs, ys = arms[arm], [x(v) for v in line["rate"]], [y(v) for v in line["value"]]
        sheet.path(xs, ys, look.colour, 2.2 if arm == BASELINE else 1.6, look.dashes)
        for point in zip(xs, ys, strict=True):
            sheet.mark(*point, 2.8, look.colour, shape=look.shape, filled=True)
