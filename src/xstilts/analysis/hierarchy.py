"""The paired bootstrap of whole targets: examples are drawn once for all arms, seeds, settings and parallel languages.

What a draw gives is a gain per measure (`clean`, `robust`), intermediate and seed, already averaged over languages and
settings, so that any statistic over targets is a sum over arrays that fit in memory. Examples are drawn within each
language; seeds and languages are not drawn but have their variance components (`components.py`), for a bootstrap over
two to five of anything is far too narrow (with n units its variance is (n - 1)/n of what it should be, and its
quantiles are those of a normal).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xstilts.analysis.bootstrap import Floats, named_generator, scores_of
from xstilts.analysis.gains import SOURCE
from xstilts.analysis.runs import Language, Runs, measures, runs

Floats32 = NDArray[np.float32]

_WEIGHTS, _ROWS = 2_000_000, 256  # a block's weights (8 MB in each thread) and its draws, at most
_FEW = 400  # draws for the noise of single languages, which enters only as a correction


@dataclass(frozen=True)
class Gained:
    """The gains of all intermediates of the study on one target by one measure, in points."""

    gains: Floats
    """[arms, seeds]; NaN where a run of the pair is missing in any setting or language of the measure."""
    resampled: Floats32
    """[arms, seeds, draws]: the same on resampled examples; 0 where `gains` is NaN."""
    shares: Floats
    """[languages]: the weight of each language; they sum to 1."""
    by_language: Floats
    """[languages, arms]: what each language brings to the mean over seeds of `gains` (they sum to it)."""
    by_language_resampled: Floats
    """[languages, arms, few draws]; without draws unless languages are to be random."""
    n_settings: int
    n_examples: int
    """Distinct examples over all languages."""
    smallest: int
    """Examples of the language that has fewest."""


@dataclass(frozen=True)
class Evidence:
    """One target: what all statistics are computed from."""

    target: str
    group: str
    arms: tuple[str, ...]
    """All intermediates of the study, without the baseline."""
    languages: tuple[str, ...]
    measures: Mapping[str, Gained]


def evidence(
    contributions: pd.DataFrame, draws: int = 2000, seed: int = 0, *, by_language: bool = False, source: str = SOURCE
) -> list[Evidence]:
    """Gains and resampled gains of every target in `contributions`, zero-shot (without `source`), primary metric.

    Each draw takes as many examples of a language as there are, with replacement, and scores every arm, seed and
    setting on them (an example that a setting lacks counts in those that have it). Languages whose examples have the
    same ids are parallel and share their draws. Draws are a function of `seed`, the target and the ids alone.
    """
    return [resample(one, draws, seed, by_language=by_language) for one in runs(contributions, source)]


def resample(one: Runs, draws: int, seed: int, *, by_language: bool = False) -> Evidence:
    """The evidence that one target gives; see `evidence`."""
    weights = measures(one)
    stacked = np.stack(list(weights.values()))  # [measures, settings, languages]
    scores = np.stack([_scores(language) for language in one.languages], axis=1)  # [settings, languages, arms, seeds]
    gained = scores[:, :, 1:] - scores[:, :, :1]
    # a weight of 0 must not let a missing run through, nor keep one out
    parts = np.where(stacked[..., None, None] > 0, stacked[..., None, None] * gained, 0.0).sum(axis=1)
    gains = parts.sum(axis=1)  # [measures, arms, seeds]
    use = ~np.isnan(gains)
    counted = np.maximum(use.sum(axis=2), 1)
    per_language = np.where(use[:, None], parts, 0.0).sum(axis=3) / counted[:, None]  # [measures, languages, arms]
    resampled = _draw(one, stacked, use, draws, seed)
    few = _draw_languages(one, stacked, use, min(draws, _FEW) if by_language else 0, seed)
    sizes = [len(language.ids) for language in one.languages]
    found = {
        measure: Gained(
            gains[m], resampled[m], stacked[m].sum(axis=0), per_language[m], few[m],
            int((stacked[m].sum(axis=1) > 0).sum()), sum(sizes), min(sizes),
        )
        for m, measure in enumerate(weights)
    }  # fmt: skip
    return Evidence(one.target, one.group, one.arms[1:], tuple(x.name for x in one.languages), found)


def without(found: Sequence[Evidence], pairs: Collection[tuple[str, str]]) -> list[Evidence]:
    """The evidence as if some (intermediate, target) had not been run."""
    return [
        replace(one, measures={name: _masked(gained, gone) for name, gained in one.measures.items()})
        if (gone := np.array([(arm, one.target) in pairs for arm in one.arms])).any() else one
        for one in found
    ]  # fmt: skip


def _masked(gained: Gained, gone: NDArray[np.bool_]) -> Gained:
    """`gained` without the arms that are `gone` [arms]."""
    gains, resampled = gained.gains.copy(), gained.resampled.copy()
    gains[gone], resampled[gone] = np.nan, 0
    return replace(gained, gains=gains, resampled=resampled)


def _scores(language: Language) -> Floats:
    """[settings, arms, seeds], in percent."""
    return scores_of(language.numerators.sum(axis=3), language.denominators.sum(axis=3))


def drawn_weights(rows: int, examples: int, seed: int, sample: Sequence[str]) -> Floats32:
    """How often each example is drawn, [rows, examples]: multinomial counts, a function of `seed` and `sample`."""
    generator = named_generator(seed, *sample)
    narrow = np.uint16 if examples <= 1 << 16 else np.uint32  # half the random bits
    drawn = generator.integers(0, examples, size=(rows, examples), dtype=narrow)
    weights = np.empty((rows, examples), dtype=np.float32)
    for row, picked in zip(weights, drawn, strict=True):
        row[:] = np.bincount(picked, minlength=examples)
    return weights


def _parallel(one: Runs) -> list[list[int]]:
    """Places of languages, those with the same examples together."""
    found: dict[tuple[str, ...], list[int]] = {}
    for i, language in enumerate(one.languages):
        found.setdefault(language.ids, []).append(i)
    return list(found.values())


def _blocks(draws: int, examples: int) -> list[slice]:
    """Draws cut into blocks of a size that depends on the examples only, so that results do not depend on threads."""
    step = min(_ROWS, max(1, _WEIGHTS // max(examples, 1)))
    return [slice(first, min(first + step, draws)) for first in range(0, draws, step)]


def _draw(one: Runs, weights: Floats, use: NDArray[np.bool_], draws: int, seed: int) -> Floats32:
    """Resampled gains [measures, arms, seeds, draws] by `weights` [measures, settings, languages]."""
    groups = [([one.languages[i] for i in members], weights[:, :, members]) for members in _parallel(one)]
    prepared = [(group[0].ids, own, _columns(group, own)) for group, own in groups]
    out = np.zeros((draws, use.size), dtype=np.float32)
    largest = max(len(language.ids) for language in one.languages)

    def fill(block: slice) -> None:
        for ids, own, columns in prepared:
            drawn = drawn_weights(block.stop - block.start, len(ids), seed, (one.target, str(block.start), *ids))
            if isinstance(columns, _Sums):
                gained = np.einsum("mpl,rplas->rmas", own.astype(np.float32), columns.gains(drawn), optimize=True)
                out[block] += gained.reshape(len(drawn), -1)
            else:
                out[block] += drawn @ columns

    blocks = _blocks(draws, largest)
    if len(blocks) == 1:
        fill(blocks[0])
    else:
        with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:  # random numbers and products leave the lock
            list(pool.map(fill, blocks))
    found = np.ascontiguousarray(out.T).reshape(*use.shape, draws)
    found[~use] = 0.0
    return found


def _columns(languages: Sequence[Language], weights: Floats) -> Floats32 | _Sums:
    """What draws are multiplied with: columns [examples, measures * arms * seeds] that give gains, or sums.

    Where every example counts the same (accuracy), a score is a mean over examples and the mean over settings and
    languages can be taken before the draws rather than after each.
    """
    total: Floats | float = 0.0
    for k, language in enumerate(languages):
        counts = language.denominators[~np.isnan(language.denominators)]
        if counts.size == 0 or counts[0] == 0 or (counts != counts[0]).any():
            return _Sums.of(languages)
        numerators = np.nan_to_num(language.numerators, nan=0.0)
        gained = (numerators[:, 1:] - numerators[:, :1]) * (100.0 / (counts[0] * len(language.ids)))
        total = total + np.einsum("mp,pase->emas", weights[:, :, k], gained, optimize=True)
    return np.asarray(total, dtype=np.float32).reshape(len(languages[0].ids), -1)


@dataclass(frozen=True)
class _Sums:
    """Numerators and denominators of parallel languages as the columns of one matrix."""

    columns: Floats32
    """[examples, 2 * settings * languages * arms * seeds]"""
    shape: tuple[int, ...]

    @staticmethod
    def of(languages: Sequence[Language]) -> _Sums:
        """Missing runs become zeros."""
        arrays = [
            np.stack([getattr(language, name) for language in languages], axis=1)
            for name in ("numerators", "denominators")
        ]
        flat = np.concatenate([x.reshape(-1, x.shape[-1]) for x in arrays]).astype(np.float32)
        return _Sums(np.ascontiguousarray(np.nan_to_num(flat, nan=0.0).T), arrays[0].shape[:-1])

    def gains(self, drawn: Floats32) -> Floats32:
        """Gains over the first arm in points, [rows, settings, languages, arms - 1, seeds], for weights `drawn`."""
        numerators, denominators = np.split(drawn @ self.columns, 2, axis=1)
        numerators[denominators == 0] = 0.0
        scores = (numerators / np.maximum(denominators, np.float32(1e-9)) * np.float32(100)).reshape(-1, *self.shape)
        gained: Floats32 = scores[:, :, :, 1:] - scores[:, :, :, :1]
        return gained


def _draw_languages(one: Runs, weights: Floats, use: NDArray[np.bool_], draws: int, seed: int) -> Floats:
    """What each language brings to the resampled mean over seeds, [measures, languages, arms, draws]."""
    out = np.zeros((weights.shape[0], len(one.languages), use.shape[1], draws))
    counted = np.maximum(use.sum(axis=2), 1)
    for members in _parallel(one) if draws else ():
        languages = [one.languages[i] for i in members]
        drawn = drawn_weights(draws, len(languages[0].ids), seed, (one.target, "languages", *languages[0].ids))
        gained = _Sums.of(languages).gains(drawn)
        shares = use / counted[:, :, None]
        out[:, members] = np.einsum("mpl,mas,rplas->mlar", weights[:, :, members], shares, gained, optimize=True)
    return out
