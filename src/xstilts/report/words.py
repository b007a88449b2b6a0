"""The answer on top of a report, in plain sentences that never claim more than the intervals do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from xstilts.analysis.summary import RETRIEVAL, RETRIEVAL_SHAPES, by_intermediate, headline
from xstilts.report.frames import keyed
from xstilts.report.text import excludes_zero, listed, signed, span

Titles = Mapping[str, str]


def answer(gains: pd.DataFrame, arms: Titles, targets: Titles) -> list[str]:
    """Two sentences: which intermediate helps on average, and which helps which target most."""
    rows = headline(gains)
    rows = rows[(rows["control"] == "") & rows["low"].notna()]
    if rows.empty:
        return ["No intermediate could be compared with the baseline on any target: no pair of runs finished."]
    return [_average(gains, arms), _per_target(rows, arms, targets)]


def _average(gains: pd.DataFrame, arms: Titles) -> str:
    means = by_intermediate(gains)
    means = means[(means["control"] == "") & means["low"].notna()]
    if means.empty:
        return "No target other than retrieval was measured, so there is no average over targets."
    helped = means[means["low"] > 0]
    best = max(keyed(helped if len(helped) else means, "intermediate").values(), key=lambda row: row["gain"])
    over = f"Over {int(best['n'])} targets" if best["n"] > 1 else "On the one target that is not retrieval"
    number = f"{signed(best['gain'])} points {span(best['low'], best['high'])}"
    if len(helped):
        others = [
            f"{arms[row['intermediate']]} ({signed(row['gain'])} {span(row['low'], row['high'])})"
            for row in sorted(keyed(helped, "intermediate").values(), key=lambda row: -row["gain"])
            if row["intermediate"] != best["intermediate"]
        ]
        too = f"; {listed(others)} {'raises' if len(others) == 1 else 'raise'} it too" if others else ""
        return f"{over}, {arms[best['intermediate']]} raises the zero-shot mean most, by {number}{too}."
    return (
        f"{over}, no intermediate raises the zero-shot mean by an amount that can be told from zero; "
        f"the highest is {arms[best['intermediate']]} with {number}."
    )


def _per_target(rows: pd.DataFrame, arms: Titles, targets: Titles) -> str:
    sure = rows[rows["low"] > 0].sort_values("gain", kind="stable")
    best = keyed(sure, "target")  # the last, highest row of each wins
    order = [name for name in targets if name in set(rows["target"])]
    helped = [name for name in order if (name,) in best]
    parts = []
    if helped:
        wins = [_win(best[name,], arms, targets) for name in helped]
        parts.append("By target, the highest gains are: " + listed(wins))
    no_gain = [name for name in order if name not in helped]
    harmed = set(rows.loc[rows["high"] < 0, "target"])
    unseen = [targets[name] for name in no_gain if name not in harmed]
    if unseen:
        parts.append(f"{'for' if parts else 'For'} {listed(unseen)} no difference can be seen")
    only_harm = [targets[name] for name in no_gain if name in harmed]
    if only_harm:
        parts.append(f"{'on' if parts else 'On'} {listed(only_harm)} no intermediate helps and some do harm")
    return "; ".join(parts) + "."


def _win(row: dict[str, Any], arms: Titles, targets: Titles) -> str:
    number = f"{signed(row['gain'])} {span(row['low'], row['high'])}"
    return f"{arms[row['intermediate']]} on {targets[row['target']]} ({number})"


def cautions(gains: pd.DataFrame, controls: pd.DataFrame) -> list[str]:
    """What a reader must know before believing the answer."""
    found = [
        f"The {row['control']} control failed. {row['verdict']}"
        for _, row in controls[controls["target"] == ""].iterrows()
        if row["ok"] is False
    ]
    rows = headline(gains)
    missing = rows.loc[rows["gain"].isna(), "target"].count()
    if missing:
        found.append(f"{missing} of {len(rows)} combinations of intermediate and target have no pair of runs.")
    partial = int(((rows["missing"] > 0) & rows["gain"].notna()).sum())
    if partial:
        verb = "misses" if partial == 1 else "miss"
        found.append(f"{partial} more {verb} some seeds; the gains rest on the others.")
    measured = rows[rows["low"].notna()]
    if len(measured) and not measured["seeds_covered"].any():
        found.append("Only one seed was run: the intervals cover the examples, not the luck of training.")
    elif not measured["seeds_covered"].all():
        found.append("Some gains rest on one seed; their intervals do not cover the luck of training.")
    return found


def reading(gains: pd.DataFrame) -> str:
    """How to read the intervals, with the number that chance alone would bring."""
    rows = headline(gains)
    rows = rows[rows["low"].notna() & (rows["control"] == "")]
    n = len(rows)
    away = sum(excludes_zero(low, high) for low, high in zip(rows["low"], rows["high"], strict=True))
    text = (
        "Gains are points of the target's main metric, with the intermediate phase minus without it, in the "
        "mean over all languages except English; brackets hold 95 % intervals over seeds and test examples."
    )
    if n:
        text += (
            f" Of {n} comparisons {away} exclude{'s' if away == 1 else ''} zero; with no effect "
            f"at all, about {max(n * 0.05, 0.1):.1f} would. The highest of several gains is often too high."
        )
    if rows["shape"].isin(RETRIEVAL_SHAPES).any():
        text += f" {RETRIEVAL.capitalize()} is left out of averages over targets and shown apart."
    return text
