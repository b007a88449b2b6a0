"""Writes the report: report.html (one file, no network, one script of its own), report.md and the tables as CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from xstilts.analysis.distance import CAUTION
from xstilts.analysis.summary import controls
from xstilts.report import robust, tables, words
from xstilts.report.answer import answer_data, answer_words, mixed_table, mixed_words, ranking_table
from xstilts.report.best import average_table, best_table, best_words
from xstilts.report.claims import RULE, claim_lines, claim_table, claim_words, claims_frame
from xstilts.report.degenerate import DAGGER, FOOTNOTE, degenerate_cautions, degenerate_rule, degenerate_table, doubtful
from xstilts.report.explore import explorable, policy, script
from xstilts.report.forecasts import forecast_table, trust
from xstilts.report.forest import forest
from xstilts.report.frames import Frames, Results
from xstilts.report.svg_files import write_files
from xstilts.report.text import clean, markdown, signed, span
from xstilts.report.variants import variant_table


def write_report(results: Results, out: Path) -> Path:
    """Writes report.html, report.md, answer.json, scores.csv, gains.csv, ranking.csv, best.csv and steps.csv into
    `out`, made if need be, and returns the path of report.html; every table as `tables/NAME.csv` and `.tex` and every
    figure as `figures/NAME.svg`; also `forecasts.csv` where gains were foretold, `variants.csv` where arms vary others,
    `robustness.csv` where rows were perturbed and `claims.csv` where claims were judged.

    The same results give the same bytes, however often the run that made them was broken off: how long steps took and
    when is in `steps.csv` and nowhere else.
    """
    frames = Frames(results)
    values = view(frames)
    out.mkdir(parents=True, exist_ok=True)
    _clear(out)
    page = out / "report.html"
    _write(page, _environment(html=True).get_template("report.html.j2").render(values))
    _write(out / "report.md", _environment(html=False).get_template("report.md.j2").render(values))
    _write(out / "scores.csv", _csv(frames.scores))
    _write(out / "gains.csv", _csv(frames.gains))
    _write(out / "best.csv", _csv(frames.best.figures))
    _write(out / "steps.csv", _csv(frames.steps))
    _write(out / "answer.json", _json(_answer(frames, values)))
    _write(out / "ranking.csv", _csv(frames.ranking.categories))
    if frames.judged is not None:
        _write(out / "claims.csv", _csv(_claims(frames)))
    if values["perturbed"]:
        _write(out / "robustness.csv", _csv(frames.robustness))
    write_files(values, out)
    if len(frames.variants):
        _write(out / "variants.csv", _csv(frames.variants))
    if len(results.forecasts):
        _write(out / "forecasts.csv", _csv(results.forecasts))
    return page


def _clear(out: Path) -> None:
    """Remove what an earlier report wrote there and this one may not: the table of steps that failed then, say."""
    for pattern in ("claims.csv", "robustness.csv", "variants.csv", "forecasts.csv", "tables/*.csv", "tables/*.tex",
                    "figures/*.svg"):  # fmt: skip
        for path in out.glob(pattern):
            path.unlink()


def view(frames: Frames) -> dict[str, Any]:
    """What both templates print: sentences, tables, figures and facts."""
    study, environment = frames.results.study, dict(frames.results.environment)
    verdicts = controls(frames.gains)
    arms = {e.name: e.title for e in frames.intermediates}
    targets = {e.name: e.title for e in frames.targets}
    failed = tables.failed_table(frames.steps)
    in_doubt = doubtful(frames)
    own_script, distances = script(), robust.against(frames)
    has_gains = bool(frames.gains["gain"].notna().any())
    return {
        "script": own_script,
        "policy": policy(own_script),
        "title": clean(study.get("name") or "study"),
        "question": clean(study.get("question") or "", 1000),
        "answer": [*answer_words(frames), *words.answer(frames.gains, arms, targets)],
        "cautions": [
            *(clean(c, 1000) for c in study.get("cautions") or []),
            *words.cautions(frames.gains, verdicts),
            *degenerate_cautions(frames),
            *_failures(frames.steps),
        ],
        "reading": words.reading(frames.gains) if has_gains else "",
        "controls": [_control(row) for row in verdicts[verdicts["target"] == ""].to_dict("records")],
        "control_table": tables.control_table(verdicts, frames),
        "ranking_table": ranking_table(frames),
        "forest": forest(frames.ranking.categories, "forest"),
        "mixed_words": mixed_words(frames.mixed),
        "mixed_table": mixed_table(frames.mixed),
        "heat_maps": robust.maps(frames) if arms and targets and has_gains else [],
        "perturbed": frames.perturbed,
        "retention": robust.retention_figure(frames),
        "measure_table": robust.measure_table(frames),
        "rates": robust.rates_shown(frames),
        "rates_table": robust.rates_table(frames),
        "distance_figures": robust.distance_figures(distances),
        "trend_table": robust.trend_table(distances),
        "distance_note": CAUTION,
        "claim_words": [] if frames.judged is None else claim_words(frames.judged),
        "claim_table": None if frames.judged is None else claim_table(frames.judged),
        "claim_lines": [] if frames.judged is None else claim_lines(frames.judged, arms, targets),
        "claim_rule": RULE,
        "forecasts": trust(frames),
        "forecast_table": forecast_table(frames),
        "gain_table": tables.gain_table(frames, in_doubt, DAGGER),
        "explore": explorable(frames, in_doubt, DAGGER),
        "footnote": FOOTNOTE if in_doubt else "",
        "variant_table": variant_table(frames),
        "best_words": best_words(frames),
        "best_table": best_table(frames),
        "average_table": average_table(frames),
        "languages": robust.language_figures(frames),
        "unseen": _unseen(frames.contributions),
        "score_tables": tables.score_tables(frames),
        "stand_ins": [clean(sentence, 1000) for sentence in study.get("stand_ins") or []],
        "about": _facts(study),
        "settings": tables.facts(study.get("settings") or {}),
        "environment": tables.facts(environment),
        "data_table": tables.data_table(study.get("data")),
        "step_table": tables.step_table(frames.steps),
        "degenerate_rule": degenerate_rule(frames),
        "degenerate_table": degenerate_table(frames),
        "failed_table": failed,
        "command": clean(study.get("command") or "", 2000),
    }


def _claims(frames: Frames) -> pd.DataFrame:
    assert frames.judged is not None
    titles = ({e.name: e.title for e in entries} for entries in (frames.intermediates, frames.targets))
    return claims_frame(frames.judged, *titles)


def _answer(frames: Frames, values: dict[str, Any]) -> dict[str, Any]:
    """The contents of `answer.json`."""
    more = {} if frames.judged is None else {"claims": _claims(frames)}
    said = {name: values[name] for name in ("answer", "controls", "cautions")}
    return answer_data(frames, **said, **more)


def _control(row: dict[Any, Any]) -> dict[str, str]:
    """One line on a control: whether it passed, its number, what that means."""
    state = {True: "passed", False: "failed"}.get(row["ok"], "open")
    number = "" if pd.isna(row["gain"]) else f"{signed(row['gain'])} points {span(row['low'], row['high'])}"
    return {"name": str(row["control"]), "state": state, "number": number, "verdict": str(row["verdict"])}


def _failures(steps: pd.DataFrame) -> list[str]:
    failed = int((steps["state"] == "failed").sum())
    text = "One step failed; it is" if failed == 1 else f"{failed} steps failed; they are"
    return [f"{text} listed at the end."] if failed else []


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


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
