"""Small multiples: one panel per language, gain per intermediate, clean and under perturbation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from xstilts.analysis.gains import MEAN, SOURCE, ZERO_SHOT
from xstilts.report.canvas import INK, QUIET, RULE, Canvas
from xstilts.report.drawing import (
    SHAPES,
    Key,
    fitted,
    gain_axis,
    gain_grid,
    gain_mark,
    label_width,
    legend,
    legend_height,
    measure_keys,
)
from xstilts.report.frames import Entry, keyed

_WIDTH, _GAP, _ACROSS, _LINE = 156, 14, 5, 9
_HEAD, _FOOT = 30, 30


def multiples(rows: pd.DataFrame, arms: Sequence[Entry], name: str, *, what: str = "") -> Markup | None:
    """One panel per language, one row per intermediate; None where there is no gain.

    `rows`: a row per `intermediate`, `language` and `perturbation` (`clean`, and `robust` for the mean over perturbed
    settings; others are left out) of one target, or of several put together, with `seen`, `gain`, `low`, `high` in
    points: the columns of `gains`. `arms` gives the order and titles; those without a gain have no row. Languages that
    the encoder was not pretrained on come last, marked. `what` is the target's title.
    """
    rows = rows[rows["perturbation"].isin(SHAPES) & ~rows["language"].isin([MEAN, ZERO_SHOT]) & rows["gain"].notna()]
    arms = [arm for arm in arms if arm.name in set(rows["intermediate"])]
    if not arms:
        return None
    seen = rows.groupby("language")["seen"].first().astype(bool)
    codes = sorted(seen.index, key=lambda code: (not seen[code], code != SOURCE, code))
    measures = [m for m in SHAPES if m in set(rows["perturbation"])]
    across = min(_ACROSS, len(codes))
    left = label_width([arm.title for arm in arms], 190, 11) + 12
    width = max(left + across * (_WIDTH + _GAP), 420)
    height = len(arms) * (_LINE * len(measures) + 6)
    keys = [*measure_keys(measures), Key("longer intervals run off the edge", QUIET, ">")]
    head, step = legend_height(width, keys) + 4, _HEAD + height + _FOOT
    down = math.ceil(len(codes) / across)
    sheet = Canvas(width, head + down * step + 16)
    legend(sheet, 4, 9, width, keys)
    indexed = keyed(rows, "language", "intermediate", "perturbation")
    for i, code in enumerate(codes):
        x, top = left + (i % across) * (_WIDTH + _GAP), head + (i // across) * step + _HEAD
        at = gain_axis(rows, x + 4, x + _WIDTH - 4, squeeze=1)
        sheet.text(x + 4, top - 12, fitted(code, _WIDTH - 84 * (not seen[code])), bold=True)
        if not seen[code]:
            sheet.text(x + _WIDTH - 4, top - 12, "not pretrained on", size=9.5, colour=QUIET, anchor="right")
        gain_grid(sheet, at, top, top + height, ticks=4)
        for k, arm in enumerate(arms):
            y = top + k * (_LINE * len(measures) + 6) + 3
            if i % across == 0:
                middle = y + _LINE * len(measures) / 2
                colour = QUIET if arm.control else INK
                sheet.text(left - 8, middle, fitted(arm.title, left - 10, 11), size=11, colour=colour, anchor="right")
            for m, measure in enumerate(measures):
                row = indexed.get((code, arm.name, measure))
                if row is not None:
                    gain_mark(sheet, at, y + _LINE * (m + 0.5), row, shape=SHAPES[measure], radius=2.6)
        sheet.line(x, top, x + _WIDTH, top, RULE, 0.6)
    middle = left + (across * (_WIDTH + _GAP) - _GAP) / 2
    sheet.text(middle, sheet.height - 10, "gain in points", size=10.5, colour=QUIET, anchor="center")
    return sheet.svg(
        name, "Gain language by language" + (f" on {what}" if what else ""),
        "Small multiples: one panel per language, one row per intermediate, gain in points with its 95 % interval, "
        "under perturbation and on clean rows. The numbers are in gains.csv.",
    )  # fmt: skip
