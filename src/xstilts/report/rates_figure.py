"""Asked against reached rates of perturbation, language by language."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from xstilts.report.canvas import QUIET, RULE, Canvas, series
from xstilts.report.drawing import Axis, Key, fitted, label_width, legend, legend_height, number

_WIDTH, _GAP, _ACROSS, _LINE = 190, 22, 4, 16
_HEAD, _FOOT = 30, 34


def reached(rates: pd.DataFrame) -> pd.DataFrame:
    """Rates that were reached, from `Results.rates`: columns `kind`, `asked` (0..1; NaN for own test sets), `language`,
    `rate` = sum of edits / sum of units over all examples and targets, NaN where there is no unit."""
    keys = ["kind", "asked", "language"]
    sums = rates.groupby(keys, dropna=False, sort=True)[["edits", "units"]].sum().reset_index()
    units = sums.pop("units").astype(float)
    return sums.assign(rate=sums.pop("edits") / units.where(units > 0))


def rates_figure(rates: pd.DataFrame, name: str) -> Markup | None:
    """One panel per kind of perturbation, one row per language, one mark per asked rate at the rate that was reached;
    a line stands at each asked rate. None without rates.

    `rates` is `Results.rates`: a row per example with `language`, `kind`, `asked` (0..1), `edits` and `units`.
    """
    found = reached(rates) if len(rates) else pd.DataFrame()
    if found.empty or not found["rate"].notna().any():
        return None
    kinds, codes = sorted(set(map(str, found["kind"]))), sorted(set(map(str, found["language"])))
    asked = sorted(set(found["asked"].dropna()))
    looks = {rate: series(i)[:2] for i, rate in enumerate(asked)}
    keys = [Key(f"asked for {_percent(rate)}", *looks[rate]) for rate in asked]
    if found["asked"].isna().any():
        keys.append(Key("own test set", QUIET, "o", filled=False))
    across = min(_ACROSS, len(kinds))
    left = label_width(codes, 110, 11) + 12
    width = max(left + across * (_WIDTH + _GAP), 320)
    height = len(codes) * _LINE + 8
    head, step = legend_height(width, keys) + 4, _HEAD + height + _FOOT
    sheet = Canvas(width, head + math.ceil(len(kinds) / across) * step + 14)
    legend(sheet, 4, 9, width, keys)
    most = max(found["rate"].max(), *asked) if asked else found["rate"].max()
    for i, kind in enumerate(kinds):
        x, top = left + (i % across) * (_WIDTH + _GAP), head + (i // across) * step + _HEAD
        at = Axis(x, x + _WIDTH, 0.0, 1.06 * float(most) or 1.0)
        mine = found[found["kind"] == kind]
        sheet.text(x, top - 12, fitted(kind.replace("_", " "), _WIDTH), bold=True)
        _panel(sheet, at, top, height, mine, codes, looks)
        for k, code in enumerate(codes if i % across == 0 else []):
            shown = fitted(code, left - 12, 11)
            sheet.text(left - 10, top + 4 + (k + 0.5) * _LINE, shown, size=11, anchor="right")
    middle = left + (across * (_WIDTH + _GAP) - _GAP) / 2
    sheet.text(middle, sheet.height - 8, "rate reached", size=10.5, colour=QUIET, anchor="center")
    return sheet.svg(
        name, "Rates of perturbation, asked for and reached, per language",
        "Dot plot: one panel per kind of perturbation, one row per language, a mark at the rate that was reached for "
        "each rate asked for, which is a vertical line.",
    )  # fmt: skip


def _panel(
    sheet: Canvas, at: Axis, top: float, height: float, mine: pd.DataFrame, codes: Sequence[str],
    looks: dict[float, tuple[str, str]],
) -> None:  # fmt: skip
    bottom = top + height
    for k in range(len(codes)):
        y = top + 4 + (k + 0.5) * _LINE
        sheet.line(at.start, y, at.end, y, RULE, 0.5)
    for rate in sorted(set(mine["asked"].dropna())):
        sheet.line(at(rate), top, at(rate), bottom, looks[rate][0], 1.4)
    sheet.line(at.start, bottom, at.end, bottom)
    for value in at.ticks(5):
        sheet.line(at(value), bottom, at(value), bottom + 4)
        sheet.text(at(value), bottom + 12, _percent(value), size=10, colour=QUIET, anchor="center")
    for row in mine[mine["rate"].notna()].to_dict("records"):
        own = math.isnan(row["asked"])
        colour, shape = (QUIET, "o") if own else looks[row["asked"]]
        y = top + 4 + (codes.index(str(row["language"])) + 0.5) * _LINE
        sheet.mark(at(row["rate"]), y, 3.2, colour, shape=shape, filled=not own)


def _percent(rate: float) -> str:
    return f"{number(round(100 * rate, 4))} %"
