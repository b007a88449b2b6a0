"""The source that reads the hub: which data set, which commit, which reader, which identity."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xstilts.errors import UserError, did_you_mean
from xstilts.languages import get_language
from xstilts.sources.files.opening import content_hash
from xstilts.sources.hub.download import card, commit_of, parquet_files
from xstilts.sources.hub.reader import READERS, Reader
from xstilts.sources.hub.table import Table, read_table
from xstilts.tasks.metadata import Hub, Split, Task
from xstilts.tasks.rows import Row


class HubSource:
    """Rows of the tasks that have a `Hub` block. Implements `Source`; stand-ins are local parquet files."""

    def __init__(self, data: Path | None = None) -> None:
        self.data = data

    def has(self, task: Task, split: Split, language: str) -> bool:
        """Whether the hub has this split and language, by the task's declaration: nobody is asked."""
        hub = task.hub
        if hub is None or not hub.name_of(split) or f"{split}/{language}" in hub.absent:
            return False
        return language in (hub.languages or task.all_languages)

    def identity(self, task: Task, split: Split, language: str) -> str:
        """`hub:DATASET@COMMIT/CONFIG/SPLIT`, the language and the reader; nothing is downloaded.

        Raises `UserError` when the hub has no such split, or a branch cannot be resolved to its commit.
        """
        hub = self._block(task, split, language)
        commit = commit_of(hub.dataset, hub.revision)
        place = f"{hub.dataset}@{commit}/{_expand(hub.config, language)}/{hub.name_of(split)}"
        return f"hub:{place} in {language} by {hub.reader}-{_reader(hub).version}"

    def rows(self, task: Task, split: Split, language: str) -> list[Row]:
        """All rows of the split, downloaded where the cache lacks it; `UserError` for whatever is wrong with it."""
        hub = self._block(task, split, language)
        commit, config = commit_of(hub.dataset, hub.revision), _expand(hub.config, language)
        rows: list[Row] = []
        parts = hub.name_of(split).split("+")
        for part in parts:
            where = Path(f"{hub.dataset}@{commit[:12]}/{config}/{part}")
            files = parquet_files(hub.dataset, commit, config, part)
            table = read_table(files, where, card(hub.dataset, commit), config)
            # several splits of one task (ANLI's rounds) may use an id again
            rows += _read(table, task, language, f"{part}-" if len(parts) > 1 else "")
        return rows

    def identity_of(self, path: Path | str, task: Task, language: str) -> str:
        """sha256 (64 hex digits) over the reader and the content of a stand-in: a parquet file, or a folder of some."""
        reader = _hub(task).reader
        parts = [reader, str(READERS[reader].version), *map(content_hash, self._stand_in(path, language))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def rows_from(self, path: Path | str, task: Task, language: str) -> list[Row]:
        """All rows of a stand-in with the columns that the task's data set has on the hub."""
        files = self._stand_in(path, language)
        return _read(read_table(files, files[0] if len(files) == 1 else files[0].parent), task, language)

    def left_out_of(self, path: Path | str, task: Task, language: str) -> dict[str, int]:
        """Nothing: these readers use every row or refuse."""
        return {}

    def _stand_in(self, path: Path | str, language: str) -> list[Path]:
        """The parquet files a study names in place of a split, absolute or relative to the study's `data` folder."""
        wanted = Path(_expand(str(path), language)).expanduser()
        if not wanted.is_absolute():
            if self.data is None:
                raise UserError(f"the stand-in {path} has no folder", remedy="give its whole path, or data: FOLDER")
            wanted = self.data / wanted
        files = sorted(wanted.glob("*.parquet")) if wanted.is_dir() else [wanted] if wanted.is_file() else []
        if not files:
            raise UserError("no such parquet file or folder of parquet files", file=wanted)
        return files

    def _block(self, task: Task, split: Split, language: str) -> Hub:
        """The task's block, if it covers this split and language; else the reason why not."""
        hub = _hub(task)
        languages = hub.languages or task.all_languages
        if language not in languages:
            what = f"task {task.name!r} has no language {language!r} on the hub ({hub.dataset})"
            raise UserError(what, remedy=did_you_mean(language, languages))
        if not self.has(task, split, language):
            what = f"task {task.name!r} has no {split} split in {language!r} on the hub ({hub.dataset})"
            raise UserError(what, remedy="name a stand-in for it in the study, or use source: files with data: FOLDER")
        return hub


def _hub(task: Task) -> Hub:
    if task.hub is None:
        given = " or ".join(task.sources)
        raise UserError(f"task {task.name!r} cannot be read from the hub", remedy=f"its source is {given}")
    return task.hub


def _reader(hub: Hub) -> Reader:
    return READERS[hub.reader]


def _expand(pattern: str, language: str) -> str:
    for hole, attribute in (("{language}", "code"), ("{iso3}", "iso3"), ("{name}", "name")):
        if hole in pattern:
            pattern = pattern.replace(hole, getattr(get_language(language), attribute))
    return pattern


def _read(table: Table, task: Task, language: str, before: str = "") -> list[Row]:
    rows = _reader(_hub(task)).read(table, task, language)
    if not rows:
        raise UserError("no rows", file=table.where, remedy="is this the right configuration and split?")
    return [{**row, "id": before + row["id"]} for row in rows] if before else rows
