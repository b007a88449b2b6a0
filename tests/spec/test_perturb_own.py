"""A person's own noisy test set: each noisy row finds the clean row it stands for, and no other."""

from __future__ import annotations

import random

import pytest

from xstilts.errors import UserError
from xstilts.perturb.own import pair_rows
from xstilts.perturb.rows import perturb_rows

NOUNS = ["dog", "river", "teacher", "window", "garden", "letter", "mountain", "kitchen", "doctor", "bridge"]
VERBS = ["saw", "painted", "forgot", "carried", "described", "followed", "repaired", "admired"]


def rows(count):
    rng = random.Random(3)
    found = {}
    while len(found) < count:
        a = f"The {rng.choice(NOUNS)} near the {rng.choice(NOUNS)} {rng.choice(VERBS)} an old {rng.choice(NOUNS)}."
        found[a] = f"Somebody {rng.choice(VERBS)} a {rng.choice(NOUNS)} on day {len(found)}."
    return [{"id": f"c{i}", "text_a": a, "text_b": b, "label": "xyz"[i % 3]} for i, (a, b) in enumerate(found.items())]


CLEAN = rows(60)
NOISY, REACHED = perturb_rows(CLEAN, "classify", "xyz", "en", "delete", 0.05, 1)
ANONYMOUS = [{**row, "id": str(i)} for i, row in enumerate(NOISY)]


def pairs(found):
    return [(pair.clean, pair.row) for pair in found]


def test_rows_without_ids_find_their_clean_ones_by_text_in_any_order():
    """Half of the rows, shuffled and under other ids, are each paired with the row they were made from, whose id they
    take."""
    chosen = ANONYMOUS[::2]
    random.Random(1).shuffle(chosen)
    assert pairs(pair_rows(CLEAN, chosen, "classify", "text")) == [(i, NOISY[i]) for i in range(0, 60, 2)]


@pytest.mark.parametrize("by, noisy", [("id", NOISY), ("order", ANONYMOUS)])
def test_rows_that_are_known_are_paired_as_they_are(by, noisy):
    """By id or by place every row has its own."""
    assert pairs(pair_rows(CLEAN, noisy, "classify", by)) == list(enumerate(NOISY))


def test_the_rate_is_measured_as_that_of_generated_noise_is():
    """Edits and units of each pair are those that the perturbation of characters reported."""
    assert [pair.reached for pair in pair_rows(CLEAN, NOISY, "classify", "id")] == REACHED


def test_a_clean_row_stands_for_one_noisy_row_only():
    """Of two copies one is left over."""
    (pair,) = pair_rows(CLEAN[:1], [ANONYMOUS[0], CLEAN[0]], "classify", "text")
    assert pair.row == CLEAN[0] and pair.reached.edits == 0


def test_rows_of_other_gold_are_no_pair():
    """However alike their texts are, by text they are left over and by place they are refused."""
    other = [{**CLEAN[0], "label": "z"}, *CLEAN[1:]]
    assert [pair.clean for pair in pair_rows(CLEAN, other, "classify", "text")] == list(range(1, 60))
    with pytest.raises(UserError, match="row 'c0' has other gold.*by text"):
        pair_rows(CLEAN, other, "classify", "order")


def test_texts_that_are_not_alike_are_no_pair():
    """One text of another data set is left over; a whole set of them is refused."""
    stranger = {"id": "s", "text_a": "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich", "text_b": "Ja, und?",
                "label": "x"}  # fmt: skip
    assert len(pair_rows(CLEAN, [stranger, *ANONYMOUS[:3]], "classify", "text")) == 3
    with pytest.raises(UserError, match="none of 1 noisy rows"):
        pair_rows(CLEAN, [stranger], "classify", "text")


@pytest.mark.parametrize(
    "by, noisy, message",
    [("order", NOISY[:5], "5 noisy rows for 60 clean"), ("id", [{**NOISY[0], "id": "q"}], "'q'.*is not among"),
     ("id", [NOISY[0], NOISY[0]], "'c0'.*repeats")],
)  # fmt: skip
def test_what_cannot_be_paired_is_refused(by, noisy, message):
    """The message says which row, or how many, and to pair by text."""
    with pytest.raises(UserError, match=message):
        pair_rows(CLEAN, noisy, "classify", by)


def test_tokens_and_their_tags_are_paired_too():
    """Texts are the tokens joined, gold their tags."""
    clean = [{"id": str(i), "tokens": row["text_a"].split(), "tags": ["O"] * 9} for i, row in enumerate(CLEAN[:9])]
    noisy, _ = perturb_rows(clean, "tag", ["O"], "en", "keyboard", 0.1, 1)
    assert pairs(pair_rows(clean, noisy[::-1], "tag", "text")) == list(enumerate(noisy))
