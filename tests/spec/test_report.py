"""The report is inert, self-contained, deterministic, agrees with gains(), and survives whatever failed."""

from __future__ import annotations

import dataclasses
import html.parser
import re
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_fixture import MICRO, NATURAL, PLANTED, Target, contributions, results, steps

from xstilts.analysis.gains import gains
from xstilts.report.frames import Results
from xstilts.report.html import write_report
from xstilts.report.text import clean, listed, markdown, signed, span

FILES = ("report.html", "report.md", "answer.json", "scores.csv", "gains.csv", "ranking.csv", "best.csv", "steps.csv")
FOLDERS = ("figures", "tables")
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>|`$x_1$`\u202e\x00\n# [a](javascript:b)'
TARGETS = (NATURAL[0], NATURAL[2], NATURAL[4])


@pytest.fixture(scope="module")
def whole() -> Results:
    few = tuple(dataclasses.replace(t, languages=t.languages[:5]) for t in TARGETS)
    return results(few, contributions=contributions(PLANTED, few, examples=80, unseen=("bg",)))


@pytest.fixture(scope="module")
def written(whole: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(whole, tmp_path_factory.mktemp("report") / "new" / "folder")


class Tags(html.parser.HTMLParser):
    """All tags and attributes of a page, with a check that they nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_files_are_written_and_the_page_nests(written: Path) -> None:
    assert written.name == "report.html" and sorted(p.name for p in written.parent.iterdir()) == sorted(
        (*FILES, *FOLDERS)
    )
    parsed = Tags(written.read_text())
    assert parsed.open == [] and parsed.tags.count("h1") == 1 and "svg" in parsed.tags


def test_the_page_is_self_contained_and_ids_are_unique(written: Path) -> None:
    parsed = Tags(written.read_text())
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value for name, value in parsed.attributes if name in ("src", "href", "xlink:href") and value}
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert not {"link", "img", "iframe", "object"} & set(parsed.tags)
    assert set(re.findall(r"https?://[^\s\"'<)]+", written.read_text())) <= {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
    }  # fmt: skip


def test_the_same_results_give_the_same_bytes_and_open_no_socket(
    whole: Results, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("network")

    monkeypatch.setattr(socket, "socket", refuse)
    shuffled = dataclasses.replace(whole, contributions=whole.contributions.sample(frac=1, random_state=3))
    again = write_report(shuffled, tmp_path)
    made = [path.relative_to(written.parent) for folder in FOLDERS for path in (written.parent / folder).iterdir()]
    assert made
    for name in (*FILES, *made):
        assert (again.parent / name).read_bytes() == (written.parent / name).read_bytes(), name


def test_times_are_in_one_file(whole: Results, written: Path, tmp_path: Path) -> None:
    """How long steps took and when they ended changes `steps.csv` and no other file."""
    later = whole.steps.assign(created="2031-01-01T00:00:00Z", seconds=whole.steps["seconds"] * 2)
    again = write_report(dataclasses.replace(whole, steps=later), tmp_path)
    made = [path.relative_to(again.parent) for path in again.parent.rglob("*") if path.is_file()]
    changed = [str(p) for p in made if (again.parent / p).read_bytes() != (written.parent / p).read_bytes()]
    assert changed == ["steps.csv"]


def test_nothing_of_an_earlier_report_stays(whole: Results, written: Path, tmp_path: Path) -> None:
    """Written over the report of a run that failed, a report is the same as written into an empty folder."""
    write_report(dataclasses.replace(whole, steps=steps([("Train", "a", "broken")])), tmp_path)
    assert (tmp_path / "tables" / "failed.csv").is_file()
    write_report(whole, tmp_path)
    ours, theirs = ({p.relative_to(f) for p in f.rglob("*")} for f in (tmp_path, written.parent))
    assert ours == theirs


def test_tables_agree_with_gains(whole: Results, written: Path) -> None:
    expected = gains(whole.contributions)
    table = pd.read_csv(written.parent / "gains.csv", keep_default_na=False, na_values=[""])
    assert len(table) == len(expected)
    for name in ("gain", "low", "high", "baseline", "score", "n_seeds", "n_examples"):
        np.testing.assert_allclose(table[name], expected[name], atol=1e-6)
    page, text = written.read_text(), (written.parent / "report.md").read_text()
    top = expected[(expected["language"] == "zero-shot") & expected["primary"]]
    for _, row in top.iterrows():
        for shown in (signed(row["gain"]), span(row["low"], row["high"])):
            assert f">{shown}</td>" in page
            assert markdown(shown) in text


def test_what_a_reader_must_know_is_said(whole: Results, written: Path) -> None:
    page = written.read_text()
    for said in (
        "oracle: passed", "shuffled: passed", "a-small/multilingual-encoder @ 3f2c9ab", "fp32", "2.13.0",
        "xstilts run studies/natural.yaml", "not pretrained on (bg)", "1, 2, 3",
    ):  # fmt: skip
        assert said in page, said
    stood_in = {**whole.study, "stand_ins": ["XNLI was trained on SNLI and SICK in place of MultiNLI."]}
    # a study's own sentences come through as they are
    assert stood_in["stand_ins"][0] in _write(dataclasses.replace(whole, study=stood_in), written.parent / "s")


def _write(found: Results, out: Path) -> str:
    return write_report(found, out).read_text()


def test_hostile_text_stays_inert(tmp_path: Path) -> None:
    target = Target(HOSTILE, HOSTILE, "semantic", "classify", ("accuracy",), ("en", HOSTILE), 0.6)
    data = contributions({HOSTILE: (HOSTILE, "", {})}, [target], examples=20)
    found = results(
        (target,), contributions=data, name=HOSTILE, question=HOSTILE, model=HOSTILE, stand_ins=[HOSTILE],
        intermediates=[{"name": HOSTILE, "title": HOSTILE}], settings={HOSTILE: HOSTILE}, command=HOSTILE,
        data=[dict.fromkeys(("task", "split", "language", "source", "identity"), HOSTILE)],
        steps=steps([(HOSTILE, HOSTILE, HOSTILE + "x" * 100_000)]),
        environment={HOSTILE: HOSTILE},
    )  # fmt: skip
    page = _write(found, tmp_path)
    parsed = Tags(page)
    assert parsed.open == [] and "img" not in parsed.tags and parsed.tags.count("script") == 2  # its own, and its data
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    text = (tmp_path / "report.md").read_text()
    text = re.sub("(?m)^    .*", "", text)  # the command is an indented code block, which shows what it holds
    for document in (page, text):
        assert "<script>alert" not in document and "\u202e" not in document and "\x00" not in document
    assert re.search(r"(?<!\\)\]\(", text) is None and len(page) < 300_000


def test_failed_cells_are_shown_as_such(whole: Results, tmp_path: Path) -> None:
    data = whole.contributions
    gone = (data["target"] == "xnli") & (data["intermediate"] == "nli")
    one_seed_less = (data["target"] == "udpos") & (data["intermediate"] == "squad") & (data["seed"] == 2)
    broken = dataclasses.replace(
        whole,
        contributions=data[~gone & ~one_seed_less],
        steps=steps([("Train", "nli to xnli", "the loss is NaN at step 312")]),
    )
    page = _write(broken, tmp_path)
    assert "1 of 21 combinations of intermediate and target have no pair of runs." in page
    assert "1 more misses some seeds" in page
    assert "the loss is NaN at step 312" in page and "One step failed" in page


@pytest.mark.parametrize("empty", [pd.DataFrame(), contributions({}, MICRO[:1], examples=5).iloc[:0]])
def test_a_study_of_failed_steps_only_says_so(empty: pd.DataFrame, tmp_path: Path) -> None:
    failed = steps([("Train", "nli", "out of memory")]).query("state == 'failed'")
    page = _write(results(MICRO, contributions=empty, steps=failed), tmp_path)
    assert "No intermediate could be compared with the baseline on any target" in page
    assert "out of memory" in page and "<svg" not in page
    assert (tmp_path / "gains.csv").read_text().startswith("intermediate,category,control,target")


def test_a_study_of_which_nothing_is_known_gives_a_report(tmp_path: Path) -> None:
    assert "<h1>study</h1>" in _write(Results({}, pd.DataFrame(), pd.DataFrame()), tmp_path)


def test_only_the_baseline_and_no_english(tmp_path: Path) -> None:
    german = (dataclasses.replace(MICRO[0], languages=("de",)),)
    assert "No intermediate could be compared" in _write(
        results(german, contributions=contributions({}, german, examples=10)), tmp_path / "a"
    )
    page = _write(results(german, contributions=contributions(PLANTED, german, examples=10)), tmp_path / "b")
    assert "Gains by target and intermediate" in page


def test_one_seed_is_said_to_cover_examples_only(whole: Results, tmp_path: Path) -> None:
    data = whole.contributions
    page = _write(dataclasses.replace(whole, contributions=data[data["seed"] == 1]), tmp_path)
    assert "the intervals cover the examples, not the luck of training" in page


def test_a_failed_control_is_a_caution_in_the_answer(tmp_path: Path) -> None:
    planted = {
        "shuffled": ("", "shuffled", {"micro-nli": 12.0}),
        "oracle": ("", "oracle", {"micro-nli": 9.0}),
    }
    page = _write(results(MICRO[2:3], contributions=contributions(planted, MICRO[2:3])), tmp_path)
    assert "The shuffled control failed." in page


def test_numbers_and_words_in_print() -> None:
    assert [signed(x) for x in (1.25, -0.3, 0.04, -0.04, float("nan"))] == ["+1.2", "−0.3", "0.0", "0.0", "–"]
    assert span(-1.0, 2.04) == "[−1.0, 2.0]" and span(float("nan"), 1.0) == "–"
    assert [listed(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert clean("a\n b\u202ec") == "a b\ufffdc" and len(clean("x" * 1000)) == 400
    assert markdown("<b>|`") == "&lt;b&gt;\\|\\`"
