"""Aspect-based sentiment: spans come back from both layouts, and what cannot be tagged is counted, never hidden."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.metrics.chunk_f1 import chunks
from xstilts.sources.files import READERS
from xstilts.tasks import get_task

POLARITIES = {"NEG": "negative", "NEU": "neutral", "POS": "positive"}


def read(folder, name, content, language="en"):
    path = folder / "file"
    path.write_text(content, encoding="utf-8", newline="")
    task = get_task(name)
    return READERS[task.files.reader].read(path, task, language)


def left_out(folder, name):
    task = get_task(name)
    return READERS[task.files.reader].left_out(folder / "file", task, "en")


def refusal(folder, name, content):
    with pytest.raises(UserError) as caught:
        read(folder, name, content)
    assert str(folder) in str(caught.value)
    return caught.value


def xabsa(*sentences):
    return "\n".join(
        "".join(f"{token}\t{'O' if tag == 'O' else 'T-' + tag}\tX#Y\n" for token, tag in sentence)
        for sentence in sentences
    )


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["O", *POLARITIES]), min_size=1, max_size=9), min_size=1, max_size=4))
def test_runs_of_one_polarity_are_terms(tmp_path_factory, sentences):
    """The chunks of the tags are the runs of equal polarity, in all three tasks."""
    folder = tmp_path_factory.mktemp("xabsa")
    content = xabsa(*[[(f"w{i}", tag) for i, tag in enumerate(sentence)] for sentence in sentences])
    expected = []
    for sentence in sentences:
        starts = [i for i, tag in enumerate(sentence) if tag != "O" and (i == 0 or sentence[i - 1] != tag)]
        ends = [next((j for j in range(i, len(sentence)) if sentence[j] != sentence[i]), len(sentence)) for i in starts]
        expected.append([(sentence[i], i, j - 1) for i, j in zip(starts, ends, strict=True)])
    assert [sorted(chunks(row["tags"])) for row in read(folder, "absa", content)] == [sorted(e) for e in expected]
    terms = [sorted(chunks(row["tags"])) for row in read(folder, "absa_terms", content)]
    assert terms == [[("TERM", first, last) for _, first, last in one] for one in expected]
    judged = [(row["id"], row["text_b"], row["label"]) for row in read(folder, "absa_polarity", content)]
    assert judged == [
        (f"{i}-{k}", " ".join(f"w{w}" for w in range(first, last + 1)), polarity)
        for i, one in enumerate(expected, start=1)
        for k, (polarity, first, last) in enumerate(one, start=1)
    ]


@pytest.mark.parametrize(
    "content, line, what",
    [
        ("a\tO\n", 1, "2 columns, expected 3"),
        ("a\tO\tNIL\nb\tT-PSO\tX\n", 2, "unknown label 'T-PSO'"),
        ("a\t\tNIL\n", 1, "blank gold label"),
        (" \tO\tNIL\n", 1, "empty token"),
        ("a\tO\tNIL\n\n\nb\tO\tNIL\n", 3, "empty sentence"),
    ],
)
def test_defects_of_xabsa_are_refused(tmp_path, content, line, what):
    """Each with its line."""
    error = refusal(tmp_path, "absa", content)
    assert error.line == line and what in str(error)


WORDS = st.sampled_from(["soup", "Suppe", "суп", "汤", "スープ", "ซุป", "수프", "café", "don't"])


@settings(deadline=None)
@given(
    st.lists(st.tuples(WORDS, st.sampled_from(["O", *POLARITIES])), min_size=1, max_size=6, unique_by=lambda p: p[0])
)
def test_terms_are_found_where_they_are(tmp_path_factory, words):
    """Whatever the script, the tagged tokens of a term are the term, with its polarity."""
    triplets = [[word, "food quality", POLARITIES[tag]] for word, tag in words if tag != "O"]
    sentence = " ".join(word for word, _ in words)
    folder = tmp_path_factory.mktemp("mabsa")
    (row,) = read(folder, "mabsa", f"{sentence}####{triplets}\n")
    assert "".join(row["tokens"]) == sentence.replace(" ", "")
    found = {("".join(row["tokens"][first : last + 1]), kind) for kind, first, last in chunks(row["tags"])}
    assert found == {(word, tag) for word, tag in words if tag != "O"}
    assert not left_out(folder, "mabsa")


@pytest.mark.parametrize(
    "sentence, term, tagged",
    [
        ("the roomy room", "room", ["room"]),
        ("im BadZimmer", "Zimmer", ["BadZimmer"]),
        ("서비스를 기다렸다", "서비스", ["서비스를"]),
        ("服务很好", "服务", ["服", "务"]),
        ("wine, wine", "wine", ["wine"]),
        ("Joe's pub", "Joe's pub", ["Joe", "'", "s", "pub"]),
    ],
)
def test_a_term_is_its_first_occurrence_between_token_borders(tmp_path, sentence, term, tagged):
    """Inside a longer token only where it is nowhere by itself, and then the whole token."""
    (row,) = read(tmp_path, "mabsa_terms", f'{sentence}####[["{term}", "a b", "positive"]]\n')
    ((_, first, last),) = chunks(row["tags"])
    assert row["tokens"][first : last + 1] == tagged


@pytest.mark.parametrize(
    "gold, reasons",
    [
        ("[['NULL', 'a b', 'positive']]", {}),
        ("[]", {}),
        ("[['wine', 'a b', 'positive']]", {"terms not in their sentence": 1}),
        ("[['soup bowl', 'a', 'positive'], ['soup', 'a', 'negative']]", {"terms only inside another": 1}),
        ("[['soup', 'a', 'positive'], ['soup', 'b', 'negative']]", {"further polarities of a term": 1}),
        ("[['soup', 'a', 'conflict']]", {"terms of polarity 'conflict'": 1}),
    ],
)
def test_what_has_no_tag_is_counted(tmp_path, gold, reasons):
    """Implicit terms need none; everything else without a tag has a reason and a number."""
    read(tmp_path, "mabsa", f"the soup bowl####{gold}\n")
    assert left_out(tmp_path, "mabsa") == reasons


def test_a_term_of_two_polarities_has_no_right_answer(tmp_path):
    """It is left out of the polarity task and counted; the other terms stay."""
    gold = "[['soup', 'a', 'positive'], ['soup', 'b', 'negative'], ['bowl', 'a', 'neutral']]"
    rows = read(tmp_path, "mabsa_polarity", f"the soup bowl####{gold}\n")
    assert [(row["id"], row["text_b"], row["label"]) for row in rows] == [("1-2", "bowl", "NEU")]
    assert left_out(tmp_path, "mabsa_polarity") == {"terms of several polarities": 1}


@pytest.mark.parametrize(
    "gold",
    [
        "[['Joe's', 'a b', 'positive'], ['soup', 'a b', 'negative']]",
        " [['Joe's', 'a b', 'positive', 'good'], [soup', 'a b', 'negative']]",
        "[[ ['Joe's' , 'a b', 'positive'],  ['soup', 'a b', 'negative'] ]]",
    ],
)
def test_triplets_that_are_no_python_are_read_where_their_ends_are_clear(tmp_path, gold):
    """M-ABSA's unescaped apostrophes, doubled brackets and lost quotes lose no term."""
    rows = read(tmp_path, "mabsa_polarity", f"Joe's soup####{gold}\n")
    assert [(row["text_b"], row["label"]) for row in rows] == [("Joe's", "POS"), ("soup", "NEG")]


@pytest.mark.parametrize(
    "line, what",
    [
        ("the soup", "no '####'"),
        ("the soup####", "blank gold label"),
        ("the soup####[['soup', 'a', 'postive']]", "unknown label 'postive'"),
        ("the soup####[['soup', 'positive']]", "no list of"),
        ("the soup####__import__('os').getcwd()", "no list of"),
        ("the soup####[['soup', 'a', 'positive'], ['bowl']]", "no list of"),
    ],
)
def test_defects_of_mabsa_are_refused(tmp_path, line, what):
    """Each with its line; text of a file is never run."""
    error = refusal(tmp_path, "mabsa", f"fine####[]\n{line}\n")
    assert error.line == 2 and what in str(error)
