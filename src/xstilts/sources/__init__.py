"""Where rows come from: official files in a folder, the hub, or a generated world. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from xstilts.errors import UserError, did_you_mean
from xstilts.tasks.metadata import Split, Task
from xstilts.tasks.rows import Row

SOURCES = ("files", "hub", "microworld")
"""Names that `get_source` knows."""


class Source(Protocol):
    """Gives the rows of a task, one split and language at a time."""

    def has(self, task: Task, split: Split, language: str) -> bool:
        """Whether there is data for this split and language; says nothing of its soundness."""
        ...

    def identity(self, task: Task, split: Split, language: str) -> str:
        """What the rows depend on (content hash, or generator version); equal identity means equal rows.

        Raises `UserError` if the data is missing.
        """
        ...

    def rows(self, task: Task, split: Split, language: str) -> list[Row]:
        """All rows, validated against `SCHEMAS[task.shape]`, in the source's own order.

        Raises `UserError` with file and line if anything is missing or wrong.
        """
        ...

    def identity_of(self, path: Path | str, task: Task, language: str) -> str:
        """Like `identity`, for a file in the task's own layout that stands in for a split."""
        ...

    def rows_from(self, path: Path | str, task: Task, language: str) -> list[Row]:
        """Like `rows`, for a file in the task's own layout that stands in for a split."""
        ...

    def left_out_of(self, path: Path | str, task: Task, language: str) -> dict[str, int]:
        """What such a file holds that its rows leave out (defects of machine-translated files), counted by reason."""
        ...


def get_source(name: str, data: Path | None = None) -> Source:
    """The source called `name`; `files` reads the folder `data`, in which `hub` looks for stand-ins alone.

    Raises `UserError` for an unknown name, and for `files` without an existing folder.
    """
    if name == "files":
        from xstilts.sources.files import FilesSource

        return FilesSource(_existing_folder(data))
    if name == "hub":
        from xstilts.sources.hub import HubSource

        return HubSource(data)
    if name == "microworld":
        from xstilts.sources.microworld import Microworld

        source: Source = Microworld()
        return source
    raise UserError(f"unknown source {name!r}", remedy=did_you_mean(name, SOURCES))


def _existing_folder(data: Path | None) -> Path:
    if data is None:
        raise UserError("source 'files' needs a data folder", remedy="give it as `data:` in the study")
    if not data.is_dir():
        what = "is not a folder" if data.exists() else "no such data folder"
        raise UserError(what, file=data, remedy="give an existing folder as `data:` in the study")
    return data
