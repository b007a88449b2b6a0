"""The source that reads a data folder: which file, which reader, which identity."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xstilts.errors import UserError, did_you_mean
from xstilts.languages import get_language
from xstilts.sources.files.alignment import check_alignment
from xstilts.sources.files.opening import content_hash, find
from xstilts.sources.files.reader import READERS, Reader
from xstilts.tasks.metadata import Files, Split, Task
from xstilts.tasks.rows import Row

_REFERENCE = "en"
"""The language whose file the others' rows are compared with."""


class FilesSource:
    """Rows from official files in one folder. Implements `Source`, and reads stand-in files besides."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def has(self, task: Task, split: Split, language: str) -> bool:
        """Whether a file of this split and language is there."""
        return self.find(task, split, language) is not None

    def find(self, task: Task, split: Split, language: str) -> Path | None:
        """The file that would be read: the first pattern of the split that exists, plain or gzipped.

        `UserError` where several files fit a pattern with `*`.
        """
        if language not in task.all_languages:
            return None
        patterns = _layout(task).patterns(split)
        return next(filter(None, (self._find(pattern, language) for pattern in patterns)), None)

    def identity(self, task: Task, split: Split, language: str) -> str:
        """sha256 (64 hex digits) over the reader and the split's content; `UserError` if it is missing."""
        return _identity(self._located(task, split, language), task)

    def rows(self, task: Task, split: Split, language: str) -> list[Row]:
        """All rows of the split; `UserError` with file and line if it is missing or has anything wrong.

        The evaluation rows of a parallel task must also be those of its English file, or of the first language there
        is; training rows and stand-in files need not.
        """
        path = self._located(task, split, language)
        rows = _read(path, task, language)
        if task.parallel and split != "train":
            for reference in dict.fromkeys((_REFERENCE, *task.all_languages)):
                other = self.find(task, split, reference)
                if other is not None:
                    if other != path:
                        check_alignment(task, path, rows, other, reference)
                    break
        return rows

    def left_out(self, task: Task, split: Split, language: str) -> dict[str, int]:
        """What the split's file holds that its rows cannot, counted by reason; empty for most layouts."""
        count = _reader(task).left_out
        return {} if count is None else count(self._located(task, split, language), task, language)

    def identity_of(self, path: Path | str, task: Task, language: str) -> str:
        """Like `identity`, for a stand-in file in the task's own layout."""
        return _identity(self.stand_in(path, language), task)

    def rows_from(self, path: Path | str, task: Task, language: str) -> list[Row]:
        """Like `rows`, for a stand-in file in the task's own layout."""
        return _read(self.stand_in(path, language), task, language)

    def left_out_of(self, path: Path | str, task: Task, language: str) -> dict[str, int]:
        """Like `left_out`, for a stand-in file."""
        count = _reader(task).left_out
        return {} if count is None else count(self.stand_in(path, language), task, language)

    def stand_in(self, path: Path | str, language: str) -> Path:
        """The file a study names in place of an official one, relative to the data folder or absolute.

        It may hold what patterns hold (`{language}`, `{iso3}`, `{name}`), and `.gz` may be left out. `UserError` if
        there is none.
        """
        wanted = self._expand(str(path), language)
        found = find(wanted)
        if found is None:
            remedy = "give the path of the stand-in relative to the data folder"
            raise UserError("no such file, plain or .gz", file=wanted, remedy=remedy)
        return found

    def _find(self, pattern: str, language: str) -> Path | None:
        """The file that fits a pattern, in which `*` stands for any text within one part of a path."""
        wanted = self._expand(pattern, language)
        if "*" not in pattern:
            return find(wanted)
        inside = str(wanted.relative_to(self.data))
        fitting = {path.with_suffix("") if path.suffix == ".gz" else path
                   for packed in ("", ".gz") for path in self.data.glob(inside + packed)}  # fmt: skip
        if len(fitting) > 1:
            names = " and ".join(str(path.relative_to(self.data)) for path in sorted(fitting))
            what = f"{len(fitting)} files fit {inside}: {names}"
            raise UserError(what, file=self.data, remedy="name the one to read as the stand-in for this split")
        return find(fitting.pop()) if fitting else None

    def _expand(self, pattern: str, language: str) -> Path:
        # get_language only where it is needed: most layouts never mention anything but the code
        if "{iso3}" in pattern or "{name}" in pattern:
            known = get_language(language)
            pattern = pattern.replace("{iso3}", known.iso3).replace("{name}", known.name.replace(" ", "_"))
        return self.data / pattern.replace("{language}", language)

    def _located(self, task: Task, split: Split, language: str) -> Path:
        """The file of a split, or the reason why there is none."""
        if language not in task.all_languages:
            what = f"task {task.name!r} has no language {language!r}"
            raise UserError(what, remedy=did_you_mean(language, task.all_languages))
        patterns = _layout(task).patterns(split)
        if not patterns:
            what = f"task {task.name!r} has no {split} split among its official files"
            raise UserError(what, remedy="name a stand-in file for it in the study")
        found = self.find(task, split, language)
        if found is None:
            tried = " or ".join(str(self._expand(p, language).relative_to(self.data)) for p in patterns)
            what = f"no {split} file of task {task.name!r} in {language!r}, looked for {tried} (plain or .gz)"
            remedy = "put it there, or name a stand-in file for this split in the study"
            raise UserError(what, file=self.data, remedy=remedy)
        return found


def _layout(task: Task) -> Files:
    if task.files is None:
        given = " or ".join(task.sources)
        raise UserError(f"task {task.name!r} cannot be read from files", remedy=f"its source is {given}")
    return task.files


def _reader(task: Task) -> Reader:
    return READERS[_layout(task).reader]


def _identity(path: Path, task: Task) -> str:
    reader = _reader(task)
    parts = [_layout(task).reader, str(reader.version), *(content_hash(part) for part in reader.parts(path))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(path: Path, task: Task, language: str) -> list[Row]:
    rows = _reader(task).read(path, task, language)
    if not rows:
        raise UserError("no rows", file=path, remedy="is the file complete?")
    return rows
