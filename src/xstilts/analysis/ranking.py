"""The answer's numbers: which category of intermediate helps which group of targets, and how sure that is.

A gain is a mean, in this order and always unweighted: over seeds, over languages without the source, over settings
(`robust` only), over the intermediates of a category, over the targets of a group. Everything is computed on that
mean itself, from examples up (`hierarchy.py`, `components.py`), not from intervals of single targets.

What is missing: a pair of intermediate and target counts where both arms have runs of the same seeds in all settings
and languages of the measure. A target counts for a category where all its intermediates have the pair, those without
a pair on any target of the group left aside; targets that do not count are in the column `missing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from xstilts.analysis.bootstrap import NAN
from xstilts.analysis.chances import DRAWS, chances, seeds_needed
from xstilts.analysis.components import NO_ESTIMATE, Pool, estimate, pool, usable
from xstilts.analysis.gains import ARM, BASELINE, SOURCE
from xstilts.analysis.hierarchy import Evidence, evidence, without
from xstilts.analysis.multiple import benjamini_hochberg, holm, sign_flip
from xstilts.analysis.runs import MEASURES
from xstilts.analysis.summary import RETRIEVAL

VARIANT = "variant"
"""Category of intermediates that vary another one (`xstilts.arms.Intermediate.category`)."""
GROUPS = ("syntactic", "semantic", RETRIEVAL)
Languages = Literal["these", "such"]

_NUMBERS = ["low", "high", "se", "se_examples", "se_seeds", "se_languages", "df", "p", "p_cautious",
            "p_permutation", "p_holm", "p_bh"]  # fmt: skip
_COUNTS = ["n_targets", "missing", "n_languages", "n_seeds", "n_examples", "n_settings"]
CATEGORIES = ["group", "measure", "category", "gain", *_NUMBERS, "best", "n_best", "n_intermediates", *_COUNTS,
              "seeds_covered", "calibrated", "seeds_needed"]  # fmt: skip
INTERMEDIATES = ["group", "measure", "intermediate", *ARM, "gain", *_NUMBERS, "best", "n_best", *_COUNTS,
                 "seeds_covered", "calibrated", "seeds_needed"]  # fmt: skip
CONTRASTS = ["group", "measure", "category", "other", "difference", *_NUMBERS, *_COUNTS, "seeds_covered",
             "calibrated", "seeds_needed"]  # fmt: skip
LEVELS = ["measure", "category", "difference", *_NUMBERS, *_COUNTS, "seeds_covered", "calibrated", "seeds_needed"]


_CALIBRATED = 3
"""Seeds from which on intervals covered 93 to 97 % in every simulated kind of study (docs/power.md)."""
FRAMES = ("categories", "intermediates", "contrasts", "levels")


@dataclass(frozen=True)
class Ranking:
    """Gains in points, each with its interval, p values and counts; docs/statistics.md has the formulae.

    Columns that several frames share:

    - `measure`: `clean`, or `robust` (mean over all other settings); rows of `robust` exist where settings do.
    - `gain` or `difference`; `low`, `high`: its interval at the level asked for, not corrected for many comparisons;
      `se` with its parts `se_examples`, `se_seeds`, `se_languages`; `df` of Student's t. NaN without any pair.
    - `p`: two-sided, of no effect, by the same t. `p_permutation`: by flipping pairs of runs (`multiple.sign_flip`),
      which with few of them cannot be small; NaN in `levels`. `p_cautious`: `p` with fewer
      degrees of freedom, right in the far tail too (`components.py`); `p_holm`, `p_bh`: this corrected over the
      family, which is all rows of the frame with that measure that are not of controls.
    - `best`: probability of being the best of its group and measure, summing to 1 over those that take part;
      `n_best`: targets that this is judged on, those that all of them have (`chances.py`).
    - `n_targets`; `missing`: targets of the group left out for want of a pair; `n_languages` (distinct);
      `n_seeds`: pairs of runs of the pair that has fewest; `n_examples`: distinct examples over targets and languages;
      `n_settings` (distinct); `seeds_covered`: whether the interval covers the choice of seeds, which takes two;
      `calibrated`: whether there are three or more, for with two it can cover less than 93 % (docs/power.md).
    - `seeds_needed`: seeds in all that would make the interval leave out 0 if the gain stayed what it is
      (`chances.seeds_needed`); `n_seeds` where it does already, inf where more examples are needed, NaN with one seed.
    """

    categories: pd.DataFrame
    """One row per group, measure and category, without controls and variants; by group, measure and falling gain."""
    intermediates: pd.DataFrame
    """The same per intermediate, with `category` and `control`; controls have no `best` and no corrected p."""
    contrasts: pd.DataFrame
    """Per group and measure, every pair of categories: `category` less `other` on the targets that both have."""
    levels: pd.DataFrame
    """Per measure and category: gain on syntactic less gain on semantic targets."""
    level: float = 0.95
    languages: Languages = "these"


def ranking(
    contributions: pd.DataFrame, level: float = 0.95, draws: int = 2000, seed: int = 0, *,
    languages: Languages = "these", source: str = SOURCE, left_out: Collection[tuple[str, str]] = (),
    ready: Sequence[Evidence] | None = None,
) -> Ranking:  # fmt: skip
    """The ranking of categories and intermediates; `contributions` as in docs/design.md. Pairs (intermediate, target)
    in `left_out` count as not run. `ready` is `hierarchy.evidence` of the contributions, where it is there already.

    `languages` says what an interval speaks of: `these` languages, or languages `such` as these, as if they had been
    drawn at random from many. Targets and intermediates are always taken as given.
    """
    known = contributions.drop_duplicates("intermediate").set_index("intermediate")[ARM].astype(object)
    arms = {str(name): (str(row["category"]), str(row["control"])) for name, row in known.iterrows()}
    arms.pop(BASELINE, None)
    if ready is None:
        ready = evidence(contributions, draws, seed, by_language=languages == "such", source=source)
    return rank(without(ready, left_out), arms, level, seed, languages=languages)


def rank(
    found: Sequence[Evidence], arms: Mapping[str, tuple[str, str]], level: float = 0.95, seed: int = 0, *,
    languages: Languages = "these", chance_draws: int = DRAWS, only: Collection[str] = FRAMES,
) -> Ranking:  # fmt: skip
    """The ranking from the evidence of all targets; `arms` gives each intermediate's (category, control).

    For simulations: `chance_draws` is the number of draws for `best`, and frames not in `only` stay empty.
    """
    study = _Study({one.target: one for one in found}, arms, level, seed, chance_draws)
    frames = {
        name: _frame(columns, list(make(study)) if name in only else []) for name, (columns, make) in _FRAMES.items()
    }
    return Ranking(**frames, level=level, languages=languages)


class _Study:
    """The evidence with what the rows share; pools are made once."""

    def __init__(
        self, evidence: Mapping[str, Evidence], arms: Mapping[str, tuple[str, str]], level: float, seed: int, draws: int
    ) -> None:
        self.evidence, self.arms, self.level, self.seed, self.draws = evidence, arms, level, seed, draws
        self._pools: dict[tuple[Any, ...], Pool] = {}

    @cached_property
    def members(self) -> dict[str, list[str]]:
        """Intermediates per category, without controls and variants: what these vary is not the category."""
        found: dict[str, list[str]] = {}
        for arm, (category, control) in sorted(self.arms.items()):
            if not control and category != VARIANT:
                found.setdefault(category, []).append(arm)
        return dict(sorted(found.items()))

    def cells(self) -> Iterator[tuple[str, str, list[str]]]:
        """(group, measure, targets) of all that have any target, the three groups first."""
        groups = {one.group for one in self.evidence.values()}
        for group in (*(g for g in GROUPS if g in groups), *sorted(groups - set(GROUPS))):
            for measure in MEASURES:
                targets = self.targets(group, measure)
                if targets:
                    yield group, measure, targets

    def targets(self, group: str, measure: str) -> list[str]:
        """Targets of the group that have the measure."""
        return sorted(t for t, one in self.evidence.items() if one.group == group and measure in one.measures)

    def covered(self, arms: Sequence[str], targets: Sequence[str], measure: str) -> tuple[list[str], list[str]]:
        """Those of `arms` with a pair on any target, and the targets on which all of these have one."""
        has = {arm: {t for t in targets if self._has(arm, t, measure)} for arm in arms}
        there = [arm for arm in arms if has[arm]]
        return there, [t for t in targets if there and all(t in has[arm] for arm in there)]

    def _has(self, arm: str, target: str, measure: str) -> bool:
        one = self.evidence[target]
        return arm in one.arms and bool(usable(one.measures[measure])[one.arms.index(arm)])

    def pool(self, targets: Mapping[str, float], measure: str, control: str = "") -> Pool:
        """All intermediates but controls, and `control` where it is named, on weighted targets."""
        key = (tuple(targets.items()), measure, control)
        if key not in self._pools:
            peers = {arm for arm, (_, kind) in self.arms.items() if not kind} | {control}
            self._pools[key] = pool(targets, self.evidence, measure, peers)
        return self._pools[key]

    def row(
        self, arms: Mapping[str, float], targets: Mapping[str, float], measure: str, missing: int, *,
        value: str = "gain", control: str = "", flips: bool = True,
    ) -> dict[str, Any]:  # fmt: skip
        """The numbers and counts of one statistic, with weights of intermediates and targets."""
        mine = [self.evidence[t] for t in targets]
        found, p_permutation = NO_ESTIMATE, NAN
        if arms and targets:
            shared = self.pool(targets, measure, control)
            found = estimate(shared, arms, self.level)
            if flips:
                name = (measure, *map(str, arms.items()), *targets)
                p_permutation = sign_flip(shared.by_target @ shared.index(arms), self.seed, name)
        numbers = dict(vars(found))
        numbers[value] = numbers.pop("gain")
        settings = max((one.measures[measure].n_settings for one in mine), default=0)
        return numbers | {
            "p_permutation": p_permutation, "n_targets": len(mine), "missing": missing,
            "n_languages": len({language for one in mine for language in one.languages}),
            "n_examples": sum(one.measures[measure].n_examples for one in mine), "n_settings": settings,
            "seeds_covered": found.n_seeds > 1, "calibrated": found.n_seeds >= _CALIBRATED,
            "seeds_needed": seeds_needed(found, self.level),
        }  # fmt: skip


def _even(names: Sequence[str], sign: float = 1.0) -> dict[str, float]:
    return {name: sign / len(names) for name in names}


def _categories(study: _Study) -> Iterator[dict[str, Any]]:
    for group, measure, targets in study.cells():
        rows, sides = [], {}
        for category, arms in study.members.items():
            there, mine = study.covered(arms, targets, measure)
            sides[category] = _even(there) if mine else {}
            row = study.row(_even(there), _even(mine), measure, len(targets) - len(mine))
            rows.append({"group": group, "measure": measure, "category": category, "n_intermediates": len(there)} | row)
        yield from _ranked(rows, "category", *_best(study, sides, targets, measure))


def _intermediates(study: _Study) -> Iterator[dict[str, Any]]:
    for group, measure, targets in study.cells():
        rows, sides = [], {}
        for arm, (category, control) in study.arms.items():
            there, mine = study.covered([arm], targets, measure)
            if not control:
                sides[arm] = _even(there)
            row = study.row(_even(there), _even(mine), measure, len(targets) - len(mine),
                            control=arm if control else "")  # fmt: skip
            about = {"intermediate": arm, "category": category, "control": control}
            rows.append({"group": group, "measure": measure} | about | row)
        yield from _ranked(rows, "intermediate", *_best(study, sides, targets, measure))


def _best(
    study: _Study, sides: Mapping[str, Mapping[str, float]], targets: Sequence[str], measure: str
) -> tuple[dict[str, float], int]:
    """The probability of being best of all `sides` that have any pair, and the number of targets they all have."""
    sides = {name: weights for name, weights in sides.items() if weights}
    arms = sorted({arm for weights in sides.values() for arm in weights})
    _, common = study.covered(arms, targets, measure)
    if not common:
        return {}, 0
    shared = study.pool(_even(common), measure)
    return chances(shared, sides, study.level, study.seed, study.draws), len(common)


def _ranked(rows: list[dict[str, Any]], name: str, best: Mapping[str, float], n_best: int) -> list[dict[str, Any]]:
    """Rows with `best`, the highest gain first and those without a gain last."""
    rows = [row | {"best": best.get(row[name], NAN), "n_best": n_best if row[name] in best else 0} for row in rows]
    return sorted(rows, key=lambda row: (bool(np.isnan(row["gain"])), -np.nan_to_num(row["gain"]), row[name]))


def _contrasts(study: _Study) -> Iterator[dict[str, Any]]:
    for group, measure, targets in study.cells():
        for one, other in combinations(study.members, 2):
            sides = [study.covered(study.members[name], targets, measure) for name in (one, other)]
            mine = [t for t in targets if all(t in have for _, have in sides)]
            weights = _even(sides[0][0]) | _even(sides[1][0], -1.0) if mine else {}
            row = study.row(weights, _even(mine), measure, len(targets) - len(mine), value="difference")
            yield {"group": group, "measure": measure, "category": one, "other": other} | row


def _levels(study: _Study) -> Iterator[dict[str, Any]]:
    for measure in MEASURES:
        sides = [study.targets(group, measure) for group in GROUPS[:2]]
        if not all(sides):
            continue
        for category, arms in study.members.items():
            there, mine = study.covered(arms, [t for side in sides for t in side], measure)
            kept = [[t for t in side if t in mine] for side in sides]
            weights = _even(kept[0]) | _even(kept[1], -1.0) if all(kept) else {}
            missing = sum(map(len, sides)) - len(weights)
            row = study.row(_even(there), weights, measure, missing, value="difference", flips=False)
            yield {"measure": measure, "category": category} | row


def _frame(columns: list[str], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The frame, with p values corrected over its rows of one measure that are not of controls."""
    frame = pd.DataFrame(rows, columns=[*columns, *({"control"} - {*columns})])
    p = frame["p_cautious"].astype(float).where(frame["control"].isna() | (frame["control"] == ""))
    for name, correct in (("p_holm", holm), ("p_bh", benjamini_hochberg)):
        frame[name] = p.groupby(frame["measure"]).transform(lambda part, correct=correct: correct(part.to_numpy()))
    return frame[columns]


_FRAMES = {
    "categories": (CATEGORIES, _categories),
    "intermediates": (INTERMEDIATES, _intermediates),
    "contrasts": (CONTRASTS, _contrasts),
    "levels": (LEVELS, _levels),
}
