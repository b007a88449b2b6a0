"""What a report says of forecasts: how each did on each target, and whether to trust them."""

from __future__ import annotations

import math
from typing import Any

from xstilts.analysis.forecasts import judge, overall
from xstilts.report.frames import Frames
from xstilts.report.tables import Cell, Table
from xstilts.report.text import DASH, clean, plain, signed

TITLES = {"logme": "LogME", "similarity": "text similarity"}
"""What a report calls a method."""
_CHANCE = 0.05


def forecast_table(frames: Frames) -> Table:
    """One row per target and method, then the means of each method."""
    table = Table(
        "Forecasts by target and method",
        ["target", "method", "intermediates", "rank correlation", "foretold best", "its gain", "measured best",
         "its gain", "regret", "regret at random"],
        [False, False, True, True, False, True, False, True, True, True],
    )  # fmt: skip
    forecasts = frames.results.forecasts
    if forecasts.empty:
        return table
    arms = {entry.name: entry.title for entry in frames.intermediates}
    judged = judge(forecasts, frames.gains)
    for target in frames.targets:
        for _, row in judged[judged["target"] == target.name].iterrows():
            found = [
                target.title, TITLES.get(row["method"], clean(row["method"])), str(row["n"]), correlation(row["rho"]),
                arms[row["predicted"]], signed(row["predicted_gain"]), arms[row["best"]], signed(row["best_gain"]),
                plain(row["regret"]), plain(row["random"]),
            ]  # fmt: skip
            table.rows.append([Cell(text) for text in found])
    for _, row in overall(forecasts, frames.gains).iterrows():
        found = [
            f"mean of {row['targets']}", TITLES.get(row["method"], clean(row["method"])), str(row["arms"]),
            correlation(row["rho"]), "", "", "", "", plain(row["regret"]), plain(row["random"]),
        ]  # fmt: skip
        table.rows.append([Cell(text, "strong" if i and text else "") for i, text in enumerate(found)])
    return table


def trust(frames: Frames) -> list[str]:
    """One sentence or two for each method that was compared with gains on some target: whether to trust it."""
    forecasts = frames.results.forecasts
    if forecasts.empty:
        return []
    found = overall(forecasts, frames.gains).to_dict("records")
    return [_verdict({str(name): value for name, value in row.items()}) for row in found]


def _verdict(row: dict[str, Any]) -> str:
    name = TITLES.get(row["method"], clean(row["method"]))
    name = name[0].upper() + name[1:]
    over = f"over {row['targets']} targets" if row["targets"] > 1 else "on one target"
    if math.isnan(row["rho"]):
        return f"{name} gave all intermediates the same score {over}, so it foretells nothing here."
    regret = (
        f"Following it costs {plain(row['regret'])} points against the best choice, picking at random "
        f"{plain(row['random'])}."
    )
    agree = (
        f"{name} agrees with the measured gains by a rank correlation of {correlation(row['rho'])} {over} "
        f"and {row['arms']} intermediates (p = {probability(row['p'])})."
    )
    if row["smallest"] > _CHANCE:
        verdict = (
            f"With {row['arms']} intermediates no agreement can be told from chance: p cannot be below "
            f"{probability(row['smallest'])}."
        )
    elif row["p"] > _CHANCE:
        verdict = "That cannot be told from chance: do not choose by it on the strength of this study."
    elif row["regret"] >= row["random"]:
        verdict = "It ranks better than chance, but its first choice is no better than a random one."
    else:
        verdict = "That is better than chance: it may be followed for studies like this one."
    return f"{agree} {verdict} {regret}"


def correlation(value: float) -> str:
    """A correlation with two digits and its sign; a dash where there is none."""
    return DASH if math.isnan(value) else signed(value, 2)


def probability(value: float) -> str:
    """A p-value with three digits, never 0."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
