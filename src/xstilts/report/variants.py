"""Variants beside the intermediates that they vary, as a table."""

from __future__ import annotations

import math

from xstilts.analysis.summary import RETRIEVAL
from xstilts.analysis.variants import OTHERS
from xstilts.report.frames import Frames, keyed
from xstilts.report.tables import Cell, Table
from xstilts.report.text import DASH, clean, excludes_zero, signed, span


def variant_table(frames: Frames) -> Table:
    """One row per variant and measure: its gain over the arm it varies, on the targets that are not retrieval and on
    retrieval."""
    found = keyed(frames.variants, "variant", "over", "measure", "group")
    groups = [group for group in (OTHERS, RETRIEVAL) if group in {key[3] for key in found}]
    many = len({key[2] for key in found}) > 1
    columns = [name for group in groups for name in (f"{group}", "95 % interval")]
    table = Table("Variants over what they vary", ["variant", "over", *(["measure"] if many else []), *columns],
                  [False, False, *([False] if many else []), *[True] * len(columns)])  # fmt: skip
    titles = {entry.name: entry.title for entry in frames.intermediates}
    for variant, over, measure in dict.fromkeys(key[:3] for key in found):
        row = [Cell(titles.get(name, clean(name, 60))) for name in (variant, over)] + [Cell(measure)] * many
        for group in groups:
            here = found.get((variant, over, measure, group))
            low, high = (math.nan, math.nan) if here is None else (here["low"], here["high"])
            look = "strong" if excludes_zero(low, high) else ""
            row += [Cell(DASH if here is None else signed(here["gain"]), look), Cell(span(low, high), look)]
        table.rows.append(row)
    return table
