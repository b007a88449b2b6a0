"""How numbers and other people's words are put into print."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def signed(value: float, digits: int = 1) -> str:
    """+1.2, −0.3 or 0.0, with a minus sign as wide as the plus; a dash for NaN."""
    if math.isnan(value):
        return DASH
    rounded = round(value, digits)
    return f"{'+' if rounded > 0 else MINUS if rounded < 0 else ''}{abs(rounded):.{digits}f}"


def plain(value: float, digits: int = 1) -> str:
    """1.2 or −0.3; a dash for NaN."""
    return signed(value, digits).removeprefix("+")


def span(low: float, high: float) -> str:
    """An interval, as [−0.3, 1.2]; a dash if there is none."""
    return DASH if math.isnan(low) or math.isnan(high) else f"[{plain(low)}, {plain(high)}]"


def excludes_zero(low: float, high: float) -> bool:
    """Whether an interval lies on one side of zero; never so for NaN."""
    return low > 0 or high < 0


def listed(items: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def clean(text: object, limit: int = 400) -> str:
    """One line of at most `limit` characters in which no control or direction character acts.

    Control, format (bidirectional marks among them) and unpaired surrogate characters become the replacement
    character, so that text from data cannot reorder, hide or break what surrounds it.
    """
    line = " ".join(str(text).split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in line)


def markdown(text: object) -> str:
    """Text in which no character acts as Markdown, HTML or a table's edge."""
    escaped = clean(text, 10_000).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#~!" else c for c in escaped)
