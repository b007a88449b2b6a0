"""What `score` and `submit` show on the terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from xstilts.submission.layout import PARTS

_METRICS = {"accuracy": "accuracy", "f1": "F1", "exact_match": "exact match", "precision": "P", "recall": "R"}


def print_scores(facts: dict[str, Any]) -> None:
    """The scores of a submission: its tasks, its languages, its groups, and what is missing for the overall score."""
    console = Console()
    tasks = facts["tasks"]
    means = _table("Means over languages", "task", "languages", *_METRICS.values(), "score")
    by_language = _table("Languages (accuracy or F1; the other metrics: --json)", "language", *tasks)
    rows: dict[str, dict[str, str]] = {}
    for name, task in tasks.items():
        scored = task["accuracy" if "accuracy" in task else "f1"]
        shown = [f"{task[f'avg_{metric}']:.1f}" if metric in task else "" for metric in _METRICS]
        means.add_row(name, f"{len(scored)}/{len(PARTS[name].languages)}", *shown, f"{task['avg_metric']:.1f}")
        for language, value in scored.items():
            rows.setdefault(language, {})[name] = f"{value:.1f}"
    for language in sorted(rows):
        by_language.add_row(language, *(rows[language].get(name, "") for name in tasks))
    console.print(means)
    console.print(by_language)
    for name, value in facts["groups"].items():
        console.print(f"{'overall' if name == 'all_task' else name:15}{value:5.1f}", highlight=False)
    _print_notes(console, facts["notes"])
    if facts["missing"]:
        console.print("no overall score, which is the mean of nine complete tasks", highlight=False)
        _print_missing(console, facts["missing"])


def print_submission(facts: dict[str, Any]) -> None:
    """What was written, that it is valid, and what it lacks."""
    console = Console()
    table = Table("task", "files", "languages", box=box.SIMPLE, pad_edge=False)
    for name, languages in facts["written"].items():
        table.add_row(name, str(len(languages)), " ".join(languages))
    console.print(table)
    _print_notes(console, facts["notes"])
    files = sum(map(len, facts["written"].values()))
    state = "complete" if facts["complete"] else "incomplete: XTREME's overall score needs all nine tasks"
    _print_line(console, f"{facts['folder']}: {files} files, read back and valid; {state}")
    _print_missing(console, facts["missing"])


def _table(title: str, *columns: str) -> Table:
    """Numbers to the right, nine tasks within eighty characters."""
    table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE, collapse_padding=True, pad_edge=False)
    for column in table.columns:
        column.no_wrap, column.justify = True, "left" if column is table.columns[0] else "right"
    return table


def _print_missing(console: Console, missing: dict[str, list[str]]) -> None:
    for name, languages in missing.items():
        every = len(languages) == len(PARTS[name].languages)
        _print_line(console, f"missing: {name} {'(all)' if every else ' '.join(languages)}")


def _print_notes(console: Console, notes: list[str]) -> None:
    for note in notes:
        _print_line(console, f"note: {note}")


def _print_line(console: Console, line: str) -> None:
    """One line, however long: a path that is broken cannot be copied."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
