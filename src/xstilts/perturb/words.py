"""Perturbations of words. What a word is in scripts without spaces: see `units.words`."""

from __future__ import annotations

import random
from collections.abc import Sequence

from xstilts.perturb.units import Change, Kind, is_space, spaced


def _delete(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    """The word with the space after it; the last word with the space before."""
    found = []
    for i in _places(units):
        start, stop = i, i + 1
        if stop < len(units):
            stop += is_space(units[stop])
        elif start and is_space(units[start - 1]):
            start -= 1
        found.append(Change(start, stop, ()))
    return found


def _repeat(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    """The word twice, with a space where the language has spaces."""
    between = (" ",) if spaced(language) else ()
    return [Change(i, i + 1, (units[i], *between, units[i])) for i in _places(units)]


def _shuffle(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    """Two words at most two apart change places; what is between them stays."""
    places = _places(units)
    found = []
    for position, i in enumerate(places):
        apart = rng.choice((1, 2))
        if position + apart < len(places):
            stop = places[position + apart] + 1
            if units[i] != units[stop - 1]:
                found.append(Change(i, stop, tuple(reversed(units[i:stop]))))
    return found


def _places(units: Sequence[str]) -> list[int]:
    return [i for i, unit in enumerate(units) if not is_space(unit)]


WORD_DELETE = Kind("word_delete", "word", _delete, keeps_count=False)
WORD_REPEAT = Kind("word_repeat", "word", _repeat, keeps_count=False)
WORD_SHUFFLE = Kind("word_shuffle", "word", _shuffle)
