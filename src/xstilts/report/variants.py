"""Variants beside the intermediates that they vary, as a table."""

from __future__ import annotations

import math

from xstilts.analysis.summary import RETRIEVAL
from xstilts.analysis.variants import OTHERS
from xstilts.report.frames import Frames, keyed
from xstilts.report.tables import Cell, Table
from xstilts.report.text import DASH, clean, excludes_zero, signed, span


def variant_table(frames: Frames) -> Table:
    """One row per variant: its gain over the arm it varies, on the targets that are not retrieval and on retrieval."""
    found = keyed(frames.variants, "variant", "over", "group")
    groups = [group for group in (OTHERS, RETRIEVAL) if group in {key[2] for key in found}]
    columns = [name for group in groups for name in (f"{group}", "95 % interval")]
    table = Table("Variants over what they vary", ["variant", "over", *columns], [False, False, *[True] * len(columns)])
    titles = {entry.name: entry.title for entry in frames.intermediates}
    for variant, over in dict.fromkeys((key[0], key[1]) for key in found):
        row = [Cell(titles.get(name, clean(name, 60))) for name in (variant, over)]
        for group in groups:
            here = found.get((variant, over, group))
            low, high = (math.nan, math.nan) if here is None else (here["low"], here["high"])
            look = "strong" if excludes_zero(low, high) else ""
            row += [Cell(DASH if here is None else signed(here["gain"]), look), Cell(span(low, high), look)]
        table.rows.append(row)
    return table
