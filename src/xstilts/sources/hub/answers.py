"""Questions with answers inside a passage: SQuAD, its translations, MLQA and TyDi QA's gold passages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xstilts.errors import UserError
from xstilts.languages import LANGUAGES
from xstilts.sources.files.refusals import unique
from xstilts.sources.hub.table import Table, refuse_hidden, text
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_COLUMNS = ("id", "question", "context", "answers")
_NAMES = {language.name.lower(): code for code, language in LANGUAGES.items()}
_MOST_BLANKS = 20


def squad(*, unanswerable: bool = False, stripped: bool = False) -> Callable[[Table, Task, str], list[Row]]:
    """A reader of rows of shape `span` from `id, question, context, answers`; ids must be unique.

    `answers` is `{"text": [...], "answer_start": [...]}`, offsets in code points. Without `unanswerable` every
    question must have an answer. `stripped` says that the conversion took blanks from the ends of passages and
    answers without moving the offsets (see `_placed`).
    """

    def read(table: Table, task: Task, language: str) -> list[Row]:
        seen: dict[str, int] = {}
        return [
            {**_row(values, table, number, unanswerable, stripped), "id": unique(values[0], seen, table.where, number)}
            for number, values in table.rows(*_COLUMNS)
        ]

    return read


def tydiqa(table: Table, task: Task, language: str) -> list[Row]:
    """Like `squad(stripped=True)`, for the one table that holds all languages: the rows of one of them.

    Ids begin with the English name of their language (`finnish-763...-0`); one that does not is refused. A few
    questions of the gold passages repeat with their id: the n-th gets `#n` appended, n from 2, as in the files.
    """
    count: dict[str, int] = {}
    rows: list[Row] = []
    for number, values in table.rows(*_COLUMNS):
        id_ = text(values[0], "id", table, number)
        name = id_.partition("-")[0]
        if name not in _NAMES:
            raise UserError(f"id {id_!r} begins with no language", file=table.where, line=number)
        if _NAMES[name] == language:
            count[id_] = count.get(id_, 0) + 1
            row = _row(values, table, number, unanswerable=False, stripped=True)
            rows.append({**row, "id": id_ if count[id_] == 1 else f"{id_}#{count[id_]}"})
    return rows


def _row(values: tuple[Any, ...], table: Table, number: int, unanswerable: bool, stripped: bool) -> Row:
    id_, question, context, gold = values
    passage = text(context, "context", table, number)
    if not isinstance(gold, dict) or not {"text", "answer_start"} <= gold.keys():
        raise UserError("'answers' is not a pair of text and answer_start", file=table.where, line=number)
    answers, starts = list(gold["text"]), list(gold["answer_start"])
    if len(answers) != len(starts):
        raise UserError(f"{len(answers)} answers, {len(starts)} offsets", file=table.where, line=number)
    if not all(isinstance(answer, str) and answer.strip() for answer in answers) or not (answers or unanswerable):
        raise refuse_hidden(table, number)
    placed = _placed(passage, answers, starts, stripped)
    if placed is None:
        what = f"an answer is not at its offset (in characters): {answers[0][:40]!r} at {starts[0]}"
        raise UserError(what, file=table.where, line=number)
    return {
        "id": text(id_, "id", table, number),
        "question": text(question, "question", table, number),
        "context": passage,
        "answers": answers,
        "starts": placed,
    }


def _placed(passage: str, answers: list[str], starts: list[int], stripped: bool) -> list[int] | None:
    """Where the answers are; None when they are not where they should be.

    Conversions by early versions of `datasets` (google/xtreme's, see its issue 2585) stripped the passage and each
    answer and left the offsets as they were. What was lost can be told: k blanks at the beginning of the passage put
    all its answers k characters too far right, and blanks at the beginning of an answer are still there in the
    passage. The smallest k up to 20 under which every answer fits is taken, and blanks before an answer are passed.
    """
    for blanks in range(_MOST_BLANKS + 1 if stripped else 1):
        moved = [start - blanks for start in starts]
        if stripped:
            moved = [_past_blanks(passage, start) for start in moved]
        if all(start >= 0 and passage.startswith(answer, start) for answer, start in zip(answers, moved, strict=True)):
            return moved
    return None


def _past_blanks(passage: str, start: int) -> int:
    while 0 <= start < len(passage) and passage[start].isspace():
        start += 1
    return start
