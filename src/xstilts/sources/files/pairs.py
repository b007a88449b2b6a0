"""Labelled sentence pairs: XNLI and PAWS-X, SNLI, SICK, MSRP."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from xstilts.sources.files.json_fields import parse, text_field
from xstilts.sources.files.opening import read_lines
from xstilts.sources.files.refusals import columns, filled, header, known_label, unique
from xstilts.sources.files.translated import is_translated, translated_pairs
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_PLAIN = ("premise", "hypothesis", "label")
_WITH_ID = ("id", "sentence1", "sentence2", "label")
_HEADERS = (_PLAIN, ("premise", "hypo", "label"), ("sentence1", "sentence2", "gold_label"), _WITH_ID)
_SICK = ("pair_ID", "sentence_A", "sentence_B", "relatedness_score", "entailment_judgment")
_MSRP = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
_NO_CONSENSUS = "-"
# XNLI's machine-translated MultiNLI spells this one label in its own way; XTREME renames it too.
_SPELLINGS = {"contradictory": "contradiction"}
_NUMBERED = ("entailment", "neutral", "contradiction")
"""What the numbers 0 to 2 stand for in files written by Hugging Face `datasets` (XNLI with real typos, 2210.04782)."""


def pair_tsv(path: Path, task: Task, language: str) -> list[Row]:
    r"""Rows of shape `classify` from `first<TAB>second<TAB>label`, with or without a header line.

    Headers known: XNLI-MT's `premise, hypo, label`, the same with `hypothesis`, KorNLI's `sentence1,
    sentence2, gold_label`, and PAWS-X's `id, sentence1, sentence2, label`, whose ids are used. Else ids count
    the rows from 1, so that the parallel rows of all languages share them. Quotes are text: some of XTREME's
    files are written with CSV quoting and read without, so its models see `"He said ""hi""."` in train and
    test alike; the same here. Where labels are numbers (`_NUMBERED`) every text stands in single quotes, which
    are taken off. Five columns are XTREME's translated training files (see `translated`).
    """
    lines = read_lines(path)
    if is_translated(lines):
        return translated_pairs(path, task, _SPELLINGS, Counter())
    names = next((known for known in _HEADERS if lines and lines[0].split("\t") == list(known)), None)
    has_id = names == _WITH_ID
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        if names and number == 1:
            continue
        fields = columns(line, names or _PLAIN, path, number)
        id_ = unique(fields[0], seen, path, number) if has_id else str(len(rows) + 1)
        first, second, label = fields[-3:]
        if label in ("0", "1", "2") and set(_NUMBERED) == set(task.labels):
            label = _NUMBERED[int(label)]
            first, second = _unquoted(first), _unquoted(second)
        if label not in task.labels:
            label = _SPELLINGS.get(label, label)
        rows.append(pair_row(id_, first, second, label, task, path, number))
    return rows


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


def pair_left_out(path: Path, task: Task, language: str) -> dict[str, int]:
    """What of a translated training file is left out, counted by reason; nothing of other files."""
    left_out: Counter[str] = Counter()
    if is_translated(read_lines(path)):
        translated_pairs(path, task, _SPELLINGS, left_out)
    return dict(left_out)


def snli_jsonl(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify` from SNLI's JSON lines (`gold_label`, `pairID`, `sentence1`, `sentence2`).

    Pairs whose annotators reached no majority carry the gold label `-`; the data set's authors leave them out
    of training and evaluation, and so does this reader.
    """
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, line in enumerate(read_lines(path), start=1):
        pair = parse(line, path, number)
        values = [text_field(pair, name, path, number)
                  for name in ("pairID", "sentence1", "sentence2", "gold_label")]  # fmt: skip
        id_, first, second, label = values
        unique(id_, seen, path, number)
        if label != _NO_CONSENSUS:
            rows.append(pair_row(id_, first, second, label, task, path, number))
    return rows


def sick_tsv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify` from SICK's five columns; its upper-case judgments are the NLI labels."""
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, line in enumerate(read_lines(path), start=1):
        if number == 1:
            header(line, _SICK, path)
            continue
        id_, first, second, _, judgment = columns(line, _SICK, path, number)
        unique(id_, seen, path, number)
        rows.append(pair_row(id_, first, second, judgment.lower(), task, path, number))
    return rows


def msrp_tsv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify` from MSRP's five columns; quotes are text; an id is both sentences' ids."""
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for number, line in enumerate(read_lines(path), start=1):
        if number == 1:
            header(line, _MSRP, path)
            continue
        label, first_id, second_id, first, second = columns(line, _MSRP, path, number)
        id_ = unique(f"{first_id}-{second_id}", seen, path, number)
        rows.append(pair_row(id_, first, second, label, task, path, number))
    return rows


def pair_row(id_: str, first: str, second: str, label: str, task: Task, path: Path, number: int) -> Row:
    """One labelled pair of shape `classify`; `UserError` with the line for a blank sentence or an unknown label."""
    return {
        "id": id_,
        "text_a": filled(first, "first sentence", path, number),
        "text_b": filled(second, "second sentence", path, number),
        "label": known_label(label, task.labels, path, number),
    }
