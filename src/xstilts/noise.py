"""Perturbed evaluation as a study writes it: which kinds at which rates, and test sets of a person's own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xstilts.analysis.perturbations import CLEAN, ROBUST, Setting
from xstilts.errors import did_you_mean


class Noise(BaseModel):
    """One kind of perturbation. Written as a rate (`keyboard: 0.1`), a list of rates, or these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rates: tuple[float, ...] = ()
    """Shares of the units (characters or words) that are changed, each a setting of its own (docs/perturbations.md)."""
    targets: tuple[str, ...] = ()
    """Whose rows are perturbed; all whose labels survive it where not given."""
    keep: bool | None = None
    """Whether what the labels are about stays as it is: tokens of chunks, aspect terms (`perturb.rows`). Not given:
    aspect terms stay, all else may change."""
    seed: int = 0
    """Of the changes. All checkpoints see the same ones, whatever their own seed, so that comparisons are paired."""
    text: str = ""
    """Only `code_switch`: the translation pairs that words are learned from, as `task.split`. Not given: the training
    pairs of the source."""
    files: dict[str, str] = {}
    """Instead of a kind: files of a person's own by target, relative to the data folder, `{language}` for the code, in
    the target's layout, such as `{xnli: noisy/xnli/test_{language}_typos_0.05.tsv.gz}`. Languages without a file are
    left out."""
    by: Literal["id", "order", "text"] = "text"
    """How rows of `files` find the clean row they stand for: the same id, the same place, or the nearest text with the
    same gold."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, dict | Noise):
            return value
        return {"rates": value if isinstance(value, list | tuple) else (value,)}

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Noise:
        if bool(self.rates) == bool(self.files):
            raise ValueError("a perturbation has rates (0.1, or a list), or files of your own; one of the two")
        for rate in self.rates:
            if not 0 < rate <= 1:
                raise ValueError(f"{rate:g} is no rate: give a share above 0 and up to 1, such as 0.1")
        if len(set(self.rates)) != len(self.rates):
            raise ValueError("names one rate twice")
        return self

    def settings(self, kind: str) -> tuple[Setting, ...]:
        """The settings of the evaluation that it asks for, under its name in the study."""
        return tuple(Setting(kind, rate) for rate in self.rates) or (Setting(kind),)


class Augmentation(BaseModel):
    """Training rows that are perturbed: the intermediate task's own, beside the clean ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """A name of docs/perturbations.md."""
    rate: float = Field(gt=0, le=1)
    keep: bool | None = None
    seed: int = 0
    keep_clean: bool = True
    """Whether the rows are learned from as they are, too."""

    @model_validator(mode="after")
    def _known(self) -> Augmentation:
        _check_kind(self.kind)
        return self


def check_noise(perturbations: dict[str, Noise], targets: tuple[str, ...]) -> None:
    """Raises `ValueError` for kinds that do not exist and targets that the study has not."""
    for kind, noise in perturbations.items():
        if kind in (CLEAN, ROBUST) or "@" in kind:
            raise ValueError(f"{kind!r} cannot be the name of a perturbation")
        if not noise.files:
            _check_kind(kind)
        for name in (*noise.targets, *noise.files):
            if name not in targets:
                raise ValueError(f"perturbations.{kind} is of {name!r}, which is no target of the study; "
                                 + did_you_mean(name, targets))  # fmt: skip


def _check_kind(kind: str) -> None:
    from xstilts.perturb import PERTURBATIONS

    if kind not in PERTURBATIONS.targets():
        known = did_you_mean(kind, PERTURBATIONS.targets())
        raise ValueError(f"unknown perturbation {kind!r}; {known}; a test set of your own takes `files`")
