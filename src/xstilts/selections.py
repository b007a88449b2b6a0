"""What a claim speaks of: a choice of a study's intermediates, of its targets, and of what these are compared with."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from xstilts.arms import Options
from xstilts.errors import did_you_mean
from xstilts.tasks import TASKS
from xstilts.tasks.intermediate import MIXTURES
from xstilts.tasks.metadata import Category, Level, Shape

GROUPS = (*get_args(Level), "retrieval")
"""Groups of targets; retrieval is one of its own."""
CATEGORIES = (*get_args(Category), "multi-task", "variant")
ANY, BASE, BEST = "any", "base", "best-per-target"
"""Words of their own: whatever options, the arm that a variant varies, the best intermediate of each target."""
FROZEN = ConfigDict(frozen=True, extra="forbid")
OPTIONS = tuple(name for name in Options.model_fields if name != "sampler")
"""What an intermediate may vary; a sampler alone leaves it plain."""


def task_set(text: str) -> frozenset[str]:
    """The tasks that `snli+sick` names, mixtures with a name of their own spelt out."""
    return frozenset(task for name in text.split("+") for task in MIXTURES.get(name, (name,)))


def several(value: Any) -> Any:
    """A word where a list may stand, as a list of one."""
    return [value] if isinstance(value, str) else value


def _check(what: str, names: tuple[str, ...], known: Any) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; {did_you_mean(name, known)}")
    return names


class Intermediates(BaseModel):
    """Which intermediates: those that meet every condition given. Written `squad_v1` or a list for `tasks` alone.

    Without `names`, controls are never among them.
    """

    model_config = FROZEN

    names: tuple[str, ...] = ()
    """What the study calls them; also `oracle` and `shuffled`."""
    tasks: tuple[str, ...] = ()
    """What they are trained on, all of it and nothing else, whatever the study calls them: `mnli`, `snli+sick`."""
    categories: tuple[str, ...] = ()
    mixture: Literal[True, False, "all"] | None = None
    """Whether they take turns between tasks; `all`: between all tasks of the study."""
    varies: tuple[str, ...] = ()
    """What they vary, any one of it: `mlm`, `translate` and the other options of docs/intermediate.md; `any`: all
    intermediates whether or not they vary anything. Not given: those that vary nothing."""
    best_per_target: bool = False
    """Instead: for each target the best intermediate, chosen on other rows and seeds. Written `best-per-target`."""
    enough: int | None = Field(None, ge=1)
    """How many of those named the study must have; all of them where not given, one where none is named."""
    stand_in: Intermediates | None = None
    """What is taken where the study has not enough of them; the report says so with its `note`."""
    note: str = ""
    """Of a stand-in: what it is in place of what."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if value == BEST:
            return {"best_per_target": True}
        return {"tasks": several(value)} if isinstance(value, str | list) else value

    _lists = field_validator("names", "tasks", "categories", "varies", mode="before")(several)

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            _check("task", tuple(text.split("+")), {*TASKS, *MIXTURES})
        return value

    @field_validator("categories")
    @classmethod
    def _known_categories(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _check("category", value, CATEGORIES)

    @field_validator("varies")
    @classmethod
    def _known_options(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _check("option", value, (*OPTIONS, ANY))

    @property
    def listed(self) -> tuple[str, ...]:
        """What is named one by one, so that it can be missing."""
        return self.names or self.tasks


class Targets(BaseModel):
    """Which targets: those that meet every condition given. Written as names and groups in a list, or `all`.

    Not given at all: every target that is not retrieval.
    """

    model_config = FROZEN

    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """`syntactic`, `semantic`, `retrieval`."""
    shapes: tuple[str, ...] = ()
    """`tag`, `span` and so on (docs/tasks.md)."""
    enough: int | None = Field(None, ge=1)
    """How many of those named the study must have; all of them where not given, one where none is named."""
    stand_in: Targets | None = None
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str | list):
            return value
        items = list(GROUPS) if value == "all" else [str(item) for item in several(value)]
        groups = [item for item in items if item in GROUPS]
        if groups and len(groups) < len(items):
            raise ValueError(f"groups and names of targets cannot be mixed in one list: {items}; write one of them")
        return {"groups" if groups else "names": items}

    _lists = field_validator("names", "groups", "shapes", mode="before")(several)

    @field_validator("names")
    @classmethod
    def _known_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _check("target", value, TASKS)

    @field_validator("groups")
    @classmethod
    def _known_groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _check("group of targets", value, GROUPS)

    @field_validator("shapes")
    @classmethod
    def _known_shapes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _check("shape", value, get_args(Shape))

    @property
    def listed(self) -> tuple[str, ...]:
        """What is named one by one, so that it can be missing."""
        return self.names


class Over(BaseModel):
    """What the gain is compared with, instead of with none: other intermediates, or other targets.

    Written `base` for the arms that variants vary.
    """

    model_config = FROZEN

    intermediates: Intermediates | None = None
    targets: Targets | None = None
    base: bool = False
    """Each variant is compared with the intermediate that it varies."""
    each: bool = False
    """With each of them by itself rather than with their mean: higher than each is the highest."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return {"base": True} if value == BASE else value

    @model_validator(mode="after")
    def _one(self) -> Over:
        if (self.intermediates is not None) + (self.targets is not None) + self.base != 1:
            raise ValueError("'over' has intermediates, or targets, or is 'base'; write one of the three")
        if self.base and self.each:
            raise ValueError("'each' says nothing with 'base'; write per: intermediate to compare each variant apart")
        return self
