"""What a data folder holds: every split of every task read and counted, every problem on one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from xstilts.errors import UserError
from xstilts.sources.files import FilesSource
from xstilts.tasks.metadata import Split, Task
from xstilts.tasks.rows import Row

Finding = dict[str, Any]
"""task, split, language, status ("ok", "missing", "problem"), file (relative to the folder), rows,
labels (label -> count; empty for span and retrieve), answers (of span; else 0), problem (one line)."""

_TRAINED_IN = "en"


def check(data: Path, tasks: Iterable[Task]) -> list[Finding]:
    """Read all that the folder has of `tasks` and say what is there, what is wrong and what is missing.

    Training data is expected in English alone (tasks that have no English: in every language); what there is
    in other languages is read all the same. Tasks that are not read from files are passed over. Raises
    `UserError` if there is no such folder.
    """
    if not data.is_dir():
        raise UserError("no such data folder", file=data)
    source = FilesSource(data)
    return [
        finding
        for task in tasks
        if task.files is not None
        for split in get_args(Split)
        if task.files.patterns(split)
        for language in task.languages
        if (finding := _look(source, task, split, language))["status"] != "missing" or _expected(task, split, language)
    ]


def _expected(task: Task, split: Split, language: str) -> bool:
    return split != "train" or _TRAINED_IN not in task.languages or language == _TRAINED_IN


def _look(source: FilesSource, task: Task, split: Split, language: str) -> Finding:
    path = source.find(task, split, language)
    finding: Finding = {"task": task.name, "split": split, "language": language, "status": "missing",
                        "file": "", "rows": 0, "labels": {}, "answers": 0, "problem": ""}  # fmt: skip
    if path is None:
        return finding
    finding["file"] = str(path.relative_to(source.data))
    try:
        rows = source.rows(task, split, language)
    except UserError as error:
        return {**finding, "status": "problem", "problem": str(error)}
    answers = sum(len(row["answers"]) for row in rows) if task.shape == "span" else 0
    return {**finding, "status": "ok", "rows": len(rows), "labels": _labels(rows, task), "answers": answers}


def _labels(rows: list[Row], task: Task) -> dict[str, int]:
    """How often each label occurs, labels that never do included, so that a one-sided file is seen."""
    count = Counter({label: 0 for label in task.labels})
    for row in rows:
        if task.shape == "tag":
            count.update(row["tags"])
        elif task.shape in ("classify", "choice"):
            count[str(row["label"])] += 1
    return dict(sorted(count.items()))


def render(findings: list[Finding]) -> RenderableType:
    """A table with one line per task and split, the problems below it."""
    table = Table("task", "split", "found", "missing", "problems", "rows", "languages missing", title="Data")
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding["task"], finding["split"]), []).append(finding)
    for (task, split), group in groups.items():
        status = Counter(finding["status"] for finding in group)
        missing = " ".join(finding["language"] for finding in group if finding["status"] == "missing")
        rows = sum(finding["rows"] for finding in group)
        numbers = (status["ok"] + status["problem"], status["missing"], status["problem"], rows)
        table.add_row(task, split, *(f"{number:,}" if number else "" for number in numbers), missing)
    for column in table.columns[2:6]:
        column.justify = "right"
    problems = [finding["problem"] for finding in findings if finding["problem"]]
    return Group(table, *(Text(problem) for problem in problems))
