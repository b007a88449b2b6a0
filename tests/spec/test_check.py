"""The check of a data folder: what is expected where, and one task seen closely."""

from __future__ import annotations

import io

from rich.console import Console

from xstilts.sources.check import check, render_task
from xstilts.tasks import get_task


def write(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def shown(findings):
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(render_task(findings))
    return console.export_text()


def cells(line):
    return [cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")]


def test_further_languages_are_looked_at_only_where_they_are(tmp_path):
    """A language beyond the benchmark is never missing, and read where it is there."""
    panx = get_task("panx")
    write(tmp_path, "panx/test-ro.tsv", "Iași\tB-LOC\n")
    found = {(f["split"], f["language"]): f["status"] for f in check(tmp_path, [panx])}
    assert found["test", "ro"] == "ok" and ("test", "lt") not in found and found["test", "de"] == "missing"


def test_dev_of_a_task_that_trains_is_expected_in_english_alone(tmp_path):
    """Several of XTREME's languages never had a dev set; XNLI, which has no train split, has one in each."""
    found = {(f["task"], f["split"], f["language"]) for f in check(tmp_path, [get_task("udpos"), get_task("xnli")])}
    assert ("udpos", "dev", "en") in found and ("udpos", "dev", "de") not in found
    assert ("xnli", "dev", "de") in found


def test_a_task_is_shown_by_language_split_and_label(tmp_path):
    """Rows and label counts in columns; what is missing and what is wrong below."""
    write(tmp_path, "xnli/test-en.tsv", "a\tb\tneutral\nc\td\tentailment\ne\tf\tneutral\n")
    write(tmp_path, "xnli/test-de.tsv", "a\tb\t\n")
    lines = shown(check(tmp_path, [get_task("xnli")])).splitlines()
    assert cells(lines[2]) == ["language", "split", "rows", "contradiction", "entailment", "neutral"]
    assert ["en", "test", "3", "0", "1", "2"] in [cells(line) for line in lines]
    assert ["de", "test", "problem"] in [cells(line) for line in lines]
    assert any(line.startswith("missing test: ar bg el es") for line in lines)
    assert "test-de.tsv:1: blank gold label" in lines[-1]


def test_many_labels_are_summed_up(tmp_path):
    """How many of them occur, the most frequent, and those that never do."""
    write(tmp_path, "udpos/test-de.tsv", "der\tDET\nHund\tNOUN\nund\tCCONJ\ndie\tDET\n")
    (line,) = (cells(line) for line in shown(check(tmp_path, [get_task("udpos")])).splitlines() if "│ de" in line)
    assert line[:4] == ["de", "test", "1", "3"]
    assert line[4].startswith("DET ") and line[5] == "ADJ ADP ADV AUX and 10 more"


def test_what_is_left_out_is_shown_with_its_reason(tmp_path):
    """A term that is not in its sentence is counted in its line and named below."""
    write(tmp_path, "m_absa/restaurant/en/test.txt", "soup####[['wine', 'a b', 'positive']]\n")
    lines = shown(check(tmp_path, [get_task("mabsa")])).splitlines()
    assert cells(lines[2])[-1] == "left out"
    assert any(cells(line)[0] == "en" and cells(line)[-1] == "1" for line in lines)
    assert "left out: 1 terms not in their sentence" in lines


def test_several_treebanks_of_a_language_are_a_problem(tmp_path):
    """The check goes on and names them."""
    for name in ("Alpino", "LassySmall"):
        write(tmp_path, f"ud/UD_Dutch-{name}/nl_{name.lower()}-ud-test.conllu", "")
    (finding,) = (f for f in check(tmp_path, [get_task("udparse")]) if f["language"] == "nl")
    assert finding["status"] == "problem" and "LassySmall" in finding["problem"]
