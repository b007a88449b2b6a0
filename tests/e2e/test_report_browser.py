"""The report in a real browser: sorted and filtered by mouse and keyboard, said to screen readers, fetching nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs

import pandas as pd
import pytest
from tests.browser import Page, browser, chromium
from tests.spec.report_fixture import NATURAL, PLANTED, contributions, results
from tests.spec.test_report_hostile import DRAWN, HOSTILE, INVISIBLE, LONG, OFFERED, hostile

from xstilts.analysis.gains import gains
from xstilts.report.frames import Results
from xstilts.report.html import write_report
from xstilts.report.text import plain, signed, span

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium: install the Debian package chromium, or set XSTILTS_CHROMIUM"
)
TARGETS = tuple(dataclasses.replace(NATURAL[i], languages=NATURAL[i].languages[:6]) for i in (0, 2, 4))
GAINS = '[aria-label="Gains by target and intermediate"] table'
EXPLORE = "#explore table"
MISSING = "\N{EN DASH}"


@pytest.fixture(scope="module")
def study() -> Results:
    """Clean, two rates and an own test set; one combination of intermediate and target has failed."""
    parts = [
        contributions(PLANTED, TARGETS, examples=24, unseen=("bg",), random_state=i).assign(perturbation=name)
        for i, name in enumerate(("clean", "keyboard@0.1", "keyboard@0.2", "typed"))
    ]
    data = pd.concat(parts, ignore_index=True)
    return results(TARGETS, contributions=data[(data["intermediate"] != "nli") | (data["target"] != "xnli")])


@pytest.fixture(scope="module")
def report(study: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(study, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(tab: Page, report: Path) -> Page:
    """The report, freshly loaded in a light window of usual size."""
    tab.look()
    tab.open(report)
    return tab


def rows(page: Page, table: str) -> list[list[str]]:
    """The texts of a table's body."""
    found = f"document.querySelector({json.dumps(table)}).tBodies[0].rows"
    return list(page.run(f"[...{found}].map(r => [...r.cells].map(c => c.textContent.trim()))"))


def number(text: str) -> float:
    """The number that a cell begins with; NaN for none."""
    found = re.match(r"\[?([+\N{MINUS SIGN}]?\d+(\.\d+)?)", text)
    return float(found[1].replace("\N{MINUS SIGN}", "-")) if found else math.nan


def heading(table: str, column: int) -> str:
    return f"{table} thead th:nth-child({column + 1}) button"


def orders(page: Page, table: str) -> list[str | None]:
    """aria-sort of each column."""
    cells = f"document.querySelectorAll({json.dumps(table + ' thead th')})"
    return list(page.run(f"[...{cells}].map(c => c.getAttribute('aria-sort'))"))


def status(page: Page) -> str:
    return page.texts("#explore [role=status]")[0]


def choose(page: Page, name: str, value: str) -> None:
    """Chooses by its value, as a person does with the mouse."""
    select = f"document.querySelector('#explore select[name={name}]')"
    page.run(f"({select}.value = {json.dumps(value)}, {select}.dispatchEvent(new Event('change', {{bubbles: true}})))")


def focus(page: Page, selector: str) -> None:
    page.run(f"document.querySelector({json.dumps(selector)}).focus()")


def test_loading_fetches_nothing_and_breaks_no_rule(page: Page) -> None:
    """No request but for the file itself, no error, no broken policy, nothing on the console."""
    assert page.complaints == [] and len(page.texts("th button")) > 20


def test_markup_that_got_into_the_page_would_not_run(page: Page, report: Path, tmp_path: Path) -> None:
    """The policy is a second wall: an inline script, an event handler and an image are refused by the browser."""
    broken = tmp_path / "broken.html"
    injected = "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'><svg onload='window.hit = 3'></svg>"
    broken.write_text(report.read_text("utf-8").replace("<main>", f"<main>{injected}"), "utf-8")
    page.open(broken)
    assert page.run("window.hit === undefined") and page.run("document.querySelector('#explore form').hidden === false")
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


def test_without_script_every_table_is_there(page: Page, study: Results) -> None:
    """No control that does nothing, all tables in full, and the zero-shot gains on clean text in the explorer."""
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.reload()
        assert page.texts("th button") == [] and page.run("document.querySelector('#explore form').hidden")
        shown = rows(page, EXPLORE)
        table = gains(study.contributions)
        headline = table[(table["language"] == "zero-shot") & (table["perturbation"] == "clean") & table["primary"]]
        assert len(shown) == len(headline) and status(page) == f"{len(shown)} of {table['primary'].sum()} gains."
        assert "gains.csv" in page.texts("#explore .note")[0]
    finally:
        page.send("Emulation.setScriptExecutionDisabled", value=False)
    page.reload()
    assert rows(page, EXPLORE) == shown, "the script draws other cells than the page was written with"


def test_the_mouse_sorts_a_column_there_and_back(page: Page) -> None:
    """Numbers fall, then rise, then stand as before; what is missing comes last both ways; one column says so."""
    before = rows(page, GAINS)
    column = page.texts(GAINS + " thead th").index("gain")
    for order, sign in (("descending", -1), ("ascending", 1)):
        page.click(heading(GAINS, column))
        found = [number(row[column]) for row in rows(page, GAINS)]
        known = [value for value in found if not math.isnan(value)]
        assert known == sorted(known, key=lambda value: sign * value) and len(known) == len(found) - 2
        assert all(math.isnan(value) for value in found[len(known) :])
        assert orders(page, GAINS) == [order if i == column else None for i in range(len(before[0]))]
    page.click(heading(GAINS, column))
    assert rows(page, GAINS) == before and set(orders(page, GAINS)) == {None}


def test_the_keyboard_sorts_a_column(page: Page) -> None:
    """Tab goes from heading to heading, Enter and Space sort, and the focus stays where it was."""
    focus(page, heading(GAINS, 0))
    page.press("Tab", "Enter")
    names = [row[1] for row in rows(page, GAINS)]
    assert orders(page, GAINS)[1] == "ascending" and names == sorted(names)
    page.press(" ")
    assert orders(page, GAINS)[1] == "descending" and [row[1] for row in rows(page, GAINS)] == sorted(names)[::-1]
    assert page.run("document.activeElement.textContent") == "intermediate"


def test_sorting_loses_no_row_and_groups_anew(page: Page) -> None:
    """In every table by every column: the same rows, and a first cell is blank only below its like."""
    wrong = page.run("""[...document.querySelectorAll("table")].flatMap(table => {
      const texts = () => [...table.tBodies[0].rows].map(row => row.innerText).sort().join("|");
      const before = texts();
      return [...table.querySelectorAll("thead button")].flatMap(button => [1, 2, 3].flatMap(() => {
        button.click();
        const rows = [...table.tBodies[0].rows];
        const right = rows.every((row, i) => {
          const repeated = i > 0 && rows[i - 1].cells[0].textContent === row.cells[0].textContent;
          return row.cells[0].classList.contains("repeated") === repeated && row.classList.contains("new") !== repeated;
        });
        return right && texts() === before ? [] : [table.parentElement.ariaLabel + ": " + button.textContent];
      }));
    })""")
    assert wrong == [] and page.complaints == []


def test_sorting_is_stable(page: Page) -> None:
    """Rows that are equal in a column keep their order, whichever way."""
    before = rows(page, GAINS)
    for _ in range(2):
        page.click(heading(GAINS, 0))
        for target in {row[0] for row in before}:
            mine = [[row for row in table if row[0] == target] for table in (before, rows(page, GAINS))]
            assert mine[0] == mine[1]


def test_the_keyboard_filters(page: Page, study: Results) -> None:
    """Arrows change a list; rows, count and address follow at once."""
    every = int(gains(study.contributions)["primary"].sum())
    focus(page, "#explore select[name=target]")
    page.press("ArrowDown")
    assert {row[0] for row in rows(page, EXPLORE)} == {"UDPOS"} and status(page) == f"7 of {every} gains."
    page.press("Tab", "Tab", "Home")
    assert page.run("document.activeElement.name") == "language"
    assert {row[2] for row in rows(page, EXPLORE)} == {"zero-shot", "mean", *TARGETS[0].languages}
    page.press("Tab", "End")
    assert {row[3] for row in rows(page, EXPLORE)} == {"typed"} and status(page) == f"56 of {every} gains."
    address = page.run("location.hash")
    assert parse_qs(address.partition("?")[2]) == {"target": ["udpos"], "perturbation": ["typed"]}
    assert page.complaints == []


def test_a_filtered_view_agrees_with_the_gains(page: Page, study: Results) -> None:
    """Each row of the explorer is one of the frame of gains, rounded and marked as in every other table."""
    for name, value in (("language", "all:single languages"), ("perturbation", "all:perturbed"), ("target", "xnli")):
        choose(page, name, value)
    table = gains(study.contributions)
    table = table[table["primary"] & (table["target"] == "xnli") & (table["perturbation"] != "clean")]
    table = table[~table["language"].isin(["mean", "zero-shot"])]
    titles = {"keyboard@0.1": "keyboard 10 %", "keyboard@0.2": "keyboard 20 %", "typed": "typed",
              "robust": "robust"}  # fmt: skip
    expected = [
        ["XNLI", row["intermediate"], row["language"], titles[row["perturbation"]], signed(row["gain"]),
         span(row["low"], row["high"]), plain(row["baseline"]), plain(row["score"]), str(row["n_seeds"])]
        for row in table.to_dict("records")
    ]  # fmt: skip
    assert sorted(rows(page, EXPLORE)) == sorted(expected) and len(expected) == 168
    strong = len(page.texts(f"{EXPLORE} td:nth-child(5).strong"))
    assert strong == int(((table["low"] > 0) | (table["high"] < 0)).sum()) > 0


def test_a_category_is_filtered_as_one(page: Page) -> None:
    """The lists hold the categories of intermediates and the levels of targets beside each of them."""
    choose(page, "intermediate", "all:control")
    assert {row[1] for row in rows(page, EXPLORE)} == {"shuffled", "oracle"}
    groups = page.texts("#explore select[name=target] optgroup option")
    assert groups == ["UDPOS", "XNLI", "Tatoeba"]
    labels = page.run("[...document.querySelectorAll('#explore select[name=target] optgroup')].map(g => g.label)")
    assert labels == ["syntactic", "semantic", "retrieval"]


def test_more_rows_come_on_demand(page: Page, study: Results) -> None:
    """Some hundred rows at a time, in the order of the whole, and the focus is never lost."""
    for name in ("language", "perturbation"):
        choose(page, name, "")
    every = int(gains(study.contributions)["primary"].sum())
    assert len(rows(page, EXPLORE)) == 200 and status(page) == f"{every} of {every} gains, the first 200 shown."
    page.click(heading(EXPLORE, 4))
    focus(page, "#explore [name=more]")
    for shown in (400, 600, 800, every):
        page.press("Enter")
        assert len(rows(page, EXPLORE)) == shown
    found = [number(row[4]) for row in rows(page, EXPLORE)]
    known = [value for value in found if not math.isnan(value)]
    assert known == sorted(known, reverse=True) and len(known) == every - 40
    assert page.run("document.activeElement.getAttribute('role')") == "region" and status(page).endswith("gains.")


def test_an_address_shows_the_view_it_was_copied_from(page: Page, report: Path) -> None:
    """Filters and order come back from the address, on loading and when it is changed; Reset forgets them."""
    first = rows(page, EXPLORE)
    choose(page, "target", "xnli")
    choose(page, "perturbation", "keyboard@0.2")
    page.click(heading(EXPLORE, 4))
    shown, address = rows(page, EXPLORE), page.run("location.hash")
    page.open(report, address)
    assert rows(page, EXPLORE) == shown and orders(page, EXPLORE)[4] == "descending"
    assert page.run("Math.abs(document.getElementById('explore').getBoundingClientRect().top) < 100")
    page.click("#explore form button")
    assert rows(page, EXPLORE) == first and set(orders(page, EXPLORE)) == {None}
    page.run(f"new Promise(done => {{ addEventListener('hashchange', () => done(1)); location.hash = '{address}'; }})")
    assert rows(page, EXPLORE) == shown


@pytest.mark.parametrize("fragment", [
    "#explore?target=nowhere&language=&sort=toString&order=constructor", "#explore?sort=gain&order=__proto__",
    "#explore?target=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&perturbation=%", "#explore?" + "x=1&" * 20_000, "#none",
])  # fmt: skip
def test_an_address_from_a_stranger_does_no_harm(page: Page, report: Path, fragment: str) -> None:
    """What names no filter, value, column or order is passed over."""
    page.open(report, fragment)
    assert page.complaints == [] and 0 < len(rows(page, EXPLORE)) <= 200 and set(orders(page, EXPLORE)) == {None}


def test_a_large_study_is_filtered_at_once(page: Page, report: Path, tmp_path: Path) -> None:
    """22,680 gains (12 intermediates, 9 targets, 42 languages and means, 5 settings) in well under a second."""
    text = report.read_text("utf-8")
    (block,) = re.findall('<script type="application/json">(.*?)</script>', text)
    data = json.loads(block)
    times = -(-22_680 // len(data["looks"]))
    for name in ("gain", "low", "high", "baseline", "score", "seeds", "looks"):
        data[name] = (data[name] * times)[:22_680]
    data["codes"] = {name: (codes * times)[:22_680] for name, codes in data["codes"].items()}
    large = tmp_path / "large.html"
    large.write_text(text.replace(block, json.dumps(data, separators=(",", ":"))), "utf-8")
    page.open(large)
    for name in ("language", "perturbation"):
        choose(page, name, "")
    assert status(page) == "22,680 of 22,680 gains, the first 200 shown."
    took = page.run("""(() => { const select = document.querySelector("#explore select"), start = performance.now();
      for (let i = 0; i < select.length; i++) {
        select.selectedIndex = i;
        select.dispatchEvent(new Event("change", { bubbles: true }));
        document.body.offsetHeight;
      }
      return (performance.now() - start) / select.length; })()""")
    assert took < 1000, f"{took:.0f} ms for one filter"


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"width": 400}], ids=["light", "dark", "narrow"])
def test_nothing_shuts_out_a_reader(page: Page, look: dict[str, int]) -> None:
    """axe-core, the usual checker of accessibility, finds nothing wrong, neither at first nor with a table sorted."""
    page.look(**look)  # type: ignore[arg-type]
    page.click(heading(EXPLORE, 4))
    page.run(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8") + ";0")
    found = page.run("axe.run(document, {resultTypes: ['violations']}).then(r => ({passed: r.passes.length, wrong:"
                     "r.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)])}))")  # fmt: skip
    assert found["wrong"] == [] and found["passed"] > 20


def test_controls_have_names_and_the_count_is_announced(page: Page) -> None:
    """A screen reader hears a name and a role for each list and button, and every change of the count."""
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    heard = {(n["role"]["value"], n["name"]["value"]) for n in nodes if not n["ignored"] and "name" in n}
    lists = {("combobox", name) for name in ("target", "intermediate", "language", "perturbation")}
    assert {*lists, ("group", "Filter"), ("button", "Reset"), ("button", "gain")} <= heard
    assert page.run("document.querySelector('#explore [role=status]').ariaLive ?? 'polite'") == "polite"


@pytest.mark.parametrize("width", [320, 400, 800])
def test_a_narrow_window_does_not_scroll_sideways(page: Page, width: int) -> None:
    """Only tables and figures do, inside their own regions."""
    page.look(width=width)
    assert page.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_print_leaves_the_controls_out(page: Page) -> None:
    """A filtered table is printed with its count, without lists and buttons."""
    for name in ("language", "perturbation"):
        choose(page, name, "")
    page.look(media="print")
    hidden = "[...document.querySelectorAll('#explore select, #explore form button, #explore [name=more]')]"
    assert page.run(f"{hidden}.every(e => e.getClientRects().length === 0)")
    assert page.run("document.querySelector('#explore [role=status]').getClientRects().length") == 1


@pytest.mark.parametrize("kind", [*HOSTILE, "long"])
def test_hostile_text_stays_text_in_the_browser(tab: Page, tmp_path: Path, kind: str) -> None:
    """Loaded, filtered and sorted: no dialog, request, error or element from data, and no character that reorders."""
    tab.look()
    tab.open(write_report(hostile(LONG if kind == "long" else HOSTILE[kind]), tmp_path))
    tags = set(tab.run("[...new Set([...document.querySelectorAll('*')].map(e => e.localName.toLowerCase()))]"))
    for name in ("language", "perturbation"):
        choose(tab, name, "")
    tab.run("document.querySelectorAll('th button').forEach(button => button.click())")
    assert tab.complaints == [] and len(rows(tab, EXPLORE)) > 20
    after = set(tab.run("[...new Set([...document.querySelectorAll('*')].map(e => e.localName.toLowerCase()))]"))
    assert after == tags <= OFFERED | DRAWN
    assert re.search(INVISIBLE, tab.run("document.documentElement.innerText")) is None
    assert tab.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
