"""Read a written submission back and compare it with the test rows it must answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from xstilts.errors import UserError
from xstilts.submission.layout import Part
from xstilts.submission.reading import read_answers, read_column, read_pairs, read_sentences
from xstilts.tasks.rows import Row


def check_file(path: Path, part: Part, rows: Sequence[Row]) -> None:
    """Raise `UserError` with file and line unless the file answers each of these rows, and nothing else.

    Labels must be of the task's set, tags as many as tokens, answers part of their passage, indices and ids
    those of sentences that exist.
    """
    _CHECKS[part.kind](path, part, rows)


def sorted_by_english(rows: Sequence[Row]) -> list[int]:
    """Indices of translation pairs in the order in which Tatoeba's English sentences are asked for.

    `utils_preprocess.py` of google-research/xtreme sorts the stripped English sentences by code points; equal
    ones keep their order.
    """
    return sorted(range(len(rows)), key=lambda i: rows[i]["english"].strip())


def _count(path: Path, found: int, rows: Sequence[Row], what: str) -> None:
    if found != len(rows):
        raise UserError(f"{found} {what} for {len(rows)} test rows", file=path, line=min(found, len(rows)) + 1)


def _labels(path: Path, part: Part, rows: Sequence[Row]) -> None:
    values = read_column(path)
    _count(path, len(values), rows, "predictions")
    for number, value in enumerate(values, start=1):
        if value not in part.labels:
            raise UserError(f"{value!r} is no label of {part.name}", file=path, line=number)


def _tags(path: Path, part: Part, rows: Sequence[Row]) -> None:
    sentences = read_sentences(path)
    for sentence, row in zip(sentences, rows, strict=False):
        if len(sentence.tags) != len(row["tokens"]):
            what = f"{len(sentence.tags)} tags for the {len(row['tokens'])} tokens of sentence {row['id']}"
            raise UserError(what, file=path, line=sentence.line)
        for offset, tag in enumerate(sentence.tags):
            if tag not in part.labels:
                raise UserError(f"{tag!r} is no tag of {part.name}", file=path, line=sentence.line + offset)
    _count(path, len(sentences), rows, "sentences")


def _answers(path: Path, part: Part, rows: Sequence[Row]) -> None:
    answers = read_answers(path)
    _count(path, len(answers), rows, "answers")
    for row in rows:
        if row["id"] not in answers:
            raise UserError(f"no answer to question {row['id']!r}", file=path)
        if answers[row["id"]] not in row["context"]:
            raise UserError(f"the answer to question {row['id']!r} is not in its passage", file=path)


def _pairs(path: Path, part: Part, rows: Sequence[Row]) -> None:
    sources = {row["id"] for row in rows if row["text"]}
    english = {row["english_id"] for row in rows if row["english"]}
    seen: set[tuple[str, str]] = set()
    for number, pair in enumerate(read_pairs(path), start=1):
        for id_, known in zip(pair, (sources, english), strict=True):
            if id_ not in known:
                raise UserError(f"{id_!r} is no sentence of the test set", file=path, line=number)
        if pair in seen:
            raise UserError(f"pair {' '.join(pair)} is given twice", file=path, line=number)
        seen.add(pair)


def _indices(path: Path, part: Part, rows: Sequence[Row]) -> None:
    values = read_column(path)
    _count(path, len(values), rows, "predictions")
    for number, value in enumerate(values, start=1):
        if not value.isdecimal() or int(value) >= len(rows):
            raise UserError(f"{value!r} is not the index of one of {len(rows)} sentences", file=path, line=number)


_CHECKS: dict[str, Callable[[Path, Part, Sequence[Row]], None]] = {
    "label": _labels, "tags": _tags, "answers": _answers, "pairs": _pairs, "index": _indices,
}  # fmt: skip
