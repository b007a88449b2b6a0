"""Markers: brackets around spans of a text that go through a translator with it and are read back from what comes out.

Mark-then-translate with square brackets follows EasyProject (Chen et al. 2023, arXiv 2211.15613), which compared it
with word alignment in 57 languages. Here several spans of a text are numbered besides, since a translation may put them
in another order: `[1] Ada [/1] met [2] Alan [/2]`; one alone is `[ Ada ]`. A text that holds square brackets of its own
gets the first other kind that it does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import regex

Span = tuple[int, int]
"""Start and end of a stretch of text, in code points, 0-based, the end exclusive."""

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\u30FC\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts written without spaces between words, as the inside of a character class."""
_WORD = regex.compile(rf"(?![{UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}]")


class Lost(Exception):
    """A row that cannot be translated, or whose labels did not survive. Its text is the reason, to be counted."""


class _Kind(NamedTuple):
    """One kind of brackets: what is written, then what translators make of it in other scripts."""

    opening: str
    closing: str


_KINDS = (_Kind("[［【", "]］】"), _Kind("{｛", "}｝"), _Kind("<＜", ">＞"), _Kind("⟦", "⟧"))


class _Marker(NamedTuple):
    """A marker found in a translation."""

    number: int
    closes: bool
    start: int
    end: int


def mark(text: str, spans: Sequence[Span]) -> str:
    """The text with markers around each span. Spans are in order, not empty, and do not overlap.

    A marker stands apart from the span by a space, so that the words stay whole pieces to a translator, unless the span
    begins or ends inside a word. Raises `Lost` where the text holds every kind of brackets.
    """
    if not spans:
        return text
    kind, many = _kind(text), len(spans) > 1
    parts, last = [], 0
    for number, (start, end) in enumerate(spans, start=1):
        before = "" if _WORD.match(text[:start][-1:]) else " "
        after = "" if _WORD.match(text[end : end + 1]) else " "
        opening = f"{kind.opening[0]}{number}{kind.closing[0]}" if many else kind.opening[0]
        closing = f"{kind.opening[0]}/{number}{kind.closing[0]}" if many else kind.closing[0]
        parts += [text[last:start], opening, before, text[start:end], after, closing]
        last = end
    return "".join([*parts, text[last:]])


def unmark(text: str, count: int, translated: str) -> tuple[str, list[Span]]:
    """The translation of `mark(text, spans)` without its markers, and where each of the `count` spans now is.

    Blanks inside a marker go with it, or move out of it where two words would run together. Raises `Lost` where a
    marker is missing, doubled, crosses another, or holds nothing.
    """
    if not count:
        return translated, []
    markers = _find(translated, _kind(text), count)
    _complete(markers, count)
    clean, last, spaced = "", 0, False
    spans: dict[int, Span] = {}
    for opening, closing in zip(markers[::2], markers[1::2], strict=True):
        if closing.number != opening.number or opening.closes or not closing.closes:
            raise Lost("markers crossed")
        inside = translated[opening.end : closing.start]
        content = inside.strip()
        if not content:
            raise Lost("nothing between markers")
        clean = _join(clean, translated[last : opening.start], spaced)
        clean = _join(clean, content, inside[0].isspace())
        spans[opening.number] = len(clean) - len(content), len(clean)
        last, spaced = closing.end, inside[-1].isspace()
    return _join(clean, translated[last:], spaced), [spans[number] for number in range(1, count + 1)]


def _kind(text: str) -> _Kind:
    for kind in _KINDS:
        if not set(kind.opening + kind.closing) & set(text):
            return kind
    raise Lost("text holds every kind of marker")


def _find(translated: str, kind: _Kind, count: int) -> list[_Marker]:
    """All markers in order; `Lost` for a bracket that is part of none."""
    opening, closing = regex.escape(kind.opening), regex.escape(kind.closing)
    if count == 1:
        alone = regex.finditer(rf"[{opening}{closing}]", translated)
        return [_Marker(1, match[0] in kind.closing, *match.span()) for match in alone]
    pattern = rf"[{opening}]\s*(?P<closes>[/／]?)\s*(?P<number>\d+)\s*[{closing}]"
    matches = list(regex.finditer(pattern, translated))
    if sum(character in kind.opening + kind.closing for character in translated) != 2 * len(matches):
        raise Lost("marker broken")
    return [_Marker(int(match["number"]), bool(match["closes"]), *match.span()) for match in matches]


def _complete(markers: list[_Marker], count: int) -> None:
    """Whether every marker is there, once."""
    met = Counter((marker.number, marker.closes) for marker in markers)
    if any(not met[number, closes] for number in range(1, count + 1) for closes in (False, True)):
        raise Lost("marker lost")
    if len(markers) != 2 * count:
        raise Lost("marker doubled")


def _join(left: str, right: str, spaced: bool) -> str:
    """Both, with a space between two words of which a marker's blank was all that kept them apart."""
    apart = spaced and _WORD.match(left[-1:]) and _WORD.match(right)
    return f"{left} {right}" if apart else left + right
