"""Labels survive a translation in markers, or their row is dropped with a reason."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.translation.markers import Lost, mark, unmark
from xstilts.translation.projection import project, texts_of, translate_rows

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
WORDS = st.text("abcxyzäß", min_size=1, max_size=6)
PATIENT = settings(deadline=None)
"""The first example pays for imports, so time says nothing here."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def span_rows(draw):
    """A question whose answer, without blanks around it, lies anywhere in any text: inside words, beside brackets."""
    context = draw(TEXT.filter(str.strip))
    start = draw(st.integers(0, len(context) - 1))
    answer = context[start : draw(st.integers(start + 1, len(context)))]
    start += len(answer) - len(answer.lstrip())
    answers, starts = ([answer.strip()], [start]) if answer.strip() else ([], [])
    return {"id": "1", "question": "what?", "context": context, "answers": answers, "starts": starts}


@st.composite
def tag_rows(draw):
    """Tokens that are single words, with correct BIO tags."""
    tokens, tags = [], []
    for kind in draw(st.lists(st.sampled_from(["", "", "PER", "LOC"]), min_size=1, max_size=6)):
        words = draw(st.lists(WORDS, min_size=1, max_size=3))
        tokens += words
        tags += [f"{'I' if i else 'B'}-{kind}" if kind else "O" for i in range(len(words))]
    return {"id": "1", "tokens": tokens, "tags": tags}


def spans_of(row):
    """(type, words) of each entity, as a set with counts."""
    found = []
    for token, tag in zip(row["tokens"], row["tags"], strict=True):
        if tag[0] == "B":
            found.append((tag[2:], [token]))
        elif tag[0] == "I":
            found[-1][1].append(token)
    return sorted(found)


def through(row, shape, labels=(), translate=lambda text: text):
    """The row by way of a translator of single texts."""
    return project(row, shape, [translate(text) for text in texts_of(row, shape, labels)], labels)


@PATIENT
@given(span_rows())
def test_a_translation_that_changes_nothing_gives_the_question_back(row):
    """Marking and reading back is the identity, wherever the answer lies, unless no kind of bracket is free."""
    try:
        assert through(row, "span") == row
    except Lost as lost:
        assert str(lost) == "text holds every kind of marker" and set("[{<⟦") & set(row["context"])


@PATIENT
@given(tag_rows())
def test_a_translation_that_changes_nothing_gives_the_tags_back(row):
    """Words and BIO tags come back as they were."""
    assert through(row, "tag", BIO) == row


@PATIENT
@given(st.lists(st.tuples(WORDS, st.sampled_from(["NOUN", "VERB"])), min_size=1))
def test_tags_of_every_token_come_back(pairs):
    """Where tags are no BIO tags every token is marked."""
    row = {"id": "1", "tokens": [word for word, _ in pairs], "tags": [tag for _, tag in pairs]}
    assert through(row, "tag", ("NOUN", "VERB")) == row


@PATIENT
@given(tag_rows())
def test_spans_in_another_order_keep_their_labels(row):
    """A translation that reverses all units of a sentence, spans whole, moves each label with its span."""

    def reverse(text):
        pattern = r"\[1\].*?\[/1\]|\[\d+\].*?\[/\d+\]|\[ .*? \]|\S+"
        return " ".join(reversed(regex.findall(pattern, text)))

    moved = through(row, "tag", BIO, reverse)
    assert spans_of(moved) == spans_of(row)
    assert sorted(moved["tokens"]) == sorted(row["tokens"])


@PATIENT
@given(span_rows())
def test_a_translated_answer_is_a_substring_at_its_offset(row):
    """Whatever happens outside and inside the markers, context[start:start + len(answer)] == answer."""
    try:
        new = through(row, "span", translate=lambda text: "  Ü " + text.upper().replace("A", "ßß ") + " fin")
    except Lost:
        return
    for answer, start in zip(new["answers"], new["starts"], strict=True):
        assert answer and new["context"][start : start + len(answer)] == answer


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text.replace("[/2]", ""), "marker lost"),
        (lambda text: text + " [/2]", "marker doubled"),
        (lambda text: text.replace("[1] Ada [/1]", "[1] [/1]"), "nothing between markers"),
        (lambda text: text.replace("[/1]", "|").replace("[/2]", "[/1]").replace("|", "[/2]"), "markers crossed"),
        (lambda text: text.replace("[/1]", "[/1"), "marker broken"),
        (lambda text: text.replace("[1]", "[3]"), "marker lost"),
        (lambda text: None, "no translation"),
        (lambda text: " ", "blank translation"),
    ],
)
def test_a_row_whose_markers_do_not_survive_is_dropped_with_the_reason(damage, reason):
    """Lost, doubled, broken, empty and crossed markers are told apart and counted."""
    row = {"id": "1", "tokens": ["Ada", "met", "Alan", "."], "tags": ["B-PER", "O", "B-PER", "O"]}
    assert texts_of(row, "tag", BIO) == ["[1] Ada [/1] met [2] Alan [/2] ."]
    assert translate_rows([row], "tag", BIO, lambda texts: [damage(text) for text in texts]) == ([], {reason: 1})


@pytest.mark.parametrize("kind", ["］", "]", " ] "])
def test_markers_are_read_as_translators_write_them(kind):
    """Full-width brackets, digits of other scripts and blanks inside a marker are still markers."""
    text, spans = "Ada met Alan", [(0, 3), (8, 12)]
    assert mark(text, spans) == "[1] Ada [/1] met [2] Alan [/2]"
    assert unmark(text, 2, f"[ ٢{kind}Алан[/2] и [1] Ада ［/1］") == ("Алан и Ада", [(7, 10), (0, 4)])


def test_words_do_not_run_together_where_a_marker_was():
    """A blank that only a marker's inside has goes between the words; between characters of Han it is dropped."""
    assert unmark("a b c", 1, "eins[ zwei ]drei")[0] == "eins zwei drei"
    assert unmark("a b c", 1, "我[ 吃 ]飯")[0] == "我吃飯"


def test_an_unanswerable_question_is_translated_without_markers():
    """A row without answers keeps none, and brackets of its text are text."""
    row = {"id": "1", "question": "q", "context": "a [b] {c} <d> ⟦e⟧", "answers": [], "starts": []}
    assert through(row, "span", translate=str.upper) == {**row, "question": "Q", "context": row["context"].upper()}


def test_a_text_with_brackets_gets_other_markers():
    """The first kind of bracket that the text does not hold is used; where it holds all, the row is dropped."""
    assert mark("see [2] here", [(8, 12)]) == "see [2] { here }"
    with pytest.raises(Lost, match="every kind"):
        mark("[ { < ⟦ x", [(8, 9)])


def test_choices_that_become_the_same_are_dropped():
    """A choice is no choice when two different ones translate to one text."""
    row = {"id": "1", "prompt": "p", "choices": ["big", "large", "red"], "label": 0}
    assert through(row, "choice", translate=str.upper)["choices"] == ["BIG", "LARGE", "RED"]
    with pytest.raises(Lost, match="equal"):
        through(row, "choice", translate=lambda text: "grande" if text in ("big", "large") else text)


def test_single_texts_and_pairs_are_translated_as_they_are():
    """Label and id stay; a missing second text stays missing."""
    row = {"id": "1", "text_a": "a", "text_b": None, "label": "x"}
    assert through(row, "classify", translate=str.upper) == {**row, "text_a": "A"}
    assert through({**row, "text_b": "b"}, "classify", translate=str.upper) == {**row, "text_a": "A", "text_b": "B"}


def test_a_token_outside_all_markers_drops_a_row_without_bio_tags():
    """Every token needs a label: where all are marked, a new word outside has none."""
    row = {"id": "1", "tokens": ["goes", "on"], "tags": ["VERB", "ADV"]}
    kept, dropped = translate_rows([row], "tag", ("VERB", "ADV"), lambda texts: [f"se {text}" for text in texts])
    assert (kept, dropped) == ([], {"token without a label": 1})


def test_a_label_that_the_task_does_not_have_drops_the_row():
    """A span that becomes two words needs I-, which a set of labels may lack."""
    row = {"id": "1", "tokens": ["Rome"], "tags": ["B-LOC"]}
    _, dropped = translate_rows([row], "tag", ("O", "B-LOC"), lambda texts: ["[ la Roma ]"])
    assert dropped == {"label that the task does not have": 1}


def test_a_translation_without_spaces_is_cut_into_graphemes():
    """In scripts without spaces a token is one grapheme cluster, with its marks."""
    row = {"id": "1", "tokens": ["Ada", "eats"], "tags": ["B-PER", "O"]}
    kept, _ = translate_rows([row], "tag", BIO, lambda texts: ["[アダ]が食べる。"])
    assert kept == [{"id": "1", "tokens": list("アダが食べる。"), "tags": ["B-PER", "I-PER", *"OOOOO"]}]


def test_each_text_is_translated_once():
    """Equal texts of a block go to the translator once."""
    rows = [{"id": str(i), "text_a": "same", "text_b": str(i % 2), "label": "x"} for i in range(4)]
    asked = []
    translate_rows(rows, "classify", ("x",), lambda texts: asked.extend(texts) or list(texts))
    assert asked == ["same", "0", "1"]
