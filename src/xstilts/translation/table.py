"""Backend `table`: exact translations, from a file of pairs or from the microworld's own meanings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.errors import UserError, did_you_mean
from xstilts.sources.files.opening import content_hash, find, read_lines
from xstilts.sources.files.refusals import columns
from xstilts.sources.microworld import BASE, CODES, MICROWORLD_TASKS, VERSION, realised
from xstilts.translation import Backend
from xstilts.translation.projection import texts_of

if TYPE_CHECKING:
    from xstilts.arms import Translation
    from xstilts.tasks.metadata import Split, Task

_MICROWORLD = f"microworld-{VERSION}"


def _identify(translation: Translation, language: str, source: str, folder: Path) -> tuple[str, str]:
    if translation.model is None:
        if source != "microworld":
            remedy = "give translate: {model: FILE} with lines of english<TAB>translation"
            raise UserError("translation backend 'table' needs a table, except in the microworld", remedy=remedy)
        if language not in CODES or language == BASE:
            others = [code for code in CODES if code != BASE]
            raise UserError(
                f"the microworld has no translation into {language!r}", remedy=did_you_mean(language, others)
            )
        return _MICROWORLD, ""
    path = folder / Path(translation.model.replace("{language}", language)).expanduser()
    found = find(path)
    if found is None:
        raise UserError("no such table of translations, plain or .gz", file=path)
    return f"sha256:{content_hash(found)}", str(found.resolve())


def _check(translation: Translation, task: Task) -> None:
    own = translation.model is None
    if own and task.shape == "tag":  # articles and case particles have no token to come from
        raise UserError(f"the microworld's own translation has no tags: {task.name} cannot be translated")
    if own and task.name not in {known.name for known in MICROWORLD_TASKS}:
        raise UserError(f"the microworld's own translation knows no task {task.name!r}")


class Table:
    """Exact pairs. Texts that carry labels are looked up with their markers (see `markers`)."""

    def __init__(self, identity: str, location: str, language: str, options: dict[str, Any]) -> None:
        """Reads the file, if there is one. Raises `UserError` with the line that is wrong."""
        self._language, self._exact = language, not location
        self._pairs = read_table(Path(location)) if location else {}
        tasks = [task for task in MICROWORLD_TASKS if task.languages == (BASE,) and task.shape != "tag"]
        self._unread: list[tuple[Task, Split]] = [(task, "dev") for task in tasks] + [(task, "train") for task in tasks]

    def translate(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        while self._exact and self._unread and any(text not in self._pairs for text in texts):
            self._pairs |= microworld_table(*self._unread.pop(0), self._language)
        return [self._pairs.get(text) for text in texts]


def read_table(path: Path) -> dict[str, str]:
    """English text to its translation, from lines of `english<TAB>translation`.

    Raises `UserError` for a line of other than two columns, and for a text with two different translations.
    """
    pairs: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        english, translation = columns(line, ("english", "translation"), path, number)
        if pairs.setdefault(english, translation) != translation:
            raise UserError(f"a second translation of {english[:60]!r}", file=path, line=number)
    return pairs


def microworld_table(task: Task, split: Split, language: str) -> dict[str, str]:
    """Every marked English text of an intermediate's rows to the same text, said and marked in `language`."""
    pairs: dict[str, str] = {}
    for english, other in zip(realised(task.name, split, BASE), realised(task.name, split, language), strict=True):
        pairs |= zip(texts_of(english, task.shape), texts_of(other, task.shape), strict=True)
    return pairs


def _options(translation: Translation, language: str) -> dict[str, Any]:
    return {}


BACKEND = Backend(identify=_identify, options=_options, load=Table, check=_check)
