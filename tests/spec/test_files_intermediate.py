"""English intermediate tasks and choices: what is written in a layout is read back, and what is unsound is refused."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.sources.files import READERS, FilesSource
from xstilts.tasks import TASKS, get_task
from xstilts.tasks.intermediate import MIXTURES
from xstilts.tasks.rows import SCHEMAS

PATIENT = settings(deadline=None, max_examples=50)
"""The first example pays for imports, so time says nothing here."""

# any text that a line of these layouts can hold; a byte order mark may vanish at the start of a file
CONTROL = "\t\n\r\ufeff"
TEXT = st.text(st.characters(exclude_characters=CONTROL, exclude_categories=["Cs"]), min_size=1).filter(str.strip)
WORD = st.text(st.characters(exclude_characters=CONTROL + " ", exclude_categories=["Cs"]), min_size=1).filter(str.strip)


def rows_of(task, files, main=None):
    """Rows of a task from files (name -> content), the first one being read unless `main` names another or a folder.

    Checked against the shape's schema, and the same from gzipped files.
    """
    task = get_task(task)
    read = READERS[task.files.reader].read
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "plain", Path(folder) / "packed"
        for name, content in files.items():
            (plain / name).parent.mkdir(parents=True, exist_ok=True)
            (packed / name).parent.mkdir(parents=True, exist_ok=True)
            (plain / name).write_bytes(content.encode())
            (packed / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
        name = next(iter(files)) if main is None else main
        rows = read(plain / name, task, task.languages[0])
        gz = packed / name
        assert read(gz if gz.is_dir() else packed / f"{name}.gz", task, task.languages[0]) == rows
    assert pa.Table.from_pylist(rows, schema=SCHEMAS[task.shape]).to_pylist() == rows
    assert len({row["id"] for row in rows}) == len(rows)
    return rows


def refusal(folder, task, files, main=None):
    """The one line with which the task's reader refuses files (name -> content)."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    task = get_task(task)
    with pytest.raises(UserError) as caught:
        READERS[task.files.reader].read(folder / (main or next(iter(files))), task, "en")
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return caught.value


def jsonl(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


# --- sentence pairs

GLUE = "index\tsentence1\tsentence2\tlabel\n"
QNLI = "index\tquestion\tsentence\tlabel\n"
QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
MNLI = "index\tpairID\tsentence1_parse\tsentence1\tsentence2\tlabel1\tgold_label\n"


@PATIENT
@given(st.lists(st.tuples(TEXT, TEXT, st.sampled_from(get_task("rte").labels)), min_size=1))
def test_glue_pairs_are_read_back_with_and_without_a_header(pairs):
    """Both texts come back verbatim, quotes included, whether or not the table names its columns."""
    table = "".join(f"{i}\t{first}\t{second}\t{label}\n" for i, (first, second, label) in enumerate(pairs))
    rows = rows_of("rte", {"train.tsv": GLUE + table})
    assert [(row["text_a"], row["text_b"], row["label"]) for row in rows] == pairs
    assert [row["id"] for row in rows] == [str(i) for i in range(len(pairs))]
    assert rows_of("rte", {"train.tsv": table}) == rows
    assert rows_of("qnli", {"train.tsv": QNLI + table}) == rows


def test_mnli_is_read_from_each_of_its_distributions():
    """XNLI-MT's, GLUE's and the original file give the same pair; the parses that the latter two hold are ignored."""
    pair = ("a b", "c", "contradiction")
    original = {"gold_label": pair[2], "pairID": "7c", "sentence1": pair[0], "sentence2": pair[1], "genre": "fiction"}
    for content in (
        "premise\thypo\tlabel\na b\tc\tcontradictory\n",
        MNLI + "0\t7c\t(a b)\ta b\tc\tneutral\tcontradiction\n",
        jsonl(original, {**original, "pairID": "8n", "gold_label": "-"}),
    ):
        (row,) = rows_of("mnli", {"train": content})
        assert (row["text_a"], row["text_b"], row["label"]) == pair


def test_qqp_leaves_broken_lines_out_and_counts_them(tmp_path):
    """Lines without all columns or with an empty question are left out while they are one in a thousand or fewer."""
    whole = [f"{i}\t1\t2\tone {i}\ttwo\t{i % 2}\n" for i in range(2500)]
    content = QQP + "".join(whole[:700]) + "9000\t1\t2\tbroken\n9001\t1\t2\tthree\t\t0\n" + "".join(whole[700:])
    rows = rows_of("qqp", {"train.tsv": content})
    assert [row["id"] for row in rows] == [str(i) for i in range(2500)]
    assert rows[701] == {"id": "701", "text_a": "one 701", "text_b": "two", "label": "1"}
    (tmp_path / "QQP").mkdir()
    (tmp_path / "QQP/train.tsv").write_text(content)
    assert FilesSource(tmp_path).left_out(get_task("qqp"), "train", "en") == {"broken line": 2}
    error = refusal(tmp_path, "qqp", {"train.tsv": content.replace("\ttwo\t0\n", "\ttwo\n", 1)})
    assert "3 of 2503 lines" in str(error) and error.line == 2


def anli(label="e", **more):
    return {"uid": "u1", "context": "a b", "hypothesis": "c", "label": label, "reason": "", **more}


def test_anli_is_its_three_rounds_in_order():
    """Given the first round's file, all rounds are read; ids name the round, so that they cannot meet."""
    files = {
        f"anli_v1.0/{name}/dev.jsonl": jsonl(anli(label)) for name, label in zip(("R1", "R2", "R3"), "enc", strict=True)
    }
    rows = rows_of("anli", files)
    assert [(row["id"], row["label"]) for row in rows] == [
        ("R1-u1", "entailment"), ("R2-u1", "neutral"), ("R3-u1", "contradiction"),
    ]  # fmt: skip
    assert (rows[0]["text_a"], rows[0]["text_b"]) == ("a b", "c")


def test_a_missing_round_of_anli_is_refused_by_name(tmp_path):
    """Two rounds are not the task."""
    files = {f"{name}/dev.jsonl": jsonl(anli()) for name in ("R1", "R3")}
    error = refusal(tmp_path, "anli", files)
    assert error.file == tmp_path / "R2/dev.jsonl" and "round of ANLI is missing" in str(error)


def test_a_single_round_can_stand_in():
    """Any file outside a folder R1 is read alone."""
    assert [row["id"] for row in rows_of("anli", {"R3/dev.jsonl": jsonl(anli())})] == ["R3-u1"]


def test_the_identity_of_anli_covers_every_round(tmp_path):
    """A change in the last round changes the identity of the split."""
    for name in ("R1", "R2", "R3"):
        (tmp_path / f"anli_v1.0/{name}").mkdir(parents=True)
        (tmp_path / f"anli_v1.0/{name}/test.jsonl").write_text(jsonl(anli()))
    source, task = FilesSource(tmp_path), get_task("anli")
    before = source.identity(task, "test", "en")
    (tmp_path / "anli_v1.0/R3/test.jsonl").write_text(jsonl(anli(), anli(uid="u2")))
    assert source.identity(task, "test", "en") != before


@pytest.mark.parametrize("name", MIXTURES)
def test_the_tasks_of_a_mixture_share_a_head(name):
    """A named mixture is trained on one head, so all its tasks must exist and name it."""
    assert len({get_task(task).head_name for task in MIXTURES[name]}) == 1


@pytest.mark.parametrize(
    "task, content, line, problem",
    [
        ("rte", GLUE + "0\ta\tb\tentails\n", 2, "unknown label 'entails'"),
        ("rte", GLUE + "0\ta\tb\t\n", 2, "blank gold label"),
        ("rte", GLUE + "0\ta\tb\n", 2, "3 columns, expected 4 (index, sentence1, sentence2, label); were the gold"),
        ("rte", GLUE + "0\ta\tb\tentailment\n" * 2, 3, "duplicate id '0' (first on line 2)"),
        ("rte", GLUE + "0\t \tb\tentailment\n", 2, "empty first sentence"),
        ("rte", "0\ta\tb\tentailment\n1\ta\tb\n", 2, "3 columns"),
        ("rte", "index\tsentence1\tsentence2\n0\ta\tb\n", 1, "expected among its columns"),
        ("qnli", "id\tquestion\tsentence\tlabel\n0\ta\tb\tentailment\n", 1, "expected among its columns"),
        ("mnli", MNLI + "0\t7c\t(a b)\ta b\tc\tneutral\t-\n", 2, "unknown label '-'"),
        ("mnli", MNLI.replace("\tgold_label", "") + "0\t7c\t(a b)\ta b\tc\tneutral\n", 1, "expected among"),
        ("qqp", QQP.replace("\tis_duplicate", "") + "0\t1\t2\ta\tb\n", 1, "expected the columns id, qid1"),
        ("qqp", QQP + "0\t1\t2\ta\tb\n", 2, "1 of 2 lines"),
        ("qqp", QQP + "0\t1\t2\ta\tb\t\n", 2, "blank gold label"),
        ("qqp", QQP + "0\t1\t2\ta\tb\t2\n", 2, "unknown label '2'"),
        ("qqp", QQP + "0\t1\t2\ta\tb\t1\n" * 2, 3, "duplicate id '0'"),
        ("anli", jsonl(anli("")), 1, "blank gold label"),
        ("anli", jsonl(anli("x")), 1, "unknown label 'x'"),
        ("anli", jsonl(anli(), anli()), 2, "duplicate id 'u1' (first on line 1)"),
        ("anli", jsonl(anli(context=" ")), 1, "'context': empty"),
        ("anli", jsonl({**anli(), "label": None}), 1, "'label': Input should be a valid string"),
        ("anli", '{"uid": "u1", "context": "a", "hypothesis": "b"}\n', 1, "no 'label'; give the labelled file"),
        ("anli", "[]\n", 1, "not a JSON object"),
        ("anli", "{\n", 1, "not JSON"),
    ],
)
def test_unsound_sentence_pairs_are_refused_with_their_line(tmp_path, task, content, line, problem):
    """Removed, blank and unknown labels, repeated ids, empty sentences and other columns never become rows."""
    error = refusal(tmp_path, task, {"file": content})
    assert problem in str(error) and error.line == line


# --- choices

HELLASWAG = {"ind": 4, "ctx_a": "A man sits.", "ctx_b": "he", "endings": ["runs.", "eats.", "naps.", "is."], "label": 3}
CSQA = {
    "id": "x1",
    "answerKey": "B",
    "question": {"stem": "Where?", "choices": [{"label": "A", "text": "here"}, {"label": "B", "text": "there"}]},
}
SIQA = {"context": "It rained.", "question": "Why?", "answerA": "a", "answerB": "b", "answerC": "c"}
COPA = {"premise": "It rained.", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 7}
CODAH = "o\tIt\truns.\teats.\tnaps.\tis.\t3\n"


def test_hellaswag_continues_the_second_part_of_its_context():
    """The prompt is `ctx_a`; a choice is `ctx_b` and an ending, or the ending where there is no `ctx_b`."""
    first, second = rows_of("hellaswag", {"train.jsonl": jsonl(HELLASWAG, {**HELLASWAG, "ctx_b": ""})})
    assert first == {
        "id": "1", "prompt": "A man sits.", "choices": ["he runs.", "he eats.", "he naps.", "he is."], "label": 3,
    }  # fmt: skip
    assert second["choices"] == HELLASWAG["endings"] and second["id"] == "2"


def test_commonsense_qa_asks_its_question_alone():
    """The prompt is the stem; the label is the position of the choice that the key names."""
    assert rows_of("csqa", {"train_rand_split.jsonl": jsonl(CSQA)}) == [
        {"id": "x1", "prompt": "Where?", "choices": ["here", "there"], "label": 1}
    ]


def test_social_iqa_is_two_aligned_files():
    """Line n of the labels, 1 to 3, is the answer to line n of the questions."""
    files = {"train.jsonl": jsonl(SIQA, SIQA), "train-labels.lst": "3\n1\n"}
    assert rows_of("siqa", files) == [
        {"id": "1", "prompt": "It rained. Why?", "choices": ["a", "b", "c"], "label": 2},
        {"id": "2", "prompt": "It rained. Why?", "choices": ["a", "b", "c"], "label": 0},
    ]


@pytest.mark.parametrize("task", ["copa", "xcopa"])
def test_copa_asks_in_the_words_of_its_first_release(task):
    """Cause and effect become the two questions of Roemmele et al. 2011, in English for every language."""
    cause, effect = rows_of(task, {"train.jsonl": jsonl(COPA, {**COPA, "question": "effect", "idx": 8, "label": 0})})
    assert cause == {"id": "7", "prompt": "It rained. What was the CAUSE of this?", "choices": ["a", "b"], "label": 1}
    assert (effect["prompt"], effect["label"]) == ("It rained. What happened as a RESULT?", 0)


@PATIENT
@given(st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=4, max_size=4), st.integers(0, 3)), min_size=1))
def test_codah_is_read_back(items):
    """Prompt and choices come back verbatim; the first column, which may be empty, does not matter."""
    content = "".join("\t".join(["", prompt, *choices, str(label)]) + "\n" for prompt, choices, label in items)
    rows = rows_of("codah", {"full_data.tsv": content})
    assert [(row["prompt"], row["choices"], row["label"]) for row in rows] == items


@PATIENT
@given(st.lists(st.tuples(TEXT, TEXT, st.sampled_from(["cause", "effect"]), st.integers(0, 1)), min_size=1))
def test_copa_is_read_back(items):
    """Choices come back verbatim and the prompt begins with the premise, whatever the script."""
    records = [
        {"premise": premise, "choice1": choice, "choice2": "b", "question": asked, "label": label, "idx": i}
        for i, (premise, choice, asked, label) in enumerate(items)
    ]
    rows = rows_of("copa", {"train.jsonl": jsonl(*records)})
    for row, (premise, choice, asked, label) in zip(rows, items, strict=True):
        assert row["prompt"].startswith(f"{premise} What")
        assert ("CAUSE" in row["prompt"].removeprefix(premise)) == (asked == "cause")
        assert (row["choices"][0], row["label"]) == (choice, label)


LETTERS = "ABCDEFGH"


@PATIENT
@given(st.none() | TEXT, TEXT, st.lists(TEXT, min_size=2, max_size=8), st.data())
def test_lettered_choices_are_recovered_from_the_query(context, question, choices, data):
    """Where an evaluation file lists letters as choices, their texts and the question are those of the query."""
    gold = data.draw(st.integers(0, len(choices) - 1))
    begin = f"Context: {context}\n" if context else ""
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))
    query = f"{begin}Question: {question}\nChoices:\n{listed}\nAnswer:"
    record = {"query": query, "choices": list(LETTERS[: len(choices)]), "gold": gold}
    (row,) = rows_of("csqa", {"commonsense_qa.jsonl": jsonl(record)})
    prompt = f"{context} {question}" if context else question
    assert row == {"id": "1", "prompt": prompt, "choices": choices, "label": gold}


@pytest.mark.parametrize("task", ["hellaswag", "csqa", "siqa", "copa"])
def test_a_file_of_queries_stands_in_for_any_choice_task(task):
    """The keys of the first line tell the layout; texts as choices stay as they are, however many there are."""
    content = jsonl({"query": "It rained, so", "choices": ["a", "b", "c"], "gold": 2})
    assert rows_of(task, {"any.jsonl": content}) == [
        {"id": "1", "prompt": "It rained, so", "choices": ["a", "b", "c"], "label": 2}
    ]


@pytest.mark.parametrize(
    "query",
    [
        "Question: q\nChoices:\nA. a\nB. b\nC. c\nAnswer:",
        "Question: q\nChoices:\nA. a\nC. b\nAnswer:",
        "Question: q\nChoices:\nA. a\nB. b",
        "Which?\nA. a\nB. b\nAnswer:",
    ],
)
def test_lettered_choices_that_do_not_parse_are_refused(tmp_path, query):
    """Texts are recovered exactly or not at all."""
    error = refusal(tmp_path, "siqa", {"x.jsonl": jsonl({"query": query, "choices": ["A", "B"], "gold": 0})})
    assert "the choices are letters, but the query does not end with lines A. to B." in str(error) and error.line == 1


@pytest.mark.parametrize(
    "task, content, line, problem",
    [
        ("hellaswag", jsonl({**HELLASWAG, "label": 4}), 1, "unknown label '4'"),
        ("hellaswag", jsonl({**HELLASWAG, "label": "3"}), 1, "'label': Input should be a valid integer"),
        ("hellaswag", jsonl({k: v for k, v in HELLASWAG.items() if k != "label"}), 1, "no 'label'"),
        ("hellaswag", jsonl({**HELLASWAG, "endings": ["a", ""]}), 1, "'endings.1': empty"),
        ("hellaswag", jsonl({**HELLASWAG, "endings": ["a"], "label": 0}), 1, "fewer than two choices"),
        ("csqa", jsonl({**CSQA, "answerKey": ""}), 1, "blank gold label"),
        ("csqa", jsonl({**CSQA, "answerKey": "C"}), 1, "unknown label 'C'"),
        ("csqa", jsonl(CSQA, CSQA), 2, "duplicate id 'x1' (first on line 1)"),
        ("csqa", jsonl({**CSQA, "question": {"stem": "?"}}), 1, "no 'question.choices'"),
        ("csqa", jsonl({**CSQA, "question": {**CSQA["question"], "choices": [{"label": "B", "text": "a"}] * 2}}), 1,
         "two choices have one letter"),
        ("copa", jsonl(COPA, COPA), 2, "duplicate id '7'"),
        ("copa", jsonl({**COPA, "label": ""}), 1, "'label': Input should be 0 or 1"),
        ("copa", jsonl({**COPA, "label": -1}), 1, "'label': Input should be 0 or 1"),
        ("copa", jsonl({**COPA, "question": "why"}), 1, "'question': Input should be 'cause' or 'effect'"),
        ("copa", jsonl({**COPA, "choice2": "\u3000"}), 1, "'choice2': empty"),
        ("copa", jsonl(COPA).replace("It", "\\ud800"), 1, "not JSON"),
        ("copa", jsonl({"query": "q", "choices": ["a", "b"], "gold": 2}), 1, "unknown label '2'"),
        ("copa", jsonl({"query": "q", "choices": ["a", "b"], "gold": 1}, COPA), 2, "no 'query'"),
        ("codah", CODAH + CODAH.replace("\t3", ""), 2, "6 columns, expected 7"),
        ("codah", CODAH.replace("\t3", "\t"), 1, "blank gold label"),
        ("codah", CODAH.replace("\t3", "\t4"), 1, "unknown label '4'"),
        ("codah", CODAH.replace("eats.", " "), 1, "empty choice"),
    ],
)  # fmt: skip
def test_unsound_choices_are_refused_with_their_line(tmp_path, task, content, line, problem):
    """Removed, blank and impossible labels, repeated ids and empty choices never become rows."""
    error = refusal(tmp_path, task, {"file.jsonl": content})
    assert problem in str(error) and error.line == line


@pytest.mark.parametrize(
    "labels, line, problem",
    [
        ("1\n", 2, "not aligned: 2 lines, but 1 in train-labels.lst"),
        ("1\n4\n", 2, "unknown label '4'"),
        ("\n1\n", 1, "blank gold label"),
    ],
)
def test_unsound_labels_of_social_iqa_are_refused(tmp_path, labels, line, problem):
    """Both files are checked against one another."""
    error = refusal(tmp_path, "siqa", {"train.jsonl": jsonl(SIQA, SIQA), "train-labels.lst": labels})
    assert problem in str(error) and error.line == line


def test_social_iqa_without_its_labels_is_refused(tmp_path):
    """The refusal names the file that is missing."""
    assert "put train-labels.lst beside it" in str(refusal(tmp_path, "siqa", {"train.jsonl": jsonl(SIQA)}))


def test_the_identity_of_social_iqa_covers_its_labels(tmp_path):
    """Other labels are other rows."""
    (tmp_path / "siqa").mkdir()
    (tmp_path / "siqa/train.jsonl").write_text(jsonl(SIQA))
    source, task, labels = FilesSource(tmp_path), get_task("siqa"), tmp_path / "siqa/train-labels.lst"
    labels.write_text("1\n")
    before = source.identity(task, "train", "en")
    labels.write_text("2\n")
    os.utime(labels, ns=(1, 1))
    assert source.identity(task, "train", "en") != before


# --- CCG

DOG = (
    "(<T S[dcl] 0 2> (<T NP 0 2> (<L NP[nb]/N DT DT The NP[nb]_1/N_1> ) (<L N NN NN dog N> ) ) "
    "(<T S[dcl]\\NP 0 1> (<L S[dcl]\\NP VBZ VBZ barks S[dcl]\\NP_2> ) ) ) "
).replace("> )", ">)")


def auto(id_, tree=DOG):
    return f"ID={id_} PARSER=GOLD NUMPARSE=1\n{tree}\n"


def test_a_derivation_gives_each_word_the_category_of_its_leaf():
    """Words and lexical categories are read from left to right; everything above the leaves is left aside."""
    assert rows_of("ccg", {"00/wsj_0001.auto": auto("wsj_0001.1")}) == [
        {"id": "wsj_0001.1", "tokens": ["The", "dog", "barks"], "tags": ["NP[nb]/N", "N", "S[dcl]\\NP"]}
    ]


def leaf(word, category):
    return f"(<L {category} X Y {word} {category}>) "


@PATIENT
@given(st.recursive(st.tuples(WORD, WORD), lambda tree: st.lists(tree, min_size=1, max_size=2), max_leaves=12))
def test_derivations_of_any_shape_are_read_back(tree):
    """Whatever the tree and the characters of its words, the leaves come back in order."""

    def write(node):
        if isinstance(node, tuple):
            return leaf(*node)
        return f"(<T S 0 {len(node)}> " + "".join(map(write, node)) + ") "

    def leaves(node):
        return [node] if isinstance(node, tuple) else [pair for child in node for pair in leaves(child)]

    (row,) = rows_of("ccg", {"x.auto": auto("x.1", write(tree))})
    assert list(zip(row["tokens"], row["tags"], strict=True)) == leaves(tree)


def test_a_folder_of_auto_files_is_one_split_in_the_order_of_names(tmp_path):
    """Section 00 is development data, 23 the test data, and sections 02 to 21 together train."""
    root = tmp_path / "ccgbank/data/AUTO"
    sections = ["00", "01", *(f"{n:02}" for n in range(2, 25))]
    for section in sections:
        for name in ("02", "01"):
            (root / section).mkdir(parents=True, exist_ok=True)
            (root / section / f"wsj_{section}{name}.auto").write_text(auto(f"wsj_{section}{name}.1"))
    source, task = FilesSource(tmp_path), get_task("ccg")
    assert [row["id"] for row in source.rows(task, "dev", "en")] == ["wsj_0001.1", "wsj_0002.1"]
    assert [row["id"] for row in source.rows(task, "test", "en")] == ["wsj_2301.1", "wsj_2302.1"]
    train = [row["id"] for row in source.rows(task, "train", "en")]
    assert train == [f"wsj_{n:02}{name}.1" for n in range(2, 22) for name in ("01", "02")]
    before = source.identity(task, "train", "en")
    (root / "21/wsj_2199.auto").write_text(auto("wsj_2199.1"))
    assert source.identity(task, "train", "en") != before
    (root / "17").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"no \.auto files in section 17; training needs sections 02 to 21"):
        source.rows(task, "train", "en")


def test_a_folder_may_be_gzipped_file_by_file():
    """Plain or packed, the files of a section are the same rows."""
    rows = rows_of("ccg", {"00/a.auto": auto("a.1"), "00/b.auto": auto("b.1") + auto("b.2")}, main="00")
    assert [row["id"] for row in rows] == ["a.1", "b.1", "b.2"]


@PATIENT
@given(st.lists(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=5), min_size=1))
def test_flat_lines_of_words_and_categories_are_read_back(sentences):
    """`words<TAB>categories` is the other layout; ids are the line numbers."""
    sentences = [[("w" + word, tag) for word, tag in sentence] for sentence in sentences]  # no line begins with ID=
    lines = ["\t".join(" ".join(side) for side in zip(*sentence, strict=True)) + "\n" for sentence in sentences]
    rows = rows_of("ccg", {"ccg.train": "".join(lines)})
    assert [list(zip(row["tokens"], row["tags"], strict=True)) for row in rows] == sentences
    assert [row["id"] for row in rows] == [str(i + 1) for i in range(len(rows))]


@pytest.mark.parametrize(
    "name, content, line, problem",
    [
        ("x.auto", auto("a") + "nonsense\n", 3, "expected ID=..., found 'nonsense'"),
        ("x.auto", "\n", 1, "expected ID="),
        ("x.auto", auto("a") + "ID=b PARSER=GOLD\n", 3, "no derivation of 'b'"),
        ("x.auto", auto("a") + auto("a"), 3, "duplicate id 'a' (first on line 1)"),
        ("x.auto", auto("a", DOG.rstrip()[:-1]), 2, "cut short"),
        ("x.auto", auto("a", DOG + ")"), 2, "a node ends before its children do"),
        ("x.auto", auto("a", DOG.replace("(<L N NN NN dog N>) ", "")), 2, "a node ends before its children do"),
        ("x.auto", auto("a", DOG.replace("0 2> (<T NP", "0 1> (<T NP")), 2, "more children than it says"),
        ("x.auto", auto("a", DOG.replace(" dog", "")), 2, "no derivation from '(<L N NN NN N>)"),
        ("x.auto", auto("a", ""), 2, "cut short"),
        ("ccg.train", "a b\tN\n", 1, "2 words and 1 categories"),
        ("ccg.train", "a  b\tN N N\n", 1, "one of them is empty"),
        ("ccg.train", "a b\n", 1, "1 column, expected 2 (words, categories); were the gold labels removed?"),
        ("ccg.train", "a b\t \n", 1, "empty column"),
    ],
)
def test_unsound_derivations_are_refused_with_their_line(tmp_path, name, content, line, problem):
    """Half a tree, a tree with a lost leaf, a repeated sentence: nothing is read from any of them."""
    error = refusal(tmp_path, "ccg", {name: content})
    assert problem in str(error) and error.line == line


def test_a_folder_where_a_file_belongs_is_refused(tmp_path):
    """Only layouts of many files take a folder."""
    (tmp_path / "snli/snli_1.0_dev.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be read"):
        FilesSource(tmp_path).rows(TASKS["snli"], "dev", "en")
