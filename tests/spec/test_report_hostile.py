"""Whatever stands in the data, the report is text about it: nothing acts, hides its neighbours or swamps the page."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.spec.report_fixture import Target, contributions, steps

from xstilts.claims import Claims
from xstilts.report.explore import policy, script
from xstilts.report.frames import Frames, Results
from xstilts.report.html import write_report

HOSTILE = {
    "script": '"><script>alert(1)</script><img src=x onerror=alert(2)>',
    "endings": "</script></style></svg></title></textarea>]]>--><!--<script>--!>&lt;script&gt;alert(3)",
    "attribute": """' autofocus onfocus=alert(4) tabindex=1 style=position:fixed x="` onmouseover=alert(5) y=\"""",
    "template": "{{ 7 * 7 }}{% raw %}{# ${7*7} $x_1$ \\u003cscript\\u003e \\",
    "address": "javascript:alert(6) http://example.org/x.png url(http://example.org/y) //example.org",
    "directions": "a\u202eb\u2066c\u2069\u200fd\u061c\ufeffe\u200b\u2028f\u2029g",
    "controls": "a\x00b\x1b[31mc\x08d\x7fe\x85f\r\ng\th",
    "digits": "\N{MINUS SIGN}1.2 [0.1, 9e999] 3 h 1e400 NaN",
}
LONG = HOSTILE["script"] + "W" * 2**20
OFFERED = {"html", "head", "meta", "title", "style", "body", "main", "header", "section", "p", "h1", "h2", "h3", "ul",
           "li", "strong", "span", "br", "em", "code", "pre", "footer", "figure", "div", "table", "thead", "tbody",
           "tr", "th", "td", "dl", "dt", "dd", "form", "fieldset", "legend", "label", "select", "optgroup", "option",
           "button", "script", "noscript", "details", "summary", "nav", "a", "caption"}  # fmt: skip
INVISIBLE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
"""Control and direction characters, line and paragraph separators."""
DRAWN = {"svg", "desc", "g", "path", "rect", "text", "tspan", "use", "defs", "clippath", "pattern", "line", "circle"}


def hostile(text: str) -> Results:
    """Results with the text in every field that can hold a person's or a data set's words; names, which frames repeat
    row by row, have at most 4 KB of it."""
    name = text[: 2**12]
    languages = ("en", name)
    targets = [
        Target(name, name, name, name, (name,), languages, 0.6),
        Target("other", name, "semantic", "classify", ("accuracy",), languages, 0.6),
    ]
    arms: dict[str, tuple[str, str, dict[str, float]]] = {
        name: (name, "", {name: 9.0, "other": 9.0}),
        "b" + name: (name, "", {}),
        "own": ("", name, {}),
    }
    data = contributions(arms, targets, examples=3, seeds=(1, 2), unseen=(name,))
    data["id"] += name
    data = pd.concat([data, data.assign(perturbation="own" + name)], ignore_index=True)
    run = {"intermediate": name, "target": name, "seed": 1, "phase": text, "reason": text, "restarts": 1,
           "remedied": False}  # fmt: skip
    pair = {"method": name, "category": name, "control": ""}
    fields: dict[str, Any] = {
        "contributions": data,
        "dev": data[(data["language"] == "en") & (data["perturbation"] == "clean")],
        "steps": steps([(text, text, text)]).assign(state=lambda f: f["state"].where(f.index % 9 > 0, text)),
        "environment": {text: text, "nested": {text: [text]}},
        "degenerate": pd.DataFrame([run, {**run, "intermediate": "none", "target": "gone" + name}]),
        "forecasts": pd.DataFrame(
            [{**pair, "target": t.name, "intermediate": a, "score": i} for t in targets for i, a in enumerate(arms)]
        ),
        "rates": pd.DataFrame([{
            "target": name, "language": name, "perturbation": "own" + name, "kind": name, "asked": 0.1, "id": text,
            "edits": 1, "units": 10,
        }]),
        "golds": pd.DataFrame([{"target": name, "language": name, "gold": text}]),
        "claims": Claims.model_validate({"name": text, "source": text, "claims": [
            {"id": name, "claim": text, "note": text, "parts": [{"above": 0}]},
            {"id": "design", "claim": text, "design": {"model": [text]}},
        ]}),
    }  # fmt: skip
    study = {
        "name": text, "question": text, "model": {text: text}, "languages": list(languages), "seeds": [text],
        "intermediates": ["none", *({"name": a, "title": text} for a in arms)],
        "targets": [{"name": t.name, "title": text} for t in targets], "stand_ins": [text], "cautions": [text],
        "settings": {text: {text: text}}, "command": text, "degenerate_rule": text, "varies": {"b" + name: name},
        "data": [dict.fromkeys(("task", "split", "language", "source", "identity"), text)] * 3,
    }  # fmt: skip
    return Results(study, **fields)


@pytest.fixture(scope="module", params=[*HOSTILE, "long"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = LONG if request.param == "long" else HOSTILE[request.param]
    return write_report(hostile(text), tmp_path_factory.mktemp("hostile"))


class Elements(html.parser.HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and data.strip():
            self.scripts.append(data)


def test_every_field_of_results_is_made_hostile() -> None:
    """A field that is added to Results is added to this file's results too: none is empty."""
    made = hostile("x")
    values = {f.name: getattr(made, f.name) for f in dataclasses.fields(Results)}
    empty = [name for name, value in values.items() if value is None or (hasattr(value, "__len__") and len(value) == 0)]
    assert not empty


def test_no_element_or_attribute_comes_from_data(written: Path) -> None:
    """The page has only elements that the report itself writes, none acts, and none fetches."""
    found = Elements(written.read_text("utf-8")).elements
    assert {tag for tag, _ in found} <= OFFERED | DRAWN
    names = {name for _, attributes in found for name in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "srcdoc", "autofocus", "action"})
    links = {attributes.get("href") or attributes.get("xlink:href") or "#" for _, attributes in found}
    assert all(link.startswith("#") for link in links)


def test_the_only_scripts_are_the_reports_own_and_its_data(written: Path) -> None:
    """One script runs, the policy names its hash, and the other is data that parses."""
    page = Elements(written.read_text("utf-8"))
    kinds = [attributes.get("type") for tag, attributes in page.elements if tag == "script"]
    assert kinds == ["application/json", None]
    data, own = page.scripts
    assert own == script() and set(json.loads(data)) >= {"titles", "codes", "gain", "looks"}
    (stated,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert stated == policy(own)


def test_no_character_of_data_hides_or_reorders_text(written: Path) -> None:
    """Direction marks, control characters and unpaired surrogates are in neither page nor Markdown."""
    for name in ("report.html", "report.md"):
        text = (written.parent / name).read_text("utf-8")
        assert re.search(INVISIBLE, text) is None


def test_a_long_text_does_not_swamp_the_page(written: Path) -> None:
    """A megabyte in every field of a study costs the page less than half of one."""
    assert written.stat().st_size < 500_000 and max(map(len, written.read_text("utf-8").splitlines())) < 40_000


def test_unpaired_surrogates_of_a_study_are_replaced(tmp_path: Path) -> None:
    """They can come from YAML's escapes; tables of data cannot hold them, for parquet is UTF-8."""
    text = "a\ud800b\udfffc"
    study = {**hostile("x").study, "name": text, "question": text, "stand_ins": [text], "settings": {text: text}}
    page = write_report(dataclasses.replace(hostile("x"), study=study), tmp_path).read_text("utf-8")
    assert "a\ufffdb\ufffdc" in page


def test_the_policy_lets_nothing_else_run() -> None:
    """Neither inline nor evaluated nor foreign script, no form, no other base: only the script with this hash."""
    stated = dict(part.strip().split(" ", 1) for part in policy("x").split(";"))
    assert stated["default-src"] == stated["base-uri"] == stated["form-action"] == "'none'"
    # sha256 of "x", from `printf x | openssl dgst -sha256 -binary | base64`
    assert stated["script-src"] == "'sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='"


def test_the_script_writes_text_only() -> None:
    """It has no way to turn text into markup or code, and does not end the element that it stands in."""
    own = script()
    assert not re.search(r"(inner|outer)HTML|insertAdjacent|\.write|eval|Function\(|DOMParser|\bimport\b", own)
    assert not re.search(r"fetch|XMLHttp|WebSocket|https?:|<!--|</", own) and len(own) < 12_000


def test_a_study_without_gains_has_no_explorer(tmp_path: Path) -> None:
    """There is nothing to filter, and the page stands without it."""
    empty = Results({}, pd.DataFrame(), pd.DataFrame())
    assert 'id="explore"' not in write_report(empty, tmp_path).read_text("utf-8")
    assert Frames(empty).gains.empty
