"""Rows through a translator: which texts of a row are translated, and how its labels come back. Pure, no torch.

Sentences and choices are translated as they are. The answer of a question and the spans of tagged tokens travel in
markers (see `markers`); a row of which anything does not survive is dropped, and its reason counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import regex

from xstilts.tasks.rows import Row
from xstilts.translation.markers import UNSPACED, Lost, Span, mark, unmark

_PART = r"(?:(?![" + UNSPACED + r"])[\p{L}\p{M}\p{N}])+"
_TOKEN = regex.compile(rf"(?=[{UNSPACED}])\X|{_PART}(?:['’·\-]{_PART}|[.,]\p{{N}}+)*|(?!\s)\X")
"""A word with its inner apostrophes, hyphens and decimal points; one grapheme cluster where a script has no spaces
between words; any other cluster alone."""


class _Shape(NamedTuple):
    """Both ways of one shape; labels are the task's, empty where they are open."""

    texts: Callable[[Row, Sequence[str]], list[str]]
    """What is translated."""
    rebuild: Callable[[Row, Sequence[str], Sequence[str]], Row]
    """(row, labels, translations of its texts, none blank) to the translated row."""


def texts_of(row: Row, shape: str, labels: Sequence[str] = ()) -> list[str]:
    """The texts of a row to translate, with its labels in markers. Raises `Lost` where no marker can be used."""
    return SHAPES[shape].texts(row, labels)


def project(row: Row, shape: str, translations: Sequence[str | None], labels: Sequence[str] = ()) -> Row:
    """The row in the other language, from the translations of `texts_of` it; the id stays.

    Raises `Lost` with the reason where a text has no translation or a label does not survive.
    """
    found: list[str] = []
    for translation in translations:
        if translation is None:
            raise Lost("no translation")
        if not translation.strip():
            raise Lost("blank translation")
        found.append(translation)
    return SHAPES[shape].rebuild(row, labels, found)


def translate_rows(
    rows: Iterable[Row], shape: str, labels: Sequence[str], translate: Callable[[Sequence[str]], list[str | None]]
) -> tuple[list[Row], Counter[str]]:
    """(the rows that survive, in order; how many were dropped, by reason). Each different text is translated once."""
    dropped: Counter[str] = Counter()
    marked: list[tuple[Row, list[str]]] = []
    for row in rows:
        try:
            marked.append((row, texts_of(row, shape, labels)))
        except Lost as lost:
            dropped[str(lost)] += 1
    texts = list(dict.fromkeys(text for _, own in marked for text in own))
    table = dict(zip(texts, translate(texts), strict=True))
    kept: list[Row] = []
    for row, own in marked:
        try:
            kept.append(project(row, shape, [table[text] for text in own], labels))
        except Lost as lost:
            dropped[str(lost)] += 1
    return kept, dropped


def _classify_texts(row: Row, labels: Sequence[str]) -> list[str]:
    return [text for text in (row["text_a"], row["text_b"]) if text is not None]


def _classify(row: Row, labels: Sequence[str], found: Sequence[str]) -> Row:
    return {**row, "text_a": found[0], "text_b": found[1] if len(found) > 1 else None}


def _choice_texts(row: Row, labels: Sequence[str]) -> list[str]:
    return [row["prompt"], *row["choices"]]


def _choice(row: Row, labels: Sequence[str], found: Sequence[str]) -> Row:
    prompt, *choices = found
    if len(set(choices)) < len(set(row["choices"])):
        raise Lost("choices became equal")
    return {**row, "prompt": prompt, "choices": choices}


def _span_texts(row: Row, labels: Sequence[str]) -> list[str]:
    return [row["question"], mark(row["context"], _answer(row))]


def _span(row: Row, labels: Sequence[str], found: Sequence[str]) -> Row:
    context, spans = unmark(row["context"], len(_answer(row)), found[1])
    answers, starts = [context[start:end] for start, end in spans], [start for start, _ in spans]
    return {**row, "question": found[0], "context": context, "answers": answers, "starts": starts}


def _answer(row: Row) -> list[Span]:
    """Where the first answer is, without blanks around it; nothing for an unanswerable question."""
    if not row["answers"]:
        return []
    answer, start = row["answers"][0], row["starts"][0]
    start += len(answer) - len(answer.lstrip())
    return [(start, start + len(answer.strip()))]


def _tag_texts(row: Row, labels: Sequence[str]) -> list[str]:
    return [mark(" ".join(row["tokens"]), [span for span, _ in _tagged(row, labels)])]


def _tag(row: Row, labels: Sequence[str], found: Sequence[str]) -> Row:
    spans = _tagged(row, labels)
    text, places = unmark(" ".join(row["tokens"]), len(spans), found[0])
    bio, last = _is_bio(labels), 0
    tokens: list[str] = []
    tags: list[str] = []
    # cut at the borders of spans, so that no token is half inside
    for (start, end), (_, kind) in sorted(zip([*places, (len(text), len(text))], [*spans, ((0, 0), "")], strict=True)):
        outside, inside = _TOKEN.findall(text[last:start]), _TOKEN.findall(text[start:end])
        if outside and not bio:
            raise Lost("token without a label")
        tokens += [*outside, *inside]
        tags += ["O"] * len(outside)
        tags += [f"{'I' if i else 'B'}-{kind}" if bio else kind for i in range(len(inside))]
        last = end
    if bio and not set(tags) <= set(labels):  # the microworld has no I-LOC: its places are single words
        raise Lost("label that the task does not have")
    return {**row, "tokens": tokens, "tags": tags}


def _tagged(row: Row, labels: Sequence[str]) -> list[tuple[Span, str]]:
    """Spans of the joined tokens with their label: the chunks of BIO tags with their type, or else every token."""
    bio, at, before = _is_bio(labels), 0, "O"
    found: list[tuple[Span, str]] = []
    for token, tag in zip(row["tokens"], row["tags"], strict=True):
        span = at, at + len(token)
        if not bio:
            found.append((span, tag))
        elif tag[:2] == "I-" and before[2:] == tag[2:]:
            found[-1] = ((found[-1][0][0], span[1]), tag[2:])
        elif tag != "O":  # I- after another type opens a chunk, as in `metrics.chunk_f1`
            found.append((span, tag[2:]))
        at, before = span[1] + 1, tag
    return found


def _is_bio(labels: Sequence[str]) -> bool:
    return "O" in labels and all(label == "O" or label[:2] in ("B-", "I-") for label in labels)


SHAPES: dict[str, _Shape] = {
    "classify": _Shape(_classify_texts, _classify),
    "choice": _Shape(_choice_texts, _choice),
    "span": _Shape(_span_texts, _span),
    "tag": _Shape(_tag_texts, _tag),
}
"""The shapes of tasks that can be translated."""
