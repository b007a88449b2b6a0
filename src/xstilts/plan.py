"""From a study to the graph of its steps. Pure: reads data files only to hash them, imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from xstilts.errors import UserError
from xstilts.models.identity import Model, find_model
from xstilts.settings import Settings, resolve
from xstilts.sources import Source, get_source
from xstilts.step import Step
from xstilts.steps.predict import Predict
from xstilts.steps.prepare import Prepare
from xstilts.steps.pretrain import Pretrain
from xstilts.steps.score import Score
from xstilts.steps.train import Train
from xstilts.study import Study
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Split, Task

SOURCE_LANGUAGE = "en"
"""The language that labels exist in."""

_TRAINING = ("learning_rate", "head_learning_rate", "epochs", "batch_size", "warmup", "weight_decay", "clip",
             "dropout", "max_length")  # fmt: skip
_READING = {
    "span": ("stride", "max_query", "max_answer"),
    "retrieve": ("layer", "pooling"),
    "mine": ("layer", "pooling"),
}
_DECODING = {"span": ("n_best", "null_threshold"), "mine": ("neighbours",)}
_CONTRAST = {"retrieve": ("temperature",)}


@dataclass(frozen=True)
class Arm:
    """An intermediate as the study names it, for one target (the oracle differs by target)."""

    name: str
    category: str
    control: str = ""
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One result the study asks for: where it stands in the grid and which `Score` step holds it."""

    arm: Arm
    target: str
    seed: int
    score: str
    perturbation: str = "clean"


@dataclass
class Plan:
    """Steps in an order in which they can run (inputs first), what they are called, and the study's cells."""

    study: Study
    model: Model
    steps: dict[str, Step] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """A name for people; a property of the study, not of the step."""
    examples: dict[str, int] = field(default_factory=dict)
    """Rows that pass through a step, where they are known beforehand; for estimates."""
    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader must know: stand-ins, languages left out."""
    unshared: dict[str, int] = field(default_factory=dict)
    """Steps of each kind if every cell were run on its own."""

    def add(self, step: Step, label: str, examples: int = 0) -> str:
        """Put a step in the graph, once; returns its key."""
        self.unshared[step.kind] = self.unshared.get(step.kind, 0) + 1
        if step.key not in self.steps:
            self.steps[step.key] = step
            self.labels[step.key] = label
            self.examples[step.key] = examples
        return step.key


def plan(study: Study) -> Plan:
    """Expand a study into steps. Raises `UserError` for missing data or models, before anything runs."""
    return _Planner(study).plan()


class _Planner:
    """Holds what every part of the expansion needs."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.source: Source = get_source(study.source, study.data_folder)
        self.graph = Plan(study, find_model(study.model, study.revision, study.folder))
        self.pretrained = None
        if study.pretrain is not None:
            from xstilts.sources.microworld import VERSION

            step = Pretrain(world=VERSION, recipe=study.pretrain)
            self.pretrained = self.graph.add(step, "encoder of the microworld")
            self.graph.model = replace(self.graph.model, identity=f"pretrain:{step.key}")
        self.folder = None if study.data_folder is None else str(study.data_folder)

    def plan(self) -> Plan:
        for target in map(get_task, self.study.targets):
            languages = self.languages(target)
            for arm in self.arms(target):
                for seed in self.study.seeds:
                    score = self.cell(arm, target, languages, seed)
                    self.graph.cells.append(Cell(arm, target.name, seed, score))
        return self.graph

    def arms(self, target: Task) -> Iterator[Arm]:
        yield Arm("none", "none")
        for intermediate in self.study.intermediates:
            yield Arm(intermediate.name, intermediate.category, tasks=intermediate.tasks)
        controls = self.study.controls
        if controls.shuffled is not None:
            tasks = next(i.tasks for i in self.study.intermediates if i.name == controls.shuffled)
            yield Arm("shuffled", "control", "shuffled", tasks)
        if controls.oracle:
            yield Arm("oracle", "control", "oracle", self.oracle_tasks(target))

    def oracle_tasks(self, target: Task) -> tuple[str, ...]:
        tasks = target.oracle if target.oracle is not None else training_tasks(target)
        if not tasks:
            what = f"target {target.name} has no task for the oracle control"
            raise UserError(what, file=self.study.file, remedy="set controls.oracle: false")
        return tasks

    # -- one cell -------------------------------------------------------------------------------------------

    def cell(self, arm: Arm, target: Task, languages: tuple[str, ...], seed: int) -> str:
        """All steps from the encoder to the scores of one cell; returns the key of its `Score`."""
        settings = resolve(self.study.settings, ("target", target.shape, *(training_tasks(target)), target.name))
        base = None if arm.name == "none" else self.intermediate(arm, target, settings, seed)
        names = training_tasks(target)
        checkpoint = base
        if names:
            keys = [key for name in names for key in self.prepare(get_task(name), "train", SOURCE_LANGUAGE)]
            step = self.train(target, tuple(keys), settings, seed, base, stop=settings.train_rows)
            checkpoint = self.graph.add(
                step, f"{target.name} after {arm.name}, seed {seed}", _rows(settings.train_rows, settings.epochs)
            )
        data = tuple((language, self.evaluation(target, language)) for language in languages)
        rows = settings.dev_rows if self.study.evaluate_on == "dev" else settings.test_rows
        predict = Predict(
            encoder=self.graph.model.identity,
            pretrained=self.pretrained,
            checkpoint=checkpoint,
            task=target.name,
            shape=target.shape,
            data=data,
            rows=rows,
            options=_options(settings, target.shape, training=False),
            model=self.graph.model.location,
            precision=self.study.precision,
        )
        # without an intermediate and without training nothing depends on the seed, and the key says so
        suffix = f"after {arm.name}, seed {seed}" if checkpoint else "pretrained encoder"
        key = self.graph.add(predict, f"{target.name} {suffix}", _rows(rows, len(data)))
        return self.graph.add(Score(predictions=key, metrics=target.metrics), f"{target.name} {suffix}")

    def intermediate(self, arm: Arm, target: Task, fine_tuning: Settings, seed: int) -> str:
        """The intermediate training of an arm; shared by all targets, but for the oracle."""
        tasks = [get_task(name) for name in arm.tasks]
        first = tasks[0]
        # what a study sets for a target by name is about its fine-tuning, not about its oracle
        original = (self.study.controls.shuffled,) if arm.control == "shuffled" else ()
        names = tuple(name for name in (first.head_name, *arm.tasks, *original, arm.name) if name)
        names = tuple(name for name in names if arm.control != "oracle" or name not in (target.name, target.head))
        settings = resolve(self.study.settings, ("intermediate", first.shape, *names))
        start, stop, label = 0, settings.train_rows, arm.name
        if arm.control == "oracle":
            label = f"oracle of {target.name}"
            if set(arm.tasks) == set(training_tasks(target)):
                if fine_tuning.train_rows is None:
                    raise UserError(
                        f"the oracle control of {target.name} has no rows left: the target trains on all of them",
                        file=self.study.file, remedy=f"set settings.{target.name}.train_rows",
                    )  # fmt: skip
                start = fine_tuning.train_rows
                stop = None if settings.train_rows is None else start + settings.train_rows
        # translation pairs exist per language; everything else is learned in the source language
        languages = self.languages(target) if first.shape == "retrieve" else (SOURCE_LANGUAGE,)
        keys = [
            key
            for task in tasks
            for language in languages
            if not (first.shape == "retrieve" and language == SOURCE_LANGUAGE)
            for key in self.prepare(task, "train", language)
        ]
        step = self.train(first, tuple(keys), settings, seed, None, start, stop, arm.control == "shuffled")
        return self.graph.add(
            step, f"{label}, seed {seed}", _rows(None if stop is None else stop - start, settings.epochs)
        )

    def train(
        self, task: Task, data: tuple[str, ...], settings: Settings, seed: int, base: str | None,
        start: int = 0, stop: int | None = None, shuffled: bool = False,
    ) -> Train:  # fmt: skip
        return Train(
            encoder=self.graph.model.identity,
            pretrained=self.pretrained,
            base=base,
            shape=task.shape,
            labels=task.labels,
            data=data,
            start=start,
            stop=stop,
            shuffle_labels=shuffled,
            recipe=_options(settings, task.shape, training=True),
            seed=seed,
            model=self.graph.model.location,
            precision=self.study.precision,
        )

    # -- data -----------------------------------------------------------------------------------------------

    def languages(self, target: Task) -> tuple[str, ...]:
        """The languages this target is evaluated in. Raises `UserError` where one is asked for and missing."""
        asked = self.study.languages
        if asked == "all":
            return target.languages
        if asked == "shared":
            seen = [code for code in target.languages if code in self.study.encoder_languages]
            found = tuple(code for code in seen if self._has_evaluation(target, code))
            self._note_missing(target, [code for code in seen if code not in found])
            if not found:
                raise UserError(
                    f"{target.name} has no {self.study.evaluate_on} data in any language of the encoder",
                    file=self.study.file, remedy=f"see: xstilts data check {self.folder or ''}",
                )  # fmt: skip
            return found
        chosen = tuple(code for code in target.languages if code in asked)
        if not chosen:
            raise UserError(
                f"{target.name} exists in none of the study's languages", file=self.study.file,
                remedy=f"it has {', '.join(target.languages)}",
            )  # fmt: skip
        return chosen

    def _note_missing(self, target: Task, missing: list[str]) -> None:
        if missing:
            note = f"{target.name}: no {self.study.evaluate_on} data in the folder for {', '.join(missing)}."
            if note not in self.graph.notes:
                self.graph.notes.append(note)

    def _has_evaluation(self, target: Task, language: str) -> bool:
        replacements = self.study.stand_ins.get(f"{target.name}.{self.study.evaluate_on}")
        if replacements is None:
            return self.source.has(target, self.study.evaluate_on, language)
        return all(
            self.source.has(get_task(name), split, language)
            for name, split in (_reference(r) for r in replacements if "/" not in r)
        )

    def evaluation(self, target: Task, language: str) -> str:
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
        note = f"{task.name}.{split} is not at hand; {', '.join(replacements)} stands in for it."
        if note not in self.graph.notes:
            self.graph.notes.append(note)
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


def training_tasks(target: Task) -> tuple[str, ...]:
    """Tasks whose train split a target is fine-tuned on."""
    return (target.name,) if target.trains_on is None else target.trains_on


def _reference(reference: str) -> tuple[str, Split]:
    name, _, split = reference.partition(".")
    return name, split  # type: ignore[return-value]  # checked by Study


def _options(settings: Settings, shape: str, training: bool) -> dict[str, object]:
    names = _READING.get(shape, ()) + ("max_length",)
    names += (_TRAINING + _CONTRAST.get(shape, ())) if training else _DECODING.get(shape, ())
    values = {name: getattr(settings, name) for name in sorted(set(names))}
    return {name: value for name, value in values.items() if value is not None}


def _rows(rows: int | None, times: float) -> int:
    return round((rows or 0) * times)
