"""From a study to the graph of its steps. Pure: reads data files only to hash them, imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from xstilts.errors import UserError
from xstilts.graph import Arm, Cell, Plan
from xstilts.models.identity import find_model
from xstilts.settings import Settings, resolve
from xstilts.sources import Source, get_source
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

_TRAINING = ("learning_rate", "head_learning_rate", "epochs", "batch_size", "warmup", "warmup_steps", "weight_decay",
             "clip", "dropout", "max_length")  # fmt: skip
_READING = {
    "span": ("stride", "max_query", "max_answer"),
    "retrieve": ("layer", "pooling"),
    "mine": ("layer", "pooling"),
}
_DECODING = {"span": ("n_best", "null_threshold"), "mine": ("neighbours",)}
_CONTRAST = {"retrieve": ("temperature",)}
_SELECTING = ("evaluate_every", "patience", "select_rows")
_TUNED = ("mine",)
"""Shapes with a number that is set on dev rows before the evaluation: `Shape.tunes`, which only torch could tell."""


class Selection(TypedDict):
    """What chooses the checkpoint of a training, as `Train` has it."""

    dev: tuple[tuple[str, str], ...]
    """(language, key of its `Prepare` step)."""
    metric: str


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
        self._check_nothing_leaks()
        return self.graph

    def _check_nothing_leaks(self) -> None:
        """Refuse a study that trains, or chooses checkpoints, by rows that it evaluates on as a test."""
        steps = self.graph.steps
        content = {key: (s.source, s.language, s.content) for key, s in steps.items() if isinstance(s, Prepare)}
        trainings = [s for s in steps.values() if isinstance(s, Train)]
        trained = {content[key] for s in trainings for key in s.data}
        chosen_by = {content[key] for s in trainings for _, key in s.dev if self.study.evaluate_on == "test"}
        for key in {key for s in steps.values() if isinstance(s, Predict) for _, key in s.data}:
            for used, how in ((trained, "trains"), (chosen_by, "chooses checkpoints")):
                if content[key] in used:
                    raise UserError(
                        f"the study {how} on rows that it evaluates on: {self.graph.labels[key]}", file=self.study.file,
                        remedy="name other stand-ins, or leave the language out: languages: {TARGET: [...]}",
                    )  # fmt: skip

    def resolve(self, *names: str) -> Settings:
        settings = resolve(self.study.settings, names, self.study.preset, self.graph.model.large)
        chosen = {None: {}, "last": {"select": "last"}}.get(self.study.select, {"select": "best"})
        return settings.model_copy(update=chosen)

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
        settings = self.resolve("target", target.shape, *training_tasks(target), target.name)
        base = None if arm.name == "none" else self.intermediate(arm, target, settings, seed)
        names = training_tasks(target)
        checkpoint = base
        if not arm.control and set(names) & set(arm.tasks):
            self._note(
                f"{arm.name} learns what {target.name} is fine-tuned on: a gain there is no transfer between tasks."
            )
        if names:
            keys = [key for name in names for key in self.prepare(get_task(name), "train", SOURCE_LANGUAGE)]
            chosen_by = self.selection(target.name, (*map(get_task, names), target), settings, languages)
            step = self.train(target, tuple(keys), settings, seed, base, stop=settings.train_rows, **chosen_by)
            checkpoint = self.graph.add(
                step, f"{target.name} after {arm.name}, seed {seed}", _rows(settings.train_rows, settings.epochs)
            )
        data = tuple((language, self.evaluation(target, language)) for language in languages)
        tune = tuple(
            (language, key)
            for language in (languages if target.shape in _TUNED else ())
            for key in self.prepare(target, "dev", language)
        )
        rows = settings.dev_rows if self.study.evaluate_on == "dev" else settings.test_rows
        predict = Predict(
            encoder=self.graph.model.identity,
            pretrained=self.pretrained,
            checkpoint=checkpoint,
            task=target.name,
            shape=target.shape,
            data=data,
            tune=tune,
            tune_rows=settings.dev_rows if tune else None,
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
        settings = self.resolve("intermediate", first.shape, *names)
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
        chosen_by = [self.selection(name, (get_task(name),), settings) for name in dict.fromkeys(arm.tasks)]
        step = self.train(
            first, tuple(keys), settings, seed, None, start, stop, shuffled=arm.control == "shuffled",
            dev=tuple(pair for one in chosen_by for pair in one["dev"]), metric=chosen_by[0]["metric"],
        )  # fmt: skip
        return self.graph.add(
            step, f"{label}, seed {seed}", _rows(None if stop is None else stop - start, settings.epochs)
        )

    def train(
        self, task: Task, data: tuple[str, ...], settings: Settings, seed: int, base: str | None,
        start: int = 0, stop: int | None = None, shuffled: bool = False, dev: tuple[tuple[str, str], ...] = (),
        metric: str = "",
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
            dev=dev,
            metric=metric,
            seed=seed,
            model=self.graph.model.location,
            precision=self.study.precision,
        )

    def selection(
        self, trained: str, candidates: tuple[Task, ...], settings: Settings, evaluated: tuple[str, ...] = ()
    ) -> Selection:
        """The dev rows that choose the checkpoints of `trained`; none where the last one is taken.

        They are those of the first candidate that has some: of what a target trains on, so that XQuAD and MLQA share
        a training on SQuAD, else its own (XNLI's, where MNLI has no dev rows, as in XTREME's folder). English alone,
        but for `select: oracle`, which takes those of the evaluated languages.
        """
        if settings.select == "last":
            return {"dev": (), "metric": ""}
        oracle = self.study.select == "oracle" and bool(evaluated)
        wanted = evaluated if oracle else (SOURCE_LANGUAGE,)
        found = {task: [code for code in wanted if self._has(task, "dev", code)] for task in candidates}
        # the oracle sees as many of the evaluated languages as it can: a target's own dev rows, mostly
        task = max(candidates, key=lambda task: len(found[task]))
        if not found[task]:
            raise UserError(
                f"{trained} has no dev rows in {', '.join(wanted)} to choose a checkpoint by", file=self.study.file,
                remedy=f"name a stand-in for {trained}.dev, or set settings.{trained}.select: last",
            )  # fmt: skip
        how = f"oracle, not zero-shot: {', '.join(found[task])}" if oracle else SOURCE_LANGUAGE
        self._note(f"Checkpoints of {trained} are those that score best on {task.name}.dev ({how}).")
        dev = tuple((code, key) for code in found[task] for key in self.prepare(task, "dev", code))
        return {"dev": dev, "metric": task.metrics[0]}

    # -- data -----------------------------------------------------------------------------------------------

    def languages(self, target: Task) -> tuple[str, ...]:
        """The languages this target is evaluated in. Raises `UserError` where one is asked for and missing."""
        asked = self.study.languages_of(target.name)
        if asked == "all":
            return target.languages
        if asked == "shared":
            seen = [code for code in target.all_languages if code in self.study.encoder_languages]
            found = tuple(code for code in seen if self._has(target, self.study.evaluate_on, code))
            self._note_missing(target, [code for code in seen if code not in found])
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

    def _note_missing(self, target: Task, missing: list[str]) -> None:
        if missing:
            self._note(f"{target.name}: no {self.study.evaluate_on} data at hand in {', '.join(missing)}.")

    def _note(self, note: str) -> None:
        if note not in self.graph.notes:
            self.graph.notes.append(note)

    def _has(self, task: Task, split: Split, language: str) -> bool:
        """Whether a split is at hand, itself or by what stands in for it."""
        replacements = self.study.stand_ins.get(f"{task.name}.{split}")
        if replacements is None:
            return self.source.has(task, split, language)
        return all(
            self.source.has(get_task(name), other, language)
            for name, other in (_reference(r) for r in replacements if "/" not in r)
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
        self._note(f"{task.name}.{split} is not at hand; {', '.join(replacements)} stands in for it.")
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
    if training and settings.select == "best":
        names += _SELECTING + _DECODING.get(shape, ())
    values = {name: getattr(settings, name) for name in sorted(set(names))}
    return {name: value for name, value in values.items() if value is not None}


def _rows(rows: int | None, times: float) -> int:
    return round((rows or 0) * times)
