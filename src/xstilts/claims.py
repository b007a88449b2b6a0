"""Claims as a person writes them: hypotheses about gains that a study can support or contradict, and about its design.

A statement is one comparison or several: which intermediates, on which targets, measured how, related how to a number.
docs/claims.md explains the vocabulary; `xstilts.analysis.claims` judges.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from xstilts.analysis.perturbations import setting_of
from xstilts.arms import NEUTRAL, takes_turns
from xstilts.errors import UserError, did_you_mean
from xstilts.selections import BEST, FROZEN, OPTIONS, Intermediates, Over, Targets, several
from xstilts.tasks import get_task
from xstilts.yaml_input import read_yaml

if TYPE_CHECKING:
    from xstilts.study import Study

RELATIONS = ("at_least", "above", "at_most", "below", "near")


class Near(BaseModel):
    """A number and how far from it still counts as it."""

    model_config = FROZEN

    value: float = Field(allow_inf_nan=False)
    within: float = Field(gt=0, allow_inf_nan=False)


class Statement(BaseModel):
    """One part of a claim, about gains in points of the targets' main metric."""

    model_config = FROZEN

    intermediates: Intermediates = Intermediates.model_validate({})
    """Not given: all that vary nothing."""
    targets: Targets = Targets.model_validate({})
    over: Over | None = None
    """Not given: over no intermediate phase."""
    measure: str = "clean"
    """`clean`; `robust`, the mean over all other settings; one setting (`insert@0.1`); a kind (`insert`: the mean over
    its rates); or a test set of a person's own."""
    languages: Literal["zero-shot", "all"] = "zero-shot"
    """The mean over a target's languages without English, or with it, as XTREME averages."""
    per: Literal["intermediate", "target", "pair"] | None = None
    """Of what the relation must hold one by one; not given: of the mean over all of them."""
    share: float = Field(1.0, gt=0, le=1)
    """Of `per` or `each`: the share of comparisons of which it must hold."""
    at_least: float | None = Field(None, allow_inf_nan=False)
    above: float | None = Field(None, allow_inf_nan=False)
    at_most: float | None = Field(None, allow_inf_nan=False)
    below: float | None = Field(None, allow_inf_nan=False)
    near: Near | None = None

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, value: str) -> str:
        if "@" in value:
            from xstilts.perturb import PERTURBATIONS

            try:
                setting = setting_of(value)
            except ValueError:
                raise ValueError(f"{value!r} has no rate; write it as insert@0.1") from None
            if setting.kind not in PERTURBATIONS.targets():
                near = did_you_mean(setting.kind, PERTURBATIONS.targets())
                raise ValueError(f"unknown perturbation {value!r}; {near}")
            return setting.name
        return value

    @model_validator(mode="after")
    def _whole(self) -> Statement:
        given = [name for name in RELATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            has = " and ".join(given) or "no relation"
            raise ValueError(f"a statement has one relation, and this has {has}; write one of {', '.join(RELATIONS)}")
        many = self.per is not None or (self.over is not None and self.over.each)
        if self.share < 1 and not many:
            raise ValueError("a share needs to know of what; add per: intermediate, target or pair")
        if self.intermediates.best_per_target and (
            self.over or self.measure != "clean" or self.per in ("intermediate", "pair")
        ):
            raise ValueError(f"'{BEST}' goes by clean gains over no intermediate; drop over, measure and per")
        return self

    @property
    def relation(self) -> str:
        """The name of the relation that is given."""
        return next(name for name in RELATIONS if getattr(self, name) is not None)

    @property
    def region(self) -> tuple[float, float, bool]:
        """(lowest, highest, whether these ends do not count): where the gain must lie, in points."""
        if self.near is not None:
            return self.near.value - self.near.within, self.near.value + self.near.within, False
        value = float(getattr(self, self.relation))
        up = self.relation in ("at_least", "above")
        return value if up else -math.inf, math.inf if up else value, self.relation in ("above", "below")


class Design(BaseModel):
    """What a study is said to be made of; what is not given is not asked."""

    model_config = FROZEN

    model: tuple[str, ...] = ()
    """Names of the encoder, any one of them: the last part of its hub id or folder."""
    public: bool | None = None
    """Whether the encoder is one of the Hugging Face hub."""
    phases: tuple[Literal["pretraining", "pretrained", "intermediate", "target"], ...] = ()
    """What a target goes through; `pretraining` where the study trains the encoder itself."""
    single_tasks: int | None = Field(None, ge=0)
    """The number of intermediates that are one task and vary nothing."""
    language: str | None = None
    """What the intermediates that vary nothing are in."""

    _lists = field_validator("model", mode="before")(several)

    @model_validator(mode="after")
    def _asks(self) -> Design:
        if not self.asked:
            raise ValueError(f"a design claim asks for something; write one of {', '.join(Design.model_fields)}")
        return self

    @property
    def asked(self) -> dict[str, Any]:
        """What is asked, by the name of the field."""
        return {name: value for name, value in self if value not in ((), None)}


class Claim(BaseModel):
    """A hypothesis: a statement, or several that must all hold (`parts`), or one on the study's `design`."""

    model_config = FROZEN

    id: str
    claim: str = Field(min_length=1)
    """The hypothesis in words."""
    source: str = ""
    """Who says so."""
    note: str = ""
    """How the words were made comparable, and anything else a reader must know."""
    parts: tuple[Statement, ...] = ()
    design: Design | None = None

    @field_validator("id", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _one_kind(self) -> Claim:
        if bool(self.parts) == (self.design is not None):
            raise ValueError(f"claim '{self.id}' needs parts, or a design, and not both; parts hold its statements")
        return self

    @property
    def kind(self) -> Literal["empirical", "design"]:
        """Whether it can be supported or contradicted, or reproduced or departed from."""
        return "empirical" if self.parts else "design"


class Claims(BaseModel):
    """A file of claims."""

    model_config = FROZEN

    name: str
    """What the report calls them."""
    source: str = ""
    """Who makes all those claims that do not say so themselves."""
    claims: tuple[Claim, ...] = Field(min_length=1)
    file: str | None = None

    @field_validator("claims")
    @classmethod
    def _one_id_each(cls, value: tuple[Claim, ...]) -> tuple[Claim, ...]:
        ids = [claim.id for claim in value]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"two claims have the id {name!r}; give one of them another")
        return value


def load_claims(path: Path) -> Claims:
    """Read and validate a file of claims. Raises `UserError` naming file, line and remedy."""
    if not path.is_file():
        raise UserError("there is no such file of claims", file=path, remedy="check the path")
    return read_yaml(path, Claims, {})


def facts(study: Study, identity: str) -> dict[str, Any]:
    """What claims need to know of a study beside its results; goes into `Results.study`. `identity` is the model's.

    `arms`: per intermediate `name`, `tasks`, `category` (of its tasks, whatever it varies), `varies` (options),
    `base`, `mixture` ("", "some" or "all"). `replaced`: `task.split` that other data stand in for. `design`: see
    `Design`; `public` is None where a folder does not tell, and `single_tasks` lists names.
    """
    arms = []
    plain = [arm for arm in study.arms if arm.options().model_copy(update={"sampler": None}) == NEUTRAL]
    single = [arm for arm in plain if not takes_turns(arm.tasks, arm)]
    everything = {task for arm in single for task in arm.tasks}
    for arm in study.arms:
        varies = [name for name in OPTIONS if getattr(arm, name) != getattr(NEUTRAL, name)]
        turns = bool(arm.tasks) and takes_turns(arm.tasks, arm)
        categories = {get_task(name).category for name in arm.tasks}
        arms.append({
            "name": arm.name, "tasks": list(arm.tasks), "varies": varies, "base": arm.base,
            "category": categories.pop() if len(categories) == 1 else "multi-task" if categories else "variant",
            "mixture": "" if not turns else "all" if everything <= {*arm.tasks} else "some",
        })  # fmt: skip
    public = True if identity.startswith("hub:") else False if study.model == "microworld" else None
    phases = ["pretraining" if study.pretrain else "pretrained", *(["intermediate"] if arms else []), "target"]
    return {
        "arms": arms,
        "replaced": sorted(study.stand_ins),
        "design": {
            "model": Path(study.model).name, "public": public, "phases": phases,
            "single_tasks": [arm.name for arm in single],
            "language": "an invented English" if study.source == "microworld" else "English",
        },
    }  # fmt: skip
