"""XTREME's translated training files are read where a study names them, and their defects counted, not hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xstilts.errors import UserError
from xstilts.sources.files import FilesSource
from xstilts.steps.prepare import Prepare
from xstilts.store import Store
from xstilts.tasks import get_task


def pairs(folder: Path, name: str, labels: list[str], extra: str = "") -> str:
    lines = [f"en {i}\ten too {i}\tes {i}\t«es» {i}\t{label}\n" for i, label in enumerate(labels)]
    (folder / f"en-es-{name}.tsv").write_text("".join(lines) + extra)
    return "en-{language}-" + name + ".tsv"


@pytest.mark.parametrize(
    ("name", "labels", "read"),
    [
        ("mnli", ["contradictory", "entailment", "neutral"], ["contradiction", "entailment", "neutral"]),
        ("pawsx", ["0", "1", "1"], ["0", "1", "1"]),
    ],
)
def test_translated_pairs_are_read_from_their_five_columns(tmp_path: Path, name: str, labels: list[str], read) -> None:
    """The translations are the text, the English beside them is not, and ids are the line numbers."""
    pattern = pairs(tmp_path, name, labels)
    rows = FilesSource(tmp_path).rows_from(pattern, get_task(name), "es")
    assert [row["label"] for row in rows] == read
    assert rows[2] == {"id": "3", "text_a": "es 2", "text_b": "«es» 2", "label": read[2]}


def test_wrong_lines_of_translated_pairs_are_left_out_and_counted(tmp_path: Path) -> None:
    """Some of PAWS-X's lines carry no label: they are counted by reason, in the manifest too."""
    pattern = pairs(tmp_path, "pawsx", ["1"] * 400, "en\ten\tes\tes\tlabel\nen\ten\tes\t1\nen\ten\t \tes\t1\n")
    source, task = FilesSource(tmp_path), get_task("pawsx")
    reasons = {"lines with an unknown label": 1, "lines without five columns": 1, "blank translations": 1}
    assert len(source.rows_from(pattern, task, "es")) == 400
    assert source.left_out_of(pattern, task, "es") == reasons
    step = Prepare(task="pawsx", split="train", language="es", source="files", folder=str(tmp_path), file=pattern,
                   content=source.identity_of(pattern, task, "es"))  # fmt: skip
    store = Store(tmp_path / "store").open()
    store.publish(step, "")
    assert store.manifest(step)["left_out"] == reasons


def test_translated_pairs_without_labels_are_refused(tmp_path: Path) -> None:
    """Where more than one line in a hundred is wrong, the file is not what it is taken for."""
    pattern = pairs(tmp_path, "mnli", ["neutral"] * 50 + [""])
    with pytest.raises(UserError, match=r"en-es-mnli\.tsv: 1 of 51 lines are wrong.*labelled file"):
        FilesSource(tmp_path).rows_from(pattern, get_task("mnli"), "es")


def questions(folder: Path, *items: tuple[str, str, int]) -> str:
    qas = [{"id": id_, "question": "¿qué?", "answers": [{"text": answer, "answer_start": start}] if answer else []}
           for id_, answer, start in items]  # fmt: skip
    content = {"data": [{"paragraphs": [{"context": "un gato y un perro", "qas": qas}]}]}
    (folder / "squad.translate.train.en-es.json").write_text(json.dumps(content))
    return "squad.translate.train.en-{language}.json"


def test_misplaced_answers_of_translated_questions_are_moved_or_left_out(tmp_path: Path) -> None:
    """An answer that is once in its passage is taken from there; what is nowhere, or in two places, is counted."""
    pattern = questions(tmp_path, ("a", "gato", 3), ("b", "perro", 0), ("c", "un", 5), ("d", "pez", 3), ("e", "", 0),
                        ("a", "gato", 3))  # fmt: skip
    source, task = FilesSource(tmp_path), get_task("squad_v1")
    rows = source.rows_from(pattern, task, "es")
    assert [(row["id"], row["answers"], row["starts"]) for row in rows] == [
        ("a", ["gato"], [3]),
        ("b", ["perro"], [13]),
    ]
    assert source.left_out_of(pattern, task, "es") == {
        "answers that are not in their passage, or more than once": 2, "questions without text or answer": 1,
        "questions with an id met before": 1}  # fmt: skip


def test_english_questions_are_still_refused_when_misplaced(tmp_path: Path) -> None:
    """Only translations are forgiven: a wrong offset in the task's own language refuses the file."""
    questions(tmp_path, ("b", "perro", 0))
    source, task = FilesSource(tmp_path), get_task("squad_v1")
    with pytest.raises(UserError, match="not at its offset 0"):
        source.rows_from("squad.translate.train.en-es.json", task, "en")
    assert source.left_out_of("squad.translate.train.en-es.json", task, "en") == {}
