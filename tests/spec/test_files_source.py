"""The files source finds what is there, tells content apart, and says what is missing."""

from __future__ import annotations

import gzip
import io
import json
import os

import pytest
from rich.console import Console

from xstilts.errors import UserError
from xstilts.sources.check import check, render
from xstilts.sources.files import FilesSource
from xstilts.tasks import TASKS, get_task

UDPOS, XNLI, XQUAD, TATOEBA = (get_task(name) for name in ("udpos", "xnli", "xquad", "tatoeba"))
PAIRS = "a\tb\tneutral\nc\td\tentailment\n"


@pytest.fixture
def data(tmp_path):
    """A folder with one sound file, one stripped file and one pair of aligned files."""
    for folder in ("udpos", "xnli/derived", "tatoeba"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "xnli/derived/test-de.tsv").write_text(PAIRS)
    (tmp_path / "udpos/test-de.tsv").write_text("der\t\n")
    (tmp_path / "tatoeba/tatoeba.deu-eng.deu").write_text("eins\n")
    (tmp_path / "tatoeba/tatoeba.deu-eng.eng").write_text("one\n")
    return tmp_path


def test_the_first_pattern_that_exists_is_read(data):
    """Alternatives are tried in their order."""
    source = FilesSource(data)
    assert source.find(XNLI, "test", "de") == data / "xnli/derived/test-de.tsv"
    (data / "xnli/test-de.tsv").write_text("e\tf\tneutral\n")
    assert source.rows(XNLI, "test", "de")[0]["text_a"] == "e"


def test_iso_codes_name_tatoebas_files(data):
    """German is `deu` in Tatoeba's file names and `de` everywhere else."""
    assert FilesSource(data).rows(TATOEBA, "test", "de") == [{"id": "1", "text": "eins", "english": "one"}]


def test_a_gzipped_file_is_the_same_as_the_plain_one(data):
    """Rows and identity are those of the content, however it is packed."""
    source = FilesSource(data)
    rows, identity = source.rows(XNLI, "test", "de"), source.identity(XNLI, "test", "de")
    (data / "xnli/derived/test-de.tsv").unlink()
    (data / "xnli/derived/test-de.tsv.gz").write_bytes(gzip.compress(PAIRS.encode()))
    assert source.rows(XNLI, "test", "de") == rows and source.identity(XNLI, "test", "de") == identity
    assert len(identity) == 64


def test_identity_follows_the_content(data):
    """A changed letter changes the identity, even where size and name stay."""
    source, path = FilesSource(data), data / "xnli/derived/test-de.tsv"
    before = source.identity(XNLI, "test", "de")
    path.write_text(PAIRS.replace("a", "e", 1))
    os.utime(path, ns=(1, 1))
    assert source.identity(XNLI, "test", "de") != before


def test_identity_covers_both_halves_of_aligned_files(data):
    """Changing only the English half changes the identity."""
    source, path = FilesSource(data), data / "tatoeba/tatoeba.deu-eng.eng"
    before = source.identity(TATOEBA, "test", "de")
    path.write_text("won\n")
    os.utime(path, ns=(1, 1))
    assert source.identity(TATOEBA, "test", "de") != before


def test_identity_does_not_depend_on_the_place(data, tmp_path_factory):
    """A copy of the folder elsewhere has the same identity."""
    other = tmp_path_factory.mktemp("other")
    (other / "xnli").mkdir()
    (other / "xnli/test-de.tsv").write_text(PAIRS)
    assert FilesSource(other).identity(XNLI, "test", "de") == FilesSource(data).identity(XNLI, "test", "de")


@pytest.mark.parametrize("method", ["rows", "identity"])
def test_a_missing_file_is_named_with_all_that_was_tried(data, method):
    """The refusal names the folder, every pattern, and what to do."""
    with pytest.raises(UserError) as caught:
        getattr(FilesSource(data), method)(XNLI, "test", "fr")
    for part in (str(data), "xnli/test-fr.tsv or xnli/derived/test-fr.tsv", ".gz", "stand-in"):
        assert part in str(caught.value)
    assert not FilesSource(data).has(XNLI, "test", "fr")


def test_a_split_the_data_set_never_had_is_said_so(data):
    """XQuAD has no training data of its own."""
    with pytest.raises(UserError, match="'xquad' has no train split .*stand-in"):
        FilesSource(data).rows(XQUAD, "train", "en")


def test_a_language_the_task_lacks_is_refused(data):
    """A file that happens to be there does not add a language to a task."""
    (data / "xnli/test-it.tsv").write_text(PAIRS)
    assert not FilesSource(data).has(XNLI, "test", "it")
    with pytest.raises(UserError, match="task 'xnli' has no language 'it'"):
        FilesSource(data).rows(XNLI, "test", "it")


def test_a_task_of_another_source_is_refused(data):
    """A generated task has no files, and the refusal says where its rows come from."""
    generated = next(task for task in TASKS.values() if task.files is None)
    with pytest.raises(UserError, match="cannot be read from files; its source is microworld"):
        FilesSource(data).rows(generated, "train", generated.languages[0])


def test_a_file_without_rows_is_refused(data):
    """An empty file is never an evaluation of zero examples."""
    (data / "xnli/test-fr.tsv").write_text("")
    with pytest.raises(UserError, match="no rows"):
        FilesSource(data).rows(XNLI, "test", "fr")


@pytest.mark.parametrize("name", ["mine/squad.json", "mine/squad.json.gz", "mine/{language}.json"])
def test_a_stand_in_file_is_read_in_the_tasks_layout(data, name):
    """Any file in a task's layout can be named, with or without `.gz` and with the language in its name."""
    question = {"id": "1", "question": "who?", "answers": [{"text": "a", "answer_start": 0}]}
    content = json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": [question]}]}]})
    (data / "mine").mkdir()
    for file in ("squad.json", "en.json"):
        (data / "mine" / file).write_text(content)
    source = FilesSource(data)
    assert [row["id"] for row in source.rows_from(name, XQUAD, "en")] == ["1"]
    assert source.identity_of(name, XQUAD, "en") == source.identity_of(data / "mine/en.json", XQUAD, "en")


def test_a_stand_in_file_that_is_not_there_is_refused(data):
    """The whole path that was looked for is named."""
    with pytest.raises(UserError, match=str(data / "mine/none.json")):
        FilesSource(data).rows_from("mine/none.json", XQUAD, "en")


def test_the_check_counts_rows_and_labels_and_keeps_going(data):
    """One finding per task, split and language: sound, with a problem in one line, or missing."""
    findings = {(f["task"], f["split"], f["language"]): f for f in check(data, [UDPOS, XNLI, TATOEBA])}
    good = findings["xnli", "test", "de"]
    assert (good["status"], good["rows"]) == ("ok", 2)
    assert good["labels"] == {"contradiction": 0, "entailment": 1, "neutral": 1}
    bad = findings["udpos", "test", "de"]
    assert bad["status"] == "problem" and "test-de.tsv:1: blank gold label" in bad["problem"]
    assert findings["xnli", "test", "fr"]["status"] == "missing"
    assert ("udpos", "train", "en") in findings and ("udpos", "train", "de") not in findings
    json.dumps(list(findings.values()))


def test_the_check_is_shown_with_one_line_a_split_and_the_problems_below(data):
    """The table counts languages; problems stay whole lines."""
    console = Console(width=500, record=True, file=io.StringIO())
    console.print(render(check(data, [UDPOS, XNLI, TATOEBA])))
    shown = console.export_text()
    assert sum(line.startswith("│ xnli") for line in shown.splitlines()) == 2
    assert "blank gold label" in shown.splitlines()[-1]
