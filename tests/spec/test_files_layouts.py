"""What is written in a layout is read back, and each data set's own conventions hold."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.sources.files import READERS
from xstilts.tasks import get_task
from xstilts.tasks.rows import SCHEMAS

# Any text a line of these layouts can hold, exotic spaces and line separators of Unicode included. A byte
# order mark is the one character that may vanish, and only at the start of a file.
TEXT = st.text(
    st.characters(exclude_characters="\t\n\r\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(str.strip)


PATIENT = settings(deadline=None)
"""The first example pays for imports and caches, so time says nothing here."""


def read(name, content, other=None):
    """The rows of a task from file content, checked against the shape's schema; plain and gzipped alike."""
    task = get_task(name)
    language = "de" if "de" in task.languages else task.languages[0]
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "a.xxx", Path(folder) / "b.xxx.gz"
        plain.write_bytes(content.encode())
        packed.write_bytes(gzip.compress(content.encode()))
        if other is not None:
            (Path(folder) / "a.eng").write_bytes(other.encode())
            (Path(folder) / "b.eng.gz").write_bytes(gzip.compress(other.encode()))
        rows = READERS[task.files.reader].read(plain, task, language)
        assert READERS[task.files.reader].read(packed, task, language) == rows
    assert pa.Table.from_pylist(rows, schema=SCHEMAS[task.shape]).to_pylist() == rows
    assert len({row["id"] for row in rows}) == len(rows)
    return rows


@PATIENT
@given(st.lists(st.lists(st.tuples(TEXT, st.sampled_from(get_task("udpos").labels)), min_size=1), min_size=1))
def test_tagged_sentences_are_read_back(sentences):
    """Tokens and tags come back verbatim, sentence by sentence."""
    content = "\n".join("".join(f"{token}\t{tag}\n" for token, tag in sentence) for sentence in sentences)
    rows = read("udpos", content)
    assert [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows] == sentences


@PATIENT
@given(st.lists(st.tuples(TEXT, TEXT, st.sampled_from(get_task("xnli").labels)), min_size=1))
def test_sentence_pairs_are_read_back(pairs):
    """Both texts come back verbatim, quotes included, with ids that count the rows."""
    rows = read("xnli", "".join("\t".join(pair) + "\n" for pair in pairs))
    assert [(row["text_a"], row["text_b"], row["label"]) for row in rows] == pairs
    assert [row["id"] for row in rows] == [str(i + 1) for i in range(len(pairs))]


@PATIENT
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=4))
def test_questions_are_read_back(items):
    """Offsets count code points, whatever the script, and every answer is where it says."""
    questions = [
        {
            "context": before + answer + after,
            "qas": [{"id": str(i), "question": asked, "answers": [{"text": answer, "answer_start": len(before)}]}],
        }
        for i, (before, answer, after, asked) in enumerate(items)
    ]
    rows = read("xquad", json.dumps({"data": [{"paragraphs": questions}]}, ensure_ascii=False))
    for row, (before, answer, after, asked) in zip(rows, items, strict=True):
        assert (row["question"], row["context"]) == (asked, before + answer + after)
        assert (row["answers"], row["starts"]) == ([answer], [len(before)])
        assert row["context"][row["starts"][0] :].startswith(answer)


@PATIENT
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_aligned_files_are_read_back(pairs):
    """Line n of one file is paired with line n of the other; ids are the line numbers."""
    rows = read("tatoeba", *("".join(text + "\n" for text in side) for side in zip(*pairs, strict=True)))
    assert [(row["text"], row["english"]) for row in rows] == pairs
    assert [row["id"] for row in rows] == [str(i + 1) for i in range(len(pairs))]


def test_line_ends_and_the_last_blank_line_do_not_matter():
    """CR LF reads like LF, and a missing end or more blank lines at the end change nothing."""
    plain = "a\tDET\nb\tNOUN\n\nc\tVERB\n"
    rows = read("udpos", plain)
    assert rows == read("udpos", plain.replace("\n", "\r\n")) == read("udpos", plain.rstrip("\n"))
    assert rows == read("udpos", plain + "\n\n\n")


def test_pairs_without_a_consensus_label_are_left_out_of_snli():
    """SNLI marks pairs without a majority label by `-`; by its own convention they are no examples."""
    line = '{"gold_label": "%s", "pairID": "%d", "sentence1": "a", "sentence2": "b"}\n'
    rows = read("snli", line % ("neutral", 1) + line % ("-", 2) + line % ("entailment", 3))
    assert [row["id"] for row in rows] == ["1", "3"]


def test_xnli_mt_has_a_header_and_its_own_spelling_of_contradiction():
    """`multinli.train.en.tsv` is read with the labels of XNLI."""
    rows = read("mnli", "premise\thypo\tlabel\na\tb\tcontradictory\nc\td\tneutral\n")
    assert [(row["id"], row["label"]) for row in rows] == [("1", "contradiction"), ("2", "neutral")]


def test_pawsx_is_read_with_and_without_its_id_column():
    """The original files have a header and ids; XTREME's copies have neither."""
    assert [r["id"] for r in read("pawsx", "id\tsentence1\tsentence2\tlabel\n7\ta\tb\t1\n")] == ["7"]
    assert [r["id"] for r in read("pawsx", "a\tb\t1\n")] == ["1"]


def test_quotes_are_text_in_tab_separated_layouts():
    """A sentence that begins with a quote is neither unquoted nor joined with the next lines."""
    (row,) = read("xnli", '"He said ""hi""."\t"open\tneutral\n')
    assert (row["text_a"], row["text_b"]) == ('"He said ""hi""."', '"open')


def test_sick_judgments_become_nli_labels():
    """SICK spells its labels in upper case."""
    header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    (row,) = read("sick", header + "4\ta b\tc\t3.5\tENTAILMENT\r\n")
    assert row == {"id": "4", "text_a": "a b", "text_b": "c", "label": "entailment"}


def test_msrp_is_read_with_and_without_its_byte_order_mark():
    """The official files begin with a byte order mark; a row's id is both sentences' ids."""
    content = 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t10\t11\t"Yes, he said.\tNo.\r\n'
    rows = read("msrp", content)
    assert rows == read("msrp", "\ufeff" + content)
    assert rows == [{"id": "10-11", "text_a": '"Yes, he said.', "text_b": "No.", "label": "1"}]


def test_cosmosqa_joins_context_and_question():
    """The prompt is context, space, question; quoted fields may hold commas, quotes and line ends."""
    header = "id,context,question,answer0,answer1,answer2,answer3,label\r\n"
    (row,) = read("cosmosqa", header + 'x,"It rained, ""hard"".\nAll day.",Why?,a,b,c,d,2\r\n')
    assert row["prompt"] == 'It rained, "hard".\nAll day. Why?'
    assert (row["choices"], row["label"]) == (["a", "b", "c", "d"], 2)


def test_squad_2_has_unanswerable_questions():
    """A question marked impossible is a row without answers."""
    qas = [
        {"id": "1", "question": "who?", "answers": [], "is_impossible": True, "plausible_answers": []},
        {
            "id": "2",
            "question": "who?",
            "answers": [{"text": "a", "answer_start": 0}],
            "is_impossible": False,
        },
    ]
    rows = read("squad_v2", json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": qas}]}]}))
    assert [row["answers"] for row in rows] == [[], ["a"]]


def test_ids_cut_short_by_xtreme_are_told_apart_in_tydiqa():
    """TyDiQA's training ids repeat; the n-th row of an id gets `#n`, and unique ids stay as they are."""
    paragraphs = [
        {"context": c, "qas": [{"id": i, "question": "q", "answers": [{"text": c, "answer_start": 0}]}]}
        for c, i in (("a", "1"), ("b", "1"), ("c", "2"))
    ]
    rows = read("tydiqa", json.dumps({"data": [{"paragraphs": paragraphs}]}))
    assert [row["id"] for row in rows] == ["1", "1#2", "2"]


def test_translation_pairs_have_english_first():
    """`english<TAB>other<TAB>source` becomes text in the language and its English."""
    (row,) = read("parallel", "one\teins\tbible\n")
    assert row == {"id": "1", "text": "eins", "english": "one"}
