"""What of a study a claim speaks of: the intermediates and targets that it selects, and their gains with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from xstilts.analysis.components import Estimate, Pool, estimate, pool, usable
from xstilts.analysis.gains import ARM, BASELINE, SOURCE, ZERO_SHOT
from xstilts.analysis.hierarchy import Evidence, evidence
from xstilts.analysis.perturbations import CLEAN, ROBUST, order, setting_of
from xstilts.analysis.runs import MEASURES
from xstilts.analysis.summary import RETRIEVAL, groups_of
from xstilts.claims import Statement
from xstilts.errors import did_you_mean
from xstilts.selections import ANY, Intermediates, Over, Targets, task_set

Taken = tuple[list[str], tuple[str, ...]]
"""Names, and notes on what is not as it was asked for: stand-ins, and fewer than are named."""


class NoData(Exception):
    """The study cannot say anything of a statement; the text says why."""


@dataclass(frozen=True)
class Arm:
    """What is known of an intermediate."""

    name: str
    control: str
    category: str
    tasks: frozenset[str] = frozenset()
    varies: frozenset[str] = frozenset()
    base: str = ""
    mixture: str = ""


@dataclass(frozen=True)
class Unit:
    """One comparison: a weighted mean of gains over intermediates and targets."""

    intermediates: tuple[str, ...]
    over: tuple[str, ...]
    targets: tuple[str, ...]
    arm_weights: Mapping[str, float]
    target_weights: Mapping[str, float]
    missing: int
    """Targets selected that it does without, for want of a pair of runs."""


@dataclass
class Witness:
    """A study's contributions and description, asked again and again; what is costly is computed once."""

    contributions: pd.DataFrame
    study: Mapping[str, Any]
    ready: Sequence[Evidence] = ()
    """Zero-shot evidence of all settings, where it is there already."""
    draws: int = 2000
    seed: int = 0
    _evidence: dict[tuple[str, str], dict[str, Evidence]] = field(default_factory=dict)
    _pools: dict[Any, Pool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows, said = self.contributions, {str(arm["name"]): arm for arm in self.study.get("arms") or ()}
        known = rows.drop_duplicates("intermediate") if len(rows) else pd.DataFrame()
        self.arms = {}
        for row in known.to_dict("records"):
            name, (category, control) = str(row["intermediate"]), (str(row[column]) for column in ARM)
            own = said.get(name, {})
            self.arms[name] = Arm(
                name, control, own.get("category") or category, frozenset(own.get("tasks", ())),
                frozenset(own.get("varies", ())), own.get("base", ""), own.get("mixture", ""),
            )  # fmt: skip
        self.arms.pop(BASELINE, None)
        about = rows.drop_duplicates("target") if len(rows) else pd.DataFrame()
        self.shapes = {str(row["target"]): str(row["shape"]) for row in about.to_dict("records")}
        self.groups = dict(zip(self.shapes, map(str, groups_of(about)), strict=True)) if len(about) else {}

    def intermediates(self, wanted: Intermediates) -> Taken:
        """Names in order; raises `NoData`."""
        found = sorted(name for name, arm in self.arms.items() if _fits(arm, wanted))
        if wanted.names:
            absent = [f"called {name!r} ({did_you_mean(name, self.arms)})" for name in wanted.names
                      if name not in found]  # fmt: skip
        else:
            sets = {self.arms[name].tasks for name in found}
            absent = [f"trained on {text}" for text in wanted.tasks if task_set(text) not in sets]
        if found and (len(wanted.listed) - len(absent) if wanted.listed else len(found)) >= self.enough(wanted):
            return found, _fewer(len(absent), wanted, "intermediates")
        if wanted.stand_in is not None:
            return self._instead(wanted.stand_in, self.intermediates(wanted.stand_in)[0])
        raise NoData("the study has no intermediate " + (" and none ".join(absent) or _words(wanted)))

    def targets(self, wanted: Targets) -> Taken:
        """Names in order; raises `NoData`."""
        found = sorted(name for name in self.groups if self._fits_target(name, wanted))
        absent = [name for name in wanted.names if name not in found]
        if len(found) >= self.enough(wanted):
            return found, _fewer(len(absent), wanted, "targets")
        if wanted.stand_in is not None:
            return self._instead(wanted.stand_in, self.targets(wanted.stand_in)[0])
        what = " and no ".join(absent) if absent else "of that kind"
        has = f"; it has {len(found)} of those named, {self.enough(wanted)} are needed" if absent and found else ""
        raise NoData(f"the study has no target {what}{has}")

    @staticmethod
    def _instead(wanted: Intermediates | Targets, names: list[str]) -> Taken:
        return names, (wanted.note or f"{', '.join(names)} in place of what is claimed",)

    def _fits_target(self, name: str, wanted: Targets) -> bool:
        if not (wanted.names or wanted.groups or wanted.shapes):
            return self.groups[name] != RETRIEVAL
        return (
            (not wanted.names or name in wanted.names)
            and (not wanted.groups or self.groups[name] in wanted.groups)
            and (not wanted.shapes or self.shapes[name] in wanted.shapes)
        )

    @staticmethod
    def enough(wanted: Intermediates | Targets) -> int:
        """How many of those wanted there must be."""
        return wanted.enough or len(wanted.listed) or 1

    def evidence(self, measure: str, languages: str) -> dict[str, Evidence]:
        """Per target. Only the rows of the measure are resampled; raises `NoData` where there are none."""
        if (measure, languages) not in self._evidence:
            settings = [str(name) for name in self.contributions["perturbation"].unique()]
            mine = [s for s in settings if _measures(measure, s)]
            if not mine:
                remedy = did_you_mean(measure, {CLEAN, ROBUST, *settings})
                raise NoData(f"the study has no setting for {measure!r}, only {', '.join(order(settings))} ({remedy})")
            if self.ready and languages == ZERO_SHOT and measure in MEASURES:
                found = [one for one in self.ready if measure in one.measures]
            else:
                rows = self.contributions[self.contributions["perturbation"].isin(mine)]
                found = evidence(rows, self.draws, self.seed, source=SOURCE if languages == ZERO_SHOT else "")
            self._evidence[measure, languages] = {one.target: one for one in found}
        return self._evidence[measure, languages]

    def has(self, arm: str, target: str, measure: str, languages: str) -> bool:
        """Whether the intermediate has enough pairs of runs with the baseline on the target."""
        one = self.evidence(measure, languages).get(target)
        if one is None or arm not in one.arms:
            return False
        return bool(usable(one.measures[_key(measure)])[one.arms.index(arm)])

    def estimate(self, unit: Unit, measure: str, languages: str) -> Estimate:
        """The mean with its 95 % interval; intermediates that are no controls share their spread over seeds."""
        controls = {name for name in unit.arm_weights if self.arms[name].control}
        key = (measure, languages, tuple(unit.target_weights.items()), frozenset(controls))
        if key not in self._pools:
            peers = {name for name, arm in self.arms.items() if not arm.control} | controls
            self._pools[key] = pool(
                unit.target_weights, self.evidence(measure, languages), _key(measure), peers
            )  # fmt: skip
        return estimate(self._pools[key], unit.arm_weights)

    def replaced(self, used: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Splits behind comparisons for which the study has other data: training rows of intermediates, test rows."""
        names = {name for one in used for name in (*one["intermediates"], *one["over"])}
        tasks = {task for name in names if name in self.arms for task in self.arms[name].tasks}
        targets = {name for one in used for name in (*one["targets"], *one["over"])}
        wanted = {f"{task}.train" for task in tasks} | {f"{target}.test" for target in targets}
        return tuple(sorted(wanted & set(self.study.get("replaced") or ())))


def _measures(measure: str, setting: str) -> bool:
    if measure in (CLEAN, ROBUST):
        return (setting == CLEAN) == (measure == CLEAN)
    return setting == measure or setting_of(setting).kind == measure


def _key(measure: str) -> str:
    """What the evidence calls it: all that is not clean is a mean over the settings kept."""
    return CLEAN if measure == CLEAN else ROBUST


def _fits(arm: Arm, wanted: Intermediates) -> bool:
    if wanted.names:
        if arm.name not in wanted.names:
            return False
    elif arm.control or not (ANY in wanted.varies or (arm.varies & {*wanted.varies} or arm.varies == {*wanted.varies})):
        return False
    mixture = {None: True, True: bool(arm.mixture), False: not arm.mixture, "all": arm.mixture == "all"}
    return (
        (not wanted.tasks or arm.tasks in {task_set(text) for text in wanted.tasks})
        and (not wanted.categories or arm.category in wanted.categories)
        and mixture[wanted.mixture]
    )


def _fewer(absent: int, wanted: Intermediates | Targets, what: str) -> tuple[str, ...]:
    n = len(wanted.listed)
    return (f"{n - absent} of the {n} {what} named",) if absent else ()


def _words(wanted: Intermediates) -> str:
    """The conditions that none meets."""
    found = [f"of category {' or '.join(wanted.categories)}"] if wanted.categories else []
    found += [f"that varies {' or '.join(wanted.varies)}"] if wanted.varies else []
    found += ["that is a mixture" if wanted.mixture else "of a single task"] if wanted.mixture is not None else []
    return ", ".join(found) or "that varies nothing"


def units(statement: Statement, witness: Witness) -> tuple[list[Unit], int, tuple[str, ...]]:
    """The comparisons of a statement, how many more had no pair of runs, and the notes of stand-ins.

    Raises `NoData` where there is none.
    """
    arms, notes = witness.intermediates(statement.intermediates)
    targets, more = witness.targets(statement.targets)
    rivals, others, last = _compared_with(statement.over, witness, arms, targets)
    if statement.over is not None and statement.over.base:
        arms = [name for name in arms if witness.arms[name].base in witness.arms]
    arm_groups = [[arm] for arm in arms] if statement.per in ("intermediate", "pair") else [arms]
    target_groups = [[target] for target in targets] if statement.per in ("target", "pair") else [targets]
    made = [
        _unit(statement, witness, mine, rival, own, other)
        for mine in arm_groups for own in target_groups for rival in rivals for other in others
    ]  # fmt: skip
    found = [unit for unit in made if unit is not None]
    if not found:
        raise NoData("no pair of runs of it finished")
    return found, len(made) - len(found), (*notes, *more, *last)


def _compared_with(
    over: Over | None, witness: Witness, arms: list[str], targets: list[str]
) -> tuple[list[list[str]], list[list[str]], tuple[str, ...]]:
    """Groups of intermediates and groups of targets, one of the two kinds empty; notes of stand-ins."""
    if over is None:
        return [[]], [[]], ()
    if over.base:
        if not any(witness.arms[name].base in witness.arms for name in arms):
            raise NoData("the intermediates that they vary are not in the study")
        return [[]], [[]], ()
    if over.intermediates is not None:
        (found, notes), own = witness.intermediates(over.intermediates), arms
    else:
        (found, notes), own = witness.targets(over.targets or Targets.model_validate({})), targets
    found = [name for name in found if name not in own]
    if not found:
        raise NoData("there is nothing else in the study to compare with")
    groups = [[name] for name in found] if over.each else [found]
    return (groups, [[]], notes) if over.intermediates is not None else ([[]], groups, notes)


def _unit(
    statement: Statement, witness: Witness, arms: Sequence[str], rivals: Sequence[str], targets: Sequence[str],
    others: Sequence[str],
) -> Unit | None:  # fmt: skip
    """The mean of `arms` less that of `rivals` (or of their bases) on the mean of `targets` less that of `others`.

    Intermediates without a pair of runs on any of the targets are left aside, then targets that the rest does not have
    in common. None where that leaves nothing, or loses what the statement names one by one.
    """
    every = (*targets, *others)

    def ran(arm: str) -> set[str]:
        return {t for t in every if witness.has(arm, t, statement.measure, statement.languages)}

    if statement.over is not None and statement.over.base:
        pairs = [(arm, witness.arms[arm].base) for arm in arms]
        pairs = [(arm, base) for arm, base in pairs if ran(arm) & ran(base)]
        mine, against, wanted = [arm for arm, _ in pairs], [base for _, base in pairs], len(pairs) > 0
    else:
        mine, against = ([name for name in side if ran(name)] for side in (arms, rivals))
        wanted = bool(mine) and bool(against) == bool(rivals)
    both = [t for t in every if all(t in ran(name) for name in (*mine, *against))]
    own, other = [t for t in targets if t in both], [t for t in others if t in both]
    lost: list[tuple[Intermediates | Targets, list[str], Sequence[str], bool]] = [
        (statement.intermediates, mine, arms, statement.per in ("intermediate", "pair")),
        (statement.targets, own, targets, statement.per in ("target", "pair")),
    ]
    for selection, kept, there, apart in lost:
        if selection.listed and not apart and len(kept) < min(len(there), selection.enough or len(there)):
            return None
    if not wanted or not own or bool(other) != bool(others):
        return None
    return Unit(
        tuple(mine), tuple(dict.fromkeys((*against, *other))), tuple(own), _even(mine, against), _even(own, other),
        len(every) - len(both),
    )  # fmt: skip


def _even(names: Sequence[str], minus: Sequence[str]) -> dict[str, float]:
    """Weights of a mean of `names` less a mean of `minus`, which may hold a name twice."""
    weights: dict[str, float] = {}
    for side, sign in ((names, 1.0), (minus, -1.0)):
        for name in side:
            weights[name] = weights.get(name, 0.0) + sign / len(side)
    return weights
