"""From a study to the graph of its steps. Pure: reads data files only to hash them, imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from xstilts.errors import UserError
from xstilts.graph import Arm, Cell, Plan, uncollected
from xstilts.models.identity import find_model
from xstilts.plan.noise import Noises
from xstilts.plan.options import reading
from xstilts.plan.rows import SOURCE_LANGUAGE, Rows
from xstilts.plan.trainings import Trainings, learns_target, training_tasks
from xstilts.sources import Source, get_source
from xstilts.step import series
from xstilts.steps.predict import Predict
from xstilts.steps.prepare import Prepare
from xstilts.steps.pretrain import Pretrain
from xstilts.steps.score import Score
from xstilts.steps.train import Train
from xstilts.study import Study
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Task

__all__ = ["SOURCE_LANGUAGE", "learns_target", "plan", "training_tasks"]

_TUNED = ("mine",)
"""Shapes with a number that is set on dev rows before the evaluation: `Shape.tunes`, which only torch could tell."""

_Pairs = tuple[tuple[str, str], ...]


def plan(study: Study, assume: bool = False) -> Plan:
    """Expand a study into steps. Raises `UserError` for missing data or models, before anything runs.

    With `assume` splits that are not at hand are planned as if they were, and the plan's notes say so; it can be
    looked at, not run.
    """
    with uncollected():
        return _Planner(study, assume).plan()


class _Planner:
    """Holds what every part of the expansion needs."""

    def __init__(self, study: Study, assume: bool) -> None:
        self.study = study
        self.graph = Plan(study, find_model(study.model, study.revision, study.folder))
        self.pretrained = None
        if study.pretrain is not None:
            from xstilts.sources.microworld import VERSION

            step = Pretrain(world=VERSION, recipe=study.pretrain)
            self.pretrained = self.graph.add(step, "encoder of the microworld")
            self.graph.model = replace(self.graph.model, identity=f"pretrain:{step.key}")
        open_source: Callable[[str, Path | None], Source] = get_source
        if assume:
            # not above: it brings all readers of files along, and `status` none
            from xstilts.sources.assumed import assume as open_source
        self.rows = Rows(study, self.graph, open_source)
        self.noises = Noises(study, self.graph, self.rows, self.pretrained)
        self.trainings = Trainings(study, self.graph, self.rows, self.noises, self.pretrained)

    def plan(self) -> Plan:
        for target in map(get_task, self.study.targets):
            languages, arms = self.rows.languages(target), list(self.arms(target))
            self._note_own_task(target, arms)
            for arm in arms:
                # every seed asks for the same: the first counts for all
                for seeds, times in ((self.study.seeds[:1], len(self.study.seeds)), (self.study.seeds[1:], 0)):
                    with self.graph.counted(times):
                        for seed in seeds:
                            self.graph.cells.extend(self.cells(arm, target, languages, seed))
        self._check_nothing_leaks()
        self.graph.notes.extend(note for source in self.rows.sources for note in getattr(source, "notes", ()))
        return self.graph

    def _check_nothing_leaks(self) -> None:
        """Refuse a study that trains, or chooses checkpoints, by rows that it evaluates on as a test."""
        steps = self.graph.steps
        content = {key: (s.source, s.language, s.content) for key, s in steps.items() if isinstance(s, Prepare)}
        # a million cells share few parts and few sets of rows
        parts = {id(part): part for s in steps.values() if isinstance(s, Train) for part in s.parts}.values()
        trained = {content[key] for part in parts for key in (*part.data, *part.more) if key in content}
        chosen_by = {content[key] for part in parts for _, key in part.dev if self.study.evaluate_on == "test"}
        scores = dict.fromkeys(cell.score for cell in self.graph.cells)
        tests = (steps[steps[key].inputs()[0]] for key in scores)
        evaluated = {id(s.data): s.data for s in tests if isinstance(s, Predict)}.values()
        for _, key in dict.fromkeys(pair for data in evaluated for pair in data):
            for used, how in ((trained, "trains"), (chosen_by, "chooses checkpoints")):
                if content[key] in used:
                    raise UserError(
                        f"the study {how} on rows that it evaluates on: {self.graph.labels[key]}",
                        file=self.study.file,
                        remedy="name other stand-ins, or leave the language out: languages: {TARGET: [...]}",
                    )

    def _note_own_task(self, target: Task, arms: list[Arm]) -> None:
        own = [arm.name for arm in arms if learns_target(arm, target)]
        if own:
            learn = f"{', '.join(own)} {'learns' if len(own) == 1 else 'learn'}"
            self.rows.note(f"{learn} what {target.name} is fine-tuned on: a gain there is no transfer between tasks.")

    def arms(self, target: Task) -> Iterator[Arm]:
        yield Arm("none", "none")
        arms = self.graph.once("arms", lambda: {arm.name: arm for arm in self.study.arms})
        yield from self.graph.once("plain arms", lambda: [
            Arm(arm.name, arm.category, "", arm.tasks, arm.options(), arm.known_as) for arm in arms.values()
        ])  # fmt: skip
        controls = self.study.controls
        if controls.shuffled is not None:
            arm = arms[controls.shuffled]
            yield Arm("shuffled", "control", "shuffled", arm.tasks, arm.options(), (*arm.known_as, "shuffled"))
        if controls.oracle:
            yield Arm("oracle", "control", "oracle", self.oracle_tasks(target), known_as=("oracle",))

    def oracle_tasks(self, target: Task) -> tuple[str, ...]:
        tasks = target.oracle if target.oracle is not None else training_tasks(target)
        if not tasks:
            what = f"target {target.name} has no task for the oracle control"
            raise UserError(what, file=self.study.file, remedy="set controls.oracle: false")
        return tasks

    def cells(self, arm: Arm, target: Task, languages: tuple[str, ...], seed: int) -> Iterator[Cell]:
        """All steps from the encoder to the scores of one checkpoint: the clean cell, and one per perturbation."""
        base = None if arm.name == "none" else self.trainings.intermediate(arm, target, languages, seed)
        training = self.trainings.target(target, arm, base, languages, seed)
        once = self.graph.once
        data, settings = once(("rows of", target.name), lambda: self.evaluation(target, languages))
        score = self.evaluated(arm, target, seed, base, training, data, settings)
        chosen = self.study.best_on == "dev" and training is not None
        rows = once(("chosen by", target.name), lambda: self.choosing_rows(target, data)) if chosen else ()
        dev = self.evaluated(arm, target, seed, base, training, rows, dev=True) if rows else None
        yield Cell(arm, target.name, seed, score, base=base, training=training, dev=dev)
        for name, _ in settings:
            yield Cell(arm, target.name, seed, score, name, base, training)

    def evaluation(self, target: Task, languages: tuple[str, ...]) -> tuple[_Pairs, _Pairs]:
        """(language, key) of the rows that every checkpoint of a target is evaluated on, and (setting, key) of what
        stands for them in each setting."""
        data = tuple((language, self.rows.evaluation(target, language)) for language in languages)
        return data, self.noises.settings(target, data, self.evaluated_rows(target))

    def evaluated_rows(self, target: Task, dev: bool = False) -> int | None:
        """How many rows of each language a target is evaluated on; None: all."""
        settings = self.trainings.of_target(target)
        return settings.dev_rows if dev or self.study.evaluate_on == "dev" else settings.test_rows

    def choosing_rows(self, target: Task, evaluated: _Pairs) -> _Pairs:
        """English dev rows that the best intermediate of a target may be chosen by; none where there are none, or where
        they are the rows that its gain is reported on."""
        if self.rows.has(target, "dev", SOURCE_LANGUAGE):
            keys = self.rows.prepare(target, "dev", SOURCE_LANGUAGE)
            steps = self.graph.steps
            reported = {step.content for _, key in evaluated if isinstance(step := steps[key], Prepare)}
            if not any(isinstance(step := steps[key], Prepare) and step.content in reported for key in keys):
                return tuple((SOURCE_LANGUAGE, key) for key in keys)
        self.rows.note(
            f"{target.name} has no English dev rows besides those it is evaluated on: its best intermediate is chosen "
            "on held-out halves of the test rows."
        )
        return ()

    def evaluated(
        self, arm: Arm, target: Task, seed: int, base: str | None, training: str | None, data: _Pairs,
        perturbed: _Pairs = (), dev: bool = False,
    ) -> str:  # fmt: skip
        """Key of the scores of one checkpoint on some rows of a target, and on what stands for them in settings."""
        alpha = arm.options.alpha if training is None and base is not None else 1.0
        predict, score, rows = self.graph.once(
            ("answers", target.name, dev, alpha), lambda: self._answers(target, data, perturbed, alpha, dev)
        )
        # without an intermediate and without training nothing depends on the seed, and the key says so
        suffix = f"after {arm.name}, seed {seed}" if training or base else "pretrained encoder"
        label = f"{target.name}{' dev' if dev else ''} {suffix}"
        return self.graph.add(score(self.graph.add(predict(training or base), label, rows)), label)

    def _answers(
        self, target: Task, data: _Pairs, perturbed: _Pairs, alpha: float, dev: bool
    ) -> tuple[Callable[..., Predict], Callable[..., Score], int]:
        """(what makes the predictions of a checkpoint from its key, what makes the scores of these, rows predicted)."""
        settings = self.trainings.of_target(target)
        tune = tuple(
            (language, key)
            for language, _ in (data if target.shape in _TUNED else ())
            for key in self.rows.prepare(target, "dev", language)
        )
        rows = self.evaluated_rows(target, dev)
        predict = Predict(
            encoder=self.graph.model.identity,
            pretrained=self.pretrained,
            task=target.name,
            shape=target.shape,
            data=data,
            tune=tune,
            tune_rows=settings.dev_rows if tune else None,
            rows=rows,
            perturbed=perturbed,
            options=reading(settings, target.shape, training=False, decoding=True),
            alpha=alpha,
            model=self.graph.model.location,
            precision=self.study.precision,
        )
        score = Score(predictions="", metrics=target.metrics)
        return series(predict, "checkpoint"), series(score, "predictions"), round((rows or 0) * len(data))
