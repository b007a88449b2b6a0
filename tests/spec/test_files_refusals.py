"""Every reader refuses what it cannot read soundly, in one line with the file and the place in it."""

from __future__ import annotations

import gzip
import json

import pytest

from xstilts.errors import UserError
from xstilts.sources.files import READERS
from xstilts.tasks import get_task


def refusal(path, task):
    """The one line with which the task's reader refuses a file."""
    task = get_task(task)
    with pytest.raises(UserError) as caught:
        READERS[task.files.reader].read(path, task, task.languages[0])
    assert "\n" not in str(caught.value) and str(path.parent) in str(caught.value)
    return caught.value


def refuse_text(tmp_path, task, text):
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8", newline="")
    return refusal(path, task)


TAGGED = "the\tDET\ndog\tNOUN\n\n"
SICK = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
MSRP = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
COSMOS = "id,context,question,answer0,answer1,answer2,answer3,label\r\n"


@pytest.mark.parametrize(
    "task, text, line, found, expected",
    [
        ("udpos", TAGGED + "runs\n", 4, 1, 2),
        ("udpos", TAGGED + "runs\tVERB\t_\n", 4, 3, 2),
        ("xnli", "a\tb\tneutral\nc\td\n", 2, 2, 3),
        ("pawsx", "id\tsentence1\tsentence2\tlabel\n1\ta\tb\n", 2, 3, 4),
        ("sick", SICK + "1\ta\tb\t4.5\n", 2, 4, 5),
        ("msrp", MSRP + "1\t2\t3\ta\r\n", 2, 4, 5),
        ("cosmosqa", COSMOS + 'i,"two\nlines",q,a,b,c,d,0\r\nj,c,q,a,b,c,0\r\n', 4, 7, 8),
        ("parallel", "one\tuno\n", 1, 2, 3),
    ],
)
def test_a_line_with_too_many_or_few_columns_is_refused(tmp_path, task, text, line, found, expected):
    """The refusal says how many columns there are, how many there should be, and on which line."""
    error = refuse_text(tmp_path, task, text)
    assert error.line == line
    assert f"{found} column" in str(error) and f"expected {expected}" in str(error)


@pytest.mark.parametrize(
    "task, text, line, hint",
    [
        ("udpos", TAGGED + "Rex\tPRPN\n", 4, "PROPN"),
        ("panx", "Rex\tB-PRE\n", 1, "B-PER"),
        ("xnli", "a\tb\tneutrall\n", 1, "neutral"),
        (
            "snli",
            '{"gold_label": "entails", "pairID": "1", "sentence1": "a", "sentence2": "b"}\n',
            1,
            "entailment",
        ),
        ("sick", SICK + "1\ta\tb\t4.5\tNEUTRALL\n", 2, "neutral"),
        ("msrp", MSRP + "2\t2\t3\ta\tb\r\n", 2, "0, 1"),
        ("cosmosqa", COSMOS + "i,c,q,a,b,c,d,4\r\n", 2, "0, 1, 2, 3"),
    ],
)
def test_an_unknown_label_is_refused_with_the_nearest(tmp_path, task, text, line, hint):
    """A label outside the closed set is named, with the line and the labels that may have been meant."""
    error = refuse_text(tmp_path, task, text)
    assert error.line == line and "unknown label" in str(error) and hint in str(error)


@pytest.mark.parametrize(
    "task, text",
    [
        ("udpos", TAGGED + "Rex\t\n"),
        ("xnli", "a\tb\tneutral\na\tb\tneutral\na\tb\tneutral\na\tb\t\n"),
        ("snli", '\n{"gold_label": "", "pairID": "1", "sentence1": "a", "sentence2": "b"}\n' * 4),
    ],
)
def test_a_blank_gold_label_is_refused(tmp_path, task, text):
    """A file whose labels were removed is never read as data."""
    text = text.lstrip("\n") if task != "snli" else text[1:]
    error = refuse_text(tmp_path, task, text)
    assert "blank gold label" in str(error) and error.line == (1 if task == "snli" else 4)


@pytest.mark.parametrize(
    "task, text, line",
    [
        ("udpos", "\n" + TAGGED, 1),
        ("udpos", TAGGED + "\n" + TAGGED, 4),
        ("udpos", " \tX\n", 1),
        ("xnli", "a\tb\tneutral\n \tb\tneutral\n", 2),
        ("xnli", "a\t\tneutral\n", 1),
        ("cosmosqa", COSMOS + "i,c, ,a,b,c,d,0\r\n", 2),
        ("parallel", "one\tuno\tx\n\tdos\tx\n", 2),
    ],
)
def test_an_empty_sentence_is_refused(tmp_path, task, text, line):
    """Nothing to read is a fault of the file, not an example."""
    error = refuse_text(tmp_path, task, text)
    assert "empty" in str(error) and error.line == line


@pytest.mark.parametrize(
    "task, text, line",
    [
        ("snli", '{"gold_label": "-", "pairID": "1", "sentence1": "a", "sentence2": "b"}\n' * 2, 2),
        ("sick", SICK + "1\ta\tb\t4.5\tNEUTRAL\n" * 2, 3),
        ("msrp", MSRP + "1\t2\t3\ta\tb\r\n" * 2, 3),
        ("cosmosqa", COSMOS + "i,c,q,a,b,c,d,0\r\n" * 2, 3),
        ("pawsx", "id\tsentence1\tsentence2\tlabel\n" + "1\ta\tb\t0\n" * 2, 3),
    ],
)
def test_duplicate_ids_are_refused(tmp_path, task, text, line):
    """The second row of an id is named with its line, and the first one's."""
    error = refuse_text(tmp_path, task, text)
    assert "duplicate id" in str(error) and f"first on line {line - 1}" in str(error) and error.line == line


@pytest.mark.parametrize("task", ["sick", "msrp", "cosmosqa"])
def test_a_file_without_its_header_is_refused(tmp_path, task):
    """Layouts with a header line need it: without one, the first row would be lost."""
    error = refuse_text(tmp_path, task, "1\t2\t3\ta\tb\n")
    assert "expected" in str(error) and error.line == 1


def test_an_unclosed_quote_is_refused_at_its_beginning(tmp_path):
    """A CSV record that never ends is refused on the line where it begins."""
    error = refuse_text(tmp_path, "cosmosqa", COSMOS + 'i,c,q,a,b,c,d,0\r\nj,"c,q\r\nmore\r\n')
    assert "not CSV" in str(error) and error.line == 3


# --- questions


def squad(answers, context="a dog barks", **more):
    question = {"id": "q1", "question": "who?", "answers": answers, **more}
    return {
        "version": "1.1",
        "data": [{"title": "t", "paragraphs": [{"context": context, "qas": [question]}]}],
    }


@pytest.mark.parametrize(
    "answers, more, problem",
    [
        ([{"text": "", "answer_start": 0}], {}, "blank gold answer"),
        ([], {}, "no gold answer"),
        ([{"text": "dog", "answer_start": 3}], {}, "not at its offset 3 (in characters); it begins at 2"),
        (
            [{"text": "cat", "answer_start": 2}],
            {},
            "not at its offset 2 (in characters); it is not in the passage",
        ),
        ([{"text": "dog", "answer_start": -9}], {}, "not at its offset -9"),
        ([{"text": "dog", "answer_start": "2"}], {}, "'answer_start' is not a whole number"),
        ([{"text": "dog"}], {}, "no 'answer_start'"),
        ([{"text": None, "answer_start": 0}], {}, "'text' is not text"),
        ([], {"is_impossible": True}, "only answerable questions"),
        ([{"text": "dog", "answer_start": 2}], {"question": " "}, "empty id, question or passage"),
        ([{"text": "dog", "answer_start": 2}], {"question": "\ud800"}, "half a surrogate pair"),
        ("dog", {}, "'answers' is not a list"),
    ],
)
def test_a_question_without_sound_gold_is_refused_by_its_id(tmp_path, answers, more, problem):
    """Blank, missing, misplaced and malformed answers are refused, naming the question."""
    error = refuse_text(tmp_path, "xquad", json.dumps(squad(answers, **more)))
    assert problem in str(error) and "question 'q1'" in str(error)


def test_a_refused_question_has_its_line_where_the_json_has_lines(tmp_path):
    """An indented file names the line of the question's id."""
    text = json.dumps(squad([{"text": "", "answer_start": 0}]), indent=1)
    error = refuse_text(tmp_path, "xquad", text)
    assert text.split("\n")[error.line - 1].strip() == '"id": "q1",'


def test_squad_2_refuses_questions_that_contradict_themselves(tmp_path):
    """Marked unanswerable with answers, or without answers and not marked: both are refused."""
    both = squad([{"text": "dog", "answer_start": 2}], is_impossible=True)
    assert "but has answers" in str(refuse_text(tmp_path, "squad_v2", json.dumps(both)))
    neither = squad([], is_impossible=False)
    assert "no gold answer" in str(refuse_text(tmp_path, "squad_v2", json.dumps(neither)))


@pytest.mark.parametrize("task", ["xquad", "squad_v2", "tydiqa"])
def test_a_repeated_question_is_refused(tmp_path, task):
    """The same question twice in one file would count twice."""
    document = squad([{"text": "dog", "answer_start": 2}])
    document["data"] *= 2
    error = refuse_text(tmp_path, task, json.dumps(document))
    assert "duplicate" in str(error) and "'q1'" in str(error)


@pytest.mark.parametrize(
    "task, text, line",
    [
        ("xquad", '{"data": [\n}', 2),
        ("snli", "{}\nnot json\n", 1),
        ("snli", '"text"\n', 1),
        ("xquad", "[" * 100_000, None),
    ],
)
def test_what_is_not_json_of_the_layout_is_refused(tmp_path, task, text, line):
    """Broken JSON, JSON of another shape and JSON too deep to read are refused with the line."""
    error = refuse_text(tmp_path, task, text)
    assert error.line == line or line is None


# --- bytes


@pytest.mark.parametrize("task", ["udpos", "xnli", "xquad", "cosmosqa", "tatoeba"])
@pytest.mark.parametrize("spoil", [lambda b: b[:-9], lambda b: b"no gzip", lambda b: b[:20] + b"?" + b[21:]])
def test_a_broken_gzip_file_is_refused(tmp_path, task, spoil):
    """Cut short, not gzip at all, or damaged inside: one line, never half the rows."""
    path = tmp_path / "x.aaa.gz"
    path.write_bytes(spoil(gzip.compress(TAGGED.encode() * 9)))
    (tmp_path / "x.eng").write_text("a\n")
    assert "not a whole gzip file" in str(refusal(path, task))


@pytest.mark.parametrize("task", ["udpos", "xnli", "snli", "xquad", "cosmosqa", "tatoeba"])
def test_bytes_that_are_not_utf8_are_refused_with_the_line(tmp_path, task):
    """A Latin-1 file is not read with wrong letters."""
    path = tmp_path / "x.aaa"
    path.write_bytes("fine\nna\xefve\n".encode("latin-1"))
    (tmp_path / "x.eng").write_text("a\nb\n")
    error = refusal(path, task)
    assert "not UTF-8 (byte 0xef)" in str(error) and error.line == 2


def test_unaligned_retrieval_files_are_refused_with_both_counts(tmp_path):
    """Files of different length cannot be translations line by line."""
    (tmp_path / "x.aaa").write_text("uno\ndos\n")
    (tmp_path / "x.eng").write_text("one\ntwo\nthree\n")
    error = refusal(tmp_path / "x.aaa", "tatoeba")
    assert "not aligned: 2 lines, but 3 in x.eng" in str(error) and error.line == 3


def test_a_retrieval_file_without_its_english_half_is_refused(tmp_path):
    """The refusal names the file that is missing."""
    (tmp_path / "x.aaa").write_text("uno\n")
    assert "put x.eng beside it" in str(refusal(tmp_path / "x.aaa", "tatoeba"))


def test_an_empty_line_on_the_english_side_names_the_english_file(tmp_path):
    """The file at fault is named, not its partner."""
    (tmp_path / "x.aaa").write_text("uno\ndos\n")
    (tmp_path / "x.eng").write_text("one\n\n")
    error = refusal(tmp_path / "x.aaa", "tatoeba")
    assert error.file == tmp_path / "x.eng" and error.line == 2
