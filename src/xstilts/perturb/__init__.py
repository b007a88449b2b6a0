"""Perturbations of evaluation text: functions of text, language and seed, at a measured and matched rate."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from xstilts.errors import UserError
from xstilts.perturb.rate import Draft, Reached, realise
from xstilts.perturb.resources import Resource, equip
from xstilts.perturb.units import Change, Perturbation, split
from xstilts.registry import Registry

_CHARACTERS = ("insert", "delete", "swap", "repeat", "keyboard", "homoglyph", "diacritics", "case", "punctuation",
               "confusion", "spaces")  # fmt: skip
_WORDS = ("word_delete", "word_repeat", "word_shuffle")
_REPLACED = ("mlm", "neighbour", "code_switch")
PERTURBATIONS = Registry(
    "perturbations",
    "perturbation",
    {name: f"xstilts.perturb.{module}:{name.upper()}"
     for module, names in (("characters", _CHARACTERS), ("words", _WORDS), ("resources", _REPLACED)) for name in names},
)  # fmt: skip
"""All perturbations by name; those of other packages come by the entry-point group `xstilts.perturbations`."""


@dataclass(frozen=True)
class Perturbed:
    """A changed text."""

    text: str
    asked: float
    """The rate asked for, 0 to 1."""
    edits: int
    units: int

    @property
    def reached(self) -> float:
        """The rate as measured on the text; 0 where the perturbation does not apply to the language."""
        return Reached(self.edits, self.units).rate


def applies(name: str, language: str) -> bool:
    """Whether texts of `language` can be changed by the perturbation. `UserError` for an unknown name or language."""
    return bool(get_perturbation(name).applies(language))


@cache  # every text asks, and looking for plug-ins takes longer than changing it
def get_perturbation(name: str) -> Perturbation:
    """The perturbation called `name`; `UserError` with the nearest names when there is none."""
    perturbation: Perturbation = PERTURBATIONS.get(name)
    return perturbation


def perturb_text(
    text: str, language: str, name: str, rate: float, seed: int, *, row: str = "", field: str = "",
    resource: Resource | None = None,
) -> Perturbed:  # fmt: skip
    """`text` changed by the perturbation `name` so that `rate` of its units (0 to 1) are edits, or as many as can be.

    `row` and `field` say which text of a data set it is, so that every text is drawn for itself: neither the order of
    rows nor other rows matter. `resource` is what some kinds need (`resources`). Raises `UserError` for a rate outside
    0 to 1, for unknown names and for a resource that is missing.
    """
    return perturb_with(equip(get_perturbation(name), resource), text, language, rate, seed, row, field)


def perturb_with(
    perturbation: Perturbation, text: str, language: str, rate: float, seed: int, row: str, field: str
) -> Perturbed:
    """`perturb_text` with a perturbation that has what it needs."""
    draft = Draft(units := split(text, perturbation.unit), [False] * len(units), [0] * len(units))
    _, reached = perturb_draft(draft, language, perturbation, rate, seed, row, field)
    return Perturbed("".join(draft.units()), rate, *reached)


def perturb_draft(
    draft: Draft, language: str, perturbation: Perturbation, rate: float, seed: int, row: str, field: str
) -> tuple[Sequence[Change], Reached]:
    """Change `draft` in place; the changes made, and what was reached. Raises as `perturb_text`."""
    if not 0 <= rate <= 1:
        raise UserError(f"a rate of {rate} for {perturbation.name}", remedy="give a share between 0 and 1, such as 0.1")
    rng = generator(seed, perturbation.name, rate, row, field)
    possible = rate > 0 and perturbation.applies(language)
    candidates = perturbation.changes(draft.before, language, rng) if possible else []
    return realise(draft, candidates, perturbation.unit, rate, rng)


def generator(seed: int, name: str, rate: float, row: str, field: str) -> random.Random:
    """The random numbers of one text, from the sha256 of everything that may tell them from those of another."""
    spelt = json.dumps([seed, name, float(rate), row, field], ensure_ascii=True)
    return random.Random(int.from_bytes(hashlib.sha256(spelt.encode()).digest(), "big"))
