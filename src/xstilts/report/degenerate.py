"""Degenerate runs in the report: trainings that collapsed or diverged are named, counted and marked, never averaged in
silence."""

from __future__ import annotations

import pandas as pd

from xstilts.analysis.gains import BASELINE
from xstilts.report.frames import DEGENERATE, Frames
from xstilts.report.tables import Cell, Table
from xstilts.report.text import clean, listed

DAGGER = "†"
FOOTNOTE = (
    f"{DAGGER} A degenerate run, of the intermediate or of the baseline, is part of this gain: see Degenerate runs."
)
_EVERY = ""  # target of a training that all targets start from


def degenerate_runs(frames: Frames) -> pd.DataFrame:
    """`Results.degenerate` in a fixed order, each row with the `key` of its training."""
    found = frames.results.degenerate
    if found.empty:
        return pd.DataFrame(columns=list(DEGENERATE))
    found = found.assign(target=found["target"].fillna(_EVERY).astype(str)).sort_values(
        ["phase", "intermediate", "target", "seed"], ignore_index=True
    )
    return found if "key" in found else found.assign(key=found.index)


def doubtful(frames: Frames) -> frozenset[tuple[str, str]]:
    """(intermediate, target) of the gains that an uncured degenerate run is part of.

    A run counts if its seed was scored. A degenerate baseline casts doubt on every gain of its target.
    """
    runs = degenerate_runs(frames)
    runs = runs[~runs["remedied"].astype(bool)]
    if runs.empty:
        return frozenset()
    arms = [entry.name for entry in frames.intermediates]
    data = frames.contributions[["intermediate", "target", "seed"]].drop_duplicates()
    scored = set(zip(data["intermediate"], data["target"], data["seed"], strict=True))
    return frozenset(
        (arm, target.name)
        for run in runs.to_dict("records")
        for target in frames.targets
        for arm in ([run["intermediate"]] if run["intermediate"] != BASELINE else arms)
        if run["target"] in (_EVERY, target.name)
        and {(run["intermediate"], target.name, run["seed"]), (arm, target.name, run["seed"])} <= scored
    )


def degenerate_cautions(frames: Frames) -> list[str]:
    """A sentence with the number of uncured degenerate trainings, where a gain rests on one; else none."""
    if not doubtful(frames):
        return []
    runs, steps = degenerate_runs(frames), frames.steps
    n = runs.loc[~runs["remedied"].astype(bool), "key"].nunique()
    done = int(((steps["kind"] == "Train") & (steps["state"] == "done")).sum())
    of = f" of {done} trainings" if done >= n else " training" if n == 1 else " trainings"
    return [
        f"{n}{of} {'is' if n == 1 else 'are'} degenerate, see Degenerate runs; gains they are part of bear a {DAGGER}."
    ]


def degenerate_table(frames: Frames) -> Table:
    """The degenerate trainings: whose, what is wrong, how often started anew, and whether that cured it."""
    arms = {BASELINE: "none (baseline)"} | {e.name: e.title for e in frames.intermediates}
    targets = {e.name: e.title for e in frames.targets}
    table = Table(
        "Degenerate runs",
        ["intermediate", "target", "phase", "seed", "what is wrong", "restarts", "outcome"],
        [False, False, False, True, False, True, False],
    )
    for _, rows in degenerate_runs(frames).groupby("key", sort=False):
        names = list(dict.fromkeys(rows["target"]))
        every = _EVERY in names or (len(names) > 1 and set(names) >= set(targets))
        where = "every target" if every else listed([targets.get(name, clean(name, 60)) for name in names])
        (run, *_) = rows.to_dict("records")
        table.rows.append([
            Cell(arms.get(run["intermediate"], clean(run["intermediate"], 60))), Cell(where, "wide"),
            Cell(clean(run["phase"])), Cell(clean(run["seed"])), Cell(clean(run["reason"]), "wide"),
            Cell(clean(run["restarts"]), "" if run["restarts"] else "quiet"),
            Cell("cured by a restart", "quiet") if run["remedied"] else Cell("stands", "strong"),
        ])  # fmt: skip
    return table


def degenerate_rule(frames: Frames) -> str:
    """The stated rule by which a training is degenerate, from the study; "" where it states none."""
    return clean(frames.results.study.get("degenerate_rule") or "", 1000)
