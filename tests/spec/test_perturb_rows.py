"""Perturbed rows: whatever is done to the text, the label stays right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.metrics.chunk_f1 import chunks
from xstilts.perturb import PERTURBATIONS, get_perturbation
from xstilts.perturb.rows import perturb_rows

NAMES = sorted(name for name in PERTURBATIONS.targets() if not get_perturbation(name).needs)
KEEPING = [name for name in NAMES if get_perturbation(name).keeps_count]
BIO = ("B-POS", "I-POS", "O")
text = st.text(st.sampled_from("abcdé ́xyz กำ้日本가나हिक्षא,.1"), max_size=30)
word = st.text(st.sampled_from("abcdéxyzกำ้日本가나हिक्षא,.1́"), min_size=1, max_size=8)
language = st.sampled_from(["en", "th", "ja", "ko", "hi", "de"])
rate = st.sampled_from([0.1, 0.5, 1.0])
seed = st.integers(0, 9)
places = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=3)
quick = settings(deadline=None, max_examples=60)


def one(row, shape, name, labels=(), language="en", rate=0.5, seed=1, **options):
    (changed,), (reached,) = perturb_rows([row], shape, labels, language, name, rate, seed, **options)
    return changed, reached


def others(row, *changed):
    return {name: value for name, value in row.items() if name not in changed}


@quick
@given(text, st.none() | text, language, st.sampled_from(NAMES), rate, seed)
def test_classify_keeps_label_and_id(a, b, language, name, rate, seed):
    """Only texts change, and a row without a second text has none afterwards."""
    row = {"id": "1", "text_a": a, "text_b": b, "label": "x"}
    changed, _ = one(row, "classify", name, ("x",), language, rate, seed)
    assert others(changed, "text_a", "text_b") == {"id": "1", "label": "x"}
    assert (changed["text_b"] is None) == (b is None)


@quick
@given(st.lists(word, min_size=1, max_size=8), language, st.sampled_from(KEEPING), rate, seed)
def test_tokens_keep_their_count_and_their_tags(tokens, language, name, rate, seed):
    """As many tokens as tags, none empty; a tag goes where its token goes."""
    tags = [str(i) for i in range(len(tokens))]
    changed, _ = one({"id": "1", "tokens": tokens, "tags": tags}, "tag", name, tags, language, rate, seed)
    assert len(changed["tokens"]) == len(tokens) and all(changed["tokens"])
    if get_perturbation(name).unit == "word":
        assert sorted(zip(changed["tokens"], changed["tags"], strict=True)) == sorted(zip(tokens, tags, strict=True))
    else:
        assert changed["tags"] == tags


@quick
@given(st.lists(st.tuples(word, st.booleans()), min_size=1, max_size=9), st.sampled_from(KEEPING), rate, seed)
def test_chunks_survive(pairs, name, rate, seed):
    """The chunks are the same; with `keep`, so are the tokens in them."""
    tags = ["O" if out else "I-POS" if i and not pairs[i - 1][1] else "B-POS" for i, (_, out) in enumerate(pairs)]
    row = {"id": "1", "tokens": [token for token, _ in pairs], "tags": tags}
    changed, _ = one(row, "tag", name, BIO, "en", rate, seed, keep=True)
    assert chunks(changed["tags"]) == chunks(tags)
    for before, after, tag in zip(row["tokens"], changed["tokens"], tags, strict=True):
        assert tag == "O" or before == after


@quick
@given(st.permutations([0, 1, 2, 3, 4, 5]), st.sampled_from(KEEPING), rate, seed)
def test_a_tree_is_the_same_tree_over_the_moved_words(order, name, rate, seed):
    """Each word has the head and the relation it had."""
    heads = [0] * 6
    for position in range(1, 6):  # each word hangs on the one drawn before it, the first on the root
        heads[order[position]] = order[position - 1] + 1
    names = [str(i) for i in range(6)]
    row = {"id": "1", "tokens": ["aa", "bb", "cc", "dd", "ee", "ff"], "heads": heads, "relations": names}
    changed, _ = one(row, "parse", name, names, "en", rate, seed)
    where = {relation: i for i, relation in enumerate(changed["relations"])}
    for i, head in enumerate(heads):
        new = changed["heads"][where[str(i)]]
        assert new == (where[str(head - 1)] + 1 if head else 0)
        if get_perturbation(name).unit == "word":
            assert changed["tokens"][where[str(i)]] == row["tokens"][i]


@pytest.mark.parametrize("shape", ["tag", "features", "parse"])
@pytest.mark.parametrize("name", ["word_delete", "word_repeat"])
def test_kinds_that_change_the_number_of_tokens_are_refused(shape, name):
    """The message says which do not."""
    with pytest.raises(UserError, match="changes the number of tokens.*word_shuffle"):
        perturb_rows([], shape, (), "en", name, 0.1, 1)


@quick
@given(text, places, language, st.sampled_from(NAMES), rate, seed)
def test_answers_stay_exact_substrings(context, places, language, name, rate, seed):
    """Every accepted answer is as it was and stands at its start, whatever overlaps and even within a cluster."""
    spans = [(start, context[start : start + length]) for start, length in places if context[start : start + length]]
    row = {"id": "1", "question": "which one is it", "context": context, "answers": [answer for _, answer in spans],
           "starts": [start for start, _ in spans]}  # fmt: skip
    changed, _ = one(row, "span", name, (), language, rate, seed)
    assert changed["answers"] == row["answers"]
    for start, answer in zip(changed["starts"], changed["answers"], strict=True):
        assert changed["context"][start : start + len(answer)] == answer


def test_context_and_question_change_around_the_answer():
    """The answer is not the only thing that is left."""
    row = {"id": "1", "question": "who wrote it?", "context": "It was written by Ada Lovelace in London.",
           "answers": ["Ada Lovelace"], "starts": [18]}  # fmt: skip
    changed, reached = one(row, "span", "delete")
    assert changed["question"] != row["question"] and changed["context"] != row["context"] and reached.edits > 10


@quick
@given(word, st.lists(word, min_size=2, max_size=4, unique=True), language, st.sampled_from(NAMES), rate, seed)
def test_choices_stay_distinct(prompt, choices, language, name, rate, seed):
    """The label names one of them as before."""
    row = {"id": "1", "prompt": prompt, "choices": choices, "label": 1}
    changed, _ = one(row, "choice", name, (), language, rate, seed)
    assert len(set(changed["choices"])) == len(choices) and changed["label"] == 1


@pytest.mark.parametrize("shape", ["retrieve", "mine"])
def test_of_translations_the_evaluated_language_is_changed(shape):
    """English is the same for every language."""
    row = {"id": "1", "text": "Guten Morgen, liebe Leute", "english": "Good morning, dear people"}
    if shape == "mine":
        row |= {"english_id": "e1", "gold": ["e1"]}
    changed, reached = one(row, shape, "delete", language="de")
    assert others(changed, "text") == others(row, "text") and changed["text"] != row["text"] and reached.edits


def test_a_row_of_english_alone_is_left():
    """Half of the rows of bitext mining have no text."""
    row = {"id": "e1", "text": None, "english_id": "e1", "english": "Good morning", "gold": []}
    assert one(row, "mine", "delete", language="de") == (row, (0, 0))


def test_an_aspect_term_is_kept_in_its_sentence():
    """With `keep` the term asked for and its occurrences stay."""
    row = {"id": "1", "text_a": "The sushi bar had good sushi", "text_b": "sushi", "label": "POS"}
    changed, reached = one(row, "classify", "keyboard", rate=1, keep=True)
    assert changed["text_b"] == "sushi" and changed["text_a"].count("sushi") == 2 and reached.edits > 5


@pytest.mark.parametrize(
    "shape, fields",
    [
        ("classify", {"text_a": "a nice long text", "text_b": None, "label": "x"}),
        ("tag", {"tokens": ["a", "nice", "text"], "tags": ["x", "x", "x"]}),
    ],
)
def test_a_row_is_changed_alike_whatever_surrounds_it(shape, fields):
    """Neither the order of rows nor other rows matter."""
    rows = [{"id": str(i), **fields} for i in range(5)]
    forward, _ = perturb_rows(rows, shape, (), "en", "insert", 0.3, 1)
    backward, _ = perturb_rows(rows[::-1][:3], shape, (), "en", "insert", 0.3, 1)
    assert backward == forward[::-1][:3]
    assert len({str(others(row, "id")) for row in forward}) > 1


def test_rows_given_are_not_changed_in_place():
    """The clean rows are still clean."""
    row = {"id": "1", "tokens": ["some", "words"], "tags": ["O", "O"]}
    one(row, "tag", "word_shuffle", rate=1)
    one(row, "tag", "insert", rate=1)
    assert row == {"id": "1", "tokens": ["some", "words"], "tags": ["O", "O"]}


def test_running_text_is_not_evaluated():
    """Shapes without evaluation are refused by name."""
    with pytest.raises(UserError, match="mlm"):
        perturb_rows([], "mlm", (), "en", "delete", 0.1, 1)
