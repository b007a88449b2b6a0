"""What a data folder holds: every split of every task read and counted, every problem on one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
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
labels (label -> count; names of morphological features for shape features; empty for shapes without labels), answers
(of span, true pairs of mine; else 0), left_out (reason -> count of what rows cannot hold), problem (one line)."""

_TRAINED_IN = "en"
_COLUMNS = 10
"""With more labels than this a task's table has no column for each, but says which never occur."""
_NAMED = 4
"""How many labels such a table names at most."""
_ANSWERS = {"span": "answers", "mine": "gold"}


def check(data: Path, tasks: Iterable[Task]) -> list[Finding]:
    """Read all that the folder has of `tasks` and say what is there, what is wrong and what is missing.

    Training data, and the dev split of tasks that have any, are expected in English alone (tasks that have no English:
    in every language); what there is in other languages is read all the same, and so is what there is in languages
    beyond the benchmark's. Tasks that are not read from files are passed over. Raises `UserError` if there is no such
    folder.
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
        for language in task.all_languages
        if (finding := _look(source, task, split, language))["status"] != "missing" or _expected(task, split, language)
    ]


def _expected(task: Task, split: Split, language: str) -> bool:
    if language in task.more_languages:
        return False
    serves_training = split == "train" or (split == "dev" and task.files is not None and bool(task.files.train))
    return not serves_training or _TRAINED_IN not in task.languages or language == _TRAINED_IN


def _look(source: FilesSource, task: Task, split: Split, language: str) -> Finding:
    finding: Finding = {"task": task.name, "split": split, "language": language, "status": "missing", "file": "",
                        "rows": 0, "labels": {}, "answers": 0, "left_out": {}, "problem": ""}  # fmt: skip
    try:
        path = source.find(task, split, language)
        if path is None:
            return finding
        finding["file"] = str(path.relative_to(source.data))
        rows = source.rows(task, split, language)
        left_out = source.left_out(task, split, language)
    except UserError as error:
        return {**finding, "status": "problem", "problem": str(error)}
    answers = sum(len(row[_ANSWERS[task.shape]]) for row in rows) if task.shape in _ANSWERS else 0
    return {**finding, "status": "ok", "rows": len(rows), "labels": _labels(rows, task), "answers": answers,
            "left_out": left_out}  # fmt: skip


def _labels(rows: list[Row], task: Task) -> dict[str, int]:
    """How often each label occurs, labels that never do included, so that a one-sided file is seen."""
    count = Counter({label: 0 for label in task.labels})
    for row in rows:
        if task.shape == "tag":
            count.update(row["tags"])
        elif task.shape == "parse":
            count.update(row["relations"])
        elif task.shape == "features":
            count.update(pair.partition("=")[0] for tag in row["tags"] for pair in tag.split("|"))
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
    table.columns[0].no_wrap = True
    for column in table.columns[2:6]:
        column.justify = "right"
    problems = [finding["problem"] for finding in findings if finding["problem"]]
    return Group(table, *(Text(problem) for problem in problems))


def render_task(findings: list[Finding]) -> RenderableType:
    """The findings of one task: a line per language and split with its rows and labels, all that is wrong below.

    A label has a column for its count, or, where there are many, the line says how many occur, which are the most
    frequent and which of a closed set never occur. Tags and relations are counted by token.
    """
    found = [finding for finding in findings if finding["status"] != "missing"]
    labels = sorted({label for finding in found for label in finding["labels"]})
    columns: dict[str, Callable[[Finding], Any]] = {"rows": lambda finding: finding["rows"]}
    if len(labels) <= _COLUMNS:
        columns |= {label: partial(_occurs, label) for label in labels}
    else:
        columns["labels"] = lambda finding: len(_by_frequency(finding))
        columns["most frequent"] = lambda finding: _few(_by_frequency(finding))
        columns["never"] = lambda finding: _few(_never(finding))
    columns |= {name: partial(_total, name) for name in ("answers", "left_out") if any(f[name] for f in found)}

    table = Table("language", "split", *(name.replace("_", " ") for name in columns), title=_title(findings))
    for finding in sorted(found, key=lambda finding: finding["language"]):
        good = finding["status"] == "ok"
        values = [value(finding) if good else "" for value in columns.values()]
        values[0] = values[0] if good else "problem"
        cells = (value if isinstance(value, str) else f"{value:,}" for value in values)
        table.add_row(finding["language"], finding["split"], *map(Text, cells))
    for column, name in zip(table.columns[2:], columns, strict=True):
        column.justify = "left" if name in ("most frequent", "never") else "right"
    return Group(table, *map(Text, _notes(findings)))


def _title(findings: list[Finding]) -> str:
    return findings[0]["task"] if findings else "nothing"


def _occurs(label: str, finding: Finding) -> int:
    return int(finding["labels"].get(label, 0))


def _by_frequency(finding: Finding) -> list[str]:
    counts: Counter[str] = Counter(finding["labels"])
    return [label for label, count in counts.most_common() if count]


def _never(finding: Finding) -> list[str]:
    return [label for label, count in finding["labels"].items() if not count]


def _few(names: list[str]) -> str:
    return " ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _total(name: str, finding: Finding) -> int:
    value = finding[name]
    return sum(value.values()) if isinstance(value, dict) else int(value)


def _notes(findings: list[Finding]) -> list[str]:
    """What is missing, a line per split; what was left out and why; the problems."""
    notes = []
    for split in dict.fromkeys(finding["split"] for finding in findings):
        missing = [f["language"] for f in findings if f["split"] == split and f["status"] == "missing"]
        if missing:
            notes.append(f"missing {split}: {' '.join(missing)}")
    left_out: Counter[str] = Counter()
    for finding in findings:
        left_out.update(finding["left_out"])
    notes += [f"left out: {count:,} {reason}" for reason, count in left_out.most_common()]
    return [*notes, *(finding["problem"] for finding in findings if finding["problem"])]
