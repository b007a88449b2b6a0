"""What a report is made from: everything in it is a pure function of one `Results`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from xstilts.analysis.best import Best, best_per_target
from xstilts.analysis.claims import Judged, judge
from xstilts.analysis.gains import BASELINE
from xstilts.analysis.gains import gains as gains_of
from xstilts.analysis.gains import scores as scores_of
from xstilts.analysis.hierarchy import Evidence
from xstilts.analysis.hierarchy import evidence as evidence_of
from xstilts.analysis.mixed import Mixed, mixed_model, paired_gains
from xstilts.analysis.perturbations import CLEAN, ROBUST
from xstilts.analysis.ranking import VARIANT, Ranking
from xstilts.analysis.ranking import ranking as ranking_of
from xstilts.analysis.robustness import measures
from xstilts.analysis.summary import RETRIEVAL, RETRIEVAL_SHAPES
from xstilts.analysis.variants import over_bases
from xstilts.claims import Claims
from xstilts.report.text import clean

CONTRIBUTIONS = (
    "intermediate", "category", "control", "target", "level", "shape", "metric", "primary", "perturbation",
    "seed", "language", "seen", "id", "numerator", "denominator",
)  # fmt: skip
DEGENERATE = ("intermediate", "target", "seed", "phase", "reason", "restarts", "remedied",
              "key")  # fmt: skip
STEPS = ("key", "kind", "label", "seconds", "created", "state", "error")


@dataclass(frozen=True)
class Results:
    """A finished (or half-finished) study, read back from the store."""

    study: dict[str, Any]
    """What the person asked for: `name`, `question`, `model` (text or a mapping), `languages`, `seeds`,
    `intermediates` and `targets` (names, or mappings with `name` and, if known, `title`, `category`,
    `control`, `level`, `shape`), `stand_ins` (sentences), `settings` (a mapping, nested if need be), `data`
    (mappings with `task`, `split`, `language`, `source`, `identity`), `command` (repeats the study). Any may
    be missing."""
    contributions: pd.DataFrame
    """The tidy frame of docs/design.md, one row per example of every run; empty if no step got that far."""
    steps: pd.DataFrame
    """One row per step: `key`, `kind`, `label`, `seconds`, `created` (when it ended), `state` (`done`, `failed`, or
    others), `error`."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions, `host cpu`, `precision`, `git commit` and so on; nothing that a repeated run would change."""
    dev: pd.DataFrame = field(default_factory=pd.DataFrame)
    """English dev rows of the targets, with the columns of `contributions`: what the best intermediate of a target is
    chosen by, and nothing else."""
    degenerate: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Trainings that collapsed or diverged, a row per training and target that it is part of: `intermediate`, `target`
    ("": all that the intermediate has), `seed` (the study's), `phase` (`intermediate` or `target`), `reason` (a
    sentence), `restarts` (with the next seed), `remedied` (whether a restart cured it); where several rows are one
    training, also `key`, which names it. `study["degenerate_rule"]` states when a training is degenerate."""
    forecasts: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row per method, target and intermediate: `method`, `target`, `intermediate`, `category`, `control`, `score`
    (`xstilts predict-gain`); empty where nothing was foretold."""
    rates: pd.DataFrame = field(default_factory=pd.DataFrame)
    """How much of the evaluation rows was changed, a row per perturbed example: `target`, `language`, `perturbation`
    (the setting), `kind`, `asked` (0 to 1; NaN for a person's own test set), `id`, `edits`, `units`
    (docs/perturbations.md); empty without perturbations."""
    golds: pd.DataFrame | None = None
    """The right answers, a row per clean example: `target`, `language`, `gold` (decoded); what guessing would score."""
    claims: Claims | None = None
    """Hypotheses to be judged by these results."""


@dataclass(frozen=True)
class Entry:
    """An intermediate or a target as the report names it."""

    name: str
    title: str
    group: str
    """An intermediate's category (controls: `control`), a target's level (retrieval: `retrieval`)."""
    control: str = ""


@dataclass(frozen=True)
class Frames:
    """The tables of a study, computed once."""

    results: Results

    @cached_property
    def contributions(self) -> pd.DataFrame:
        """The contributions, with all their columns even when there is no row."""
        frame = self.results.contributions
        return frame if len(frame) else pd.DataFrame(columns=list(CONTRIBUTIONS))

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The steps, with all their columns even when there is no row."""
        return self.results.steps if len(self.results.steps) else pd.DataFrame(columns=list(STEPS))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """See `xstilts.analysis.gains.scores`."""
        return scores_of(self.contributions)

    @cached_property
    def gains(self) -> pd.DataFrame:
        """See `xstilts.analysis.gains.gains`."""
        return gains_of(self.contributions)

    @property
    def perturbed(self) -> bool:
        """Whether any rows were perturbed."""
        return ROBUST in set(self.gains["perturbation"])

    @property
    def measure(self) -> str:
        """What the answer is about: the robust gain where rows were perturbed, else the clean one."""
        return ROBUST if self.perturbed else CLEAN

    @property
    def own_tasks(self) -> list[tuple[str, str]]:
        """(intermediate, target) that are no transfer between tasks: it learns the very task its target is fine-tuned
        on."""
        return [(str(arm), str(target)) for arm, target in self.results.study.get("own_tasks") or []]

    @cached_property
    def evidence(self) -> list[Evidence]:
        """See `xstilts.analysis.hierarchy.evidence`: what the ranking and the claims rest on."""
        return evidence_of(self.contributions)

    @cached_property
    def ranking(self) -> Ranking:
        """See `xstilts.analysis.ranking.ranking`, without `own_tasks`."""
        return ranking_of(self.contributions, left_out=self.own_tasks, ready=self.evidence)

    @cached_property
    def robustness(self) -> pd.DataFrame:
        """See `xstilts.analysis.robustness.measures`."""
        return measures(self.contributions, self.results.golds)

    @cached_property
    def mixed(self) -> Mixed:
        """See `xstilts.analysis.mixed.mixed_model`; of the robust gains where there are any, without the pairs and the
        variants that `ranking` leaves out."""
        pairs = paired_gains(self.contributions, self.measure)
        own = pairs.set_index(["intermediate", "target"]).index.isin(self.own_tasks)
        return mixed_model(pairs[(pairs["category"] != VARIANT) & ~own])

    @cached_property
    def judged(self) -> Judged | None:
        """See `xstilts.analysis.claims.judge`; None where the study has no claims."""
        if self.results.claims is None:
            return None
        study = self.results.study
        return judge(self.results.claims, self.contributions, study, self.best, evidence=self.evidence)

    @cached_property
    def best(self) -> Best:
        """See `xstilts.analysis.best.best_per_target`."""
        return best_per_target(self.contributions, self.results.dev, self.gains)

    @cached_property
    def variants(self) -> pd.DataFrame:
        """See `xstilts.analysis.variants.over_bases`; `study["varies"]` maps a variant to the arm it varies."""
        return over_bases(self.contributions, self.results.study.get("varies") or {})

    @cached_property
    def intermediates(self) -> list[Entry]:
        """Without the baseline, in the study's order, controls last."""
        known = _known(self.contributions, "intermediate", ["category", "control"])
        entries = []
        for name, about in _entries(self.results.study.get("intermediates"), known).items():
            control = clean(about.get("control") or "")
            group = "control" if control else clean(about.get("category") or "")
            entries.append(Entry(name, clean(about.get("title") or name, 60), group, control))
        return sorted((e for e in entries if e.name != BASELINE), key=lambda e: bool(e.control))

    @cached_property
    def targets(self) -> list[Entry]:
        """In the study's order within syntactic, semantic, then others, retrieval last."""
        known = _known(self.contributions, "target", ["level", "shape"])
        entries = []
        for name, about in _entries(self.results.study.get("targets"), known).items():
            group = RETRIEVAL if about.get("shape") in RETRIEVAL_SHAPES else clean(about.get("level") or "")
            entries.append(Entry(name, clean(about.get("title") or name, 60), group))
        order = {"syntactic": 0, "semantic": 1, RETRIEVAL: 3}
        return sorted(entries, key=lambda e: order.get(e.group, 2))


def _known(contributions: pd.DataFrame, column: str, about: list[str]) -> dict[str, dict[str, Any]]:
    rows = contributions.drop_duplicates(column).sort_values(column)
    return {str(row[column]): {name: row[name] for name in about} for _, row in rows.iterrows()}


def _entries(stated: Any, known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the study states of each name, filled up from the contributions; other names come last."""
    merged: dict[str, dict[str, Any]] = {}
    for entry in stated or []:
        about = dict(entry) if isinstance(entry, dict) else {"name": entry}
        name = str(about["name"])
        merged[name] = known.get(name, {}) | {k: v for k, v in about.items() if v is not None}
    return merged | {name: about for name, about in known.items() if name not in merged}


def keyed(frame: pd.DataFrame, *columns: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """Rows as mappings, by the values of `columns`, in the frame's order; the last of several wins."""
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]
    return {tuple(str(row[name]) for name in columns): row for row in rows}
