"""Parallel evaluation data: every language must have the same rows in the same order, or nothing can be paired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, NoReturn

from xstilts.errors import UserError
from xstilts.sources.files.opening import content_hash, read_lines
from xstilts.sources.files.reader import READERS
from xstilts.tasks.metadata import Files, Task
from xstilts.tasks.rows import Row


class _Keys(NamedTuple):
    """What is compared of one file."""

    ids: tuple[str, ...]
    shared: tuple[str, ...] | None
    """What translations of a row share; None where real ids say enough."""


def check_alignment(task: Task, path: Path, rows: Sequence[Row], reference: Path, reference_language: str) -> None:
    """Refuse rows that are not those of the reference file, one by one.

    Ids must be equal in the same order. Where ids only count the rows, what translations share must agree too: the
    labels of pairs and choices, the sequence of polarities of M-ABSA, but for the share of rows that the task
    declares as differing (rows in another order differ in a third to two thirds of them). `UserError` names the file,
    the first row that differs, its line in layouts of one row a line, and what is there instead.
    """
    own = _keys(task, path, rows)
    other = _reference(task, reference, reference_language, content_hash(reference))
    count = "" if len(own.ids) == len(other.ids) else f"{len(own.ids):,} rows, but {len(other.ids):,}"
    order = "rows in another order" if Counter(own.ids) == Counter(other.ids) else "other rows"
    for row, (id_, expected) in enumerate(zip_longest(own.ids, other.ids)):
        if id_ != expected:
            here, there = (f"id {one!r}" if one is not None else "no row" for one in (id_, expected))
            _refuse(f"{count or order}: row {row + 1:,} has {here}, but {there}", path, reference, row, len(own.ids))
    if own.shared is None or other.shared is None:
        return
    differing = [i for i, (key, expected) in enumerate(zip(own.shared, other.shared, strict=True)) if key != expected]
    if len(differing) > task.differing * len(own.shared):
        row = differing[0]
        more = f" ({len(differing):,} of {len(own.shared):,} rows differ)"
        what = f"rows in another order: row {row + 1:,} is {own.shared[row]!r}, but {other.shared[row]!r}{more}"
        _refuse(what, path, reference, row, len(own.ids))


def _refuse(what: str, path: Path, reference: Path, row: int, rows: int) -> NoReturn:
    header = len(read_lines(path)) - rows
    raise UserError(
        f"{what} in {reference.name}",
        file=path,
        line=row + header + 1 if header in (0, 1) else None,
        remedy="they are translations of one another: give both the official rows in the official order",
    )


@lru_cache(maxsize=64)
def _reference(task: Task, path: Path, language: str, content: str) -> _Keys:
    """The keys of the file all others are compared with; a file of other `content` is read again."""
    return _keys(task, path, READERS[_layout(task).reader].read(path, task, language))


def _keys(task: Task, path: Path, rows: Sequence[Row]) -> _Keys:
    ids = tuple(row["id"] for row in rows)
    given = READERS[_layout(task).reader].keys
    if given is not None:
        return _Keys(ids, tuple(given(path)))
    counting = all(id_ == str(number) for number, id_ in enumerate(ids, start=1))
    labelled = task.shape in ("classify", "choice")
    return _Keys(ids, tuple(str(row["label"]) for row in rows) if counting and labelled else None)


def _layout(task: Task) -> Files:
    assert task.files is not None
    return task.files
