"""What the report shows of robustness: frames for its figures and tables, from the measures and the gains."""

from __future__ import annotations

import math

import pandas as pd
from markupsafe import Markup

from xstilts.analysis.distance import Against, distances, gain_against_distance
from xstilts.analysis.gains import BASELINE, ZERO_SHOT
from xstilts.analysis.perturbations import CLEAN, ROBUST, order, setting_of
from xstilts.analysis.summary import by_intermediate, headline, significant
from xstilts.languages import is_known
from xstilts.report.distance_figure import distance
from xstilts.report.figures import by_language, heat_map
from xstilts.report.frames import Frames
from xstilts.report.multiples import multiples
from xstilts.report.rates_figure import rates_figure, reached
from xstilts.report.retention import retention
from xstilts.report.tables import Cell, Table
from xstilts.report.text import DASH, clean, excludes_zero, plain, signed, span


def maps(frames: Frames) -> list[tuple[str, Markup]]:
    """(title, heat map) of the clean gains and, where there are any, of the robust ones."""
    wanted = [(CLEAN, "Clean")]
    wanted += [(ROBUST, "Robust: the mean over all perturbed settings")] if frames.perturbed else []
    found = []
    for setting, title in wanted:
        cells = headline(frames.gains, setting)
        if cells["gain"].notna().any():
            figure = heat_map(frames, f"heat-{setting}", cells=significant(cells), what=f"Zero-shot gain, {setting},",
                              means=significant(by_intermediate(frames.gains, perturbation=setting)))  # fmt: skip
            found.append((title, figure))
    return found


def retention_figure(frames: Frames) -> Markup | None:
    """Retention over the rate, for kinds with a rate and arms that are no controls; where no target's clean score is
    clearly above guessing, none."""
    rows = _zero_shot(frames)
    rows = rows[rows["rate"].notna() & (rows["control"] == "")]
    shown = rows.assign(value=rows["retention"], low=rows["retention_low"], high=rows["retention_high"])
    start = rows.drop_duplicates(["target", "intermediate", "kind"]).assign(
        rate=0.0, value=lambda part: part["retention"].where(part["retention"].isna(), 100.0), low=100.0, high=100.0
    )
    columns = ["target", "intermediate", "kind", "rate", "value", "low", "high"]
    titles = {entry.name: entry.title for entry in (*frames.targets, *frames.intermediates)}
    order_ = {entry.name: i for i, entry in enumerate(frames.targets)}
    arms = {BASELINE: -1} | {entry.name: i for i, entry in enumerate(frames.intermediates)}
    both = pd.concat([start[columns], shown[columns]]).sort_values(
        ["target", "intermediate", "kind", "rate"],
        key=lambda c: c.map(order_) if c.name == "target" else c.map(arms) if c.name == "intermediate" else c,
    )
    return retention(both, "retention", titles=titles, what="percent of the clean score above guessing")


def measure_table(frames: Frames) -> Table:
    """Drop and retention of every intermediate under every setting, zero-shot, with languages and seeds."""
    table = Table(
        "Robustness by target, intermediate and setting",
        ["target", "intermediate", "setting", "clean", "perturbed", "drop", "saved", "95 % interval", "retention %",
         "against none", "95 % interval", "gap to English", "worst languages", "sd languages", "sd seeds"],
        [False, False, False, *[True] * 12],
    )  # fmt: skip
    rows = _zero_shot(frames)
    titles = {entry.name: entry.title for entry in (*frames.targets, *frames.intermediates)} | {BASELINE: "none"}
    by_key = {(str(r["target"]), str(r["intermediate"]), str(r["perturbation"])): r for r in rows.to_dict("records")}
    settings = order(sorted(set(rows["perturbation"])))
    for target in frames.targets:
        for arm in (BASELINE, *(entry.name for entry in frames.intermediates)):
            for setting in settings:
                row = by_key.get((target.name, arm, setting))
                if row is None:
                    continue
                saved, kept = (
                    "strong" if excludes_zero(row[f"{name}_low"], row[f"{name}_high"]) else ""
                    for name in ("saved", "retention_gain")
                )
                table.rows.append([
                    Cell(target.title), Cell(titles.get(arm, clean(arm, 60))), Cell(clean(setting_of(setting).title)),
                    Cell(plain(row["clean"])), Cell(plain(row["score"])), Cell(plain(row["drop"])),
                    Cell(signed(row["saved"]), saved), Cell(span(row["saved_low"], row["saved_high"]), saved),
                    Cell(plain(row["retention"])), Cell(signed(row["retention_gain"]), kept),
                    Cell(span(row["retention_gain_low"], row["retention_gain_high"]), kept),
                    Cell(plain(row["gap"])), Cell(plain(row["worst"])), Cell(plain(row["sd_languages"])),
                    Cell(plain(row["sd_seeds"])),
                ])  # fmt: skip
    return table


def _zero_shot(frames: Frames) -> pd.DataFrame:
    rows = frames.robustness
    return rows[(rows["language"] == ZERO_SHOT) & (rows["perturbation"] != CLEAN)]


def rates_table(frames: Frames) -> Table:
    """What was asked and what was reached: over all languages, and the languages that are farthest from it."""
    table = Table(
        "Rates asked for and reached",
        ["setting", "asked", "reached", "lowest", "highest", "languages", "rows", "unchanged"],
        [False, *[True] * 7],
    )  # fmt: skip
    rates = frames.results.rates
    if rates.empty:
        return table
    for setting in order(sorted(set(rates["perturbation"]))):
        part = rates[rates["perturbation"] == setting]
        share = reached(part).set_index("language")["rate"].sort_values()
        asked = part["asked"].iloc[0]
        whole = part["edits"].sum() / part["units"].sum()
        table.rows.append([
            Cell(clean(setting_of(setting).title)), Cell(DASH if math.isnan(asked) else _percent(asked)),
            Cell(_percent(whole)), *(Cell(f"{_percent(share.iloc[i])} {clean(share.index[i])}") for i in (0, -1)),
            Cell(str(len(share))), Cell(f"{len(part):,}"), Cell(f"{int((part['edits'] == 0).sum()):,}"),
        ])  # fmt: skip
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def rates_shown(frames: Frames) -> Markup | None:
    """Asked against reached, a mark per language."""
    rates = frames.results.rates
    return rates_figure(rates[rates["asked"].notna()], "rates") if len(rates) else None


def against(frames: Frames) -> Against:
    """Gains against similarity to English."""
    languages = sorted(code for code in set(frames.contributions["language"].astype(str)) if is_known(code))
    return gain_against_distance(frames.gains, distances(languages))


def distance_figures(found: Against) -> list[tuple[str, Markup]]:
    """(title, figure) for clean and robust gains."""
    figures = []
    for setting in (CLEAN, ROBUST):
        points = found.points[found.points["setting"] == setting].rename(columns={"name": "category"})
        fit = found.fit[found.fit["setting"] == setting].rename(columns={"similarity": "x", "gain": "y"})
        # one line through all categories would mix them
        mean = points.groupby(["group", "category"])["gain"].mean().reset_index().sort_values(by=["gain"])
        highest = mean.groupby("group").tail(1)[["group", "category"]]
        lines = fit.merge(highest, left_on=["group", "name"], right_on=["group", "category"])
        figure = distance(points, lines, f"distance-{setting}")
        if figure is not None:
            figures.append((f"{setting.capitalize()} gain", figure))
    return figures


def trend_table(found: Against) -> Table:
    """Slope and rank correlation of gain and similarity."""
    table = Table(
        "Gain against similarity of syntax to English",
        ["targets", "category", "measure", "points per 0.1", "95 % interval", "p", "rank correlation", "p of it",
         "languages"],
        [False, False, False, *[True] * 6],
    )  # fmt: skip
    for row in found.trend.to_dict("records"):
        look = "strong" if excludes_zero(row["low"], row["high"]) else ""
        table.rows.append([
            Cell(clean(row["group"])), Cell(clean(row["name"])), Cell(clean(row["setting"])),
            Cell(signed(row["slope"], 2), look),
            Cell(span(row["low"], row["high"]), look), Cell(plain(row["p"], 3)), Cell(signed(row["rho"], 2)),
            Cell(plain(row["p_rho"], 3)), Cell(str(int(row["n"]))),
        ])  # fmt: skip
    return table


def language_figures(frames: Frames) -> list[tuple[str, Markup]]:
    """(target, gains language by language): small multiples with clean and robust gains, or one chart of clean ones."""
    found = []
    for i, target in enumerate(frames.targets):
        if frames.perturbed:
            rows = frames.gains[(frames.gains["target"] == target.name) & frames.gains["primary"].astype(bool)]
            figure = multiples(rows, frames.intermediates, f"lang{i}", what=target.title)
        else:
            figure = by_language(frames, target, f"lang{i}")
        if figure is not None:
            found.append((target.title, figure))
    return found
