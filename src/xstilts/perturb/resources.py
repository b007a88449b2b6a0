"""Kinds that need more than the text: words exchanged for others that an encoder or a table of translations gives."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import regex

from xstilts.errors import UserError
from xstilts.perturb.units import Change, Kind, Need, Perturbation, spaced

_WORD = regex.compile(
    r"([^\p{L}\p{N}]*)(\p{L}[\p{L}\p{M}]*(?:['\u2019\u00b7\u200c\u200d-][\p{L}\p{M}]+)*)([^\p{L}\p{M}\p{N}]*)"
)
"""What stands before a word, the word with inner apostrophes, hyphens and joiners, what stands after. No digits."""


class Resource(Protocol):
    """Where replacements of words come from."""

    @property
    def needs(self) -> Need:
        """What it is: `model` or `table`."""
        ...

    def prepare(self, texts: Sequence[Sequence[str]]) -> None:
        """Work out what `options` will be asked of these texts, given as units, all at once."""
        ...

    def options(self, units: Sequence[str]) -> Mapping[int, Sequence[str]]:
        """What may stand in the place of a unit, by its index; units that are not named stay. Prepared or not, and
        whatever else was prepared, the answer for a text is the same."""
        ...


class Word(NamedTuple):
    """A unit taken apart."""

    before: str
    """Opening punctuation."""
    core: str
    """Letters with their marks."""
    after: str
    """Closing punctuation."""


@lru_cache(maxsize=65536)
def word_of(unit: str) -> Word | None:
    """The word in a unit; None for numbers, punctuation, white space, and what mixes words with these."""
    found = _WORD.fullmatch(unit)
    return Word(*found.groups()) if found else None


def equip(perturbation: Perturbation, resource: Resource | None) -> Perturbation:
    """The perturbation with its resource; itself where it needs none. `UserError` where the resource is missing or
    another than it needs."""
    if not perturbation.needs:
        return perturbation
    if resource is None or resource.needs != perturbation.needs:
        raise UserError(f"{perturbation.name} needs {_WHAT[perturbation.needs]}", remedy=_REMEDY[perturbation.needs])
    given = resource  # not None from here on, in the closure too

    def changes(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
        """One option for each unit that has some."""
        return [Change(i, i + 1, (rng.choice(options),)) for i, options in sorted(given.options(units).items())]

    return Kind(perturbation.name, perturbation.unit, changes, perturbation.applies, perturbation.keeps_count)


def recorder(perturbation: Perturbation, seen: dict[tuple[str, ...], None]) -> Perturbation:
    """One that changes nothing and notes the texts it is asked about, so that a resource can prepare them at once."""

    def changes(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
        seen.setdefault(tuple(units))
        return []

    return Kind(perturbation.name, perturbation.unit, changes, perturbation.applies, perturbation.keeps_count)


_WHAT = {"model": "an encoder to take words from", "table": "a table of translated words"}
_REMEDY = {"model": "give resource=perturb.neighbours.load_neighbours(...)",
           "table": "give resource=perturb.codeswitch.learn_table(...)"}  # fmt: skip


def _none(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    """Without their resource these kinds propose nothing; `equip` gives it."""
    return []


MLM = Kind("mlm", "word", _none, needs="model")
NEIGHBOUR = Kind("neighbour", "word", _none, needs="model")
CODE_SWITCH = Kind("code_switch", "word", _none, spaced, needs="table")
