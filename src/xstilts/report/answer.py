"""The answer to the study's question: which categories of intermediate help which targets, and how sure that is.

Sentences claim no more than the numbers do: a category helps where its p value, corrected for all comparisons of the
table (Holm), is below 5 %; else no difference can be seen.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from xstilts.analysis.mixed import Mixed
from xstilts.analysis.multiple import ALPHA
from xstilts.analysis.perturbations import CLEAN, ROBUST
from xstilts.analysis.summary import RETRIEVAL, controls
from xstilts.report.forest import probability
from xstilts.report.frames import Frames
from xstilts.report.tables import Cell, Table
from xstilts.report.text import DASH, clean, excludes_zero, listed, plain, signed, span

NONE = "none seen"
_SEEDS = 20
"""Seeds above which more of them is no advice."""


def answer_words(frames: Frames) -> list[str]:
    """A sentence per finding: each group of targets, then categories that help one level more than the other, then what
    more seeds would settle, then what the controls say of the study. Empty where nothing could be compared."""
    sentences = [_group(frames, group) + _pairs(frames, group) for group in _groups(frames)]
    if not sentences:
        return []
    return [*sentences, *filter(None, [_levels(frames), _open(frames), _controls(frames)])]


def ranked(frames: Frames, group: str, measure: str) -> list[dict[str, Any]]:
    """The categories of a group that were measured, the highest gain first."""
    rows = frames.ranking.categories
    rows = rows[(rows["group"] == group) & (rows["measure"] == measure) & rows["gain"].notna()]
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def verdict(row: dict[str, Any]) -> str:
    """`helps`, `harms`, or `none seen`: no difference can be seen."""
    if not row["p_holm"] < ALPHA:  # NaN too
        return NONE
    return "helps" if row["gain"] > 0 else "harms"


def _groups(frames: Frames) -> list[str]:
    rows = frames.ranking.categories
    return [str(group) for group in rows.loc[rows["gain"].notna(), "group"].drop_duplicates()]


def _group(frames: Frames, group: str) -> str:
    measure = frames.measure
    rows = ranked(frames, group, measure)
    if not rows:  # retrieval, say, of a kind that no perturbation reaches
        measure, rows = CLEAN, ranked(frames, group, CLEAN)
    what = "robust gain" if measure == ROBUST else "gain"
    where = "For retrieval" if group == RETRIEVAL else f"For {clean(group)} targets"
    top = rows[0]
    each = [(row, f"{clean(row['category'])} ({_number(row)})") for row in rows]
    harmed = [named for row, named in each if verdict(row) == "harms"]
    number = f"{signed(top['gain'])} points {span(top['low'], top['high'])}"
    if verdict(top) != "helps":
        text = (
            f"{where} no category gives a {what} that can be told from zero; the highest is "
            f"{clean(top['category'])}, {number}"
        )
        if excludes_zero(top["low"], top["high"]):
            looked = int((frames.ranking.categories["measure"] == measure).sum())
            text += f", too little once it is counted that {looked} gains were looked at"
        return text + (f"; {listed(harmed)} {'does' if len(harmed) == 1 else 'do'} harm." if harmed else ".")
    text = f"{where} {clean(top['category'])} gives the highest {what}, {number}"
    text += f", and is the best with a probability of {probability(top['best'])}" if len(rows) > 1 else ""
    too = [named for row, named in each[1:] if verdict(row) == "helps"]
    unseen = [clean(row["category"]) for row, _ in each[1:] if verdict(row) == NONE]
    parts = [text]
    parts += [f"{listed(too)} {'helps' if len(too) == 1 else 'help'} too"] if too else []
    parts += [f"for {listed(unseen)} no difference can be seen"] if unseen else []
    parts += [f"{listed(harmed)} {'does' if len(harmed) == 1 else 'do'} harm"] if harmed else []
    return "; ".join(parts) + "."


def _pairs(frames: Frames, group: str) -> str:
    """Which categories are surely above which others; empty where none is."""
    rows = frames.ranking.contrasts
    rows = rows[(rows["group"] == group) & (rows["measure"] == frames.measure) & (rows["p_holm"] < ALPHA)]
    above: dict[str, list[str]] = {}
    for _, row in rows.sort_values("difference", key=abs, ascending=False).iterrows():
        up = row["difference"] > 0
        high, low = (row["category"], row["other"]) if up else (row["other"], row["category"])
        ends = (row["low"], row["high"]) if up else (-row["high"], -row["low"])
        above.setdefault(clean(high), []).append(f"{clean(low)} by {plain(abs(row['difference']))} {span(*ends)}")
    parts = [f"{high} is above {listed(low)}" for high, low in above.items()]
    return f" Of pairs of categories, {'; '.join(parts)}." if parts else ""


def _number(row: dict[str, Any]) -> str:
    return f"{signed(row['gain'])} {span(row['low'], row['high'])}"


def _levels(frames: Frames) -> str:
    rows = frames.ranking.levels
    rows = rows[(rows["measure"] == frames.measure) & (rows["p_holm"] < ALPHA)]
    if rows.empty:
        measured = frames.ranking.levels["difference"].notna().any()
        return "No category can be seen to help syntactic and semantic targets differently." if measured else ""
    parts = []
    for _, row in rows.iterrows():
        higher, lower = ("syntactic", "semantic") if row["difference"] > 0 else ("semantic", "syntactic")
        size = f"{plain(abs(row['difference']))} points"
        parts.append(f"the gain of {clean(row['category'])} is higher on {higher} than on {lower} targets, by {size}")
    text = listed(parts)
    return text[0].upper() + text[1:] + "."


def _open(frames: Frames) -> str:
    """What more seeds would settle, and what only more examples would."""
    rows = frames.ranking.categories
    rows = rows[(rows["measure"] == frames.measure) & rows["gain"].notna()]
    unsettled = [row for _, row in rows.iterrows() if not excludes_zero(row["low"], row["high"])]
    if not unsettled:
        return ""
    if all(math.isnan(row["seeds_needed"]) for row in unsettled):
        return "With one seed nothing is known of the luck of training: run at least three."
    few = [row for row in unsettled if row["seeds_needed"] <= _SEEDS]
    text = f"Of {len(rows)} gains of categories {len(unsettled)} {'is' if len(unsettled) == 1 else 'are'} open."
    if few:
        named = [f"{clean(row['category'])} on {clean(row['group'])} ({int(row['seeds_needed'])})" for row in few]
        text += f" If they are as large as they look, these seeds in all would settle them: {listed(named)}."
    rest = len(unsettled) - len(few)
    if rest:
        text += (
            f" {'The others are' if few else 'They are'} too small beside the number of examples, or would take more "
            f"than {_SEEDS} seeds."
        )
    return text


def _controls(frames: Frames) -> str:
    rows = controls(frames.gains)
    whole = {str(row["control"]): row["ok"] for _, row in rows[rows["target"] == ""].iterrows()}
    failed = [name for name, ok in whole.items() if ok is False]
    if failed:
        return f"Read this with care: the {listed(failed)} control failed, see Controls."
    passed = [name for name, ok in whole.items() if ok]
    if len(passed) < len(whole) or not passed:
        return "Not all controls were run, so it is not known whether this study can be trusted: see Controls."
    return "The controls behave as they should: shuffled labels give no gain, and more of the target's own skill does."


def ranking_table(frames: Frames) -> Table:
    """Categories per group and measure, the highest gain first."""
    table = Table(
        "Categories of intermediate, by group of targets",
        ["targets", "measure", "category", "gain", "95 % interval", "p (Holm)", "best", "on targets", "seeds",
         "seeds needed", "verdict"],
        [False, False, False, *[True] * 7, False],
    )  # fmt: skip
    for group in _groups(frames):
        for measure in (ROBUST, CLEAN):
            for row in ranked(frames, group, measure):
                look = "strong" if row["p_holm"] < ALPHA else ""
                table.rows.append([
                    Cell(clean(group)), Cell(measure), Cell(clean(row["category"])), Cell(signed(row["gain"]), look),
                    Cell(span(row["low"], row["high"]), look), Cell(_p(row["p_holm"])),
                    Cell(probability(row["best"])),
                    Cell(f"{row['n_targets']} of {row['n_targets'] + row['missing']}"), Cell(str(row["n_seeds"])),
                    Cell(_needed(row["seeds_needed"])), Cell(verdict(row)),
                ])  # fmt: skip
    return table


def mixed_words(mixed: Mixed) -> list[str]:
    """What the mixed-effects model tests, and what it left out."""
    found = []
    for row in mixed.tests.to_dict("records"):
        if math.isnan(row["p"]):
            continue
        df = f"F({row['df1']:.0f}, {row['df2']:.1f}) = {row['f']:.2f}, p {_p(row['p'])}"
        found.append(f"{clean(row['term'])}: {df}.")
    return [*found, *(clean(note, 400) for note in mixed.notes)]


def mixed_table(mixed: Mixed) -> Table:
    """The terms of the mixed-effects model."""
    table = Table("Mixed-effects model of the gains", ["term", "category", "targets", "estimate", "95 % interval", "p"],
                  [False, False, False, True, True, True])  # fmt: skip
    for row in mixed.terms.to_dict("records"):
        look = "strong" if excludes_zero(row["low"], row["high"]) else ""
        table.rows.append([
            Cell(clean(row["term"])), Cell(clean(row["category"])), Cell(clean(row["level"])),
            Cell(signed(row["estimate"]), look), Cell(span(row["low"], row["high"]), look), Cell(_p(row["p"])),
        ])  # fmt: skip
    return table


def _p(value: float) -> str:
    return DASH if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _needed(seeds: float) -> str:
    return DASH if math.isnan(seeds) else "more examples" if math.isinf(seeds) else str(int(seeds))


def answer_data(frames: Frames, **more: Any) -> dict[str, Any]:
    """The answer as plain values for `answer.json`: sentences, rankings and contrasts with all their columns (NaN and
    inf as null), and whatever else the report says on top."""
    ranking = frames.ranking
    return {
        "study": clean(frames.results.study.get("name") or ""),
        "question": clean(frames.results.study.get("question") or "", 1000),
        "measure": frames.measure,
        "level": ranking.level,
        "settings": sorted(set(map(str, frames.contributions["perturbation"])) - {CLEAN}),
        **{name: _records(getattr(ranking, name)) for name in ("categories", "intermediates", "contrasts", "levels")},
        **{name: _records(value) if isinstance(value, pd.DataFrame) else value for name, value in more.items()},
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """A JSON value of a cell of a data frame."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
