"""Sentences with their English translation: Tatoeba's aligned files and tables of pairs; and text in one language."""

from __future__ import annotations

from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import find, read_lines
from xstilts.sources.files.refusals import columns, filled
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def english_side(path: Path) -> Path:
    """The English half of `tatoeba.deu-eng.deu`: the same name with the last part `eng`."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    wanted = plain.with_suffix(".eng")
    found = find(wanted)
    if found is None:
        raise UserError("no English half of these pairs", file=path, remedy=f"put {wanted.name} beside it")
    return found


def tatoeba(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `retrieve` from two line-aligned files in LASER's layout; ids are the line numbers.

    XTREME's preprocessing also writes `de-en.de` and `de-en.en`, whose English half is sorted by text and so
    no longer aligned. Those names are not read: only LASER's files carry the truth.
    """
    english = english_side(path)
    texts, translations = read_lines(path), read_lines(english)
    if len(texts) != len(translations):
        raise UserError(
            f"not aligned: {len(texts)} lines, but {len(translations)} in {english.name}",
            file=path,
            line=min(len(texts), len(translations)) + 1,
            remedy="both files need the same lines",
        )
    return [
        {
            "id": str(number),
            "text": filled(text, "sentence", path, number),
            "english": filled(translation, "sentence", english, number),
        }
        for number, (text, translation) in enumerate(zip(texts, translations, strict=True), start=1)
    ]


def parallel_tsv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `retrieve` from `english<TAB>other<TAB>source of the pair`; ids are the line numbers."""
    rows: list[Row] = []
    for number, line in enumerate(read_lines(path), start=1):
        english, text, _ = columns(line, ("english", language, "source"), path, number)
        rows.append({
            "id": str(number),
            "text": filled(text, "sentence", path, number),
            "english": filled(english, "English sentence", path, number),
        })  # fmt: skip
    return rows


def text_lines(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `mlm`, a text each, from lines of running text; blank lines part documents and are no rows. Ids are
    the line numbers."""
    lines = enumerate(read_lines(path), start=1)
    rows = [{"id": str(number), "text_a": line, "text_b": None} for number, line in lines if line.strip()]
    if not rows:
        raise UserError("holds no text", file=path)
    return rows
