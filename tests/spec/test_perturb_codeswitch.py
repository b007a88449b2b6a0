"""Words switched to another language through a table that was learned from aligned sentences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.perturb import applies, perturb_text
from xstilts.perturb.codeswitch import Cells, Table, learn_table
from xstilts.perturb.rows import perturb_rows

BOOK = [("das haus", "the house"), ("das buch", "the book"), ("ein buch", "a book")]
TABLE = Table({"hund": ("dog",), "grüne": ("green", "verdant"), "paris": ("Paris",), "fährt": ("drives",)})


def t(cells, values, other, one):
    """t(other | one) by word."""
    pairs = [(cells.ones[a], cells.others[b]) for a, b in cells.pairs]
    return values[pairs.index((one, other))]


@pytest.mark.parametrize("rounds, expected", [(1, (0.5, 0.25, 0.25, 0.5)), (2, (0.6364, 0.1818, 0.1818, 0.4286))])
def test_model_1_is_that_of_the_textbook(rounds, expected):
    """Koehn, Statistical Machine Translation (2010), figure 4.4: the three-sentence example without the empty word,
    after one and two rounds of expectation-maximisation from a uniform start."""
    cells = Cells.of([(one.split(), other.split()) for one, other in BOOK])
    values, _ = cells.fit(rounds, empty=False)
    questions = [("the", "das"), ("book", "das"), ("house", "das"), ("the", "haus")]
    assert [t(cells, values, *question) for question in questions] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("rounds", [1, 4])
def test_model_1_with_the_empty_word_sums_to_one(rounds):
    """Translations of every word, and of no word, are a distribution."""
    cells = Cells.of([(one.split(), other.split()) for one, other in BOOK])
    values, null = cells.fit(rounds)
    assert np.bincount(cells.pairs[:, 0], values) == pytest.approx(1) and null.sum() == pytest.approx(1)


def corpus(count=200):
    """Sentences of a made-up language: words are English ones spelt backwards, in the other order."""
    rng = np.random.default_rng(1)
    vocabulary = ["house", "garden", "Paris", "walks", "green", "small", "dog", "reads", "old", "letter", "and", "with"]
    for _ in range(count):
        chosen = rng.choice(vocabulary, size=6, replace=False)
        yield " ".join(word.lower()[::-1] for word in chosen[::-1]) + ".", " ".join(chosen) + "."


def test_translations_are_found_whatever_the_order_of_words():
    """Every word has its translation and no other, spelt as it mostly is."""
    table = learn_table(corpus())
    assert len(table.words) == 12
    assert all(options[0].lower() == word[::-1] and len(options) == 1 for word, options in table.words.items())
    assert table.words["sirap"] == ("Paris",)


def test_pairs_turned_round_give_the_table_of_the_other_direction():
    """English text is switched by the same means."""
    table = learn_table((other, one) for one, other in corpus())
    assert table.words["garden"] == ("nedrag",)


def test_what_was_seen_too_seldom_is_not_known():
    """A word pair of one sentence is no evidence, and no pairs give no table."""
    assert learn_table([("ein wort", "a word")]).words == {} == learn_table([]).words


def test_what_a_table_says_does_not_depend_on_the_order_of_pairs():
    """Learning has no chance in it."""
    pairs = list(corpus())
    assert learn_table(pairs).words == learn_table(pairs[::-1]).words


def test_punctuation_stays_and_words_alike_in_both_languages_do_too():
    """So do numbers and words that the table does not know."""
    done = perturb_text("(Hund), fährt Paris 2024 langsam!", "de", "code_switch", 1, 1, resource=TABLE)
    assert done.text == "(dog), drives Paris 2024 langsam!" and done.edits == 2


@given(st.integers(0, 50), st.sampled_from([0.1, 0.3, 0.6]))
def test_the_rate_asked_for_is_kept(seed, rate):
    """No more than one word beyond it."""
    done = perturb_text("der Hund fährt der grüne Hund fährt der Hund grüne", "de", "code_switch", rate, seed,
                        resource=TABLE)  # fmt: skip
    assert abs(done.edits - rate * done.units) < 1


def test_tokens_keep_count_tags_and_chunks():
    """One token stands for one token; a token of a chunk is never switched."""
    row = {"id": "1", "tokens": ["Hund", "fährt", ",", "Hund"], "tags": ["B-LOC", "O", "O", "O"]}
    (changed,), (reached,) = perturb_rows([row], "tag", ["O", "B-LOC"], "de", "code_switch", 1, 1, resource=TABLE)
    assert changed == {**row, "tokens": ["Hund", "drives", ",", "dog"]} and reached == (2, 4)


def test_languages_without_spaces_are_not_switched():
    """What stands for words there are runs of characters, which no table has."""
    assert not applies("code_switch", "zh") and applies("code_switch", "tr")
    assert perturb_text("我 hund", "zh", "code_switch", 1, 1, resource=TABLE).edits == 0


@pytest.mark.parametrize("kind, remedy", [("code_switch", "learn_table"), ("mlm", "load_neighbours")])
def test_a_missing_resource_is_said(kind, remedy):
    """With what gives one; so is one of the wrong sort."""
    with pytest.raises(UserError, match=remedy):
        perturb_text("text", "en", kind, 0.1, 1)
    with pytest.raises(UserError, match="load_neighbours"):
        perturb_rows([], "classify", (), "en", "mlm", 0.1, 1, resource=TABLE)
