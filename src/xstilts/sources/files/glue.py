"""Sentence pairs in GLUE's tables: MultiNLI, RTE, QNLI and QQP."""

from __future__ import annotations

from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import read_lines
from xstilts.sources.files.pairs import pair_row
from xstilts.sources.files.refusals import columns, header, unique
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_ROLES = (  # id, first sentence, second sentence, label
    ("index", "sentence1", "sentence2", "gold_label"),
    ("index", "sentence1", "sentence2", "label"),
    ("index", "question", "sentence", "label"),
)
_QQP = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")
_BROKEN_AT_MOST = 1 / 1000


def glue_tsv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify` from a table with a header, its columns found by their names.

    Known are MultiNLI's (`sentence1, sentence2, gold_label`), RTE's (`sentence1, sentence2, label`) and QNLI's
    (`question, sentence, label`), each with ids in `index`; other columns are ignored. Without a header, a table
    must be `index, first, second, label`. Quotes are text.
    """
    lines = read_lines(path)
    names = tuple(lines[0].split("\t")) if lines else ()
    roles = next((known for known in _ROLES if set(known) <= set(names)), None)
    if roles is None and len(names) == 4 and names[0].isdecimal():
        names = roles = _ROLES[1]
        first_row = 1
    elif roles is not None:
        first_row = 2
    elif lines:
        expected = " or ".join(", ".join(known) for known in _ROLES)
        raise UserError(f"header {lines[0][:80]!r}, expected among its columns {expected}", file=path, line=1)
    else:
        return []
    at = [names.index(role) for role in roles]
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, line in enumerate(lines[first_row - 1 :], start=first_row):
        fields = columns(line, names, path, number)
        id_, first, second, label = (fields[index] for index in at)
        unique(id_, seen, path, number)
        rows.append(pair_row(id_, first, second, label, task, path, number))
    return rows


def qqp_tsv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify` from Quora Question Pairs (`id, qid1, qid2, question1, question2, is_duplicate`).

    A few questions of the official training file hold a line end, which breaks their record into lines with too
    few columns, and a few are empty. GLUE's loaders leave broken lines out, and so does this reader (`qqp_left_out`
    counts them), as long as they are no more than one in a thousand; with more, the file is not the official one and
    is refused at the first of them. (Hugging Face's copy, without the broken lines, has 363,846 rows.) A label is
    never missing.
    """
    whole, broken, count = _qqp_lines(path)
    if len(broken) > _BROKEN_AT_MOST * count:
        what = f"{len(broken)} of {count} lines are without their {len(_QQP)} columns or a question, this the first"
        raise UserError(what, file=path, line=broken[0], remedy="give GLUE's labelled file")
    seen: dict[str, int] = {}
    return [
        pair_row(unique(id_, seen, path, number), first, second, label, task, path, number)
        for number, (id_, _, _, first, second, label) in whole
    ]


def qqp_left_out(path: Path, task: Task, language: str) -> dict[str, int]:
    """How many lines `qqp_tsv` leaves out."""
    _, broken, _ = _qqp_lines(path)
    return {"broken line": len(broken)} if broken else {}


def _qqp_lines(path: Path) -> tuple[list[tuple[int, list[str]]], list[int], int]:
    """(line number, fields) of the whole lines, the numbers of the broken ones, and how many lines there are."""
    lines = read_lines(path)
    if lines:
        header(lines[0], _QQP, path)
    whole: list[tuple[int, list[str]]] = []
    broken: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) == len(_QQP) and fields[3].strip() and fields[4].strip():
            whole.append((number, fields))
        else:
            broken.append(number)
    return whole, broken, len(lines)
