"""The perturbed evaluation of a study: which settings a target is evaluated in, and the steps that make their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from xstilts.analysis.perturbations import Setting
from xstilts.errors import UserError
from xstilts.graph import Plan
from xstilts.noise import Augmentation, Noise
from xstilts.plan.rows import SOURCE_LANGUAGE, Rows
from xstilts.steps.pair import Pair
from xstilts.steps.perturb import Perturb
from xstilts.study import Study
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Split, Task

_POOLED = ("retrieve", "mine")
"""Shapes whose answers depend on all rows: `Shape.alone`, which only torch could tell."""
_ASPECTS = "aspect sentiment"
_PAIRS = {"files": "parallel.train", "microworld": "mw_parallel.train"}
"""Where code-switching learns words from, where the study does not say."""


@dataclass(frozen=True)
class Noises:
    """Adds `Perturb` and `Pair` steps to a graph."""

    study: Study
    graph: Plan
    rows: Rows
    pretrained: str | None

    def settings(
        self, target: Task, data: tuple[tuple[str, str], ...], stop: int | None
    ) -> tuple[tuple[str, str], ...]:
        """(name of a setting, key of the step with its rows) of all that `target` is evaluated in besides clean, over
        its evaluation rows `data` (language, key), the first `stop` of each."""
        return tuple(self._settings(target, data, stop))

    def _settings(self, target: Task, data: tuple[tuple[str, str], ...], stop: int | None) -> Iterator[tuple[str, str]]:
        for kind, noise in self.study.perturbations.items():
            if target.name not in (noise.targets or self.study.targets):
                continue
            if noise.files:
                if target.name in noise.files:
                    yield kind, self._own(target, kind, noise, data, stop)
                continue
            fitting = self._fitting(target, kind, data)
            for setting in noise.settings(kind) if fitting else ():
                yield setting.name, self._perturb(target, setting, noise, fitting, stop)

    def _fitting(self, target: Task, kind: str, data: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """The languages whose rows of this target the perturbation can change with labels kept."""
        from xstilts.perturb import applies, get_perturbation
        from xstilts.perturb.rows import survives

        if not survives(target.shape, get_perturbation(kind)):
            self.rows.note(f"{target.name} is not evaluated under {kind}, which changes the number of tokens.")
            return ()
        fitting = tuple((language, key) for language, key in data if applies(kind, language))
        left = [language for language, _ in data if language not in dict(fitting)]
        if left:
            self.rows.note(f"{kind} does not apply to {', '.join(left)}.")
        return fitting

    def _perturb(
        self, target: Task, setting: Setting, noise: Noise, data: tuple[tuple[str, str], ...], stop: int | None
    ) -> str:
        assert setting.rate is not None
        step = Perturb(
            task=target.name, shape=target.shape, labels=target.labels, data=data, stop=stop,
            perturbation=setting.kind, rate=setting.rate, seed=noise.seed, keep=_kept(target, noise.keep),
            **self._needs(setting.kind, tuple(code for code, _ in data), noise.text),
        )  # fmt: skip
        return self.graph.add(step, f"{target.name}, {setting.title}", round((stop or 0) * len(data)))

    def augmented(self, task: Task, keys: tuple[str, ...], start: int, stop: int | None, how: Augmentation) -> str:
        """Key of the step that gives the English training rows [start, stop) of `keys`, perturbed."""
        from xstilts.perturb import get_perturbation
        from xstilts.perturb.rows import survives

        if not survives(task.shape, get_perturbation(how.kind)):
            raise UserError(
                f"{how.kind} changes the number of tokens, and with it the labels of {task.name}",
                file=self.study.file, remedy="a kind that changes characters does not",
            )  # fmt: skip
        step = Perturb(
            task=task.name, shape=task.shape, labels=task.labels,
            data=tuple((SOURCE_LANGUAGE, key) for key in keys), start=start, stop=stop, perturbation=how.kind,
            rate=how.rate, seed=how.seed, keep=_kept(task, how.keep),
            **self._needs(how.kind, (SOURCE_LANGUAGE,), ""),
        )  # fmt: skip
        size = 0 if stop is None else stop - start
        return self.graph.add(step, f"{task.name}, {Setting(how.kind, how.rate).title}", size)

    def _needs(self, kind: str, languages: tuple[str, ...], text: str) -> dict[str, Any]:
        """Fields of the step for a perturbation that needs more than the text."""
        from xstilts.perturb import get_perturbation

        needs = get_perturbation(kind).needs
        if needs == "model":
            model = self.graph.model
            return {"encoder": model.identity, "pretrained": self.pretrained, "model": model.location}
        if needs == "table":
            name, _, split = (text or _PAIRS.get(self.study.source, "")).partition(".")
            if split not in get_args(Split):
                raise UserError(
                    f"{kind} learns words from translation pairs, and the study does not say which",
                    file=self.study.file, remedy=f"perturbations: {{{kind}: {{rates: [0.1], text: parallel.train}}}}",
                )  # fmt: skip
            task = get_task(name)
            pairs = [(code, key) for code in languages for key in self.rows.prepare(task, split, code)]  # type: ignore[arg-type]
            return {"pairs": tuple(pairs)}
        return {}

    def _own(self, target: Task, kind: str, noise: Noise, data: tuple[tuple[str, str], ...], stop: int | None) -> str:
        """Key of the step that pairs the noisy rows of a person's own with the clean ones."""
        if target.shape in _POOLED:
            raise UserError(
                f"perturbations.{kind} has files of {target.name}, whose answers depend on all rows of a language",
                file=self.study.file, remedy="files are for targets other than retrieval",
            )  # fmt: skip
        found = [(language, key, file) for language, key in data
                 if (file := self.rows.own_file(noise.files[target.name], language)) is not None]  # fmt: skip
        if not found:
            raise UserError(
                f"perturbations.{kind}: no file {noise.files[target.name]} in any language of {target.name}",
                file=self.study.file, remedy=f"names are relative to {self.rows.folder}",
            )  # fmt: skip
        left = [language for language, _ in data if language not in {code for code, *_ in found}]
        if left:
            self.rows.note(f"{kind} has no rows of {target.name} in {', '.join(left)}.")
        noisy = tuple(
            (code, self.rows.from_file(target, self.study.evaluate_on, code, file)) for code, _, file in found
        )
        step = Pair(
            task=target.name, shape=target.shape, data=tuple((code, key) for code, key, _ in found), stop=stop,
            noisy=noisy, by=noise.by,
        )  # fmt: skip
        return self.graph.add(step, f"{target.name}, {Setting(kind).title}", round((stop or 0) * len(found)))


def _kept(task: Task, asked: bool | None) -> bool:
    """Whether what the labels are about stays: a changed aspect term is another term, a misspelt name is still one."""
    return task.category == _ASPECTS if asked is None else asked
