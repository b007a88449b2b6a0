"""Sentences with their English translation: Tatoeba as google/xtreme has it."""

from __future__ import annotations

from xstilts.errors import UserError
from xstilts.sources.hub.table import Table, text
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def tatoeba(table: Table, task: Task, language: str) -> list[Row]:
    """Rows of shape `retrieve` from `source_sentence` and the English `target_sentence`; ids are the row numbers.

    `target_lang` must say `eng` in every row. (`source_lang` is the end of a path on the machine that converted the
    data set, and says nothing.) The line ends that the conversion left at the end of sentences are taken away.
    """
    rows: list[Row] = []
    for number, (source, target, english) in table.rows("source_sentence", "target_sentence", "target_lang"):
        if english != "eng":
            raise UserError(f"target_lang is {english!r}, expected 'eng'", file=table.where, line=number)
        rows.append({
            "id": str(number),
            "text": text(source, "source_sentence", table, number).rstrip("\r\n"),
            "english": text(target, "target_sentence", table, number).rstrip("\r\n"),
        })  # fmt: skip
    return rows
