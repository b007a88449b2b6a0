"""Parallel data is refused where its rows are not those of English, in English's order."""

from __future__ import annotations

import json
import os

import pytest

from xstilts.errors import UserError
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task

XNLI, PAWSX, XQUAD, MABSA = (get_task(name) for name in ("xnli", "pawsx", "xquad", "mabsa"))
LABELS = ["neutral", "entailment", "contradiction", "neutral"]


def write(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def xnli(labels):
    return "".join(f"a{i}\tb{i}\t{label}\n" for i, label in enumerate(labels))


def squad(ids):
    questions = [{"id": i, "question": "q?", "answers": [{"text": "a", "answer_start": 0}]} for i in ids]
    return json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": questions}]}]})


def pawsx(ids, labels=None):
    rows = zip(ids, labels or ["0"] * len(ids), strict=True)
    return "id\tsentence1\tsentence2\tlabel\n" + "".join(f"{i}\ta\tb\t{label}\n" for i, label in rows)


def mabsa(polarities):
    return "".join(f"soup{i}####[['NULL', 'a b', '{polarity}']]\n" for i, polarity in enumerate(polarities))


def refusal(folder, task, language="de", split="test"):
    with pytest.raises(UserError) as caught:
        FilesSource(folder).rows(task, split, language)
    return caught.value


def test_labels_tell_the_order_of_rows_without_ids(tmp_path):
    """Two rows exchanged are refused with file and line, and what differs."""
    write(tmp_path, "xnli/test-en.tsv", xnli(LABELS))
    write(tmp_path, "xnli/test-de.tsv", xnli([*LABELS[:2], *LABELS[:1:-1]]))
    error = refusal(tmp_path, XNLI)
    assert error.line == 3 and str(error.file).endswith("test-de.tsv")
    assert "row 3 is 'neutral', but 'contradiction' (2 of 4 rows differ) in test-en.tsv" in str(error)


def test_translations_with_the_same_rows_are_read(tmp_path):
    """Different words under the same labels are what translations are."""
    for code in ("en", "de"):
        write(tmp_path, f"xnli/test-{code}.tsv", xnli(LABELS).replace("b", code))
    assert [row["label"] for row in FilesSource(tmp_path).rows(XNLI, "test", "de")] == LABELS


def test_a_missing_row_is_refused(tmp_path):
    """The numbers of rows are named."""
    write(tmp_path, "xnli/test-en.tsv", xnli(LABELS))
    write(tmp_path, "xnli/test-de.tsv", xnli(LABELS[:3]))
    assert "3 rows, but 4" in str(refusal(tmp_path, XNLI))


def test_ids_tell_the_order_of_questions(tmp_path):
    """XQuAD's questions are compared by id; JSON has no line to name."""
    write(tmp_path, "xquad/xquad.en.json", squad("xyz"))
    write(tmp_path, "xquad/xquad.ro.json", squad("xzy"))
    error = refusal(tmp_path, XQUAD, "ro")
    assert "rows in another order: row 2 has id 'z', but id 'y' in xquad.en.json" in str(error) and error.line is None


def test_ids_are_enough_where_they_are_real(tmp_path):
    """PAWS-X labels may differ between languages; its ids may not."""
    write(tmp_path, "pawsx/test-en.tsv", pawsx(["7", "9"]))
    write(tmp_path, "pawsx/test-de.tsv", pawsx(["7", "9"], ["0", "1"]))
    assert len(FilesSource(tmp_path).rows(PAWSX, "test", "de")) == 2
    write(tmp_path, "pawsx/test-de.tsv", pawsx(["9", "7"]))
    error = refusal(tmp_path, PAWSX)
    assert error.line == 2 and "row 1 has id '9', but id '7'" in str(error)


def test_single_labels_of_a_translation_may_differ_where_they_do(tmp_path):
    """M-ABSA's translations lost a polarity here and there; another order differs in far more rows."""
    polarities = ["positive", "negative"] * 50
    write(tmp_path, "m_absa/restaurant/en/test.txt", mabsa(polarities))
    write(tmp_path, "m_absa/restaurant/de/test.txt", mabsa(["neutral", *polarities[1:]]))
    assert len(FilesSource(tmp_path).rows(MABSA, "test", "de")) == 100
    write(tmp_path, "m_absa/restaurant/de/test.txt", mabsa(polarities[::-1]))
    error = refusal(tmp_path, MABSA)
    assert error.line == 1 and "100 of 100 rows differ" in str(error)


def test_without_english_the_first_language_is_the_measure(tmp_path):
    """Arabic comes first among XNLI's languages."""
    write(tmp_path, "xnli/test-ar.tsv", xnli(LABELS))
    write(tmp_path, "xnli/test-de.tsv", xnli(LABELS[::-1]))
    assert "in test-ar.tsv" in str(refusal(tmp_path, XNLI))
    assert len(FilesSource(tmp_path).rows(XNLI, "test", "ar")) == 4


def test_a_changed_english_file_is_compared_anew(tmp_path):
    """What was read before is used only as long as the content stays."""
    english = tmp_path / "xnli/test-en.tsv"
    write(tmp_path, "xnli/test-en.tsv", xnli(LABELS))
    write(tmp_path, "xnli/test-de.tsv", xnli(LABELS))
    assert FilesSource(tmp_path).rows(XNLI, "test", "de")
    english.write_text(xnli(LABELS[1:] + LABELS[:1]))
    os.utime(english, ns=(1, 1))
    assert "rows in another order" in str(refusal(tmp_path, XNLI))


def test_training_rows_and_stand_ins_need_not_be_parallel(tmp_path):
    """Only evaluation rows are paired."""
    for split in ("train", "test"):
        write(tmp_path, f"pawsx/{split}-en.tsv", pawsx(["7", "9"]))
        write(tmp_path, f"pawsx/{split}-de.tsv", pawsx(["9"]))
    source = FilesSource(tmp_path)
    assert len(source.rows(PAWSX, "train", "de")) == 1
    assert len(source.rows_from("pawsx/test-de.tsv", PAWSX, "de")) == 1
    refusal(tmp_path, PAWSX)
