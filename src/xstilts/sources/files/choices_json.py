"""Questions with a few possible answers in JSON lines: HellaSwag, CommonsenseQA, Social IQa, COPA and XCOPA.

Each of these readers also takes the layout of evaluation harnesses, `{"query", "choices", "gold"}`, so that such a
file can stand in for a split that is not at hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from xstilts.errors import UserError
from xstilts.sources.files.json_fields import parse
from xstilts.sources.files.json_lines import Filled, Layout, Line, records
from xstilts.sources.files.opening import find, read_lines
from xstilts.sources.files.refusals import filled, known_label, unique
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

Index = Annotated[int, Field(ge=0)]


class _Item(NamedTuple):
    id: str
    prompt: str
    choices: Sequence[str]
    label: int
    """Index of the right choice; checked by `_rows`."""


class _HellaSwag(Line):
    ctx_a: Filled
    ctx_b: str
    endings: list[Filled]
    label: Index


def hellaswag_jsonl(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice`; the prompt is `ctx_a`, a choice is `ctx_b`, a space and an ending.

    `ctx_b` is empty where the context ends with a sentence (WikiHow): there a choice is the ending alone.
    Ids are the line numbers: nothing says that the file's `ind` is unique.
    """

    def item(line: _HellaSwag, number: int) -> _Item:
        begin = f"{line.ctx_b} " if line.ctx_b.strip() else ""
        return _Item(str(number), line.ctx_a, [begin + ending for ending in line.endings], line.label)

    return _rows(path, _HellaSwag, item)


class _Answer(Line):
    label: Filled
    text: Filled


class _Question(Line):
    stem: Filled
    choices: list[_Answer]


class _CommonsenseQA(Line):
    id: str
    question: _Question
    answerKey: str


def csqa_jsonl(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice` from CommonsenseQA; the prompt is the question, without any mark before it."""

    def item(line: _CommonsenseQA, number: int) -> _Item:
        letters = [answer.label for answer in line.question.choices]
        if len(set(letters)) != len(letters):
            raise UserError(f"two choices have one letter ({' '.join(letters)})", file=path, line=number)
        right = letters.index(known_label(line.answerKey, letters, path, number))
        return _Item(line.id, line.question.stem, [answer.text for answer in line.question.choices], right)

    return _rows(path, _CommonsenseQA, item)


class _SocialIQa(Line):
    context: Filled
    question: Filled
    answerA: Filled
    answerB: Filled
    answerC: Filled


def siqa_jsonl(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice` from Social IQa's two line-aligned files; ids are the line numbers.

    The prompt is the context, a space and the question. The labels, 1 to 3, are in `train-labels.lst` beside
    `train.jsonl`.
    """
    _, *label_files = siqa_parts(path)
    labels = read_lines(label_files[0]) if label_files else []
    if label_files and len(labels) != (count := len(read_lines(path))):
        what = f"not aligned: {count} lines, but {len(labels)} in {label_files[0].name}"
        raise UserError(what, file=path, line=min(count, len(labels)) + 1, remedy="both files need the same lines")

    def item(line: _SocialIQa, number: int) -> _Item:
        label = int(known_label(labels[number - 1], ("1", "2", "3"), label_files[0], number))
        choices = (line.answerA, line.answerB, line.answerC)
        return _Item(str(number), f"{line.context} {line.question}", choices, label - 1)

    return _rows(path, _SocialIQa, item)


def siqa_parts(path: Path) -> tuple[Path, ...]:
    """`train.jsonl` and `train-labels.lst` beside it; a file of the query layout holds its labels itself."""
    if _is_query_layout(read_lines(path), path):
        return (path,)
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    wanted = plain.with_name(f"{plain.stem}-labels.lst")
    found = find(wanted)
    if found is None:
        raise UserError("no labels for these questions", file=path, remedy=f"put {wanted.name} beside it")
    return (path, found)


class _Copa(Line):
    premise: Filled
    choice1: Filled
    choice2: Filled
    question: Literal["cause", "effect"]
    label: Literal[0, 1]
    idx: int


COPA_ASKS = {"cause": "What was the CAUSE of this?", "effect": "What happened as a RESULT?"}
"""COPA's questions as its first release words them (Roemmele et al. 2011)."""


def copa_jsonl(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `choice` from COPA and XCOPA; the prompt is the premise, a space and the question in English.

    The question is worded as in the original release (Roemmele et al. 2011, https://asgordon.github.io/copa.html),
    whose later JSON files say `cause` or `effect` only. It stays English in every language, so that training and
    evaluation share it. What XCOPA's files ask for is not the same in every language: the Thai ones say `effect` in
    every row, the Turkish ones too often. They are read as published.
    """

    def item(line: _Copa, number: int) -> _Item:
        choices = (line.choice1, line.choice2)
        return _Item(str(line.idx), f"{line.premise} {COPA_ASKS[line.question]}", choices, line.label)

    return _rows(path, _Copa, item)


class _Query(Line):
    query: Filled
    choices: list[Filled]
    gold: Index


_LETTERED = re.compile(r"(?:Context: ([^\n]+)\n)?Question: ([^\n]+)\nChoices:\n(.+)\nAnswer:", re.DOTALL)


def _from_query(path: Path) -> Callable[[_Query, int], _Item]:
    """How a line of the query layout becomes an item.

    Where the choices are letters, their texts are lines of the query (`A. a bank`): they are taken from there, and
    the prompt is the context, if there is one, and the question.
    """

    def item(line: _Query, number: int) -> _Item:
        letters = line.choices
        if letters != list(ascii_uppercase[: len(letters)]):
            return _Item(str(number), line.query, line.choices, line.gold)
        match = _LETTERED.fullmatch(line.query)
        texts = match[3].split("\n") if match else []
        begins = [f"{letter}. " for letter in letters]
        if match is None or len(texts) != len(begins) or not all(map(str.startswith, texts, begins)):
            what = f"the choices are letters, but the query does not end with lines {letters[0]}. to {letters[-1]}."
            raise UserError(what, file=path, line=number)
        prompt = f"{match[1]} {match[2]}" if match[1] else match[2]
        return _Item(
            str(number), prompt, [text.removeprefix(b) for text, b in zip(texts, begins, strict=True)], line.gold
        )

    return item


def _is_query_layout(lines: Sequence[str], path: Path) -> bool:
    first = parse(lines[0], path, 1) if lines and lines[0].startswith("{") else None
    return isinstance(first, dict) and first.keys() >= _Query.model_fields.keys()


def _rows(path: Path, layout: type[Layout], item: Callable[[Layout, int], _Item]) -> list[Row]:
    """The rows of a file, by its first line in the task's own layout or in that of queries."""
    lines = read_lines(path)
    seen: dict[str, int] = {}
    if _is_query_layout(lines, path):
        make = _from_query(path)
        return [_row(make(line, number), seen, path, number) for number, line in records(lines, _Query, path)]
    return [_row(item(line, number), seen, path, number) for number, line in records(lines, layout, path)]


def _row(item: _Item, seen: dict[str, int], path: Path, number: int) -> Row:
    if len(item.choices) < 2:
        raise UserError("fewer than two choices", file=path, line=number)
    known_label(str(item.label), [str(index) for index in range(len(item.choices))], path, number)
    return {
        "id": unique(item.id, seen, path, number),
        "prompt": filled(item.prompt, "prompt", path, number),
        "choices": [filled(choice, "choice", path, number) for choice in item.choices],
        "label": item.label,
    }
