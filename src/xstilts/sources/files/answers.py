"""Questions with answers inside a passage: SQuAD's JSON, which XQuAD, MLQA and TyDiQA-GoldP share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from xstilts.errors import UserError
from xstilts.sources.files.json_fields import list_field, parse, text_field, whole_number_field
from xstilts.sources.files.opening import read_text
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def squad_json(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `span` from SQuAD v1.1's layout; every question must have an answer.

    Offsets count code points. An answer that is blank, or not in the passage at its offset, is refused, except in a
    language that the task does not have: such a file is a machine translation (see `squad_left_out`).
    """
    text = read_text(path)
    if language not in task.all_languages:
        return _translated(text, path, Counter())
    rows = [_row(item, path, text, unanswerable=False) for item in _questions(text, path)]
    return _distinct(rows, path, text)


def squad_left_out(path: Path, task: Task, language: str) -> dict[str, int]:
    """What of a machine-translated training file (XTREME's `squad.translate.train.en-de.json`) is left out, by reason.

    An answer that is not at its offset, but once in the passage, is taken from there; questions whose answer is blank,
    missing or elsewhere more than once are left out, as are those with an id met before. Nothing of other files.
    """
    left_out: Counter[str] = Counter()
    if language not in task.all_languages:
        _translated(read_text(path), path, left_out)
    return dict(left_out)


def _translated(text: str, path: Path, left_out: Counter[str]) -> list[Row]:
    rows: dict[str, Row] = {}
    for question, context in _questions(text, path):
        id_, asked = text_field(question, "id", path), text_field(question, "question", path)
        gold = list_field(question, "answers", path)
        answer = text_field(gold[0], "text", path) if gold else ""
        start = whole_number_field(gold[0], "answer_start", path) if gold else 0
        if answer.strip() and not (start >= 0 and context.startswith(answer, start)):
            start = context.find(answer) if context.count(answer) == 1 else -1
        if not answer.strip() or not asked.strip():
            left_out["questions without text or answer"] += 1
        elif start < 0:
            left_out["answers that are not in their passage, or more than once"] += 1
        elif id_ in rows:
            left_out["questions with an id met before"] += 1
        else:
            rows[id_] = {"id": id_, "question": asked, "context": context, "answers": [answer], "starts": [start]}
    return list(rows.values())


def squad2_json(path: Path, task: Task, language: str) -> list[Row]:
    """Like `squad_json`, from SQuAD v2.0's layout: questions marked `is_impossible` have no answer."""
    text = read_text(path)
    rows = [_row(item, path, text, unanswerable=True) for item in _questions(text, path)]
    return _distinct(rows, path, text)


def tydiqa_json(path: Path, task: Task, language: str) -> list[Row]:
    """Like `squad_json`, for XTREME's TyDiQA-GoldP files, whose training ids are not unique.

    XTREME cut the ids of the training files to their last field, a small number, so most of them repeat. Here
    the n-th row with an id gets `#n` appended (n from 2); ids that are unique, as in the test files, stay as
    they are. A question that repeats with its passage is a true duplicate and refused.
    """
    text = read_text(path)
    count: dict[str, int] = {}
    met: set[tuple[str, str, str]] = set()
    rows: list[Row] = []
    for item in _questions(text, path):
        row = _row(item, path, text, unanswerable=False)
        id_ = row["id"]
        content = (id_, row["question"], row["context"])
        if content in met:
            _refuse("duplicate of an earlier question", id_, path, text, last=True)
        met.add(content)
        count[id_] = count.get(id_, 0) + 1
        rows.append({**row, "id": id_ if count[id_] == 1 else f"{id_}#{count[id_]}"})
    return rows


def _questions(text: str, path: Path) -> Iterator[tuple[Any, str]]:
    """Every question object with its passage, in the file's order."""
    for article in list_field(parse(text, path), "data", path):
        for paragraph in list_field(article, "paragraphs", path):
            context = text_field(paragraph, "context", path)
            for question in list_field(paragraph, "qas", path):
                yield question, context


def _row(item: tuple[Any, str], path: Path, text: str, *, unanswerable: bool) -> Row:
    question, context = item
    id_ = text_field(question, "id", path)
    where = f"question {id_!r}: "
    asked = text_field(question, "question", path, where=where)
    if not id_.strip() or not asked.strip() or not context.strip():
        _refuse("empty id, question or passage", id_, path, text)
    gold = list_field(question, "answers", path, where)
    answers = [text_field(answer, "text", path, where=where) for answer in gold]
    starts = [whole_number_field(answer, "answer_start", path, where) for answer in gold]
    impossible = question.get("is_impossible", False) is True
    if impossible and not unanswerable:
        _refuse("unanswerable, but this task has only answerable questions", id_, path, text)
    if impossible and answers:
        _refuse("marked unanswerable, but has answers", id_, path, text)
    if not impossible and not answers:
        _refuse("no gold answer", id_, path, text, "give the file with its answers")
    for answer, start in zip(answers, starts, strict=True):
        if not answer.strip():
            _refuse("blank gold answer", id_, path, text, "its answers were removed: give the file with them")
        if start < 0 or not context.startswith(answer, start):
            at = context.find(answer)
            found = f"it begins at {at}" if at >= 0 else "it is not in the passage"
            what = f"answer {answer[:40]!r} is not at its offset {start} (in characters)"
            _refuse(what, id_, path, text, found)
    return {"id": id_, "question": asked, "context": context, "answers": answers, "starts": starts}


def _distinct(rows: list[Row], path: Path, text: str) -> list[Row]:
    """The rows, if their ids are unique."""
    met: set[str] = set()
    for row in rows:
        if row["id"] in met:
            _refuse("duplicate id", row["id"], path, text, last=True)
        met.add(row["id"])
    return rows


def _refuse(what: str, id_: str, path: Path, text: str, remedy: str | None = None, *, last: bool = False) -> NoReturn:
    """Refuse a question, with its (`last`) line when the JSON has more than one."""
    quoted = json.dumps(id_, ensure_ascii=False)
    at = text.rfind(quoted) if last else text.find(quoted)
    line = text.count("\n", 0, at) + 1 if at >= 0 and "\n" in text.rstrip("\n") else None
    raise UserError(f"question {id_!r}: {what}", file=path, line=line, remedy=remedy)
