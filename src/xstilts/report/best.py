"""The section on the best intermediate for each target: what was chosen, what it gives, and what it averages to."""

from __future__ import annotations

from typing import Any

import pandas as pd

from xstilts.analysis.best import ALL, BEST, DEV, NAIVE, PAPER_GAIN, SINGLE, WITHOUT_RETRIEVAL, listed
from xstilts.analysis.gains import BASELINE, MEAN, ZERO_SHOT
from xstilts.analysis.summary import RETRIEVAL
from xstilts.report.frames import Frames, keyed
from xstilts.report.tables import Cell, Table
from xstilts.report.text import DASH, clean, excludes_zero, signed, span

_NAIVE = "naive: chosen on the rows it is reported on"
_HOW = {DEV: "English dev rows", "held-out": "the other half of the test rows"}


def best_table(frames: Frames) -> Table:
    """One row per target: how and what was chosen, its gain on rows apart, and the naive gain."""
    rows = frames.best.figures[frames.best.figures["language"] == MEAN]
    found = keyed(rows, "figure", "target")
    table = Table(
        "The best intermediate for each target",
        ["target", "chosen by", "chosen", "gain", "95 % interval", "naive gain"],
        [False, False, False, True, True, True],
    )
    for target in frames.targets:
        row, naive = found.get((BEST, target.name)), found.get((NAIVE, target.name))
        if row is None or naive is None:
            continue
        look = "strong" if excludes_zero(row["low"], row["high"]) else ""
        table.rows.append([
            Cell(target.title), Cell(_HOW.get(row["how"], DASH)), Cell(_chosen(frames, target.name), "wide"),
            Cell(signed(row["gain"]), look), Cell(span(row["low"], row["high"]), look),
            Cell(signed(naive["gain"]), "quiet"),
        ])  # fmt: skip
    return table


def _chosen(frames: Frames, target: str) -> str:
    """The intermediates chosen for a target by their titles, with counts where the choices differ."""
    titles = {BASELINE: "none"} | {e.name: e.title for e in frames.intermediates}
    choices = frames.best.choices
    names = choices.loc[choices["target"] == target, "intermediate"]
    return listed(names, titles) or DASH


def average_table(frames: Frames) -> Table:
    """Averages over targets: the best for each, the naive figure, and every single intermediate for all targets."""
    rows = frames.best.figures[frames.best.figures["target"] == ""]
    found = keyed(rows, "figure", "intermediate", "scope", "language")
    retrieval = any(t.group == RETRIEVAL for t in frames.targets)
    scopes = (ALL, WITHOUT_RETRIEVAL) if retrieval and WITHOUT_RETRIEVAL in set(rows["scope"]) else (ALL,)
    units = [(scope, unit) for scope in scopes for unit in (MEAN, ZERO_SHOT)]
    headings = [scope if unit == MEAN else f"{scope}, {unit}" for scope, unit in units]
    table = Table("Averages over targets", ["intermediate", *headings], [False, *[True] * len(units)])
    measured = {name for figure, name, *_ in found if figure == SINGLE}
    singles = [e for e in frames.intermediates if e.name in measured]
    lines = [("the best for each target", BEST, ""), (_NAIVE, NAIVE, "")]
    lines += [(f"{e.title} for every target", SINGLE, e.name) for e in singles]
    most = max((row["n_targets"] for row in found.values()), default=0)
    for title, figure, name in lines:
        numbers = [found.get((figure, name, scope, unit)) for scope, unit in units]
        first = numbers[0]
        short = first is not None and first["n_targets"] < most
        text = f"{title} ({int(first['n_targets'])} of {int(most)} targets)" if first is not None and short else title
        look = "quiet" if figure == NAIVE else ""
        table.rows.append([Cell(text), *(_average(number, look) for number in numbers)])
    return table


def _average(row: dict[str, Any] | None, look: str) -> Cell:
    if row is None or pd.isna(row["gain"]):
        return Cell(DASH)
    interval = "" if pd.isna(row["low"]) else f" {span(row['low'], row['high'])}"
    return Cell(signed(row["gain"]) + interval, "strong" if excludes_zero(row["low"], row["high"]) else look)


def best_words(frames: Frames) -> list[str]:
    """The average in a sentence, the paper's figure beside it, how to read both; [] where nothing was chosen."""
    best, figures = frames.best, frames.best.figures
    found = keyed(figures[figures["target"] == ""], "figure", "scope", "language")
    mine = found.get((BEST, ALL, MEAN))
    if mine is None or pd.isna(mine["gain"]):
        return []
    n = int(mine["n_targets"])
    sentences = [
        f"With the best intermediate for each of {n} targets the average changes by {signed(mine['gain'])} points "
        f"{span(mine['low'], mine['high'])}" if n > 1 else
        f"With the best intermediate the one target changes by {signed(mine['gain'])} points "
        f"{span(mine['low'], mine['high'])}"
    ]  # fmt: skip
    naive = found.get((NAIVE, ALL, MEAN))
    if naive is not None:
        sentences[0] += f"; chosen on the very rows that are reported it would seem to be {signed(naive['gain'])}"
    sentences[0] += "."
    sentences.append(
        f"For comparison, Phang et al. (2020, arXiv 2005.13013) report {signed(PAPER_GAIN)} points over XLM-R large "
        "on XTREME's nine tasks for the best model of each."
    )
    seeds = best.choices.groupby("target")["seed"].nunique()
    apart = "rows" if (seeds == 1).all() else "rows and seeds"
    note = (
        f"A choice never sees the {apart} that its gain is reported on: by English dev rows where the study has them, "
        "else by one half of the test rows for the other half"
        + (", and by the other seeds. " if apart == "rows and seeds" else ". ")
        + "The choice may also be none; controls are never chosen. Counts tell how often where the choices differ."
    )
    if (seeds == 1).any():
        which = "With one seed" if (seeds == 1).all() else "Where only one seed was run"
        note += f" {which} the choice shares that seed's luck of training with the gain, which may be too high for it."
    note += (
        " Scores are means over all languages, English among them, as XTREME averages, if not called zero-shot; "
        "question answering counts the mean of F1 and exact match."
    )
    return [*sentences, clean(note, 2000)]
