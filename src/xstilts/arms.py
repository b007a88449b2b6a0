"""The intermediate phase as a study writes it: which tasks, in which mixture, beside which text, in which languages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xstilts.errors import did_you_mean
from xstilts.noise import Augmentation
from xstilts.settings import Settings
from xstilts.tasks import get_task
from xstilts.tasks.intermediate import MIXTURES
from xstilts.yaml_input import first_problem

ALL = "all"
"""The name of the mixture of every plain intermediate of a study."""
_RESERVED = ("none", "oracle", "shuffled")
_ITEM = "an intermediate is a task, tasks joined by '+', {name: tasks}, or a mapping with name and tasks"


class Sampler(BaseModel):
    """How a mixture draws the task of each optimiser step: p_i proportional to min(n_i, cap) ** (1 / temperature),
    where n_i is the number of training rows of task i (jiant's proportional and temperature samplers).

    Written `proportional` (the default), `uniform`, or as these fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cap: int | None = Field(None, ge=1)
    """Rows beyond which a task counts as no larger (`train_examples_cap` of jiant); also what one epoch takes of it."""
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    """1: in proportion to size; the larger, the more even."""
    uniform: bool = False
    """All tasks alike, whatever their size: the limit of an infinite temperature."""
    weights: dict[str, float] = {}
    """Given weights by task, instead of sizes; every task needs one."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if value in ("proportional", "uniform"):
            return {"uniform": value == "uniform"}
        if isinstance(value, str):
            raise ValueError(
                f"unknown sampler {value!r}; write proportional, uniform, {{cap: 10000}}, {{temperature: 2}} or "
                "{weights: {mnli: 2, squad_v1: 1}}"
            )
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Sampler:
        sized = self.cap is not None or self.temperature != 1
        if sum((sized, self.uniform, bool(self.weights))) > 1:
            raise ValueError("a sampler goes by cap and temperature, or is uniform, or has weights; not two of these")
        if self.weights and (min(self.weights.values()) < 0 or sum(self.weights.values()) <= 0):
            raise ValueError("weights of a sampler are 0 or more, and not all 0")
        return self


class Mlm(BaseModel):
    """Masked language modelling on running text in many languages, interleaved with the intermediate task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str | None = None
    """A folder with one `LANGUAGE.txt` (or `.txt.gz`) per language, one text per line, relative to the study's file.
    Not given: the data folder's `text/`, or the microworld's own text."""
    languages: tuple[str, ...] = ()
    """Whose text is read; those the encoder was trained on (`encoder_languages`) where not given."""
    weight: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Optimiser steps of language modelling per step of the intermediate tasks, which keep all of theirs."""
    exponent: float = Field(0.3, ge=0, le=1)
    """A language with n rows is drawn in proportion to n ** exponent (0.3: XLM-R, arXiv 1911.02116)."""
    rows: int | None = Field(None, ge=1)
    """Rows used per language (a fixed random sample); all where not given."""
    mask_rate: float = Field(0.15, gt=0, lt=1)
    """Share of the pieces that are predicted; of these 80 % become the mask, 10 % a random piece, 10 % stay."""
    trim: bool = False
    """Whether pieces that none of the texts and rows of a training uses are neither guessed nor trained: with a large
    vocabulary a step is then much faster, but learns something else, to tell apart the pieces in use."""


class Translation(BaseModel):
    """The intermediate task's English rows in other languages, translated or taken from translated files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: tuple[str, ...] = Field(min_length=1)
    """Languages translated into; each gets all training rows."""
    backend: str = "transformers"
    """`transformers` or `ctranslate2` (NLLB, M2M100, OPUS-MT), `apertium` (rules, offline), `table` (exact pairs)."""
    model: str | None = None
    """Folder or hub id of the translation model, `{language}` for the code (`Helsinki-NLP/opus-mt-en-{language}`);
    for `apertium` the mode (`eng-spa` where not given); for `table` a file of `english<TAB>translation` lines, the
    microworld's own translation where not given."""
    revision: str = "main"
    """Commit of a hub model. Pin it: what `main` means can change."""
    codes: dict[str, str] = {}
    """What the model calls a language, where xstilts does not know (`zh: zho_Hant`)."""
    beams: int = Field(4, ge=1)
    """Beam size of the neural backends."""
    files: dict[str, str] = {}
    """Instead of translating: translated files by task, relative to the data folder, `{language}` for the code, such as
    XTREME's own `{mnli: xnli/translate-train/en-{language}-translated.tsv}`."""
    keep_english: bool = False
    """Whether the English rows are learned from too."""


class Options(BaseModel):
    """What may vary in the intermediate phase of an arm; every default is neutral."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampler: Sampler | None = None
    """How a mixture draws its tasks; not given: in proportion to their rows."""
    mlm: Mlm | None = None
    """Masked language modelling beside the tasks, on text in many languages."""
    translate: Translation | None = None
    """The tasks' rows in other languages."""
    perturb: Augmentation | None = None
    """The tasks' rows with perturbed text."""
    alpha: float = Field(1.0, gt=0, le=1)
    """What targets start from: alpha times the intermediate encoder plus (1 - alpha) times the pretrained one
    (WiSE-FT, arXiv 2109.01903)."""
    reuse_head: bool = False
    """Whether a target whose shape and labels are those of an intermediate head starts from that head."""
    settings: dict[str, Any] = {}
    """Settings of this arm's intermediate training, such as `{lora: {rank: 8}}`; they go before the study's."""

    @field_validator("settings")
    @classmethod
    def _known_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            Settings.model_validate(value)
        except ValidationError as error:
            raise ValueError(f"settings: {first_problem(error, Settings)}") from None
        return value

    @property
    def plain(self) -> bool:
        """Whether nothing is varied."""
        return self.options() == NEUTRAL

    def options(self) -> Options:
        """These options alone."""
        return Options(**{name: getattr(self, name) for name in Options.model_fields})


NEUTRAL = Options.model_validate({})
"""Nothing is varied."""


class Intermediate(Options):
    """One arm of the study: a name, the tasks whose training rows it learns from, and what is varied."""

    name: str
    """What tables and settings call it."""
    tasks: tuple[str, ...] = ()
    """Those of one head are learned as one; of several heads, one task per optimiser step. None: language modelling
    alone."""
    base: str = ""
    """The intermediate it varies, where a variant of the study made it."""
    variant: str = ""
    """That variant."""

    @property
    def known_as(self) -> tuple[str, ...]:
        """Names under which a study may give settings for its training, general to particular."""
        return tuple(name for name in (self.base, self.variant, self.name) if name)

    @property
    def category(self) -> str:
        """For grouping in the report: that of its tasks, `multi-task` where these differ; `variant` for arms that vary
        more than the sampler, so that a category's mean is that of plain arms."""
        if self.options().model_copy(update={"sampler": None}) != NEUTRAL or not self.tasks:
            return "variant"
        categories = {get_task(name).category for name in self.tasks}
        return categories.pop() if len(categories) == 1 else "multi-task"


def takes_turns(tasks: Iterable[str], options: Options) -> bool:
    """Whether tasks take turns, one an optimiser step, rather than being one set of rows."""
    return options.sampler is not None or len({get_task(name).head_name for name in tasks}) > 1


class Variant(Options):
    """Options that a study tries on several of its intermediates: one more arm for each."""

    of: tuple[str, ...] = ()
    """Names of intermediates; all plain ones where not given."""


def read_intermediates(value: Any) -> tuple[Any, ...]:
    """What a person writes as a list of intermediates, as mappings with all names spelt out."""
    if not isinstance(value, list | tuple):
        raise ValueError("intermediates is a list such as [none, {nli: snli+sick}, msrp]")
    arms: list[Any] = []
    for item in value:
        if isinstance(item, Intermediate):
            arms.append(item)
        elif item == "none":  # the baseline is in every study
            continue
        elif isinstance(item, str):
            arms.append({"name": item, "tasks": item})
        elif isinstance(item, dict) and "name" in item:
            arms.append(dict(item))
        elif isinstance(item, dict) and len(item) == 1:
            ((name, tasks),) = item.items()
            arms.append({"name": str(name), "tasks": tasks})
        else:
            raise ValueError(f"{_ITEM}; not {item!r}")
    named = [arm for arm in arms if isinstance(arm, dict)]
    for arm in named:
        if arm.get("tasks") != ALL:
            arm["tasks"] = _tasks(arm.get("tasks") or ())
    everything = tuple(dict.fromkeys(task for arm in named if _plain(arm) for task in arm["tasks"]))
    for arm in named:
        if arm["tasks"] == ALL:
            if len(everything) < 2:
                raise ValueError("'all' mixes the other intermediates of the study, and there are not two of them")
            arm["tasks"] = everything
    return tuple(arms)


def _plain(arm: dict[str, Any]) -> bool:
    return arm["tasks"] != ALL and set(arm) <= {"name", "tasks"} and arm["name"] not in _RESERVED


def _tasks(value: Any) -> tuple[str, ...]:
    """Names of tasks, mixtures that have a name spelt out, each task once."""
    names = value.split("+") if isinstance(value, str) else list(value)
    return tuple(dict.fromkeys(task for name in names for task in MIXTURES.get(name, (str(name),))))


def expand(arms: Iterable[Intermediate], variants: dict[str, Variant]) -> tuple[Intermediate, ...]:
    """The arms, followed by one for each variant of each of them. `ValueError` for a name that is taken or unknown."""
    arms = tuple(arms)
    by_name = {arm.name: arm for arm in arms}
    found = list(arms)
    for name, variant in variants.items():
        for base in variant.of or [arm.name for arm in arms if arm.options().plain]:
            if base not in by_name:
                raise ValueError(f"variant {name!r} is of no intermediate {base!r}; {did_you_mean(base, by_name)}")
            changed = {n: v for n, v in variant.options() if v != Options.model_fields[n].default}
            fields = {**dict(by_name[base]), **changed, "name": f"{base}-{name}", "base": base, "variant": name}
            found.append(Intermediate(**fields))
    check_names(found)
    return tuple(found)


def check_names(arms: Iterable[Intermediate]) -> None:
    """Raises `ValueError` where two arms have one name, or one has a name that means something else."""
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1 or name in _RESERVED:
            raise ValueError(f"intermediate name {name!r} is taken; give it another: {{other-name: {name}}}")


def check_arm(arm: Intermediate) -> None:
    """Raises `ValueError` where an arm learns from nothing, or its sampler and its tasks do not fit."""
    if not arm.tasks and arm.mlm is None:
        raise ValueError(f"intermediate {arm.name!r} learns from nothing; give it tasks, or mlm")
    if not arm.tasks and (arm.translate or arm.perturb or arm.sampler):
        raise ValueError(f"intermediate {arm.name!r} has no tasks to translate, perturb or sample from; give it some")
    if arm.translate is not None and arm.perturb is not None:
        raise ValueError(f"intermediate {arm.name!r} is both translated and perturbed; make it two variants")
    if arm.sampler is not None and len(arm.tasks) < 2:
        raise ValueError(f"intermediate {arm.name!r} has one task, so there is nothing to sample; drop its sampler")
    weights = arm.sampler.weights if arm.sampler is not None else {}
    for name in weights:
        if name not in arm.tasks:
            raise ValueError(f"a weight for {name!r}, which {arm.name} does not hold; {did_you_mean(name, arm.tasks)}")
    for name in arm.tasks if weights else ():
        if name not in weights:
            raise ValueError(f"the sampler of {arm.name} gives no weight to {name!r}; weights are for all tasks")
    for name in arm.translate.files if arm.translate is not None else ():
        if name not in arm.tasks:
            raise ValueError(f"translated files for {name!r}, which {arm.name} does not hold; "
                             + did_you_mean(name, arm.tasks))  # fmt: skip
