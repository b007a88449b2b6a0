"""Writes the report: report.html (one file, no network, no script), report.md and the tables as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xstilts.analysis.summary import controls
from xstilts.report import tables, words
from xstilts.report.best import average_table, best_table, best_words
from xstilts.report.degenerate import DAGGER, FOOTNOTE, degenerate_cautions, degenerate_rule, degenerate_table, doubtful
from xstilts.report.figures import by_language, heat_map
from xstilts.report.forecasts import forecast_table, trust
from xstilts.report.frames import Frames, Results
from xstilts.report.text import clean, duration, markdown, signed, span
from xstilts.report.variants import variant_table


def write_report(results: Results, out: Path) -> Path:
    """Writes report.html, report.md, scores.csv, gains.csv and best.csv into `out`, made if need be, and returns the
    path of report.html; also `forecasts.csv` where gains were foretold and `variants.csv` where arms vary others.

    The same results give the same bytes. The only time stamp is `results.environment["created"]`, which
    stands in one line that begins with "Created".
    """
    frames = Frames(results)
    values = view(frames)
    out.mkdir(parents=True, exist_ok=True)
    page = out / "report.html"
    _write(page, _environment(html=True).get_template("report.html.j2").render(values))
    _write(out / "report.md", _environment(html=False).get_template("report.md.j2").render(values))
    _write(out / "scores.csv", _csv(frames.scores))
    _write(out / "gains.csv", _csv(frames.gains))
    _write(out / "best.csv", _csv(frames.best.figures))
    if len(frames.variants):
        _write(out / "variants.csv", _csv(frames.variants))
    if len(results.forecasts):
        _write(out / "forecasts.csv", _csv(results.forecasts))
    return page


def view(frames: Frames) -> dict[str, Any]:
    """What both templates print: sentences, tables, figures and facts."""
    study, environment = frames.results.study, dict(frames.results.environment)
    created = environment.pop("created", None)
    verdicts = controls(frames.gains)
    arms = {e.name: e.title for e in frames.intermediates}
    targets = {e.name: e.title for e in frames.targets}
    failed = tables.failed_table(frames.steps)
    in_doubt = doubtful(frames)
    has_gains = bool(frames.gains["gain"].notna().any())
    return {
        "title": clean(study.get("name") or "study"),
        "question": clean(study.get("question") or "", 1000),
        "answer": words.answer(frames.gains, arms, targets),
        "cautions": [
            *(clean(c, 1000) for c in study.get("cautions") or []),
            *words.cautions(frames.gains, verdicts),
            *degenerate_cautions(frames),
            *_failures(frames.steps),
        ],
        "reading": words.reading(frames.gains) if has_gains else "",
        "controls": [_control(row) for row in verdicts[verdicts["target"] == ""].to_dict("records")],
        "control_table": tables.control_table(verdicts, frames),
        "heat_map": heat_map(frames, "heat") if arms and targets and has_gains else None,
        "forecasts": trust(frames),
        "forecast_table": forecast_table(frames),
        "category_table": tables.category_table(frames),
        "gain_table": tables.gain_table(frames, in_doubt, DAGGER),
        "footnote": FOOTNOTE if in_doubt else "",
        "variant_table": variant_table(frames),
        "best_words": best_words(frames),
        "best_table": best_table(frames),
        "average_table": average_table(frames),
        "languages": _languages(frames),
        "unseen": _unseen(frames.contributions),
        "score_tables": tables.score_tables(frames),
        "stand_ins": [clean(sentence, 1000) for sentence in study.get("stand_ins") or []],
        "about": _facts(study),
        "settings": tables.facts(study.get("settings") or {}),
        "environment": tables.facts(environment),
        "data_table": tables.data_table(study.get("data")),
        "time_table": tables.time_table(frames.steps),
        "total_time": duration(float(frames.steps["seconds"].astype(float).sum())),
        "degenerate_rule": degenerate_rule(frames),
        "degenerate_table": degenerate_table(frames),
        "failed_table": failed,
        "command": clean(study.get("command") or "", 2000),
        "created": clean(created) if created else "",
    }


def _control(row: dict[Any, Any]) -> dict[str, str]:
    """One line on a control: whether it passed, its number, what that means."""
    state = {True: "passed", False: "failed"}.get(row["ok"], "open")
    number = "" if pd.isna(row["gain"]) else f"{signed(row['gain'])} points {span(row['low'], row['high'])}"
    return {"name": str(row["control"]), "state": state, "number": number, "verdict": str(row["verdict"])}


def _failures(steps: pd.DataFrame) -> list[str]:
    failed = int((steps["state"] == "failed").sum())
    text = "One step failed; it is" if failed == 1 else f"{failed} steps failed; they are"
    return [f"{text} listed at the end."] if failed else []


def _languages(frames: Frames) -> list[tuple[str, Markup]]:
    figures = ((t.title, by_language(frames, t, f"lang{i}")) for i, t in enumerate(frames.targets))
    return [(title, figure) for title, figure in figures if figure is not None]


def _unseen(contributions: pd.DataFrame) -> list[str]:
    """Languages that the encoder was not pretrained on."""
    seen = contributions.drop_duplicates("language")
    return sorted(clean(code) for code in seen.loc[~seen["seen"].astype(bool), "language"])


def _facts(study: dict[str, Any]) -> list[tuple[str, str]]:
    names = ("model", "languages", "seeds", "intermediates", "targets")
    shown = {}
    for name in names:
        value = study.get(name)
        if isinstance(value, list):
            value = [v.get("title") or v["name"] if isinstance(v, dict) else v for v in value]
        if value:
            shown[name] = value
    return tables.facts(shown)


def _environment(*, html: bool) -> Environment:
    """HTML is autoescaped; Markdown escapes every value but the `raw` output of its own macros."""
    found = Environment(
        loader=PackageLoader("xstilts.report"), autoescape=html, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        finalize=None if html else lambda value: value if isinstance(value, Markup) else markdown(value),
    )  # fmt: skip
    found.globals["raw"] = Markup
    return found


def _csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
