"""The checks that readers share. Each returns the good value or refuses with file and line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from xstilts.errors import UserError, did_you_mean


def columns(line: str, names: Sequence[str], path: Path, number: int) -> list[str]:
    """The tab-separated fields of a line, exactly as many as `names`. Quotes mean nothing in these files."""
    fields = line.split("\t")
    if len(fields) == len(names):
        return fields
    stripped = len(fields) == len(names) - 1
    raise UserError(
        f"{len(fields)} column{'s' * (len(fields) != 1)}, expected {len(names)} ({', '.join(names)})",
        file=path,
        line=number,
        remedy="were the gold labels removed? Give the labelled file" if stripped else None,
    )


def header(line: str, names: Sequence[str], path: Path) -> None:
    """Refuse a first line that is not this tab-separated header."""
    if line.split("\t") != list(names):
        raise UserError(f"header {line[:80]!r}, expected the columns {', '.join(names)}", file=path, line=1)


def known_label(label: str, labels: Collection[str], path: Path, number: int) -> str:
    """A label of the closed set; blank ones are told apart, because they mean a file without gold."""
    if label in labels:
        return label
    if not label.strip():
        raise UserError("blank gold label", file=path, line=number, remedy="give the labelled file")
    raise UserError(f"unknown label {label!r}", file=path, line=number, remedy=did_you_mean(label, labels))


def filled(text: str, what: str, path: Path, number: int) -> str:
    """Text that is not blank, unchanged."""
    if not text.strip():
        raise UserError(f"empty {what}", file=path, line=number)
    return text


def unique(id_: str, seen: dict[str, int], path: Path, number: int) -> str:
    """An id met for the first time; `seen` maps ids to their lines and is added to."""
    filled(id_, "id", path, number)
    if id_ in seen:
        raise UserError(f"duplicate id {id_!r} (first on line {seen[id_]})", file=path, line=number)
    seen[id_] = number
    return id_
