"""What a study says of claims: each is supported, contradicted or undecided, or the study holds no data for it.

A statement is one comparison or several. A comparison is a weighted mean of gains L over intermediates and targets
(`components.estimate`: examples, seeds, and what targets and intermediates share) and a region in which L is said to
lie. With one-sided p values by the same Student t,

    p_for     = max over the region's ends of 2 P(T > distance inside)    small: L surely lies in the region
    p_against = min over the region's ends of 2 P(T > distance outside)   small: L surely lies outside

so that p_for < 0.05 exactly where the whole 95 % interval lies in the region, and p_against < 0.05 where it lies
wholly outside. For a region with two ends p_for is the equivalence test of Schuirmann (1987), a little strict.

Of n comparisons u must hold (all, or a share). That at least u do is the partial conjunction of Benjamini & Heller
(2008, Biometrics 64:1215), valid under any dependence:

    P_for     = (n - u + 1) p_for_(u)          (k): the k-th smallest
    P_against = u p_against_(n - u + 1)        that so few hold means that n - u + 1 do not

With u = n, P_for is the largest p: every single interval must lie in the region, and needs no correction for their
number (Berger 1982). P_against is then n times the smallest p, which is Holm's first step: one comparison in many that
fails by luck is no contradiction. The parts of a claim, which must all hold, are put together in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from scipy import stats

from xstilts.analysis.best import BEST, Best
from xstilts.analysis.bootstrap import NAN, pooled
from xstilts.analysis.gains import MEAN, ZERO_SHOT
from xstilts.analysis.hierarchy import Evidence
from xstilts.analysis.multiple import ALPHA
from xstilts.analysis.selected import NoData, Unit, Witness, units
from xstilts.claims import Claim, Claims, Design, Statement

SUPPORTED, CONTRADICTED, UNDECIDED, NO_DATA = "supported", "contradicted", "undecided", "no data"
REPRODUCED, DEPARTS = "reproduced", "departs from"
AS_STATED, ADAPTED = "as stated", "adapted"

CLAIMS = ["id", "claim", "kind", "verdict", "estimate", "low", "high", "relation", "threshold", "within", "n", "basis",
          "note", "source"]  # fmt: skip
PARTS = ["id", "part", "verdict", "reason", "per", "n", "needed", "inside", "sure", "p_for", "p_against", "missing",
         "stand_ins", "replaced"]  # fmt: skip
COMPARISONS = ["id", "part", "intermediates", "over", "targets", "measure", "languages", "estimate", "low", "high",
               "se", "df", "relation", "threshold", "within", "p_for", "p_against", "verdict", "n_targets", "missing",
               "n_seeds"]  # fmt: skip
DESIGN = ["id", "asked", "wanted", "found", "verdict"]


@dataclass(frozen=True)
class Judged:
    """Verdicts with all that they rest on. Numbers are points of the targets' primary metric."""

    claims: pd.DataFrame
    """One row per claim, in the file's order. `kind`: `empirical` or `design`. `verdict`: `supported`, `contradicted`,
    `undecided`, `no data`; of design claims `reproduced`, `departs from`, `undecided` (not known), `no data`.
    `estimate`, `low`, `high` (95 %), `relation`, `threshold`, `within` are those of the comparison that decides: the
    one that is farthest from being as claimed. `n`: comparisons made (design: facts looked at). `basis`: `as stated`,
    or `adapted` where a part was judged by stand-ins, by fewer than it names, or on other data. `note`, `source`: the
    person's words."""
    parts: pd.DataFrame
    """One row per statement of an empirical claim. `reason`: why there is no data. Of `n` comparisons `needed` must
    hold, `inside` have their estimate in the region and `sure` their whole interval; `missing` more had no pair of
    runs. `per`: of what there are several (``, `intermediate`, `target`, `pair`, `rival`). `stand_ins`: what was
    taken instead of what is named; `replaced`: splits in use for which the study has other data; both as tuples."""
    comparisons: pd.DataFrame
    """One row per comparison. `intermediates`, `over`, `targets`: tuples of names (`over` holds intermediates or
    targets, and is empty where the comparison is with no intermediate phase)."""
    design: pd.DataFrame
    """One row per fact that a design claim asks for."""


@dataclass(frozen=True)
class _Part:
    """A judged statement."""

    row: dict[str, Any]
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    decides: dict[str, Any] = field(default_factory=dict)


def judge(
    claims: Claims, contributions: pd.DataFrame, study: Mapping[str, Any], best: Best | None = None, *,
    evidence: Sequence[Evidence] = (), draws: int = 2000, seed: int = 0,
) -> Judged:  # fmt: skip
    """The verdicts on `claims`.

    `contributions` is the tidy frame of docs/design.md; `study` describes the study and holds what
    `xstilts.claims.facts` says of it (without, intermediates are known by name alone and design claims have no data).
    `best` is `best.best_per_target` of the contributions and dev rows, for claims on the best intermediate of each
    target. `evidence` is `hierarchy.evidence` of the contributions, zero-shot, where it is there already.
    """
    witness = Witness(contributions, study, evidence, draws, seed)
    rows: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    comparisons: list[dict[str, Any]] = []
    design: list[dict[str, Any]] = []
    for claim in claims.claims:
        about = {"id": claim.id, "claim": claim.claim, "kind": claim.kind, "note": claim.note,
                 "source": claim.source or claims.source}  # fmt: skip
        if claim.design is not None:
            found = _design(claim.design, study.get("design"))
            design += [{"id": claim.id} | row for row in found]
            rows.append(about | {"verdict": _whole(found), "n": len(found), "basis": AS_STATED})
            continue
        judged = [_statement(statement, witness, best) for statement in claim.parts]
        for number, part in enumerate(judged, 1):
            parts.append({"id": claim.id, "part": number} | part.row)
            comparisons += [{"id": claim.id, "part": number} | row for row in part.comparisons]
        rows.append(about | _claim(claim, judged))
    return Judged(
        pd.DataFrame(rows, columns=CLAIMS), pd.DataFrame(parts, columns=PARTS),
        pd.DataFrame(comparisons, columns=COMPARISONS), pd.DataFrame(design, columns=DESIGN),
    )  # fmt: skip


def _claim(claim: Claim, parts: Sequence[_Part]) -> dict[str, Any]:
    """The claim's own columns: all parts must hold."""
    there = [part for part in parts if part.comparisons]
    row: dict[str, Any] = {"verdict": NO_DATA, "n": 0, "basis": AS_STATED}
    if not there:
        return row
    p_for, p_against = conjunction(
        [part.row["p_for"] for part in there], [part.row["p_against"] for part in there], len(there)
    )
    # a part without data can still be wrong, so the others alone support nothing; one that is wrong is enough
    verdict = _verdict(p_for if len(there) == len(parts) else 1.0, p_against)
    decides = (min(there, key=lambda part: float(part.row["p_against"])) if verdict == CONTRADICTED
               else max(there, key=lambda part: float(part.row["p_for"]))).decides  # fmt: skip
    numbers = ("estimate", "low", "high", "relation", "threshold", "within")
    return row | {name: decides[name] for name in numbers} | {
        "verdict": verdict, "n": sum(len(part.comparisons) for part in there),
        "basis": ADAPTED if any(part.row[name] for part in there for name in ("stand_ins", "replaced", "missing"))
        else AS_STATED,
    }  # fmt: skip


def _statement(statement: Statement, witness: Witness, best: Best | None) -> _Part:
    row: dict[str, Any] = {"verdict": NO_DATA, "reason": "", "per": _per(statement), "n": 0, "needed": 0, "inside": 0,
                           "sure": 0, "p_for": NAN, "p_against": NAN, "missing": 0, "stand_ins": (),
                           "replaced": ()}  # fmt: skip
    try:
        if statement.intermediates.best_per_target:
            found, missing, stand_ins = _best(statement, witness, best)
        else:
            made, missing, stand_ins = units(statement, witness)
            found = [_estimated(unit, statement, witness) for unit in made]
    except NoData as nothing:
        return _Part(row | {"reason": str(nothing)})
    region = statement.region
    compared = [one | _compared(one, statement) for one in found]
    n = len(compared)
    needed = max(1, math.ceil(statement.share * n - 1e-9))
    p_for, p_against = conjunction([one["p_for"] for one in compared], [one["p_against"] for one in compared], needed)
    verdict = _verdict(p_for, p_against)
    numbers = {
        "verdict": verdict, "n": n, "needed": needed, "inside": sum(_lies_in(one["estimate"], region) for one in found),
        "sure": sum(one["p_for"] < ALPHA for one in compared), "p_for": p_for, "p_against": p_against,
        "missing": missing, "stand_ins": stand_ins, "replaced": witness.replaced(found),
    }  # fmt: skip
    which, place = ("p_against", n - needed) if verdict == CONTRADICTED else ("p_for", needed - 1)
    return _Part(row | numbers, compared, sorted(compared, key=lambda one: float(one[which]))[place])


def conjunction(p_for: Sequence[float], p_against: Sequence[float], needed: int) -> tuple[float, float]:
    """(P_for, P_against) that at least `needed` of n comparisons hold, from those of each; see the head of the file."""
    n = len(p_for)
    return (
        min(1.0, (n - needed + 1) * sorted(p_for)[needed - 1]),
        min(1.0, needed * sorted(p_against)[n - needed]),
    )


def _per(statement: Statement) -> str:
    return statement.per or ("rival" if statement.over is not None and statement.over.each else "")


def _estimated(unit: Unit, statement: Statement, witness: Witness) -> dict[str, Any]:
    found = witness.estimate(unit, statement.measure, statement.languages)
    return {
        "intermediates": unit.intermediates, "over": unit.over, "targets": unit.targets, "estimate": found.gain,
        "low": found.low, "high": found.high, "se": found.se, "df": found.df, "n_targets": len(unit.targets),
        "missing": unit.missing, "n_seeds": found.n_seeds,
    }  # fmt: skip


def _best(
    statement: Statement, witness: Witness, best: Best | None
) -> tuple[list[dict[str, Any]], int, tuple[str, ...]]:
    """The gain with the best intermediate of each target, by itself or in the mean over targets as independent."""
    targets, stand_ins = witness.targets(statement.targets)
    figures = pd.DataFrame() if best is None else best.figures
    if figures.empty:
        raise NoData("no intermediate was chosen for any target")
    language = MEAN if statement.languages == "all" else ZERO_SHOT
    rows = figures[(figures["figure"] == BEST) & (figures["language"] == language) & figures["se"].notna()]
    rows = rows[rows["target"].isin(targets)].sort_values("target")
    missing = len(targets) - len(rows)
    if len(rows) < witness.enough(statement.targets):
        raise NoData("no intermediate could be chosen for " + ", ".join(sorted({*targets} - {*rows["target"]})))
    groups = [rows.iloc[[i]] for i in range(len(rows))] if statement.per == "target" else [rows]
    found = []
    for part in groups:
        gain, se, df = (part[name].to_numpy(float) for name in ("gain", "se", "df"))
        mean = pooled(gain, se, df)
        found.append({
            "intermediates": ("(best)",), "over": (), "targets": tuple(map(str, part["target"])),
            "estimate": mean["gain"], "low": mean["low"], "high": mean["high"], "se": mean["se"],
            "df": mean["df"], "n_targets": len(part),
            "missing": 0 if statement.per else missing, "n_seeds": int(part["n_seeds"].min()),
        })  # fmt: skip
    return found, missing if statement.per else 0, stand_ins


def _compared(one: Mapping[str, Any], statement: Statement) -> dict[str, Any]:
    """How a comparison stands to what is claimed of it."""
    lowest, highest, strict = statement.region
    inside, outside = [], []
    for distance in (one["estimate"] - lowest, highest - one["estimate"]):
        if math.isinf(distance):
            continue
        tail_in, tail_out = _tails(distance, one["se"], one["df"], strict)
        inside.append(tail_in)
        outside.append(tail_out)
    p_for, p_against = max(inside), min(outside)
    near = statement.near
    threshold = near.value if near is not None else getattr(statement, statement.relation)
    return {
        "measure": statement.measure, "languages": statement.languages, "relation": statement.relation,
        "threshold": threshold, "within": NAN if near is None else near.within, "p_for": p_for, "p_against": p_against,
        "verdict": _verdict(p_for, p_against),
    }  # fmt: skip


def _tails(distance: float, se: float, df: float, strict: bool) -> tuple[float, float]:
    """(p of not lying inside an end, p of not lying outside it), for an estimate `distance` points inside of it."""
    if math.isnan(se) or math.isnan(distance):  # too few examples for an interval: nothing is known
        return 1.0, 1.0
    if se == 0:
        holds = distance > 0 or (distance == 0 and not strict)
        return (0.0, 1.0) if holds else (1.0, 0.0)
    p = [min(1.0, 2 * float(stats.t.sf(sign * distance / se, df))) for sign in (1, -1)]
    return p[0], p[1]


def _lies_in(value: float, region: tuple[float, float, bool]) -> bool:
    lowest, highest, strict = region
    return bool(lowest < value < highest or (not strict and value in (lowest, highest)))


def _verdict(p_for: float, p_against: float) -> str:
    return SUPPORTED if p_for < ALPHA else CONTRADICTED if p_against < ALPHA else UNDECIDED


def _design(asked: Design, found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row per fact that is asked for; `verdict` is `undecided` where the study does not know it of itself."""
    rows = []
    for name, wanted in asked.asked.items():
        has = None if found is None else found.get(name)
        if has is None:
            verdict = NO_DATA if found is None else UNDECIDED
        else:
            verdict = REPRODUCED if _same(name, wanted, has) else DEPARTS
        rows.append({"asked": name, "wanted": wanted, "found": has, "verdict": verdict})
    return rows


def _same(name: str, wanted: Any, has: Any) -> bool:
    if name == "model":
        return str(has).lower() in {str(one).lower() for one in wanted}
    if name == "single_tasks":
        return bool(wanted == len(has))
    return list(wanted) == list(has) if name == "phases" else bool(wanted == has)


def _whole(facts: Sequence[Mapping[str, Any]]) -> str:
    """The verdict on a design claim: one fact that is otherwise is a departure."""
    verdicts = {fact["verdict"] for fact in facts}
    return next(verdict for verdict in (DEPARTS, NO_DATA, UNDECIDED, REPRODUCED) if verdict in verdicts)
