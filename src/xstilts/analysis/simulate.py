"""Studies with known effects: what the statistics of the answer are calibrated on (docs/power.md).

An example is right where U < p, with U uniform. p is the accuracy of the run, U a difficulty that all runs share, or
the intermediate's own, or the run's own luck. So runs of the same examples are correlated as real ones are, and the
true gain is exactly the one that was asked for, in points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xstilts.analysis.gains import BASELINE
from xstilts.analysis.perturbations import CLEAN
from xstilts.analysis.runs import Language, Runs
from xstilts.analysis.summary import RETRIEVAL

ARMS = {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "c1": "c", "d1": "d"}
TARGETS = {"s1": "syntactic", "s2": "syntactic", "s3": "syntactic", "m1": "semantic", "m2": "semantic",
           "m3": "semantic", "m4": "semantic", "r1": RETRIEVAL}  # fmt: skip


@dataclass(frozen=True)
class World:
    """What simulated studies are drawn from. Standard deviations (`sd_`) are in points."""

    seeds: int = 3
    languages: int = 6
    examples: int = 200
    """Per language and target."""
    settings: int = 2
    """Perturbed settings beside the clean one; each lowers all accuracies by 8 points."""
    gains: Mapping[str, float] = field(default_factory=dict)
    """True gain per category on every target and setting; 0 where not named."""
    arms: Mapping[str, str] = field(default_factory=lambda: ARMS)
    """Category of each intermediate."""
    targets: Mapping[str, str] = field(default_factory=lambda: TARGETS)
    """Group of each target."""
    base: float = 0.7
    """Accuracy of the baseline on clean text."""
    sd_run: float = 0.7
    """Of one fine-tuning (arm, target, seed), the baseline's included, over all languages."""
    sd_run_language: float = 0.7
    """Of one fine-tuning in one language."""
    sd_checkpoint: float = 0.5
    """Of one intermediate training (arm, seed), over all targets."""
    sd_language: float = 0.0
    """Of an intermediate's true gain between languages, the same on all targets."""
    random_languages: bool = False
    """Whether the languages' gains differ from the true one on average too, as those of a random choice do."""
    shared: float = 0.5
    """Share of answers that depend on the difficulty that all runs share."""
    own: float = 0.2
    """Share that depends on a difficulty of the intermediate's own."""
    parallel: bool = True
    """Whether half of what all runs share is shared by the languages too, and their ids are the same."""

    def run(self, generator: np.random.Generator) -> list[Runs]:
        """One study, as the arrays that `contributions` would be cut into."""
        arms = (BASELINE, *sorted(self.arms))
        true = np.array([self.gains.get(self.arms.get(arm, ""), 0.0) for arm in arms])[:, None, None]
        one = (len(arms), self.seeds, 1)
        checkpoint = generator.normal(0, self.sd_checkpoint, one)
        by_language = generator.normal(0, self.sd_language, (len(arms), 1, self.languages))
        if not self.random_languages:
            by_language -= by_language.mean(axis=2, keepdims=True)
        checkpoint[0] = by_language[0] = 0.0  # the baseline has no intermediate phase
        found = []
        for target, group in sorted(self.targets.items()):
            luck = generator.normal(0, self.sd_run, one) + generator.normal(
                0, self.sd_run_language, (len(arms), self.seeds, self.languages)
            )
            accuracy = self.base + (true + checkpoint + by_language + luck) / 100
            found.append(self._target(generator, target, group, arms, accuracy))
        return found

    def _target(
        self, generator: np.random.Generator, target: str, group: str, arms: tuple[str, ...],
        accuracy: NDArray[np.float64],
    ) -> Runs:  # fmt: skip
        """`accuracy` is [arms, seeds, languages]."""
        n, size = self.examples, (*accuracy.shape, self.examples)
        everywhere, here = generator.random((2, 1, 1, self.languages, n), dtype=np.float32)
        if self.parallel:
            everywhere = np.where(generator.random(here.shape) < 0.5, everywhere[:, :, :1], here)
        own = generator.random((len(arms), 1, self.languages, n), dtype=np.float32)
        kind = generator.random(size, dtype=np.float32)
        luck = generator.random(size, dtype=np.float32)
        clean = np.where(kind < self.shared, everywhere, np.where(kind < self.shared + self.own, own, luck))
        right = [clean < accuracy[..., None]]
        for _ in range(self.settings):
            again = generator.random(size, dtype=np.float32)
            changed = generator.random((1, 1, self.languages, n)) < 0.3
            right.append(np.where(changed, again, clean) < accuracy[..., None] - 0.08)
        numerators = np.stack(right).astype(float)  # [settings, arms, seeds, languages, examples]
        settings = (CLEAN, *(f"noise@{0.1 * (k + 1):g}" for k in range(self.settings)))
        languages = []
        for k in range(self.languages):
            ids = tuple(f"{'' if self.parallel else k}-{i:06d}" for i in range(n))
            own_rows = np.ascontiguousarray(numerators[:, :, :, k])
            languages.append(Language(f"q{k:02d}", ids, own_rows, np.ones_like(own_rows), (True,) * len(settings)))
        return Runs(target, group, settings, arms, tuple(range(1, self.seeds + 1)), tuple(languages))


def frame(studied: list[Runs], arms: Mapping[str, str]) -> pd.DataFrame:
    """The same study as `contributions`, which `ranking` takes."""
    parts = []
    for one in studied:
        for language in one.languages:
            for (p, a, s), _ in np.ndenumerate(language.numerators[..., 0]):
                parts.append(pd.DataFrame({
                    "intermediate": one.arms[a], "category": arms.get(one.arms[a], ""), "control": "",
                    "target": one.target, "level": "semantic" if one.group == RETRIEVAL else one.group,
                    "shape": "retrieve" if one.group == RETRIEVAL else "classify", "metric": "accuracy",
                    "primary": True, "perturbation": one.settings[p], "seed": one.seeds[s],
                    "language": language.name, "seen": True, "id": list(language.ids),
                    "numerator": language.numerators[p, a, s], "denominator": language.denominators[p, a, s],
                }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)
