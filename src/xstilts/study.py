"""The study: what a person writes, validates and shares, as one frozen model."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xstilts.arms import Intermediate, Variant, check_arm, check_names, expand, read_intermediates
from xstilts.errors import did_you_mean
from xstilts.noise import Noise, check_noise
from xstilts.settings import PRESETS, Settings
from xstilts.tasks import TASKS, get_task
from xstilts.tasks.metadata import Task
from xstilts.yaml_input import first_problem, read_yaml

if TYPE_CHECKING:
    from xstilts.api import Outcome
    from xstilts.graph import Plan
    from xstilts.report.frames import Results


Languages = tuple[str, ...] | Literal["all", "shared"]


class Controls(BaseModel):
    """Arms that tell whether the study can be trusted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shuffled: str | None = None
    """Name of an intermediate to repeat with its labels permuted: it must not help."""
    oracle: bool = False
    """Whether each target gets an intermediate made of its own skill (more of its training rows, disjoint from
    those it is fine-tuned on): it must help."""


class Study(BaseModel):
    """A whole intermediate-task transfer study. Read one with `Study.load("study.yaml")`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    question: str = ""
    """What the study is to find out, in words, for the report."""
    model: str
    """The pretrained encoder: a local folder in Hugging Face format, a hub id, or `microworld`."""
    revision: str = "main"
    """Commit of a hub model. Pin it: what `main` means can change."""
    pretrain: dict[str, int | float] | None = None
    """Only with `model: microworld`: train its encoder anew as the first step instead of taking the shipped one.
    Fields of `xstilts.sources.microworld.recipe.Recipe`, such as `steps` and `seed`."""
    encoder_languages: tuple[str, ...] = ()
    """Languages the encoder was pretrained on; others are reported apart as unseen. Empty: not known."""
    source: str = "files"
    """Where rows come from: `files` (official layouts in the folder `data`), `hub` (the Hugging Face hub, at a
    commit) or `microworld`."""
    data: str | None = None
    """The data folder of source `files`; source `hub` looks there for stand-ins only."""
    languages: Languages | dict[str, Languages] = "all"
    """Evaluation languages. `all`: every language of the benchmark. `shared`: those that the data folder holds and the
    encoder has seen. A list: those of it that a task has. Or one of these per target, `default` for the others."""
    intermediates: tuple[Intermediate, ...]
    """Tasks (`mnli`), tasks joined by `+`, `all` (every plain one of the list together), `{name: tasks}`, or a mapping
    of `xstilts.arms.Intermediate` with what it varies."""
    variants: dict[str, Variant] = {}
    """Options tried on several intermediates: each becomes the arms INTERMEDIATE-VARIANT."""
    controls: Controls = Controls()
    targets: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((1,), min_length=1)
    perturbations: dict[str, Noise] = {}
    """What the evaluation rows are perturbed by, besides being evaluated clean: `{keyboard: [0.1, 0.2]}`, names in
    docs/perturbations.md, or test sets of your own (`xstilts.noise.Noise`)."""
    stand_ins: dict[str, tuple[str, ...]] = {}
    """What replaces a split that is not at hand: `task.split` to a list of other splits (`snli.dev`) or of files
    in the task's own layout, relative to the data folder. The report says so."""
    preset: str | None = None
    """Published hyper-parameters to start from: `xtreme`, `jiant` or `paper`; `settings` go before them."""
    settings: dict[str, dict[str, Any]] = {}
    """Overrides by name, general to particular: `default`, `intermediate` or `target`, a shape, a task, an
    intermediate."""
    select: Literal["last", "best", "oracle"] | Annotated[int, Field(ge=1)] | None = None
    """Which checkpoint of every training, whatever the settings say: the last, the best on English dev rows, or a
    number: the one after that optimiser step.
    `oracle`: targets by the dev rows of the *evaluated* languages, an upper bound that is not zero-shot (the report
    says so); test rows never take part."""
    best_on: Literal["dev", "held-out"] = "held-out"
    """What the best intermediate of each target is chosen on: English dev rows, which are then predicted too, or a half
    of the test rows, the gain being that on the other half."""
    evaluate_on: Literal["test", "dev"] = "test"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the encoder; `auto` measures whether this machine gains by bfloat16. Not part of any key."""
    claims: str | None = None
    """A file of hypotheses (docs/claims.md) that the report judges by the results, relative to this file."""
    file: str | None = None
    """The file it was read from; relative paths in it are relative to that file's folder."""

    @classmethod
    def load(cls, path: str | Path, select: str | None = None) -> Study:
        """Read and validate a study file; `select` goes before the file's. Raises `UserError` naming file, line and
        remedy."""
        return read_yaml(Path(path), cls, {"select": select} if select else {})

    @field_validator("intermediates", mode="before")
    @classmethod
    def _read_intermediates(cls, value: Any) -> Any:
        return read_intermediates(value)

    @field_validator("intermediates")
    @classmethod
    def _names_are_free(cls, arms: tuple[Intermediate, ...]) -> tuple[Intermediate, ...]:
        check_names(arms)
        return arms

    @field_validator("stand_ins", mode="before")
    @classmethod
    def _read_stand_ins(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("stand_ins maps task.split to a split, a file, or a list of them")
        return {str(k): (v,) if isinstance(v, str) else tuple(v) for k, v in value.items()}

    @field_validator("languages", "seeds", "targets", "encoder_languages")
    @classmethod
    def _no_repeats(cls, value: Any) -> Any:
        for names in value.values() if isinstance(value, dict) else [value]:
            if not isinstance(names, str) and len(set(names)) != len(names):
                raise ValueError(f"names one thing twice: {', '.join(map(str, names))}")
        return value

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        """Every name in the study must be known; `ValueError`s carry the remedy."""
        for name in (*self.targets, *(t for arm in self.intermediates for t in arm.tasks)):
            if _known_task(name, self.source).shape == "mlm":
                raise ValueError(f"{name!r} is running text: it has no labels to train or evaluate on")
        if self.preset is not None and self.preset not in PRESETS:
            raise ValueError(f"unknown preset {self.preset!r}; {did_you_mean(self.preset, PRESETS)}")
        if self.evaluate_on == "dev" and self.select == "oracle":
            raise ValueError("select: oracle chooses by dev rows; evaluate_on: dev would score it on the same")
        names = [arm.name for arm in self.arms]
        for arm in self.arms:
            check_arm(arm)
        if self.pretrain is not None:
            from xstilts.sources.microworld.recipe import Recipe

            known_numbers = {number.name for number in fields(Recipe)}
            for name in self.pretrain:
                if name not in known_numbers:
                    raise ValueError(f"unknown field {name!r} of pretrain; {did_you_mean(name, known_numbers)}")
            if self.model != "microworld":
                raise ValueError("'pretrain' trains the microworld's encoder; write model: microworld, or drop it")
        if self.controls.shuffled is not None and self.controls.shuffled not in names:
            raise ValueError(
                f"controls.shuffled names no intermediate of the study: {self.controls.shuffled!r}; "
                + did_you_mean(self.controls.shuffled, names)
            )
        known = {
            "default",
            "intermediate",
            "target",
            "mixture",
            "mlm",
            "oracle",
            "shuffled",
            *names,
            *self.variants,
            *TASKS,
        }
        known |= {task.shape for task in TASKS.values()} | {task.head_name for task in TASKS.values()}
        for name, changes in self.settings.items():
            if name not in known:
                raise ValueError(f"settings for unknown name {name!r}; {did_you_mean(name, known)}")
            try:
                Settings.model_validate(changes)
            except ValidationError as error:
                raise ValueError(f"settings.{name}: {first_problem(error, Settings)}") from None
        for reference, replacements in self.stand_ins.items():
            for name in (reference, *(r for r in replacements if "/" not in r)):
                _split_reference(name, self.source)
        check_noise(self.perturbations, self.targets)
        self._check_languages()
        return self

    def _check_languages(self) -> None:
        if isinstance(self.languages, dict):
            for name in self.languages:
                if name not in (known := (*self.targets, "default")):
                    raise ValueError(f"languages for {name!r}, which is no target; {did_you_mean(name, known)}")
        for target in self.targets:
            asked = self.languages_of(target)
            if asked == "shared" and not self.encoder_languages:
                raise ValueError("languages: shared needs encoder_languages, the list the encoder was trained on")
        given = self.languages if isinstance(self.languages, dict) else {"default": self.languages}
        for name, asked in given.items():
            targets = (name,) if name != "default" else self.targets
            spoken = {language for target in targets for language in get_task(target).all_languages}
            for language in () if isinstance(asked, str) else asked:
                if language not in spoken:
                    what = "no target of the study" if name == "default" else name
                    has = "has" if name == "default" else "has not"
                    raise ValueError(f"{what} {has} language {language!r}; {did_you_mean(language, spoken)}")

    @property
    def arms(self) -> tuple[Intermediate, ...]:
        """The intermediates, then those that the variants make of them."""
        return expand(self.intermediates, self.variants)

    def languages_of(self, target: str) -> Languages:
        """What the study says of the evaluation languages of one target."""
        if isinstance(self.languages, dict):
            return self.languages.get(target, self.languages.get("default", "all"))
        return self.languages

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the study are relative to."""
        return Path(self.file).resolve().parent if self.file else Path.cwd()

    @property
    def data_folder(self) -> Path | None:
        """The data folder, absolute; None where the study needs none."""
        return None if self.data is None else (self.folder / Path(self.data).expanduser()).resolve()

    @property
    def claims_file(self) -> Path | None:
        """The file of claims, absolute; None where there is none."""
        return None if self.claims is None else self.folder / Path(self.claims).expanduser()

    def plan(self) -> Plan:
        """The graph of steps of this study; nothing is run."""
        from xstilts.plan import plan

        return plan(self)

    def run(self, store: str | Path | None = None, out: str | Path | None = None) -> Outcome:
        """Run what is not yet done, then write the report. Same as `xstilts run`, without the live table."""
        from xstilts.api import run_study

        return run_study(self, store, out)

    def results(self, store: str | Path | None = None) -> Results:
        """What the store holds of this study, as data frames."""
        from xstilts.api import collect

        return collect(self, store)

    def report(self, store: str | Path | None = None, out: str | Path | None = None) -> Path:
        """Write the report from what the store holds; returns the path of `report.html`."""
        from xstilts.api import report_study

        return report_study(self, store, out)


def _known_task(name: str, source: str) -> Task:
    readable = {n for n, task in TASKS.items() if source in task.sources}
    if name in TASKS and name not in readable and readable:
        raise ValueError(f"task {name!r} cannot be read from source {source!r}; {did_you_mean(name, readable)}")
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; {did_you_mean(name, readable or TASKS)}")
    return TASKS[name]


def _split_reference(reference: str, source: str) -> None:
    name, _, split = reference.partition(".")
    _known_task(name, source)
    if split not in ("train", "dev", "test"):
        raise ValueError(f"stand_ins: {reference!r} is not a split; write {name}.train, {name}.dev or {name}.test")
