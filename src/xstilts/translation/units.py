"""Texts cut into the units that a translator takes, and its answers put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import regex

from xstilts.translation.markers import UNSPACED

Cut = Callable[[str], list[tuple[str, str]]]
"""A text to its units, each with the blanks that follow it; their concatenation is the text."""

_LINE = regex.compile(r"(?P<unit>[^\n]*\S)(?P<gap>\s*)|(?P<gap>\s+)")
_END = regex.compile(r"""[.!?…]['"’”»)\]]*(?P<gap>\s+)(?=['"‘“«(\[{<⟦]*\s?[\p{Lu}\p{Lt}\p{Lo}\p{N}])""")
_ABBREVIATION = regex.compile(r"(?:\b(?:\p{Lu}|Mr|Mrs|Ms|Dr|St|vs|No|Jr|Sr|Prof|Gen|Col|Lt|e\.g|i\.e|cf|ca|etc))\.$")
_TIGHT = regex.compile(rf"[{UNSPACED}。！？]")


def lines(text: str) -> list[tuple[str, str]]:
    """A unit per line."""
    return [(match["unit"] or "", match["gap"] or "") for match in _LINE.finditer(text)]


def sentences(text: str) -> list[tuple[str, str]]:
    """A unit per English sentence: a line is cut after a full stop, question or exclamation mark before a capital, but
    not after an initial or a usual abbreviation, and not within brackets that are open."""
    units: list[tuple[str, str]] = []
    for line, line_gap in lines(text):
        start = 0
        for match in _END.finditer(line):
            unit = line[start : match.start("gap")]
            balanced = all(unit.count(pair[0]) == unit.count(pair[1]) for pair in ("()", "[]", "{}", "<>", "⟦⟧"))
            if balanced and not _ABBREVIATION.search(unit):
                units.append((unit, match["gap"]))
                start = match.end()
        units.append((line[start:], line_gap))
    return units


def through(texts: Sequence[str], cut: Cut, translate: Callable[[list[str]], list[str | None]]) -> list[str | None]:
    """Each text's translation, from those of its units; None where one of them has none. Each different unit is
    translated once, blank ones never; a space goes after a sentence only where the translation's script has any."""
    cuts = [cut(text) for text in texts]
    units = list(dict.fromkeys(unit for pairs in cuts for unit, _ in pairs if unit))
    table: dict[str, str | None] = {"": "", **dict(zip(units, translate(units) if units else [], strict=True))}
    return [_joined([(table[unit], gap) for unit, gap in pairs]) for pairs in cuts]


def _joined(parts: list[tuple[str | None, str]]) -> str | None:
    text = ""
    for unit, gap in parts:
        if unit is None:
            return None
        text += unit + ("" if gap == " " and _TIGHT.match(unit[-1:]) else gap)
    return text
