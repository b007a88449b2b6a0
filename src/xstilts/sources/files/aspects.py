"""Aspect-based sentiment with one token a line: XABSA's restaurants (SemEval 2016, task 5).

Read as three tasks: the terms an opinion is about, the terms with their polarity (end-to-end), the polarity of a given
term.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from xstilts.errors import UserError
from xstilts.sources.files.opening import read_lines
from xstilts.sources.files.refusals import columns, filled, known_label
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

OUTSIDE = "O"
TERM = "TERM"
_XABSA = {OUTSIDE: OUTSIDE, "T-NEG": "NEG", "T-NEU": "NEU", "T-POS": "POS"}


class Span(NamedTuple):
    """The first and one past the last token of a term, and its polarity (or `TERM`)."""

    first: int
    stop: int
    polarity: str


def xabsa(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `tag` from XABSA's columns `token, T-POS|T-NEG|T-NEU|O, category|NIL`: `B-POS I-POS O`.

    Ids count the sentences from 1. Neighbouring tokens of one polarity are one term, whatever their categories, as in
    the XABSA repository; the column would part only 14 of its 19,000 terms (`Servis porsiyonlar`), and cannot part
    neighbours of one category.
    """
    return [tagged(str(i), tokens, spans) for i, (tokens, spans) in enumerate(_xabsa(path), start=1)]


def xabsa_terms(path: Path, task: Task, language: str) -> list[Row]:
    """Like `xabsa`, the terms without their polarity: `B-TERM I-TERM O`."""
    return [tagged(str(i), tokens, _plain(spans)) for i, (tokens, spans) in enumerate(_xabsa(path), start=1)]


def xabsa_polarity(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify`, one a term: the tokens joined by spaces, the term, `NEG`, `NEU` or `POS`.

    Ids are the sentence's and the term's number, `3-1`.
    """
    return [
        judged(f"{i}-{k}", " ".join(tokens), " ".join(tokens[span.first : span.stop]), span.polarity)
        for i, (tokens, spans) in enumerate(_xabsa(path), start=1)
        for k, span in enumerate(spans, start=1)
    ]


def _xabsa(path: Path) -> Iterator[tuple[list[str], list[Span]]]:
    """Tokens and terms of each sentence."""
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    tokens: list[str] = []
    polarities: list[str] = []
    for number, line in enumerate([*lines, ""] if lines else [], start=1):
        if line:
            token, tag, category = columns(line, ("token", "polarity", "category"), path, number)
            tokens.append(filled(token, "token", path, number))
            polarities.append(_XABSA[known_label(tag, _XABSA, path, number)])
            filled(category, "category", path, number)
        elif tokens:
            yield tokens, list(_runs(polarities))
            tokens, polarities = [], []
        else:
            what = "empty sentence (two blank lines in a row, or one at the start)"
            raise UserError(what, file=path, line=number)


def _runs(polarities: list[str]) -> Iterator[Span]:
    first = 0
    for polarity, run in itertools.groupby(polarities):
        length = len(list(run))
        if polarity != OUTSIDE:
            yield Span(first, first + length, polarity)
        first += length


def _plain(spans: Sequence[Span]) -> list[Span]:
    return [span._replace(polarity=TERM) for span in spans]


def tagged(id_: str, tokens: list[str], spans: Sequence[Span]) -> Row:
    """A row of shape `tag`; the spans must not overlap."""
    tags = [OUTSIDE] * len(tokens)
    for first, stop, polarity in spans:
        tags[first:stop] = [f"B-{polarity}", *[f"I-{polarity}"] * (stop - first - 1)]
    return {"id": id_, "tokens": tokens, "tags": tags}


def judged(id_: str, sentence: str, term: str, polarity: str) -> Row:
    """A row of shape `classify` for the polarity of a term."""
    return {"id": id_, "text_a": sentence, "text_b": term, "label": polarity}
