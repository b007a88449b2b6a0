"""Questions with a few possible answers of which one is right, in tables: CosmosQA's CSV and CODAH."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import read_lines, read_text
from xstilts.sources.files.refusals import columns, filled, known_label, unique
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_CHOICES = ("answer0", "answer1", "answer2", "answer3")
_COSMOS = ("id", "context", "question", *_CHOICES, "label")
_CODAH = ("categories", "prompt", *_CHOICES, "label")
_INDICES = tuple(str(index) for index in range(len(_CHOICES)))


def cosmos_csv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice`, four choices each; the prompt is the context, a space and the question.

    The line of a refusal is the one on which the record begins (quoted fields may span lines).
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    seen: dict[str, int] = {}
    rows: list[Row] = []
    begin = 1
    try:
        for record in reader:
            if begin == 1:
                if record != list(_COSMOS):
                    found = ", ".join(record)[:80]
                    raise UserError(f"columns {found!r}, expected {', '.join(_COSMOS)}", file=path, line=1)
            else:
                rows.append(_row(record, seen, path, begin))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"not CSV ({error})", file=path, line=begin) from error
    return rows


def codah_tsv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice` from CODAH's table without a header, four continuations of each prompt.

    The first column, the kinds of commonsense a row needs, is ignored and may be empty. Ids are the line numbers;
    quotes are text.
    """
    rows: list[Row] = []
    for number, line in enumerate(read_lines(path), start=1):
        _, prompt, *choices, label = columns(line, _CODAH, path, number)
        rows.append({
            "id": str(number),
            "prompt": filled(prompt, "prompt", path, number),
            "choices": [filled(choice, "choice", path, number) for choice in choices],
            "label": int(known_label(label, _INDICES, path, number)),
        })  # fmt: skip
    return rows


def _row(record: list[str], seen: dict[str, int], path: Path, number: int) -> Row:
    if len(record) != len(_COSMOS):
        what = f"{len(record)} columns, expected {len(_COSMOS)} ({', '.join(_COSMOS)})"
        raise UserError(what, file=path, line=number)
    id_, context, question, *choices, label = record
    filled(context, "context", path, number)
    filled(question, "question", path, number)
    return {
        "id": unique(id_, seen, path, number),
        "prompt": f"{context} {question}",
        "choices": [filled(choice, "choice", path, number) for choice in choices],
        "label": int(known_label(label, _INDICES, path, number)),
    }
