"""What a perturbation changes: a text as a list of units, and changes of single stretches of it.

Units are grapheme clusters (Unicode annex 29) for kinds that change characters, and words for kinds that change words.
White space between words is units of its own, so that the units joined are the text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal, Protocol

import regex

from xstilts.languages import get_language

Unit = Literal["character", "word"]
Need = Literal["", "model", "table"]
"""What a perturbation needs beside the text: nothing, an encoder, or a table of translations (`resources`)."""

RUN = {"Thai": 3, "Laoo": 3, "Khmr": 3, "Mymr": 3, "Hani": 2, "Jpan": 2}
"""Grapheme clusters that stand for a word in scripts that put no space between words.

Rounded means of the words in UDPOS's test files: Thai 3.4, Chinese 1.6, Japanese 1.6; the others as Thai.
"""

_UNSPACED = (
    r"[\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Han}\p{Script=Hiragana}"
    r"\p{Script=Katakana}ー々]"
)
_CLUSTER = regex.compile(r"\X")
_STARTS_UNSPACED = regex.compile(_UNSPACED)
_LETTER = regex.compile(r"[\p{L}\p{N}]")


@dataclass(frozen=True)
class Change:
    """Units `start` to `stop` (exclusive) become `new`; nothing else changes."""

    start: int
    stop: int
    new: tuple[str, ...]

    @property
    def cost(self) -> int:
        """The most by which it can raise the edit distance, in units."""
        return max(self.stop - self.start, len(self.new))


class Perturbation(Protocol):
    """One way to change a text. What it does is a function of its arguments alone."""

    @property
    def name(self) -> str:
        """What a study calls it."""
        ...

    @property
    def unit(self) -> Unit:
        """What it changes, and what its rate counts."""
        ...

    @property
    def keeps_count(self) -> bool:
        """Whether a sequence of tokens keeps its length. All character kinds do, as they stay inside tokens; of the
        word kinds those that turn stretches round, so that labels can move along, or put one word in one's place."""
        ...

    @property
    def needs(self) -> Need:
        """What it needs beside the text: its changes are then that resource's, and its own `changes` is not asked."""
        ...

    def applies(self, language: str) -> bool:
        """Whether it can be asked for in `language` (XTREME's code); where not, texts stay as they are."""
        ...

    def changes(self, units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
        """Everything it could do to these units, in any order; `rate.realise` draws from it."""
        ...


@dataclass(frozen=True)
class Kind:
    """A perturbation made of functions."""

    name: str
    unit: Unit
    propose: Callable[[Sequence[str], str, random.Random], list[Change]]
    suits: Callable[[str], bool] = lambda language: True
    keeps_count: bool = True
    needs: Need = ""

    def applies(self, language: str) -> bool:
        """See `Perturbation`."""
        return self.suits(language)

    def changes(self, units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
        """See `Perturbation`."""
        return self.propose(units, language, rng)


def clusters(text: str) -> list[str]:
    """The grapheme clusters of `text`; joined they are the text."""
    return _CLUSTER.findall(text)


def words(text: str) -> list[str]:
    """Words and the white space between them; joined they are the text.

    A stretch in a script without spaces is cut into runs of `RUN` clusters; in mixed text every script by its own.
    """
    found: list[str] = []
    for kind, group in groupby(clusters(text), _kind_of):
        parts = list(group)
        length = _run(parts[0][0]) if kind == "unspaced" else len(parts)
        found += ["".join(parts[i : i + length]) for i in range(0, len(parts), length)]
    return found


def split(text: str, unit: Unit) -> list[str]:
    """`text` as units of that kind."""
    return clusters(text) if unit == "character" else words(text)


def is_space(unit: str) -> bool:
    """Whether a unit is white space: it can be lost, but is not counted."""
    return unit.isspace() or not unit


def is_letter(unit: str) -> bool:
    """Whether a cluster starts with a letter or digit, of any script."""
    return _LETTER.match(unit) is not None


@lru_cache(maxsize=256)
def script_of(language: str) -> str:
    """ISO 15924 code; `Latn` for generated languages, which are written so. `UserError` for an unknown language."""
    return get_language(language).script or "Latn"


def spaced(language: str) -> bool:
    """Whether the language puts spaces between words."""
    return script_of(language) not in RUN


@lru_cache(maxsize=4096)
def _kind_of(cluster: str) -> str:
    return "space" if is_space(cluster) else "unspaced" if _STARTS_UNSPACED.match(cluster) else "spaced"


@lru_cache(maxsize=4096)
def _run(character: str) -> int:
    han_or_kana = regex.match(r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー々]", character)
    return RUN["Hani"] if han_or_kana else RUN["Thai"]
