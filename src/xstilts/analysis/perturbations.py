"""How a setting of the evaluation is named: `clean`, a kind at a rate (`keyboard@0.1`), or a person's own test set."""

from __future__ import annotations

from dataclasses import dataclass

CLEAN = "clean"
"""The evaluation rows as they are."""
ROBUST = "robust"
"""No setting but the mean over all that a target has besides clean, every one with the same weight."""


@dataclass(frozen=True)
class Setting:
    """One way in which the evaluation rows are given."""

    kind: str
    """`clean`, the name of a perturbation, or that of a person's own test set."""
    rate: float | None = None
    """The rate asked for, 0 to 1; None for `clean` and for own test sets."""

    @property
    def name(self) -> str:
        """What stands in the column `perturbation`: KIND@RATE, or the kind alone."""
        return self.kind if self.rate is None else f"{self.kind}@{self.rate:g}"

    @property
    def title(self) -> str:
        """For people: `keyboard 10 %`."""
        return self.kind.replace("_", " ") + ("" if self.rate is None else f" {100 * self.rate:g} %")


def setting_of(name: str) -> Setting:
    """The setting that a value of the column `perturbation` names. Inverse of `Setting.name`."""
    kind, at, rate = name.rpartition("@")
    return Setting(kind, float(rate)) if at else Setting(name)


def order(names: list[str]) -> list[str]:
    """Names in the order of tables and figures: clean, robust, generated kinds by name and rate, own test sets."""

    def place(name: str) -> tuple[int, str, float]:
        setting = setting_of(name)
        first = 0 if name == CLEAN else 1 if name == ROBUST else 2 if setting.rate is not None else 3
        return first, setting.kind, setting.rate or 0.0

    return sorted(names, key=place)
