"""XTREME's machine-translated training files (`translate-train`), whose known defects are left out and counted.

The columns are those that `tensorflow_datasets` reads too (`xtreme_xnli`, `xtreme_pawsx`): both English sentences, both
translations, the label. Elsewhere a wrong line refuses its file; these files come with some (PAWS-X's have rows whose
label is no label, SQuAD's have answers that the alignment of the translation put in the wrong place).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import read_lines
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_COLUMNS = 5
_MOST = 0.01
"""More wrong lines than this share mean a file that is something else, or without its labels."""


def is_translated(lines: list[str]) -> bool:
    """Whether sentence pairs are in XTREME's layout of translated ones, by the first line."""
    return bool(lines) and lines[0].count("\t") == _COLUMNS - 1


def translated_pairs(path: Path, task: Task, spellings: dict[str, str], left_out: Counter[str]) -> list[Row]:
    """Rows of shape `classify` from `english<TAB>english<TAB>first<TAB>second<TAB>label`; ids are the line numbers.

    `spellings` maps other names of labels to the task's. Lines with other columns, an unknown label or a blank
    translation go to `left_out`; `UserError` where they are more than one in a hundred.
    """
    rows: list[Row] = []
    lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        label = spellings.get(fields[-1], fields[-1])
        if len(fields) != _COLUMNS:
            left_out["lines without five columns"] += 1
        elif label not in task.labels:
            left_out["lines with an unknown label"] += 1
        elif not fields[2].strip() or not fields[3].strip():
            left_out["blank translations"] += 1
        else:
            rows.append({"id": str(number), "text_a": fields[2], "text_b": fields[3], "label": label})
    if left_out.total() > _MOST * len(lines):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise UserError(f"{left_out.total():,} of {len(lines):,} lines are wrong ({reasons})", file=path,
                        remedy="were the gold labels removed? Give the labelled file")  # fmt: skip
    return rows
