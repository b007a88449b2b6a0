"""The microworld: a generated benchmark whose truth is known, runnable anywhere in minutes.

Every row is realised from a meaning that depends on the task, the split and the row's number alone, so test
rows are parallel across languages and the same in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from xstilts.errors import UserError, did_you_mean
from xstilts.sources.microworld.languages import BASE, CODES, LANGUAGES, Language, distance
from xstilts.sources.microworld.pairs import pair_meanings, pair_row
from xstilts.sources.microworld.parallel import parallel_meanings, parallel_row, text_rows
from xstilts.sources.microworld.questions import choice_meanings, choice_row, quiz_meanings, quiz_row
from xstilts.sources.microworld.tagging import tag_meanings, tag_row
from xstilts.sources.microworld.tasks import MICROWORLD_TASKS
from xstilts.tasks.metadata import Split, Task
from xstilts.tasks.rows import Row

__all__ = ["BASE", "CODES", "ENCODER", "LANGUAGES", "MICROWORLD_TASKS", "VERSION", "Language", "Microworld", "distance",
           "realised"]  # fmt: skip

VERSION = 1
"""Raised whenever any row of any task changes."""
ENCODER = Path(__file__).parent / "encoder"
"""Folder of the encoder that is shipped with the microworld."""
SIZES: dict[Split, int] = {"train": 4000, "dev": 200, "test": 300}
TEXT_SIZE = 20_000
"""Rows of `mw_text` per language."""

_TASKS = {task.name: task for task in MICROWORLD_TASKS}
_EVERYWHERE: dict[str, tuple[Split, ...]] = {"mw_parallel": ("train", "dev"), "mw_text": ("train",)}
"""The splits that a task has in every language, where they are not dev and test."""


@lru_cache(maxsize=16)
def _meanings(name: str, split: Split) -> tuple[Any, ...]:
    random, count = Random(f"microworld {name} {split}"), SIZES[split]
    shape = _TASKS[name].shape
    if shape == "tag":
        return tuple(tag_meanings(name, random, count))
    if shape == "classify":
        return tuple(pair_meanings(name, random, count))
    if shape == "span":
        return tuple(quiz_meanings(name, random, count))
    if shape == "choice":
        return tuple(choice_meanings(random, count))
    return tuple(parallel_meanings(random, count))


def _row(name: str, number: str, meaning: Any, code: str) -> Row:
    if _TASKS[name].shape == "tag":
        return tag_row(name, number, meaning, code)
    to_row: dict[str, Callable[[str, Any, str], Row]] = {
        "classify": pair_row, "span": quiz_row, "choice": choice_row, "retrieve": parallel_row
    }  # fmt: skip
    return to_row[_TASKS[name].shape](number, meaning, code)


def realised(name: str, split: Split, code: str) -> list[Row]:
    """All rows of a split in any language, those included that `Microworld.rows` keeps back: the exact translations of
    an intermediate's rows."""
    return [_row(name, f"{split}-{number}", meaning, code) for number, meaning in enumerate(_meanings(name, split))]


class Microworld:
    """The source `microworld`: every row of its tasks, generated."""

    def has(self, task: Task, split: Split, language: str) -> bool:
        """Whether the task has that split in that language."""
        if task.name not in _TASKS or language not in CODES:
            return False
        if _TASKS[task.name].languages == (BASE,):  # an intermediate
            return language == BASE and split in ("train", "dev")
        if task.name == "mw_retrieval":
            return language != BASE and split in ("dev", "test")
        if split in _EVERYWHERE.get(task.name, ("dev", "test")):
            return True
        return split == "train" and language == BASE and task.name not in _EVERYWHERE

    def identity(self, task: Task, split: Split, language: str) -> str:
        """The generator's version and what was asked of it; UserError if there is no such data."""
        self._check(task, split, language)
        return f"microworld-{VERSION}/{task.name}/{split}/{language}"

    def rows(self, task: Task, split: Split, language: str) -> list[Row]:
        """All rows of a split in a language; UserError if there is no such data."""
        self._check(task, split, language)
        if task.shape == "mlm":
            return text_rows(language, TEXT_SIZE)
        return realised(task.name, split, language)

    def identity_of(self, path: Path | str, task: Task, language: str) -> str:
        """The microworld reads no files: always a UserError."""
        raise UserError(f"the microworld reads no files: {path}", remedy="name a split, such as mw_nli.dev")

    def rows_from(self, path: Path | str, task: Task, language: str) -> list[Row]:
        """The microworld reads no files: always a UserError."""
        raise UserError(f"the microworld reads no files: {path}", remedy="name a split, such as mw_nli.dev")

    def left_out_of(self, path: Path | str, task: Task, language: str) -> dict[str, int]:
        """The microworld reads no files: nothing."""
        return {}

    def _check(self, task: Task, split: Split, language: str) -> None:
        if task.name not in _TASKS:
            raise UserError(f"the microworld has no task {task.name!r}", remedy=did_you_mean(task.name, _TASKS))
        if language not in CODES:
            raise UserError(f"the microworld has no language {language!r}", remedy=did_you_mean(language, CODES))
        if not self.has(task, split, language):
            raise UserError(f"task {task.name} has no {split} split in {language}",
                            remedy="train splits of the microworld are in 'en' alone, but those of mw_parallel "
                            "and mw_text; intermediates have no test split")  # fmt: skip
