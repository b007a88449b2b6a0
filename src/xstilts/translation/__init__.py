"""Translating an intermediate task's English rows: what translates, its identity, which tasks can go through it.

Nothing here imports torch before a translator is loaded, so that a study with translation is planned without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from xstilts.errors import UserError
from xstilts.registry import Registry
from xstilts.tasks.metadata import Task
from xstilts.translation.projection import SHAPES

if TYPE_CHECKING:
    from xstilts.arms import Translation

TRANSLATORS = Registry(
    "translators",
    "translation backend",
    {
        "transformers": "xstilts.translation.seq2seq:BACKEND",
        "ctranslate2": "xstilts.translation.ct2:BACKEND",
        "apertium": "xstilts.translation.apertium:BACKEND",
        "table": "xstilts.translation.table:BACKEND",
    },
)


class Translator(Protocol):
    """Something that translates English texts into one language."""

    def translate(self, texts: Sequence[str]) -> list[str | None]:
        """One translation for each text, in order; None where there is none (the row is dropped and counted).

        The same texts give the same translations. Raises `UserError` or `StepFailed` when it cannot work at all.
        """
        ...


@dataclass(frozen=True)
class Backend:
    """What a backend is to the rest: two functions for the planner, one for the step."""

    identify: Callable[[Translation, str, str, Path], tuple[str, str]]
    """See `identify`."""
    options: Callable[[Translation, str], dict[str, Any]]
    """See `options_of`."""
    load: Callable[[str, str, str, dict[str, Any]], Translator]
    """(identity, location, language, options) to a translator."""
    check: Callable[[Translation, Task], None] = lambda translation, task: None
    """Raises `UserError` for a task that this backend cannot translate, whatever its rows."""


def identify(translation: Translation, language: str, source: str, folder: Path) -> tuple[str, str]:
    """(identity, location) of what translates into `language`, for a study in `folder` that reads `source`.

    The identity goes into the key: `hub:ID@REVISION`, or the sha256 of the files that matter. The location (a path, a
    hub id, a mode, or nothing) does not. Raises `UserError` for whatever is not there: the backend, its command or
    package, the model, the file.
    """
    backend: Backend = TRANSLATORS.get(translation.backend)
    return backend.identify(translation, language, source, folder)


def options_of(translation: Translation, language: str) -> dict[str, Any]:
    """The settings that change what the backend answers in `language`, as plain JSON values for the key."""
    backend: Backend = TRANSLATORS.get(translation.backend)
    return backend.options(translation, language)


def check_translatable(task: Task, translation: Translation | None = None) -> None:
    """Raises `UserError` for a task whose labels no translation keeps, or which this backend cannot translate."""
    if task.shape not in SHAPES:
        what = f"task {task.name!r} cannot be translated: labels of shape {task.shape} do not survive a translation"
        raise UserError(what, remedy=f"shapes that can: {', '.join(SHAPES)}")
    if translation is not None and task.name not in translation.files:
        backend: Backend = TRANSLATORS.get(translation.backend)
        backend.check(translation, task)


def load(backend: str, identity: str, location: str, language: str, options: dict[str, Any]) -> Translator:
    """The translator into `language` that `identify` and `options_of` described. Raises `UserError` as they do."""
    found: Backend = TRANSLATORS.get(backend)
    return found.load(identity, location, language, options)
