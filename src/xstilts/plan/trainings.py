"""The trainings of a study: what an arm's intermediate phase and a target's fine-tuning learn from, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xstilts.arms import Translation, takes_turns
from xstilts.errors import UserError
from xstilts.graph import Arm, Plan
from xstilts.plan.noise import Noises
from xstilts.plan.options import reading, recipe
from xstilts.plan.rows import SOURCE_LANGUAGE, Rows
from xstilts.settings import Settings, resolve
from xstilts.step import series
from xstilts.steps.part import Part
from xstilts.steps.train import Train
from xstilts.study import Study
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Task

TEXT_HEAD = "mlm"
_NAMELESS = {"task": "", "head": ""}
"""An only part has no name: none is needed, and its key is as it was before there could be several."""
MIXTURE = "mixture"
"""The name of settings that are of mixtures only: of a whole one, and of the rows that a task brings to one."""


def training_tasks(target: Task) -> tuple[str, ...]:
    """Tasks whose train split a target is fine-tuned on."""
    return (target.name,) if target.trains_on is None else target.trains_on


def learns_target(arm: Arm, target: Task) -> bool:
    """Whether an intermediate learns the very task a target is fine-tuned on: no transfer between tasks. Controls are
    made to, or to teach nothing."""
    return not arm.control and bool({*training_tasks(target)} & {*arm.tasks})


@dataclass(frozen=True)
class Trainings:
    """Adds `Train` steps to a graph."""

    study: Study
    graph: Plan
    rows: Rows
    noises: Noises
    pretrained: str | None
    """Key of the step that makes the encoder; None: it is at hand."""

    def resolve(self, *names: str, own: dict[str, Any] | None = None) -> Settings:
        """The settings of a chain of names, general to particular; `own` goes before them all."""
        settings = resolve(self.study.settings, names, self.study.preset, self.graph.model.large, own)
        how = self.study.select
        return settings if how is None else settings.model_copy(update={"select": "best" if how == "oracle" else how})

    def of_target(self, target: Task) -> Settings:
        """The settings of a target's fine-tuning and evaluation."""
        names = ("target", target.shape, *training_tasks(target), target.name)
        return self.graph.once(("settings of", target.name), lambda: self.resolve(*names))

    def target(self, target: Task, arm: Arm, base: str | None, languages: tuple[str, ...], seed: int) -> str | None:
        """Key of the fine-tuning of a target that goes on from `base`; None where nothing is trained."""
        if not training_tasks(target):
            return None
        make, rows = self.graph.once(
            ("target", target.name, arm.name), lambda: self._target(target, arm, base, languages)
        )
        return self.graph.add(make(base, seed), f"{target.name} after {arm.name}, seed {seed}", rows)

    def _target(
        self, target: Task, arm: Arm, base: str | None, languages: tuple[str, ...]
    ) -> tuple[Callable[..., Train], int]:
        """(what makes the fine-tunings of a target after an arm from `base` and seed, rows of one)."""
        names = training_tasks(target)
        settings = self.of_target(target)
        keys = [key for name in names for key in self.rows.prepare(get_task(name), "train", SOURCE_LANGUAGE)]
        dev, metric = self.selection(target.name, (*map(get_task, names), target), settings, languages)
        part = Part(
            shape=target.shape, labels=target.labels, data=tuple(keys), stop=settings.train_rows, dev=dev,
            metric=metric,
        )  # fmt: skip
        own = reading(settings, target.shape, training=True, decoding=settings.select == "best")
        start: dict[str, Any] = {}
        if base is not None:
            first = self.graph.steps[base]
            assert isinstance(first, Train)
            same = arm.options.reuse_head and any(
                part.shape == other.shape and set(part.labels) == set(other.labels) for other in first.parts
            )
            start = {"alpha": arm.options.alpha, "reuse_head": same}
        step = self._train((part,), {**recipe(settings), **own}, 0, **start)
        return series(step, "base", "seed"), _examples(settings, settings.train_rows)

    def intermediate(self, arm: Arm, target: Task, languages: tuple[str, ...], seed: int) -> str:
        """Key of the intermediate training of an arm; shared by all targets, but for the oracle."""
        make, rows = self.graph.once(("arm", arm.name, target.name), lambda: self._intermediate(arm, target, languages))
        label = f"oracle of {target.name}" if arm.control == "oracle" else arm.name
        return self.graph.once((make, seed), lambda: self.graph.add(make(seed), f"{label}, seed {seed}", rows))

    def _intermediate(self, arm: Arm, target: Task, languages: tuple[str, ...]) -> tuple[Callable[..., Train], int]:
        """(what makes the intermediate trainings of an arm from the seed, rows of one).

        Tasks of one head are one part, unless the arm has a sampler; else each task is a part and they take turns.
        """
        tasks = [get_task(name) for name in arm.tasks]
        mixed = takes_turns(arm.tasks, arm.options)
        parts: list[tuple[Part, dict[str, Any]]] = []
        wanted = 0
        for group in ([task] for task in tasks) if mixed else [tasks] if tasks else []:
            settings = self._settings_of(group, arm, target, mixed)
            part, rows = self._part(group, arm, target, languages, settings)
            parts.append((part, reading(settings, part.shape, training=True, decoding=settings.select == "best")))
            wanted += rows
        whole = self._settings_of(tasks, arm, target, mixed) if len(parts) == 1 else self._settings_of_all(arm)
        fields: dict[str, Any] = {}
        if arm.options.mlm is not None:
            fields["mlm"] = {"weight": arm.options.mlm.weight, "exponent": arm.options.mlm.exponent}
            if arm.options.mlm.trim:
                fields["mlm"]["trim"] = True
            if not parts and whole.steps is None:
                raise UserError(
                    f"{arm.name} learns from text alone, and nothing says how long", file=self.study.file,
                    remedy=f"set settings.{arm.name}.steps",
                )  # fmt: skip
            parts += self._text_parts(arm)
        if arm.options.sampler is not None:
            fields["sampler"] = arm.options.sampler.model_dump(exclude_defaults=True)
        if len(parts) == 1:
            ((part, own),) = parts
            step = self._train((part.model_copy(update=_NAMELESS),), {**recipe(whole), **own}, 0, **fields)
        else:
            each = tuple(part.model_copy(update={"options": own}) for part, own in parts)
            step = self._train(each, recipe(whole), 0, **fields)
        # most arms are the same for all targets
        return self.graph.once(("seeds of", step.key), lambda: series(step, "seed")), _examples(whole, wanted)

    def _settings_of_all(self, arm: Arm) -> Settings:
        """The settings of a training whose parts differ: of no shape or task."""
        return self.resolve("intermediate", MIXTURE, *arm.known_as, own=arm.options.settings)

    def _settings_of(self, tasks: list[Task], arm: Arm, target: Task, mixed: bool) -> Settings:
        """The settings of tasks that are learned as one: of the whole training, or of their rows in a mixture."""
        first = tasks[0]
        names = (first.head_name, *(task.name for task in tasks), *((MIXTURE,) if mixed else ()), *arm.known_as)
        # what a study sets for a target by name is about its fine-tuning, not about its oracle
        names = tuple(name for name in names if arm.control != "oracle" or name not in (target.name, target.head))
        return self.resolve("intermediate", first.shape, *names, own=arm.options.settings)

    def _part(
        self, tasks: list[Task], arm: Arm, target: Task, languages: tuple[str, ...], settings: Settings
    ) -> tuple[Part, int]:
        """(the rows of tasks that are learned as one, how many where that is known beforehand)."""
        first = tasks[0]
        start, stop = 0, settings.train_rows
        if arm.control == "oracle" and {task.name for task in tasks} == set(training_tasks(target)):
            fine_tuning = self.of_target(target)
            if fine_tuning.train_rows is None:
                raise UserError(
                    f"the oracle control of {target.name} has no rows left: the target trains on all of them",
                    file=self.study.file, remedy=f"set settings.{target.name}.train_rows",
                )  # fmt: skip
            start = fine_tuning.train_rows
            stop = None if settings.train_rows is None else start + settings.train_rows
        # translation pairs exist per language; everything else is learned in the source language
        codes = languages if first.shape == "retrieve" else (SOURCE_LANGUAGE,)
        keys = tuple(
            key
            for task in tasks
            for code in codes
            if not (first.shape == "retrieve" and code == SOURCE_LANGUAGE)
            for key in self.rows.prepare(task, "train", code)
        )
        chosen_by = [self.selection(task.name, (task,), settings) for task in tasks]
        part = Part(
            shape=first.shape, labels=first.labels, data=keys, start=start, stop=stop,
            shuffle_labels=arm.control == "shuffled", dev=tuple(pair for dev, _ in chosen_by for pair in dev),
            metric=chosen_by[0][1],
        )  # fmt: skip
        size = 0 if stop is None else stop - start
        how = arm.options.translate
        if how is not None:
            made = self._translated(tasks, part, how)
            part, size = made, size * (len(how.to) + how.keep_english)
        if arm.options.perturb is not None:
            keys = (self.noises.augmented(first, part.data, start, stop, arm.options.perturb),)
            part, size = (
                self._beside(part, keys, arm.options.perturb.keep_clean),
                size * (1 + arm.options.perturb.keep_clean),
            )
        name = {"task": "+".join(task.name for task in tasks), "head": first.head_name}
        return part.model_copy(update=name), size

    def _translated(self, tasks: list[Task], part: Part, how: Translation) -> Part:
        """`part` with its rows in other languages: a task at a time where tasks differ in what translates them."""
        if len(tasks) > 1 and how.files:
            raise UserError(
                f"{' + '.join(task.name for task in tasks)} is one set of rows: files of its tasks cannot replace it",
                file=self.study.file, remedy="give the arm a sampler, so that each task is drawn by itself",
            )  # fmt: skip
        keys = self.rows.translated(tasks[0], part.data, part.start, part.stop, how)
        return self._beside(part, keys, how.keep_english)

    def _beside(self, part: Part, keys: tuple[str, ...], keep: bool) -> Part:
        """`part` with the rows of `keys` beside its own, or in their place."""
        if keep:
            return part.model_copy(update={"more": keys})
        return part.model_copy(update={"data": (), "start": 0, "stop": None, "more": keys})

    def _text_parts(self, arm: Arm) -> list[tuple[Part, dict[str, Any]]]:
        """The running text of each language and how it is read."""
        how = arm.options.mlm
        assert how is not None
        settings = self.resolve("intermediate", TEXT_HEAD, *arm.known_as, own=arm.options.settings)
        own = {**reading(settings, TEXT_HEAD, training=True, decoding=False), "mask_rate": how.mask_rate}
        return [
            (Part(task=f"text {code}", head=TEXT_HEAD, shape="mlm", data=(key,), stop=how.rows), own)
            for code, key in self.rows.text(how).items()
        ]

    def _train(self, parts: tuple[Part, ...], recipe: dict[str, Any], seed: int, **fields: Any) -> Train:
        return Train(
            encoder=self.graph.model.identity, pretrained=self.pretrained, parts=parts, recipe=recipe, seed=seed,
            model=self.graph.model.location, precision=self.study.precision, **fields,
        )  # fmt: skip

    def selection(
        self, trained: str, candidates: tuple[Task, ...], settings: Settings, evaluated: tuple[str, ...] = ()
    ) -> tuple[tuple[tuple[str, str], ...], str]:
        """(language and key of the dev rows that choose the checkpoints of `trained`, metric); none where it is not
        the best that is taken.

        They are those of the first candidate that has some: of what a target trains on, so that XQuAD and MLQA share
        a training on SQuAD, else its own (XNLI's, where MNLI has no dev rows, as in XTREME's folder). English alone,
        but for `select: oracle`, which takes those of the evaluated languages.
        """
        if settings.select != "best":
            return (), ""
        oracle = self.study.select == "oracle" and bool(evaluated)
        wanted = evaluated if oracle else (SOURCE_LANGUAGE,)
        found = {task: [code for code in wanted if self.rows.has(task, "dev", code)] for task in candidates}
        # the oracle sees as many of the evaluated languages as it can: a target's own dev rows, mostly
        task = max(candidates, key=lambda task: len(found[task]))
        if not found[task]:
            raise UserError(
                f"{trained} has no dev rows in {', '.join(wanted)} to choose a checkpoint by", file=self.study.file,
                remedy=f"name a stand-in for {trained}.dev, or set settings.{trained}.select: last",
            )  # fmt: skip
        how = f"oracle, not zero-shot: {', '.join(found[task])}" if oracle else SOURCE_LANGUAGE
        self.rows.note(f"Checkpoints of {trained} are those that score best on {task.name}.dev ({how}).")
        dev = tuple((code, key) for code in found[task] for key in self.rows.prepare(task, "dev", code))
        return dev, task.metrics[0]


def _examples(settings: Settings, rows: int | None) -> int:
    return settings.steps * settings.batch_size if settings.steps else round((rows or 0) * settings.epochs)
