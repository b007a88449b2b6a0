"""The readers of the hub: labels by the names a data set declares, rows as from the official files, gold or refusal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, List, Value
from hub_server import NLI, TEXT, parquet
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.conftest import DATA

from xstilts.errors import UserError
from xstilts.languages import get_language
from xstilts.sources import get_source
from xstilts.sources.hub import READERS, HubSource
from xstilts.sources.hub.answers import _placed
from xstilts.sources.hub.table import Table
from xstilts.tasks import get_task
from xstilts.tasks.hub import HUB

ANSWERS = {"text": List(TEXT), "answer_start": List(Value("int32"))}
PAIR = {"premise": ["a", "b"], "hypothesis": ["c", "d"]}


def read(tmp_path: Path, task: str, columns: dict[str, list[Any]], language: str = "en", **features: Any) -> Any:
    """The rows that the reader of a task makes of a file."""
    (tmp_path / "rows.parquet").write_bytes(parquet(columns, **features))
    return HubSource().rows_from(tmp_path / "rows.parquet", get_task(task), language)


# -- readers: labels by name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [["entailment", "neutral", "contradiction"], ["neutral", "contradiction", "entailment"]]
)
@pytest.mark.parametrize("task", ["xnli", "mnli", "snli", "anli", "sick"])
def test_nli_labels_are_taken_by_their_names(tmp_path: Path, task: str, names: list[str]) -> None:
    """Whatever order a data set numbers entailment, neutral and contradiction in, the words are what counts."""
    first, second = ("sentence_A", "sentence_B") if task == "sick" else ("premise", "hypothesis")
    columns = {first: ["a", "b", "c"], second: ["d", "e", "f"], "label": [0, 1, 2], "id": ["x", "y", "z"],
               "uid": ["x", "y", "z"], "idx": ["x", "y", "z"]}  # fmt: skip
    rows = read(tmp_path, task, columns, label=ClassLabel(names=names))
    assert [(row["text_a"], row["text_b"], row["label"]) for row in rows] == list(zip("abc", "def", names, strict=True))


@pytest.mark.parametrize(
    ("task", "columns", "names", "labels"),
    [
        ("qqp", ("question1", "question2"), ["not_duplicate", "duplicate"], ["0", "1"]),
        ("msrp", ("sentence1", "sentence2"), ["not_equivalent", "equivalent"], ["0", "1"]),
        ("rte", ("sentence1", "sentence2"), ["entailment", "not_entailment"], ["entailment", "not_entailment"]),
        ("qnli", ("question", "sentence"), ["entailment", "not_entailment"], ["entailment", "not_entailment"]),
        ("pawsx", ("sentence1", "sentence2"), ["0", "1"], ["0", "1"]),
    ],
)
def test_names_of_other_pairs_become_the_tasks_labels(
    tmp_path: Path, task: str, columns: tuple[str, str], names: list[str], labels: list[str]
) -> None:
    """GLUE's names are spelt as the task spells them, and its ids are kept."""
    table = {columns[0]: ["a", "b"], columns[1]: ["c", "d"], "label": [0, 1], "idx": [7, 8], "id": [7, 8]}
    rows = read(tmp_path, task, table, label=ClassLabel(names=names), idx=Value("int32"), id=Value("int32"))
    assert rows == [
        {"id": id_, "text_a": one, "text_b": two, "label": label}
        for id_, one, two, label in zip("78", "ab", "cd", labels, strict=True)
    ]


def test_tags_are_taken_by_their_names(tmp_path: Path) -> None:
    """Tag numbers inside lists stand for declared names too."""
    names = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
    columns = {"tokens": [["Ada", "Lovelace", "."], ["Rom"]], "ner_tags": [[1, 2, 0], [5]]}
    rows = read(tmp_path, "panx", columns, tokens=List(TEXT), ner_tags=List(ClassLabel(names=names)))
    assert rows[0] == {"id": "1", "tokens": ["Ada", "Lovelace", "."], "tags": ["B-PER", "I-PER", "O"]}
    assert rows[1]["tags"] == ["B-LOC"]
    upos = ClassLabel(names=list(get_task("udpos").labels[::-1]))
    rows = read(tmp_path, "udpos", {"tokens": [["a"]], "pos_tags": [[0]]}, tokens=List(TEXT), pos_tags=List(upos))
    assert rows[0]["tags"] == ["X"]


def test_choices_are_read_as_from_files(tmp_path: Path) -> None:
    """Each commonsense data set: the prompt, the choices in order, the index of the right one."""
    cosmos = {"id": ["i"], "context": ["c"], "question": ["q"], "answer0": ["w"], "answer1": ["x"], "answer2": ["y"],
              "answer3": ["z"], "label": [2]}  # fmt: skip
    expected = {"id": "i", "prompt": "c q", "choices": ["w", "x", "y", "z"], "label": 2}
    assert read(tmp_path, "cosmosqa", cosmos, label=Value("int32")) == [expected]
    siqa = {"context": ["c"], "question": ["q"], "answerA": ["x"], "answerB": ["y"], "answerC": ["z"], "label": ["3"]}
    assert read(tmp_path, "siqa", siqa) == [{"id": "1", "prompt": "c q", "choices": ["x", "y", "z"], "label": 2}]
    codah = {
        "id": [5],
        "question_propmt": ["q"],
        "candidate_answers": [["w", "x", "y", "z"]],
        "correct_answer_idx": [1],
    }
    numbers = {"id": Value("int64"), "candidate_answers": List(TEXT), "correct_answer_idx": Value("int32")}
    rows = read(tmp_path, "codah", codah, **numbers)
    assert rows == [{"id": "5", "prompt": "q", "choices": ["w", "x", "y", "z"], "label": 1}]
    swag = {"ctx_a": ["A.", "B."], "ctx_b": ["she", ""], "endings": [["runs", "sits"], ["Go.", "Stop."]],
            "label": ["1", "0"]}  # fmt: skip
    rows = read(tmp_path, "hellaswag", swag, endings=List(TEXT))
    assert rows[0] == {"id": "1", "prompt": "A.", "choices": ["she runs", "she sits"], "label": 1}
    assert rows[1]["choices"] == ["Go.", "Stop."]
    csqa = {"id": ["i"], "question": ["q"], "choices": [{"label": ["A", "B"], "text": ["x", "y"]}], "answerKey": ["B"]}
    rows = read(tmp_path, "csqa", csqa, choices={"label": List(TEXT), "text": List(TEXT)})
    assert rows == [{"id": "i", "prompt": "q", "choices": ["x", "y"], "label": 1}]


@pytest.mark.parametrize("label", [ClassLabel(names=["choice1", "choice2"]), Value("int32")])
def test_copa_and_xcopa_share_a_schema(tmp_path: Path, label: Any) -> None:
    """COPA's label has names, XCOPA's is a number; both say which choice is right."""
    columns = {"premise": ["p", "r"], "question": ["cause", "effect"], "choice1": ["x", "u"], "choice2": ["y", "v"],
               "label": [1, 0], "idx": [3, 4]}  # fmt: skip
    rows = read(tmp_path, "copa", columns, label=label, idx=Value("int32"))
    assert rows[0] == {"id": "3", "prompt": "p What was the CAUSE of this?", "choices": ["x", "y"], "label": 1}
    assert rows[1]["prompt"] == "r What happened as a RESULT?" and rows[1]["label"] == 0
    swapped = ClassLabel(names=["choice2", "choice1"])
    assert read(tmp_path, "copa", columns, label=swapped, idx=Value("int32"))[0]["label"] == 0


def test_questions_are_read_with_their_offsets(tmp_path: Path) -> None:
    """SQuAD keeps answers at their offsets; only version 2 may have none; a wrong offset is refused."""
    columns = {
        "id": ["1"],
        "question": ["who?"],
        "context": ["a b a"],
        "answers": [{"text": ["a"], "answer_start": [4]}],
    }
    row = {"id": "1", "question": "who?", "context": "a b a", "answers": ["a"], "starts": [4]}
    assert read(tmp_path, "squad_v1", columns, answers=ANSWERS) == [row]
    empty = {**columns, "answers": [{"text": [], "answer_start": []}]}
    assert read(tmp_path, "squad_v2", empty, answers=ANSWERS)[0]["answers"] == []
    with pytest.raises(UserError, match="gold labels were removed"):
        read(tmp_path, "squad_v1", empty, answers=ANSWERS)
    wrong = {**columns, "answers": [{"text": ["a"], "answer_start": [3]}]}
    with pytest.raises(UserError, match=r"rows.parquet:1: an answer is not at its offset .*'a' at 3"):
        read(tmp_path, "squad_v1", wrong, answers=ANSWERS)


def test_tydiqa_gives_the_rows_of_one_language(tmp_path: Path) -> None:
    """One table holds all languages, told apart by their ids; an id that repeats is numbered."""
    gold = {"text": ["b"], "answer_start": [2]}
    ids = ["finnish-1-0", "english-1-0", "finnish-1-0"]
    columns = {"id": ids, "question": ["q"] * 3, "context": ["a b"] * 3, "answers": [gold] * 3}
    assert [row["id"] for row in read(tmp_path, "tydiqa", columns, "fi", answers=ANSWERS)] == [ids[0], f"{ids[0]}#2"]
    with pytest.raises(UserError, match="'12' begins with no language"):
        read(tmp_path, "tydiqa", {**columns, "id": ["12"] * 3}, "fi", answers=ANSWERS)


def test_tatoeba_is_read_from_its_english_side(tmp_path: Path) -> None:
    """The target is English and says so; line ends are not part of a sentence."""
    columns = {
        "source_sentence": ["eins\n"],
        "target_sentence": ["one\n"],
        "source_lang": ["tmp/x"],
        "target_lang": ["eng"],
    }
    assert read(tmp_path, "tatoeba", columns, "de") == [{"id": "1", "text": "eins", "english": "one"}]
    with pytest.raises(UserError, match="target_lang is 'deu', expected 'eng'"):
        read(tmp_path, "tatoeba", {**columns, "target_lang": ["deu"]}, "de")


@given(
    blanks=st.integers(0, 20), trailing=st.integers(0, 3), words=st.lists(st.text("abé", min_size=1), min_size=1),
    data=st.data(),
)  # fmt: skip
def test_offsets_survive_a_conversion_that_stripped_the_passage(
    blanks: int, trailing: int, words: list[str], data: Any
) -> None:
    """Answers of a stripped passage are found where they were, and never anywhere that does not fit all of them."""
    passage = " " * blanks + " ".join(words) + " " * trailing
    spans = data.draw(st.lists(st.tuples(st.integers(0, len(passage)), st.integers(0, len(passage))), min_size=1))
    spans = [(min(span), max(span)) for span in spans]
    spans = [(start, end) for start, end in spans if start >= blanks and passage[start:end].strip()]
    assume(spans)
    answers, starts = [passage[a:b].strip() for a, b in spans], [a for a, _ in spans]
    placed = _placed(passage.strip(), answers, starts, stripped=True)
    assert placed is not None
    assert all(passage.strip().startswith(text, at) for text, at in zip(answers, placed, strict=True))
    if not blanks:
        assert placed == [a + len(passage[a:b]) - len(passage[a:b].lstrip()) for a, b in spans]


# -- refusals of rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "columns", "features"),
    [
        ("xnli", {**PAIR, "label": [0, -1]}, {"label": NLI}),
        ("snli", {**PAIR, "label": [-1, -1]}, {"label": NLI}),
        ("pawsx", {"id": ["1"], "sentence1": ["a"], "sentence2": ["b"], "label": [None]}, {}),
        ("hellaswag", {"ctx_a": ["a"], "ctx_b": [""], "endings": [["x", "y"]], "label": [""]}, {"endings": List(TEXT)}),
        ("siqa", {"context": ["c"], "question": ["q"], "answerA": ["x"], "answerB": ["y"], "answerC": ["z"],
                  "label": [""]}, {}),
        ("udpos", {"tokens": [["a"]], "pos_tags": [[-1]]},
         {"tokens": List(TEXT), "pos_tags": List(ClassLabel(names=["X"]))}),
        ("copa", {"premise": ["p"], "question": ["cause"], "choice1": ["x"], "choice2": ["y"], "label": [-1],
                  "idx": ["0"]}, {"label": Value("int32")}),
    ],
)  # fmt: skip
def test_hidden_gold_is_refused(tmp_path: Path, task: str, columns: dict[str, Any], features: dict[str, Any]) -> None:
    """A row whose label is -1, blank or null is a split without gold labels, and never scored."""
    with pytest.raises(UserError, match=r"rows\.parquet:\d: gold labels were removed"):
        read(tmp_path, task, columns, **features)


def test_snli_leaves_out_pairs_without_a_majority(tmp_path: Path) -> None:
    """In SNLI -1 beside labelled rows means that annotators disagreed; ids stay those of the rows."""
    rows = read(tmp_path, "snli", {**PAIR, "label": [-1, 0]}, label=NLI)
    assert [(row["id"], row["label"]) for row in rows] == [("2", "entailment")]


def test_qqp_leaves_a_few_empty_questions_out(tmp_path: Path) -> None:
    """Up to one row in a thousand may lack a question; more are refused."""
    count = 1000
    columns = {"question1": ["a"] * count, "question2": ["b"] * count, "label": [0] * count, "idx": list(range(count))}
    features = {"label": ClassLabel(names=["not_duplicate", "duplicate"]), "idx": Value("int32")}
    columns["question2"][7] = ""
    assert len(read(tmp_path, "qqp", columns, **features)) == count - 1
    columns["question1"][9] = " "
    with pytest.raises(UserError, match="rows.parquet:10: empty question1"):
        read(tmp_path, "qqp", columns, **features)


@pytest.mark.parametrize(
    ("columns", "features", "said"),
    [
        ({"premise": ["a"], "label": [0]}, {"label": NLI}, "columns premise, label, expected premise, hypothesis, lab"),
        ({**PAIR, "label": [0, 1]}, {"label": Value("int64")}, "'label' holds numbers without names"),
        ({**PAIR, "label": [0, 0]}, {"label": ClassLabel(names=["yes", "no"])}, "unknown label 'yes'"),
        ({**PAIR, "label": [0, 1], "premise": ["a", " "]}, {"label": NLI}, "rows.parquet:2: empty premise"),
        ({**PAIR, "label": [0, 1], "premise": [1, 2]}, {"label": NLI, "premise": Value("int32")}, "premise is int"),
        ({"premise": [], "hypothesis": [], "label": []}, {"label": NLI}, "no rows"),
    ],
)  # fmt: skip
def test_a_schema_that_is_not_the_expected_one_is_refused(
    tmp_path: Path, columns: dict[str, Any], features: dict[str, Any], said: str
) -> None:
    """Columns, types and names are checked where they are read, and nothing is guessed."""
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, "xnli", columns, **features)


# -- real data --------------------------------------------------------------------------------------------------


XQUAD_FILE, TYDIQA_FILE = "xquad/xquad.{}.json.gz", "tydiqa_goldp/tydiqa.goldp.{}.train.json.gz"


@pytest.mark.parametrize(
    ("file", "task", "language"),
    [(XQUAD_FILE, "xquad", "zh"), (XQUAD_FILE, "xquad", "ar"), (TYDIQA_FILE, "tydiqa", "ko"),
     (TYDIQA_FILE, "tydiqa", "en")],
)  # fmt: skip
def test_stripped_conversions_of_real_questions_are_mended(file: str, task: str, language: str) -> None:
    """Real questions, stripped as the hub's conversion did, give the answers of the files at the right places."""
    path = DATA / file.format(language)
    if not path.is_file():
        pytest.skip(f"no file {path}; set XSTILTS_DATA to test on real questions")
    files = get_source("files", DATA).rows_from(path, get_task(task), language)
    assert any(row["context"] != row["context"].strip() for row in files)
    name = get_language(language).name.lower()
    columns = {
        "id": [f"{name}-{row['id']}" for row in files],
        "question": [row["question"].strip() for row in files],
        "context": [row["context"].strip() for row in files],
        "answers": [
            {"text": [text.strip() for text in row["answers"]], "answer_start": row["starts"]} for row in files
        ],
    }
    rows = READERS[HUB[task].reader].read(Table(Path("memory"), columns), get_task(task), language)
    lost = [len(row["context"]) - len(row["context"].lstrip()) for row in files]
    for row, official, blanks in zip(rows, files, lost, strict=True):
        for text, start, whole, at in zip(
            row["answers"], row["starts"], official["answers"], official["starts"], strict=True
        ):
            assert start == at - blanks + len(whole) - len(whole.lstrip()) and row["context"].startswith(text, start)


@pytest.mark.parametrize(("task", "language"), [("xcopa", "zh"), ("xcopa", "th"), ("copa", "en")])
def test_real_choices_are_those_of_the_files(task: str, language: str) -> None:
    """The same questions give the same rows, from the hub's columns and from the official files."""
    path = DATA / ("xcopa/copa-val-en.jsonl" if task == "copa" else f"xcopa/val.{language}.jsonl")
    if not path.is_file():
        pytest.skip(f"no file {path}; set XSTILTS_DATA to test on real questions")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    table = Table(path, {name: [line[name] for line in lines] for name in lines[0]})
    rows = get_source("files", DATA).rows_from(path, get_task(task), language)
    assert READERS[HUB[task].reader].read(table, get_task(task), language) == rows
