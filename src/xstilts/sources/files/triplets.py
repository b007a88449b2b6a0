"""Aspect-based sentiment as triplets without positions: M-ABSA's `sentence####[[term, category, polarity], ...]`.

Read as the same three tasks as XABSA. Terms are sought in their sentence, which the layout leaves to its reader.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import regex

from xstilts.errors import UserError
from xstilts.sources.files.aspects import TERM, Span, judged, tagged
from xstilts.sources.files.opening import read_lines
from xstilts.sources.files.refusals import known_label
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_IMPLICIT = "NULL"
_CONFLICT = "conflict"
_POLARITIES = {"negative": "NEG", "neutral": "NEU", "positive": "POS"}

# Scripts written without spaces between words: a token is one grapheme cluster. Elsewhere a run of letters, marks and
# digits is one, and so is any other cluster. (U+30FC lengthens kana and belongs to no script of its own.)
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\u30FC\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_TOKEN = regex.compile(rf"(?=[{_UNSPACED}])\X|(?:(?![{_UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}])+|(?!\s)\X")

# Some triplets are no Python: an apostrophe inside a quoted term (up to 74 lines of a language and domain), and a few
# with a bracket or quote too few or too many. Where a term ends is unambiguous even so.
_LOOSE = regex.compile(
    r"""[\s,\[\]]*['"]?(?P<term>(?:(?!['"]\s*,\s*['"]).)+?)['"]?\s*,\s*'(?P<category>[^']+)'"""
    r"""\s*,\s*'(?P<polarity>[^']+)'(?:\s*,\s*'[^']*')?\s*\]"""
)


class _Line(NamedTuple):
    """One line: the sentence and the distinct polarities (`NEG`, ...) of each distinct term that it names."""

    number: int
    sentence: str
    terms: dict[str, list[str]]


def mabsa(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `tag`, `B-POS I-POS O`; ids are the line numbers, which all languages share.

    A term is sought in the sentence, the longest first: its first occurrence between token borders, or else its first
    at all, with the whole tokens that it touches (Korean nouns carry their particle, German `Zimmer` is in
    `BadZimmer`). On the 1,919 English restaurant sentences that XABSA has too, this gives its spans with F1 97.4. A
    term of two polarities gets the first. `mabsa_left_out` counts what has no tag.
    """
    return _tagged(path, Counter(), polar=True)


def mabsa_terms(path: Path, task: Task, language: str) -> list[Row]:
    """Like `mabsa`, the terms without their polarity: `B-TERM I-TERM O`."""
    return _tagged(path, Counter(), polar=False)


def mabsa_polarity(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify`, one a term: sentence, term and its polarity; ids are line and term number, `3-1`.

    Terms with more than one polarity have no right answer and are left out.
    """
    return [
        judged(f"{line.number}-{k}", line.sentence, term, polarities[0])
        for line in _read(path)
        for k, (term, polarities) in enumerate(line.terms.items(), start=1)
        if len(polarities) == 1 and polarities[0] != _CONFLICT
    ]


def mabsa_left_out(path: Path, task: Task, language: str) -> dict[str, int]:
    """What rows cannot hold, counted by reason.

    Tags: terms that are not in their sentence (which the data's authors mark `NULL` elsewhere) or only inside another
    term, polarities of a term beyond its first, the polarity `conflict`. Polarity of terms: those with several.
    """
    left_out: Counter[str] = Counter()
    if task.shape == "tag":
        _tagged(path, left_out, polar=f"B-{TERM}" not in task.labels)
    else:
        kinds = [polarities for line in _read(path) for polarities in line.terms.values()]
        left_out["terms of several polarities"] = sum(len(polarities) > 1 for polarities in kinds)
        left_out["terms of polarity 'conflict'"] = kinds.count([_CONFLICT])
    left_out["blank sentences"] = sum(not sentence.strip() for _, sentence, _ in _lines(path))
    return {reason: count for reason, count in left_out.items() if count}


def mabsa_keys(path: Path) -> list[str]:
    """Per row, what its translations share: the polarities in their order, of implicit terms too."""
    return [
        " ".join(polarity for _, polarity in _triplets(gold, path, number))
        for number, sentence, gold in _lines(path)
        if sentence.strip()
    ]


def _tagged(path: Path, left_out: Counter[str], *, polar: bool) -> list[Row]:
    """Rows with spans of polarities (`polar`) or of `TERM`; what gets no tag is counted in `left_out`."""
    rows: list[Row] = []
    for line in _read(path):
        tokens = list(_TOKEN.finditer(line.sentence))
        spans: list[Span] = []
        for term in sorted(line.terms, key=len, reverse=True):
            kind, *others = line.terms[term] if polar else [TERM]
            left_out["further polarities of a term"] += len(others)
            place = None if kind == _CONFLICT else _locate(term, line.sentence, tokens, spans)
            if kind == _CONFLICT:
                left_out["terms of polarity 'conflict'"] += 1
            elif place is None:
                reason = "terms only inside another" if term in line.sentence else "terms not in their sentence"
                left_out[reason] += 1
            else:
                spans.append(Span(*place, kind))
        rows.append(tagged(str(line.number), [token.group() for token in tokens], spans))
    return rows


def _locate(term: str, sentence: str, tokens: list[regex.Match[str]], taken: list[Span]) -> tuple[int, int] | None:
    """The tokens (first, stop) of the best occurrence of a term that touches no span taken before, or None."""
    starts, ends = {token.start() for token in tokens}, {token.end() for token in tokens}
    found: list[tuple[bool, int, int]] = []
    at = sentence.find(term)
    while at >= 0:
        end = at + len(term)
        touched = [i for i, token in enumerate(tokens) if token.start() < end and token.end() > at]
        if touched and all(touched[-1] < span.first or touched[0] >= span.stop for span in taken):
            found.append((at not in starts or end not in ends, touched[0], touched[-1] + 1))
        at = sentence.find(term, at + 1)
    return min(found)[1:] if found else None


def _read(path: Path) -> Iterator[_Line]:
    """The lines with a sentence (one of M-ABSA's translations is blank) and the terms that are not implicit."""
    for number, sentence, gold in _lines(path):
        terms: dict[str, list[str]] = {}
        for term, polarity in _triplets(gold, path, number):
            kind = _POLARITIES.get(polarity, polarity)
            if term.strip() not in ("", _IMPLICIT) and kind not in terms.setdefault(term.strip(), []):
                terms[term.strip()].append(kind)
        if sentence.strip():
            yield _Line(number, sentence, terms)


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number, sentence and gold of each line; a line without gold is refused (`[]` says that there is no opinion)."""
    for number, line in enumerate(read_lines(path), start=1):
        sentence, mark, gold = line.rpartition("####")
        if not mark:
            raise UserError("no '####' between sentence and triplets", file=path, line=number,
                            remedy="were the gold labels removed? Give the labelled file")  # fmt: skip
        if not gold.strip():
            raise UserError("blank gold label", file=path, line=number, remedy="give the labelled file")
        yield number, sentence, gold.strip()


def _triplets(gold: str, path: Path, number: int) -> list[tuple[str, str]]:
    """(term, polarity) of each triplet. Text of a file is never run: a literal, or else the loose form."""
    try:
        triplets = [(str(term), str(polarity)) for term, _, polarity in ast.literal_eval(gold)]
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        triplets = _loosely(gold, path, number)
    for _, polarity in triplets:
        known_label(polarity, (*_POLARITIES, _CONFLICT), path, number)
    return triplets


def _loosely(gold: str, path: Path, number: int) -> list[tuple[str, str]]:
    triplets: list[tuple[str, str]] = []
    at = 0
    while found := _LOOSE.match(gold, at):
        triplets.append((found["term"], found["polarity"]))
        at = found.end()
    if not triplets or gold[at:].strip("[], \t"):
        raise UserError(f"{gold[at : at + 60]!r} is no list of [term, category, polarity]", file=path, line=number)
    return triplets
