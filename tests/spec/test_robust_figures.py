"""The figures of the answer: what they show, that they are readable by everyone, and that text in them stays text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from report_fixture import PLANTED, Target, contributions, results

from xstilts.analysis.summary import headline
from xstilts.report.canvas import SERIES, Canvas
from xstilts.report.distance_figure import distance
from xstilts.report.drawing import Axis, fitted, text_width
from xstilts.report.figures import heat_map
from xstilts.report.forest import forest, probability
from xstilts.report.frames import Entry, Frames
from xstilts.report.multiples import multiples
from xstilts.report.rates_figure import rates_figure, reached
from xstilts.report.retention import retention
from xstilts.report.svg_files import light_palette, standalone
from xstilts.report.text import clean

HOSTILE = '"><script>alert(1)</script>\u202e|`$x_1$`&lt;\x00\ufffe var(--gain) #010101'
NAN = float("nan")


def forest_rows(categories: list[str], groups: tuple[str, ...] = ("semantic", "syntactic")) -> pd.DataFrame:
    """Robust gains that fall from the first category to the last, clean ones that rise."""
    return pd.DataFrame([
        {"group": group, "category": category, "measure": measure, "gain": gain, "low": gain - 1.5, "high": gain + 1.5,
         "p_holm": 0.01 if gain > 2 else 0.4, "best": 1 / len(categories), "n_targets": 3}
        for group in groups
        for i, category in enumerate(categories)
        for measure, gain in (("robust", 3.0 - i), ("clean", float(i)))
    ])  # fmt: skip


def points(languages: list[str], categories: list[str]) -> pd.DataFrame:
    return pd.DataFrame([
        {"group": "semantic", "category": category, "language": language, "gain": 0.1 * i + k, "low": 0.1 * i + k - 1,
         "high": 0.1 * i + k + 1, "similarity": 0.4 + 0.5 * (i // 2) / max(len(languages), 2)}
        for i, language in enumerate(languages) for k, category in enumerate(categories)
    ])  # fmt: skip


FIT = pd.DataFrame({"group": "semantic", "x": [0.9, 0.4], "y": [2.0, 1.0], "low": [1.0, 0.0], "high": [3.0, 2.0]})


def curves(arms: list[str], rates: tuple[float, ...] = (0, 0.1, 0.2), target: str = "xnli") -> pd.DataFrame:
    return pd.DataFrame([
        {"target": target, "intermediate": arm, "kind": kind, "rate": rate, "value": 100 - 100 * rate - i,
         "low": 98 - 100 * rate - i, "high": 101 - 100 * rate - i}
        for i, arm in enumerate(arms) for kind in ("keyboard", "code_switch") for rate in rates
    ])  # fmt: skip


def per_language(languages: list[str], arms: list[str]) -> pd.DataFrame:
    return pd.DataFrame([
        {"intermediate": arm, "language": language, "perturbation": setting, "seen": i % 5 != 4, "gain": k - 3.0,
         "low": k - 4.5, "high": k - 1.5}
        for i, language in enumerate(languages) for k, arm in enumerate(arms)
        for setting in ("clean", "robust", "keyboard@0.1")
    ])  # fmt: skip


def asked(languages: list[str], kinds: tuple[str, ...] = ("keyboard", "mlm")) -> pd.DataFrame:
    return pd.DataFrame([
        {"target": target, "language": language, "perturbation": f"{kind}@{rate}", "kind": kind, "asked": rate,
         "id": str(i), "edits": round(rate * units) + i, "units": units}
        for target in ("xnli", "udpos") for language in languages for kind in kinds for rate in (0.1, 0.2)
        for i, units in enumerate((20, 100))
    ])  # fmt: skip


def entries(names: list[str]) -> list[Entry]:
    return [Entry(name, clean(name), "NLI") for name in names]


def heat(names: list[str]) -> Markup:
    target = Target(names[0], clean(names[0]), "semantic", "classify", ("accuracy",), ("en", "de"), 0.6)
    planted = {name: (name, "", {}) for name in names}
    frames = Frames(results((target,), contributions=contributions(planted, [target], examples=10),
                            intermediates=[{"name": n, "title": n} for n in names]))  # fmt: skip
    return heat_map(frames, "heat", cells=headline(frames.gains).assign(p_holm=0.01))


FIGURES: dict[str, Callable[[list[str]], Markup | None]] = {
    "heat": heat,
    "forest": lambda names: forest(forest_rows(names), "forest"),
    "distance": lambda names: distance(points(names, names[:3]), FIT, "distance", axis=names[0]),
    "retention": lambda names: retention(curves(["none", *names], target=names[0]), "retention", what=names[0]),
    "multiples": lambda names: multiples(per_language(names, names[:12]), entries(names[:12]), "multiples",
                                         what=names[0]),
    "rates": lambda names: rates_figure(asked(names, tuple(names[:5])), "rates"),
}  # fmt: skip
EVERY = pytest.mark.parametrize("figure", FIGURES.values(), ids=list(FIGURES))
NAMES = ["NLI", "span QA", "paraphrase", "syntactic tagging"]
LONG = ["a name that is far longer than any that a person would choose", "分類" * 20, HOSTILE, "x"]
MANY = [f"l{i:02d}" for i in range(40)]


@dataclass
class Drawn:
    """What a figure put on its sheets."""

    marks: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    sheets: list[Canvas] = field(default_factory=list)

    def shapes(self, shape: str) -> list[dict[str, Any]]:
        return [mark for mark in self.marks if mark["shape"] == shape]

    def said(self) -> list[str]:
        return [text["text"] for text in self.texts]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Records what is drawn, and draws it."""
    found = Drawn()
    mark, text = Canvas.mark, Canvas.text

    def record_mark(self: Canvas, x: float, y: float, radius: float, colour: str, **rest: Any) -> None:
        found.marks.append({"x": x, "y": y, "colour": colour, "shape": "o", **rest})
        mark(self, x, y, radius, colour, **rest)

    def record_text(self: Canvas, x: float, y: float, line: str, **rest: Any) -> None:
        found.texts.append({"x": x, "y": y, "text": line, "size": 12, "anchor": "left", **rest})
        found.sheets.append(self)
        text(self, x, y, line, **rest)

    monkeypatch.setattr(Canvas, "mark", record_mark)
    monkeypatch.setattr(Canvas, "text", record_text)
    return found


@EVERY
def test_a_figure_is_one_svg_with_a_title_and_a_description(figure: Callable[[list[str]], Markup]) -> None:
    """A screen reader finds a title and a description; ids are the figure's own; there is nothing that acts."""
    svg = ElementTree.fromstring(figure(NAMES))
    tags = [element.tag.partition("}")[2] for element in svg.iter()]
    assert tags[:3] == ["svg", "title", "desc"] and svg.get("role") == "img"
    assert svg.get("aria-labelledby") == f"{svg[0].get('id')} {svg[1].get('id')}"
    assert len(svg[0].text or "") > 10 and len(svg[1].text or "") > 40
    ids = [element.get("id") for element in svg.iter() if element.get("id")]
    prefix = (svg[0].get("id") or "").removesuffix("title")
    assert len(ids) == len(set(ids)) and all(name and name.startswith(prefix) for name in ids)
    assert not {"script", "style", "image", "foreignObject"} & set(tags)


@EVERY
def test_a_figure_is_the_same_bytes_each_time(figure: Callable[[list[str]], Markup]) -> None:
    """Nothing random, no time stamp."""
    assert figure(NAMES) == figure(NAMES)


@EVERY
@pytest.mark.parametrize("alone", [False, True])
def test_hostile_names_are_text(figure: Callable[[list[str]], Markup], alone: bool) -> None:
    """Names from data are shown, never parsed: in the page as in a file, which is well-formed XML."""
    svg = str(figure([HOSTILE, "x"]))
    if alone:
        svg = standalone(Markup(svg))
        parsed = ElementTree.fromstring(svg.encode())
        assert any("<script>" in (element.text or "") for element in parsed.iter())
        assert "\ufffe" not in svg
    assert "<script" not in svg and "\u202e" not in svg and "\x00" not in svg
    assert not re.search(r"<[^>]* on\w+=", svg)


@EVERY
@pytest.mark.parametrize("names", [NAMES, LONG, ["one"], MANY], ids=["usual", "long", "one", "many"])
def test_no_text_leaves_the_sheet_and_no_two_lie_on_one_another(
    figure: Callable[[list[str]], Markup], names: list[str], drawn: Drawn
) -> None:
    """With usual names, long ones, one language or forty, every line of text has its place to itself."""
    figure(names)
    boxes = []
    for text, sheet in zip(drawn.texts, drawn.sheets, strict=True):
        width = text_width(text["text"], text["size"]) * 0.92  # bold is wider, the estimate is for wide fonts
        start = text["x"] - {"left": 0, "center": width / 2, "right": width}[text["anchor"]]
        box = (start, text["y"] - 0.3 * text["size"], start + width, text["y"] + 0.3 * text["size"])
        if text.get("upwards"):
            x, y = text["x"], text["y"]
            box = (x - 0.3 * text["size"], y - width / 2, x + 0.3 * text["size"], y + width / 2)
        assert box[0] > -4 and box[1] > -4, text
        assert box[2] < sheet.width + 4 and box[3] < sheet.height + 2, text
        boxes.append((box, text["text"]))
    for (a, first), (b, second) in itertools.combinations(boxes, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (first, second)


@pytest.mark.parametrize("broken", [["low", "high"], ["low", "high", "p_holm", "best", "n_targets", "similarity"]])
def test_a_missing_interval_leaves_the_point(broken: list[str], drawn: Drawn) -> None:
    """A gain without an interval is an open mark, never the word nan and never an error."""
    lost = {name: NAN for name in broken}
    tables = {
        "forest": forest_rows(NAMES), "points": points(["de", "fr"], NAMES), "curves": curves(["none", "nli"]),
        "languages": per_language(["en", "de"], ["nli"]),
    }  # fmt: skip
    gone = {name: frame.assign(**{k: v for k, v in lost.items() if k in frame}) for name, frame in tables.items()}
    shown = [
        forest(gone["forest"], "f"), retention(gone["curves"], "r"),
        multiples(gone["languages"], entries(["nli"]), "m"),
        distance(gone["points"].assign(similarity=0.5), FIT.iloc[:0], "d"),
    ]  # fmt: skip
    assert all(figure is not None and "nan" not in figure.lower() for figure in shown)
    assert distance(gone["points"], FIT, "d") is None or "similarity" not in broken


def test_where_there_is_nothing_to_show_there_is_no_figure() -> None:
    """None for frames without rows, and for rows without values."""
    for change in (lambda frame: frame.iloc[:0], lambda frame: frame.assign(gain=NAN)):
        assert forest(change(forest_rows(NAMES)), "f") is None
        assert distance(change(points(["de"], NAMES)), FIT, "d") is None
        assert multiples(change(per_language(["de"], ["nli"])), entries(["nli"]), "m") is None
    assert retention(curves(["none"]).assign(value=NAN), "r") is None
    assert rates_figure(pd.DataFrame(), "a") is None
    assert rates_figure(asked(["de"]).assign(units=0), "a") is None


def test_the_heat_map_marks_what_excludes_zero_and_what_survives_holm(drawn: Drawn) -> None:
    """A dot for an interval that excludes zero, a star for a corrected p-value below 0.05, each on its own."""
    target = Target("xnli", "XNLI", "semantic", "classify", ("accuracy",), ("en", "de"), 0.6)
    frames = Frames(results((target,), contributions=contributions(PLANTED, [target], examples=10)))
    arms = [arm.name for arm in frames.intermediates]
    cells = pd.DataFrame({"intermediate": arms, "target": "xnli", "gain": 1.0, "low": 0.5, "high": 1.5, "p_holm": 0.2})
    cells.loc[0, ["low", "p_holm"]] = [-0.5, 0.049]
    cells.loc[1, "p_holm"] = NAN
    cells.loc[2, "p_holm"] = 0.001
    heat_map(frames, "h", cells=cells)
    legend = 1
    assert len(drawn.shapes("*")) == 2 + legend and len(drawn.shapes("o")) == len(arms) - 1 + legend
    drawn.marks.clear()
    heat_map(frames, "h", cells=cells.drop(columns="p_holm"))
    assert drawn.shapes("*") == [] and "Holm" not in " ".join(drawn.said()[-1:])


def test_the_forest_is_sorted_by_robust_gain_and_tells_the_measures_by_shape(drawn: Drawn) -> None:
    """Rows fall in robust gain within each group; robust is a disc, clean a square; filled excludes zero."""
    forest(forest_rows(NAMES), "f")
    labels = [text for text in drawn.texts if text["text"] in NAMES]
    assert [text["text"] for text in labels] == NAMES * 2  # two groups
    discs, squares = (drawn.shapes(shape)[: 2 * len(NAMES)] for shape in ("o", "s"))
    per_group = [disc["x"] for disc in discs[: len(NAMES)]]
    assert per_group == sorted(per_group, reverse=True)
    assert [disc["filled"] for disc in discs[: len(NAMES)]] == [True, True, False, False]  # 3 and 2 ± 1.5; 1 and 0
    assert [s["x"] for s in squares[: len(NAMES)]] == sorted(s["x"] for s in squares[: len(NAMES)])
    headings = [text["text"] for text in drawn.texts if "targets" in text["text"]]
    assert headings == ["syntactic targets (3)", "semantic targets (3)"]


def test_retrieval_has_a_scale_of_its_own(drawn: Drawn) -> None:
    """Gains of 30 points on retrieval do not squeeze those of the other groups."""
    groups = ("syntactic", "retrieval")
    plain = forest_rows(NAMES, ("syntactic",))
    large = forest_rows(NAMES, groups)
    large.loc[large["group"] == "retrieval", ["gain", "low", "high"]] *= 10
    forest(plain, "f")
    alone = [mark["x"] for mark in drawn.marks][: 2 * len(NAMES)]
    drawn.marks.clear()
    forest(large, "f")
    assert [mark["x"] for mark in drawn.marks][: 2 * len(NAMES)] == alone


def test_a_probability_is_never_rounded_to_certainty() -> None:
    """0.2 % and 99.9 % are not 0 % and 100 %."""
    assert [probability(p) for p in (0.002, 0.5, 0.999, NAN)] == ["< 1 %", "50 %", "> 99 %", "–"]


def test_an_interval_beyond_the_axis_ends_in_an_arrow(drawn: Drawn) -> None:
    """What is cut off says so, on the side where it is."""
    rows = forest_rows(["NLI"], ("semantic",))
    rows.loc[0, "high"] = 1000.0
    forest(rows, "f")
    assert len(drawn.shapes(">")) == 1 and drawn.shapes("<") == []


def test_every_language_of_a_panel_is_named_under_its_points(drawn: Drawn) -> None:
    """A code is as far right as its similarity, each once, whatever the number of categories."""
    languages = ["sw", "tr", "hi", "ur", "de"]
    distance(points(languages, NAMES), FIT, "d")
    codes = {text["text"]: text for text in drawn.texts if text["text"] in languages}
    assert sum(text["text"] in languages for text in drawn.texts) == len(languages)
    assert codes["sw"]["x"] == codes["tr"]["x"] < codes["hi"]["x"] == codes["ur"]["x"] < codes["de"]["x"]
    marks = [mark["x"] for mark in drawn.marks[-len(languages) * len(NAMES) :]]
    assert np.mean(marks[: len(NAMES)]) == pytest.approx(codes["sw"]["x"])


def test_the_reference_is_in_ink_and_every_intermediate_keeps_its_look(drawn: Drawn) -> None:
    """`none` is not one of the colours; a line has the same colour and shape in every panel."""
    retention(curves(["none", "nli", "squad"]), "r")
    looks = {(mark["colour"], mark["shape"]) for mark in drawn.marks}
    assert len(looks) == 3 and {colour for colour, _ in looks} & set(SERIES) == {SERIES[0], SERIES[1]}
    assert "none (baseline)" in drawn.said() and "code switch" in drawn.said() and "clean" in drawn.said()


def test_only_clean_and_robust_are_in_the_multiples(drawn: Drawn) -> None:
    """Other settings and means over languages are left out; unseen languages come last and say so."""
    rows = per_language(["en", "de", "fr", "es", "sw"], ["nli"])
    means = rows[rows["language"] == "en"].assign(language="zero-shot", seen=None)
    multiples(pd.concat([rows, means]), entries(["nli"]), "m")
    assert len(drawn.shapes("s")) == 5 + 1 and "zero-shot" not in drawn.said()  # and the legend
    shown = [text for text in drawn.said() if text in ("en", "de", "fr", "es", "sw")]
    assert shown == ["en", "de", "es", "fr", "sw"] and drawn.said().count("not pretrained on") == 1


def test_a_reached_rate_is_edits_over_units() -> None:
    """Over all examples and targets of a language, long examples counting by their length."""
    found = reached(asked(["th", "en"])).set_index(["kind", "asked", "language"])["rate"]
    assert found["keyboard", 0.1, "th"] == pytest.approx(2 * (2 + 11) / (2 * 120))
    own = asked(["th"]).assign(asked=NAN)
    assert reached(own)["rate"].tolist() == pytest.approx([2 * (2 + 11 + 4 + 21) / (4 * 120)] * 2)


def test_a_language_that_misses_the_rate_is_seen_off_the_line(drawn: Drawn) -> None:
    """Marks of a language that reaches its rate lie on the line of that rate, others do not."""
    rows = asked(["en", "th"], ("case",)).assign(edits=lambda f: f["asked"] * f["units"])
    rows.loc[rows["language"] == "th", "edits"] = 0
    rates_figure(rows, "a")
    at = {mark["x"] for mark in drawn.marks[-4:]}
    first, second, zero = sorted(at)[1], sorted(at)[2], sorted(at)[0]
    assert len(at) == 3 and (second - zero) == pytest.approx(2 * (first - zero))


def test_a_figure_alone_has_its_colours_and_a_ground() -> None:
    """A file depends on no page: light colours in place of variables, its own font, white behind."""
    svg = standalone(forest(forest_rows(NAMES), "f") or Markup())
    assert "var(" not in svg and "currentColor" not in svg and light_palette()["gain"] in svg
    root = ElementTree.fromstring(svg.encode())
    assert "sans-serif" in (root.get("font-family") or "") and root[2].get("fill") == "#ffffff"
    left, top, width, height = map(int, (root.get("viewBox") or "").split())
    assert left < 0 and top < 0 and (str(width), str(height)) == (root.get("width"), root.get("height"))


@given(st.floats(-1e6, 1e6), st.floats(0.01, 1e6), st.floats(-2e6, 2e6))
def test_an_axis_stays_within_its_pixels(low: float, size: float, value: float) -> None:
    """Every value has a pixel between the ends, and every tick is a value of the axis."""
    at = Axis(10, 110, low, low + size)
    assert 10 - 1e-6 <= at(value) <= 110 + 1e-6
    assert all(low - size / 1000 <= tick <= low + size * 1.001 for tick in at.ticks())


@given(st.text(max_size=60), st.floats(20, 400))
def test_fitted_text_fits(text: str, width: float) -> None:
    """Cut text is no wider than asked, and text that fits is whole."""
    shown = fitted(text, width)
    assert text_width(shown) <= width
    assert shown == clean(text) or shown.endswith("…")
