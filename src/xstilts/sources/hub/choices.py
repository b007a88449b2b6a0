"""Questions with a few possible answers of which one is right: rows as the readers of their files make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xstilts.errors import UserError
from xstilts.sources.files.choices_json import COPA_ASKS
from xstilts.sources.files.refusals import known_label, unique
from xstilts.sources.hub.table import Table, hidden, refuse_hidden, text
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def choices(
    prompt: Sequence[str], options: Sequence[str] | str, label: str = "label", id_: str | None = None, *, first: int = 0
) -> Callable[[Table, Task, str], list[Row]]:
    """A reader of rows of shape `choice`: the prompt is the columns `prompt`, joined by blanks.

    `options` are the columns of the choices, or the one column that lists them. The label is the number of the right
    one, `first` that of the first choice. Without an id column ids count the rows from 1.
    """
    columns = (options,) if isinstance(options, str) else tuple(options)
    wanted = (*prompt, *columns, label, *((id_,) if id_ else ()))

    def read(table: Table, task: Task, language: str) -> list[Row]:
        seen: dict[str, int] = {}
        rows: list[Row] = []
        for number, values in table.rows(*wanted):
            cell = dict(zip(wanted, values, strict=True))
            texts = cell[options] if isinstance(options, str) else [cell[column] for column in options]
            asked = " ".join(text(cell[column], column, table, number) for column in prompt)
            index = _index(cell[label], label, columns, first, len(texts or ()), table, number)
            rows.append(_row(unique(str(cell[id_]), seen, table.where, number) if id_ else str(number),
                             asked, texts, index, table, number))  # fmt: skip
        return rows

    return read


def hellaswag(table: Table, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice`; the prompt is `ctx_a`, a choice is `ctx_b`, a blank and an ending.

    Where `ctx_b` is empty a choice is the ending alone. Ids count the rows: nothing says that `ind` is unique.
    """
    rows: list[Row] = []
    for number, (prompt, begin, endings, label) in table.rows("ctx_a", "ctx_b", "endings", "label"):
        start = f"{begin} " if (begin or "").strip() else ""
        ends = [start + text(ending, "ending", table, number) for ending in endings]
        index = _index(label, "label", (), 0, len(ends), table, number)
        rows.append(_row(str(number), text(prompt, "ctx_a", table, number), ends, index, table, number))
    return rows


def csqa(table: Table, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice` from CommonsenseQA; the prompt is the question, `answerKey` the right choice's letter."""
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, (id_, question, given, key) in table.rows("id", "question", "choices", "answerKey"):
        letters = list(given["label"]) if isinstance(given, dict) else []
        if not letters or len(set(letters)) != len(letters) or len(letters) != len(given["text"]):
            raise UserError("'choices' is not a list of letters and texts", file=table.where, line=number)
        if hidden(key):
            raise refuse_hidden(table, number)
        index = letters.index(known_label(key, letters, table.where, number))
        asked = text(question, "question", table, number)
        rows.append(_row(unique(id_, seen, table.where, number), asked, given["text"], index, table, number))
    return rows


def copa(table: Table, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice` from COPA and XCOPA; the prompt is the premise, a blank and the question in English."""
    options = ("choice1", "choice2")
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, (premise, question, *texts, label, idx) in table.rows("premise", "question", *options, "label", "idx"):
        known_label(str(question), COPA_ASKS, table.where, number)
        asked = f"{text(premise, 'premise', table, number)} {COPA_ASKS[question]}"
        index = _index(label, "label", options, 0, len(texts), table, number)
        rows.append(_row(unique(str(idx), seen, table.where, number), asked, texts, index, table, number))
    return rows


def _row(id_: str, prompt: str, texts: Sequence[Any], index: int, table: Table, number: int) -> Row:
    filled = [text(choice, "choice", table, number) for choice in texts]
    return {"id": id_, "prompt": prompt, "choices": filled, "label": index}


def _index(
    value: Any, column: str, options: Sequence[str], first: int, count: int, table: Table, number: int
) -> int:  # fmt: skip
    """Which choice is right, from 0: by the name its number stands for, where names are declared, else as it is."""
    if hidden(value):
        raise refuse_hidden(table, number)
    names = table.names.get(column, ())
    if isinstance(value, int) and 0 <= value < len(names):
        value = names[value]
    numbers = [str(index) for index in range(first, first + count)]
    known = options if value in options else numbers
    return list(known).index(known_label(str(value), known, table.where, number))
