"""A source as if all that its tasks declare were at hand: for `xstilts plan` where the data is somewhere else."""

from __future__ import annotations

from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources import Source, get_source
from xstilts.sources.files import FilesSource
from xstilts.sources.hub import HubSource
from xstilts.tasks.metadata import Split, Task
from xstilts.tasks.rows import Row

ABSENT = "absent:"
"""How the identity of data begins that is not at hand. No real one does: they are hashes or begin with `hub:`."""


def assume(name: str, data: Path | None = None) -> Assumed:
    """Like `get_source`, where nothing need be at hand: the folder `data` may be missing. Raises `UserError` for an
    unknown name."""
    return Assumed(FilesSource(data or Path()) if name == "files" else get_source(name, data))


class Assumed:
    """`source`, with a placeholder for the identity of each declared split that is missing. Implements `Source`; its
    rows are still those that are there."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.missing: dict[tuple[str, str], list[str]] = {}
        """Languages by (task, split, or name of a stand-in file) of what was asked for and is not there."""

    def has(self, task: Task, split: Split, language: str) -> bool:
        """Whether the split is there; where it is there in no language at all, whether the task's official layout has a
        place for it. What is there in some languages is taken to lack the others."""
        if any(self.source.has(task, split, code) for code in task.all_languages):
            return self.source.has(task, split, language)
        return self._declared(task, split, language)

    def identity(self, task: Task, split: Split, language: str) -> str:
        """That of the source, else `absent:TASK/SPLIT/LANGUAGE`. `UserError` for what no layout has a place for."""
        if not self.source.has(task, split, language) and self._declared(task, split, language):
            return self._absent(task, split, language)
        try:
            return self.source.identity(task, split, language)
        except UserError:
            # the hub is out of reach, or knows the data set no longer
            if isinstance(self.source, HubSource) and self.source.has(task, split, language):
                return self._absent(task, split, language)
            raise

    def rows(self, task: Task, split: Split, language: str) -> list[Row]:
        """Those of the source; `UserError` where they are missing."""
        return self.source.rows(task, split, language)

    def identity_of(self, path: Path | str, task: Task, language: str) -> str:
        """That of the source, else `absent:TASK/FILE/LANGUAGE`."""
        if isinstance(self.source, FilesSource):
            try:
                self.source.stand_in(path, language)
            except UserError:
                return self._absent(task, str(path), language)
        return self.source.identity_of(path, task, language)

    def rows_from(self, path: Path | str, task: Task, language: str) -> list[Row]:
        """Those of the source; `UserError` where the file is missing."""
        return self.source.rows_from(path, task, language)

    def left_out_of(self, path: Path | str, task: Task, language: str) -> dict[str, int]:
        """That of the source; `UserError` where the file is missing."""
        return self.source.left_out_of(path, task, language)

    @property
    def notes(self) -> list[str]:
        """One sentence on all that is missing; none where nothing is."""
        if not self.missing:
            return []
        named = [f"{task} {what} in {languages[0] if len(languages) == 1 else f'{len(languages)} languages'}"
                 for (task, what), languages in self.missing.items()]  # fmt: skip
        count = sum(map(len, self.missing.values()))
        return [
            f"Not at hand and planned as if it were: {'1 split' if count == 1 else f'{count} splits'} "
            f"({', '.join(named)}). `xstilts run` refuses until they are there, and the keys of all that reads them "
            "will be others."
        ]

    def _declared(self, task: Task, split: Split, language: str) -> bool:
        # what hub and microworld have, they know without looking
        files = task.files if isinstance(self.source, FilesSource) else None
        return files is not None and bool(files.patterns(split)) and language in task.all_languages

    def _absent(self, task: Task, what: str, language: str) -> str:
        languages = self.missing.setdefault((task.name, what), [])
        if language not in languages:
            languages.append(language)
        return f"{ABSENT}{task.name}/{what}/{language}"


def looked_for(task: Task, split: Split, language: str) -> str:
    """Where a split would lie: the patterns of its files, as its declaration has them, or its place on the hub."""
    if task.files is not None and task.files.patterns(split):
        return " or ".join(pattern.replace("{language}", language) for pattern in task.files.patterns(split))
    return task.hub.dataset if task.hub is not None else ""
