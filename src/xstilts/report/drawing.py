"""What the figures share: widths of text, axes with their ticks, intervals that may run off the edge, legends."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from xstilts.analysis.perturbations import CLEAN, ROBUST
from xstilts.analysis.summary import RETRIEVAL
from xstilts.report.canvas import GAIN, INK, LOSS, QUIET, RULE, Canvas
from xstilts.report.text import MINUS, clean, excludes_zero, signed

Row = dict[str, Any]

SHAPES = {ROBUST: "o", CLEAN: "s"}
"""The marks of the two measures, in every figure that has both."""
_GROUPS = {"syntactic": 0, "semantic": 1, RETRIEVAL: 3}


def ordered_groups(groups: Iterable[object]) -> list[str]:
    """Groups of targets in the order of every figure: syntactic, semantic, others, retrieval."""
    return sorted(dict.fromkeys(map(str, groups)), key=lambda group: (_GROUPS.get(group, 2), group))


def text_width(text: str, size: float = 12) -> float:
    """About how many pixels a line of text takes in the widest of the fonts that stand in for one another."""
    return size * sum(_em(character) for character in clean(text))


def _em(character: str) -> float:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return 0.36 if character in _NARROW else 0.95 if character in _BROAD else 0.72 if character.isupper() else 0.62


_NARROW, _BROAD = " iIjltfr.,:;'|!()[]/-", "mwMW%@<>+=~_…\ufffd"


def fitted(text: str, width: float, size: float = 12) -> str:
    """Text cut to about `width` pixels, with an ellipsis where something is lost."""
    line = clean(text)
    if text_width(line, size) <= width:
        return line
    while line and text_width(line + "…", size) > width:
        line = line[:-1]
    return line.rstrip() + "…"


def label_width(labels: Iterable[str], most: float, size: float = 12) -> float:
    """Pixels for a column of labels, 26 to `most`."""
    return min(max([26.0, *(text_width(label, size) for label in labels)]), most)


@dataclass(frozen=True)
class Axis:
    """A linear scale from values to pixels; what lies outside is cut off at the edge."""

    start: float
    """Pixel of `low`; larger than `end` on an axis that rises upwards."""
    end: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) * (self.end - self.start) / (self.high - self.low)

    def ticks(self, most: int = 4) -> list[float]:
        """Round values within the axis, about `most` of them at most."""
        values = MaxNLocator(nbins=most, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        slack = (self.high - self.low) * 1e-6
        return [round(float(v), 9) + 0.0 for v in values if self.low - slack <= v <= self.high + slack]


def number(value: float) -> str:
    """A tick's value without superfluous digits."""
    return f"{value:g}".replace("-", MINUS)


def gain_axis(rows: pd.DataFrame, start: float, end: float, *, squeeze: float = 4) -> Axis:
    """An axis that holds zero, all gains of `rows` (`gain`, `low`, `high`) and their intervals, as long as these do not
    go beyond the gains by more than `squeeze` times the largest: two seeds can make one interval so wide that nothing
    else could be read."""
    gains = rows["gain"].dropna()
    least, most = min([0.0, *gains]), max([0.0, *gains])
    reach = squeeze * max(-least, most, 1.0)
    low = max(min([least, *rows["low"].dropna()]), least - reach)
    high = min(max([most, *rows["high"].dropna()]), most + reach)
    margin = max(0.05 * (high - low), 0.3)
    return Axis(start, end, low - margin, high + margin)


def gain_grid(sheet: Canvas, at: Axis, top: float, bottom: float, *, labels: bool = True, ticks: int = 5) -> None:
    """Vertical lines at round gains, the one at zero in a stronger tone, with their values below."""
    for value in at.ticks(ticks):
        sheet.line(at(value), top, at(value), bottom, QUIET if value == 0 else RULE, 1 if value == 0 else 0.6)
        if labels:
            shown = signed(value, 0) if value == round(value) else signed(value)
            sheet.text(at(value), bottom + 11, shown, size=10, colour=QUIET, anchor="center")


def gain_mark(sheet: Canvas, at: Axis, y: float, row: Row, *, shape: str, radius: float = 3.4) -> None:
    """A gain with its interval on a horizontal axis: in colour and filled where the interval excludes zero; an arrow
    where the axis cuts it off. Nothing for NaN."""
    gain, low, high = (float(row[name]) for name in ("gain", "low", "high"))
    if math.isnan(gain):
        return
    sure = excludes_zero(low, high)
    colour = (GAIN if gain > 0 else LOSS) if sure else QUIET
    if not (math.isnan(low) or math.isnan(high)):
        sheet.line(at(low), y, at(high), y, colour, 1.6)
        for end, arrow, cut in ((low, "<", low < at.low), (high, ">", high > at.high)):
            if cut:
                sheet.mark(at(end), y, 2.4, colour, shape=arrow, filled=True)
    sheet.mark(at(gain), y, radius, colour, shape=shape, filled=sure)


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a mark, a dashed line or both, and what they stand for."""

    text: str
    colour: str = INK
    shape: str = ""
    filled: bool = True
    dashes: tuple[float, ...] | None = None


def legend(sheet: Canvas, x: float, y: float, width: float, keys: Sequence[Key]) -> None:
    """The entries in lines from (`x`, `y`), the middle of the first, broken where `width` is full."""
    for key, left, middle in _placed(x, y, width, keys):
        sample = 24 if key.dashes is not None else 10
        if key.dashes is not None:
            sheet.path([left, left + sample], [middle, middle], key.colour, 1.8, key.dashes)
        if key.shape:
            radius = 4.6 if key.shape == "*" else 3.4
            sheet.mark(left + sample / 2, middle, radius, key.colour, shape=key.shape, filled=key.filled)
        sheet.text(left + sample + 6, middle, fitted(key.text, _LONGEST, 10.5), size=10.5, colour=QUIET)


def legend_height(width: float, keys: Sequence[Key]) -> float:
    """Pixels that `legend` takes."""
    return max((y for _, _, y in _placed(0, 0, width, keys)), default=-_LEGEND) + _LEGEND


_LEGEND, _LONGEST = 18.0, 330.0


def _placed(x: float, y: float, width: float, keys: Sequence[Key]) -> list[tuple[Key, float, float]]:
    places, left = [], x
    for key in keys:
        taken = (24 if key.dashes is not None else 10) + 6 + min(text_width(key.text, 10.5), _LONGEST) + 16
        if left > x and left + taken > x + width:
            left, y = x, y + _LEGEND
        places.append((key, left, y))
        left += taken
    return places


def measure_keys(measures: Iterable[str]) -> list[Key]:
    """The legend of marks for `robust` and `clean`, whose filling says whether an interval excludes zero."""
    names = {ROBUST: "under perturbation (robust gain)", CLEAN: "on clean rows"}
    return [
        *(Key(names[measure], QUIET, SHAPES[measure], filled=False) for measure in measures),
        Key("filled: the 95 % interval excludes zero", QUIET, "o"),
    ]
