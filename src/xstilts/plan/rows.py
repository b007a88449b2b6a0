"""The rows of a study: which splits are at hand, what stands in for others, which are translated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xstilts.arms import Mlm, Translation
from xstilts.errors import UserError
from xstilts.graph import Plan
from xstilts.sources import Source
from xstilts.steps.prepare import Prepare
from xstilts.steps.translate import Translate
from xstilts.study import Study
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Split, Task
from xstilts.translation import check_translatable, identify, options_of

SOURCE_LANGUAGE = "en"
"""The language that labels exist in."""


class Rows:
    """Adds the steps that give rows to a graph, and knows what is at hand."""

    def __init__(self, study: Study, graph: Plan, open_source: Callable[[str, Path | None], Source]) -> None:
        self.study, self.graph, self._open = study, graph, open_source
        self.source = open_source(study.source, study.data_folder)
        own = study.data_folder if study.source == "files" else None
        self._texts: dict[Path | None, Source] = {} if own is None else {own: self.source}
        """By folder, what running text is read from."""
        self.folder = None if study.data_folder is None else str(study.data_folder)

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that were opened: language modelling may read another folder than the tasks."""
        return tuple({id(source): source for source in (self.source, *self._texts.values())}.values())

    def note(self, note: str) -> None:
        """Tell the reader of the report, once."""
        if note not in self.graph.notes:
            self.graph.notes.append(note)

    def has(self, task: Task, split: Split, language: str) -> bool:
        """Whether a split is at hand, itself or by what stands in for it."""
        replacements = self.study.stand_ins.get(f"{task.name}.{split}")
        if replacements is None:
            return self.source.has(task, split, language)
        return all(
            self.source.has(get_task(name), other, language)
            for name, other in (_reference(r) for r in replacements if "/" not in r)
        )

    def languages(self, target: Task) -> tuple[str, ...]:
        """The languages this target is evaluated in. Raises `UserError` where one is asked for and missing."""
        asked = self.study.languages_of(target.name)
        if asked == "all":
            return target.languages
        if asked == "shared":
            seen = [code for code in target.all_languages if code in self.study.encoder_languages]
            found = tuple(code for code in seen if self.has(target, self.study.evaluate_on, code))
            missing = [code for code in seen if code not in found]
            if missing:
                self.note(f"{target.name}: no {self.study.evaluate_on} data at hand in {', '.join(missing)}.")
            if not found:
                raise UserError(
                    f"{target.name} has no {self.study.evaluate_on} data in any language of the encoder",
                    file=self.study.file, remedy=f"see: xstilts data check {self.folder or ''}",
                )  # fmt: skip
            return found
        chosen = tuple(code for code in target.all_languages if code in asked)
        if not chosen:
            raise UserError(
                f"{target.name} exists in none of the study's languages", file=self.study.file,
                remedy=f"it has {', '.join(target.all_languages)}",
            )  # fmt: skip
        return chosen

    def evaluation(self, target: Task, language: str) -> str:
        """Key of the rows that a target is evaluated on in a language."""
        keys = self.prepare(target, self.study.evaluate_on, language)
        if len(keys) > 1:
            raise UserError(
                f"{target.name}.{self.study.evaluate_on} has several stand-ins", file=self.study.file,
                remedy="name one: an evaluation is of one set of rows",
            )  # fmt: skip
        return keys[0]

    def prepare(self, task: Task, split: Split, language: str) -> list[str]:
        """Keys of the `Prepare` steps of a split, stand-ins in its place where the study names some."""
        replacements = self.study.stand_ins.get(f"{task.name}.{split}")
        if replacements is None:
            return [self._prepare(task, split, language)]
        self.note(f"{task.name}.{split} is not at hand; {', '.join(replacements)} stands in for it.")
        keys = []
        for replacement in replacements:
            if "/" in replacement:
                keys.append(self._prepare(task, split, language, file=replacement))
                continue
            other_name, other_split = _reference(replacement)
            other = get_task(other_name)
            if (other.shape, other.labels) != (task.shape, task.labels):
                raise UserError(
                    f"stand-in {replacement} for {task.name}.{split} has another shape or other labels",
                    file=self.study.file, remedy=f"{task.name} is of shape {task.shape} with labels {task.labels}",
                )  # fmt: skip
            keys.append(self._prepare(other, other_split, language))
        return keys

    def own_file(self, pattern: str, language: str) -> str | None:
        """The file of a language that `pattern` names, relative to the data folder; None where there is none."""
        name = pattern.replace("{language}", language)
        return name if self.study.data_folder is not None and (self.study.data_folder / name).is_file() else None

    def from_file(self, task: Task, split: Split, language: str, file: str) -> str:
        """Key of the rows of a file in the layout of a task's split."""
        return self._prepare(task, split, language, file=file)

    def _prepare(self, task: Task, split: Split, language: str, file: str | None = None) -> str:
        if file is None:
            content = self.source.identity(task, split, language)
        else:
            content = self.source.identity_of(file, task, language)
        step = Prepare(
            task=task.name, split=split, language=language, source=self.study.source, content=content,
            folder=self.folder, file=file,
        )  # fmt: skip
        return self.graph.add(step, f"{task.name} {split} {language}" + (f" ({Path(file).name})" if file else ""))

    def translated(
        self, task: Task, keys: tuple[str, ...], start: int, stop: int | None, how: Translation
    ) -> tuple[str, ...]:
        """Keys of the steps that give the rows [start, stop) of `keys` in each language that `how` names."""
        found = []
        for language in how.to:
            label = f"{task.name} in {language}"
            size = 0 if stop is None else stop - start
            if task.name in how.files:
                file = how.files[task.name].replace("{language}", language)
                read = self._prepare(task, "train", language, file=file)
                step = Translate(task=task.name, shape=task.shape, data=(read,), start=start, stop=stop,
                                 language=language, backend="files")  # fmt: skip
                found.append(self.graph.add(step, f"{label}, from {Path(file).name}", size))
                continue
            check_translatable(task, how)
            model, location = identify(how, language, self.study.source, self.study.folder)
            step = Translate(
                task=task.name, shape=task.shape, data=keys, start=start, stop=stop, language=language,
                backend=how.backend, model=model, options=options_of(how, language), location=location,
            )  # fmt: skip
            found.append(self.graph.add(step, f"{label}, by {how.backend}", size))
        return tuple(found)

    def text(self, how: Mlm) -> dict[str, str]:
        """Key of the running text of each language that `how` names. Raises `UserError` where there is none."""
        languages = how.languages or self.study.encoder_languages
        if not languages:
            raise UserError(
                "language modelling needs the languages of its text", file=self.study.file,
                remedy="name them: mlm: {languages: [en, de, ...]}, or encoder_languages of the study",
            )  # fmt: skip
        if self.study.source == "microworld" and how.text is None:
            return {code: self._prepare(get_task("mw_text"), "train", code) for code in languages}
        folder = self.study.data_folder if how.text is None else self.study.folder / Path(how.text).expanduser()
        task, source = get_task("text"), self._text_source(folder)
        found = {}
        for code in languages:
            step = Prepare(
                task=task.name, split="train", language=code, source="files",
                content=source.identity(task, "train", code), folder=str(folder),
            )  # fmt: skip
            found[code] = self.graph.add(step, f"text {code}")
        return found

    def _text_source(self, folder: Path | None) -> Source:
        """What reads running text from a folder, opened once."""
        where = None if folder is None else folder.resolve()
        if where not in self._texts:
            try:
                self._texts[where] = self._open("files", where)
            except UserError as error:
                remedy = "mlm: {text: FOLDER} names a folder with LANGUAGE.txt files"
                raise UserError(error.what, file=error.file, remedy=remedy) from None
        return self._texts[where]


def _reference(reference: str) -> tuple[str, Split]:
    name, _, split = reference.partition(".")
    return name, split  # type: ignore[return-value]  # checked by Study
