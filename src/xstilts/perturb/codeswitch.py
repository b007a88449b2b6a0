"""A table of translated words learned from aligned sentences: no dictionary at hand is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xstilts.perturb.resources import word_of
from xstilts.perturb.units import Need, words

_ROUNDS = 10
"""Of expectation-maximisation. The likelihood of model 1 has one maximum, and most of the way there is made in five."""
_CELLS = 8_000_000
"""Word pairs held at once, some 20,000 sentences of 20 words and 400 MB; pairs beyond are thinned evenly."""
_LONGEST = 60
"""Words of a sentence; longer ones cost much and align badly."""
_SEEN = 2.0
"""Links (posterior mass) that a translation must have been seen by."""
_SHARE = 0.3
"""Of a word's occurrences that must be linked to a translation, for it to count as one."""
_MOST = 3
"""Translations of a word; with a share of 0.3 there can be no more."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Words of one language and their translations into another, the likeliest first."""

    words: Mapping[str, tuple[str, ...]]
    """By the case-folded word; translations are spelt as they mostly are."""

    @property
    def needs(self) -> Need:
        """See `Resource`."""
        return "table"

    def prepare(self, texts: Sequence[Sequence[str]]) -> None:
        """See `Resource`: there is nothing to do."""

    def options(self, units: Sequence[str]) -> dict[int, tuple[str, ...]]:
        """See `Resource`. Punctuation at a word stays; a word that is spelt alike in both languages has no option."""
        found = {}
        for i, unit in enumerate(units):
            word = word_of(unit)
            others = self.words.get(word.core.casefold(), ()) if word else ()
            if word and (others := tuple(other for other in others if other.casefold() != word.core.casefold())):
                found[i] = tuple(word.before + other + word.after for other in others)
        return found


def learn_table(pairs: Iterable[tuple[str, str]]) -> Table:
    """Translations of the first texts' words in the second, from sentences that are translations of one another.

    Sentences: (text to be switched, text switched to), for a table into English (text, english). **They must not be
    rows that are evaluated**: nothing here can tell. IBM model 1 (Brown et al. 1993, Computational Linguistics 19(2),
    section 4.2) is fitted in both directions; the link of two words counts as the product of both posteriors, as in
    alignment by agreement (Liang, Taskar & Klein 2006, section 3.2), which is the soft form of keeping what both
    directions say. A translation is kept when its links are at least 2 and at least 0.3 of the word's occurrences.

    Words are those of `units.words`, case-folded and without punctuation. In scripts without spaces these are runs of
    characters and no words, so a table from or into such a language has few entries and poor ones; `code_switch` does
    not apply to texts in them. An empty table, which switches nothing, is what too few pairs give.
    """
    spelt: dict[str, Counter[str]] = {}
    sentences = []
    for first, second in pairs:
        ones, others = _words(first), _words(second)
        for word in others:
            spelt.setdefault(word.casefold(), Counter())[word] += 1
        if 0 < len(ones) <= _LONGEST and 0 < len(others) <= _LONGEST:
            sentences.append(([word.casefold() for word in ones], [word.casefold() for word in others]))
    sentences = _thinned(sentences)
    if not sentences:
        return Table({})
    cells = Cells.of(sentences)
    links = np.bincount(cells.pair, cells.posterior() * cells.turned().posterior(), minlength=len(cells.pairs))
    share = links / cells.occurrences[cells.pairs[:, 0]]
    found: dict[str, list[tuple[float, str]]] = {}
    for k in np.flatnonzero((links >= _SEEN) & (share >= _SHARE)):
        one, other = cells.pairs[k]
        form = spelt[cells.others[other]].most_common(1)[0][0]
        found.setdefault(cells.ones[one], []).append((-share[k], form))
    return Table({word: tuple(form for _, form in sorted(options)[:_MOST]) for word, options in sorted(found.items())})


class Cells(NamedTuple):
    """Every word of a sentence beside every word of its translation, as flat arrays of one entry per cell."""

    ones: list[str]
    """Different words of the first language, by id."""
    others: list[str]
    pairs: Ints
    """[pairs, 2]: ids of the different pairs of words that are ever beside one another."""
    pair: Ints
    """[cells]: which of `pairs`."""
    place: Ints
    """[cells]: which token of the first side it is, counted over all sentences."""
    other_place: Ints
    occurrences: Floats
    """[ones]: how often each word of the first language occurs."""
    other_occurrences: Floats

    @classmethod
    def of(cls, sentences: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Cells:
        """The cells of sentences given as words."""
        first: dict[str, int] = {}
        second: dict[str, int] = {}
        ids = [np.array([first.setdefault(word, len(first)) for word in ones]) for ones, _ in sentences]
        other_ids = [np.array([second.setdefault(word, len(second)) for word in others]) for _, others in sentences]
        parts, places, other_places = [], [], []
        begin = other_begin = 0
        for one, other in zip(ids, other_ids, strict=True):
            parts.append(np.repeat(one, len(other)) * len(second) + np.tile(other, len(one)))
            places.append(np.repeat(np.arange(begin, begin + len(one)), len(other)))
            other_places.append(np.tile(np.arange(other_begin, other_begin + len(other)), len(one)))
            begin, other_begin = begin + len(one), other_begin + len(other)
        keys, pair = np.unique(np.concatenate(parts), return_inverse=True)
        return cls(
            list(first), list(second), np.stack([keys // len(second), keys % len(second)], axis=1), pair,
            np.concatenate(places), np.concatenate(other_places),
            np.bincount(np.concatenate(ids)).astype(np.float64), np.bincount(np.concatenate(other_ids)).astype(float),
        )  # fmt: skip

    def turned(self) -> Cells:
        """The same cells, the other language first."""
        return Cells(self.others, self.ones, self.pairs[:, ::-1], self.pair, self.other_place, self.place,
                     self.other_occurrences, self.occurrences)  # fmt: skip

    def fit(self, rounds: int, empty: bool = True) -> tuple[Floats, Floats]:
        """(t(second | first) [pairs], t(second | empty word) [others]) of IBM model 1 after some rounds from a uniform
        start; `empty` is whether words of the second language may come from no word."""
        t = np.full(len(self.pairs), 1 / len(self.others))
        null = np.full(len(self.others), 1 / len(self.others) if empty else 0.0)
        for _ in range(rounds):
            weights, from_null = self._shares(t, null)
            counts = np.bincount(self.pair, weights, minlength=len(self.pairs))
            t = counts / np.bincount(self.pairs[:, 0], counts)[self.pairs[:, 0]]
            null = np.bincount(self._other_word(), from_null, minlength=len(self.others))
            null = null / max(null.sum(), np.finfo(float).tiny)
        return t, null

    def posterior(self) -> Floats:
        """[cells]: how likely the second word of a cell comes from its first word, among the words of the sentence."""
        return self._shares(*self.fit(_ROUNDS))[0]

    def _shares(self, t: Floats, null: Floats) -> tuple[Floats, Floats]:
        """(share of each cell in its second word [cells], of the empty word in each token of the second side)."""
        values = t[self.pair]
        empty = null[self._other_word()]
        total = np.bincount(self.other_place, values, minlength=len(empty)) + empty
        return values / total[self.other_place], empty / total

    def _other_word(self) -> Ints:
        """[tokens of the second side]: the word's id."""
        words_of_places = np.empty(self.other_place.max() + 1, dtype=np.int64)
        words_of_places[self.other_place] = self.pairs[self.pair, 1]
        return words_of_places


def _words(text: str) -> list[str]:
    return [word.core for unit in words(text) if (word := word_of(unit)) is not None]


def _thinned(sentences: list[tuple[list[str], list[str]]]) -> list[tuple[list[str], list[str]]]:
    """So many of them, spread evenly, that their cells fit."""
    cells = sum(len(ones) * len(others) for ones, others in sentences)
    if cells <= _CELLS:
        return sentences
    step = cells / _CELLS
    return [sentences[int(i * step)] for i in range(int(len(sentences) / step))]
