"""Every metric lies in 0..100, gives gold 100, and does not care for the order of the examples."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.metrics import METRICS, get_metric, score
from xstilts.metrics.qa import mlqa_normal, squad_normal

TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "NOUN", "VERB", "SYM", "SCONJ", "CCONJ", "E-X"])
SENTENCE = st.lists(st.tuples(TAG, TAG), min_size=1, max_size=10).map(
    lambda pairs: ([gold for gold, _ in pairs], [guess for _, guess in pairs])
)
TEXT = st.text(alphabet="ab the.,!ñ中ال一cd ", max_size=12)
ANSWER = st.tuples(st.lists(TEXT, min_size=1, max_size=3), TEXT)
LABEL = st.tuples(st.sampled_from("abc"), st.sampled_from("abc"))
EXAMPLES = {
    "accuracy": LABEL, "token_accuracy": SENTENCE, "chunk_f1": SENTENCE,
    "qa_f1": ANSWER, "qa_em": ANSWER, "mlqa_f1": ANSWER, "mlqa_em": ANSWER,
}  # fmt: skip


def test_every_metric_is_tested() -> None:
    assert set(EXAMPLES) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), language=st.sampled_from(["en", "de", "zh", "ar"]))
def test_range_and_order(name: str, data: st.DataObject, language: str) -> None:
    examples = data.draw(st.lists(EXAMPLES[name], max_size=8))
    pairs = [METRICS[name].contribution(gold, guess, language) for gold, guess in examples]
    assert all(0 <= numerator <= denominator for numerator, denominator in pairs)
    assert 0 <= score(pairs) <= 100
    shuffled = random.Random(0).sample(pairs, len(pairs))
    assert score(shuffled) == score(pairs)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), language=st.sampled_from(["en", "de", "zh", "ar"]))
def test_gold_scores_100(name: str, data: st.DataObject, language: str) -> None:
    gold: Any = data.draw(EXAMPLES[name])[0]
    guess = gold[0] if name.startswith(("qa", "mlqa")) else gold
    if name == "chunk_f1":
        assume(any(tag != "O" for tag in gold))
    if name in (
        "qa_f1",
        "mlqa_f1",
    ):  # an answer of articles and punctuation alone has F1 0 in the official scripts
        assume(mlqa_normal(guess, language) and squad_normal(guess))
    assert score([METRICS[name].contribution(gold, guess, language)]) == 100


@pytest.mark.parametrize(
    ("metric", "golds", "guess", "language", "expected"),
    [
        ("qa_f1", ["The Cat sat."], "a cat sat", "en", 100),
        ("qa_f1", ["cat dog"], "cat", "en", 200 / 3),
        ("qa_f1", ["x", "cat"], "cat", "en", 100),
        ("qa_f1", ["北京市"], "北京", "zh", 0),  # SQuAD's rules do not segment
        ("mlqa_f1", ["北京市"], "北京", "zh", 80),  # MLQA's do
        ("mlqa_em", ["¡El perro!"], "perro", "es", 100),
        ("qa_em", ["El perro"], "perro", "es", 0),
        ("mlqa_em", ["البيت"], "بيت", "ar", 100),
        ("mlqa_em", ["the"], "a", "en", 100),
        ("mlqa_f1", ["the"], "a", "en", 0),  # both empty once normalised
        ("qa_em", [], "", "en", 100),  # unanswerable
        ("qa_f1", [], "something", "en", 0),
        ("qa_f1", ["cat"], None, "en", 0),
        ("accuracy", 3, 3, "en", 100),
        ("accuracy", "a ", "a", "en", 100),
        ("accuracy", "a", None, "en", 0),
    ],
)
def test_worked_examples(metric: str, golds: Any, guess: Any, language: str, expected: float) -> None:
    assert score([METRICS[metric].contribution(golds, guess, language)]) == pytest.approx(expected)


def test_no_examples_score_0() -> None:
    assert score([]) == 0


def test_misspelt_metric_and_undefined_language_say_what_to_type() -> None:
    with pytest.raises(UserError, match="unknown metric 'chunk-f1'; did you mean 'chunk_f1'"):
        get_metric("chunk-f1")
    with pytest.raises(UserError, match="not defined for language 'th'"):
        METRICS["mlqa_f1"].contribution(["a"], "a", "th")


def test_tags_of_unequal_length_are_a_fault() -> None:
    for name in ("chunk_f1", "token_accuracy"):
        with pytest.raises(ValueError, match="1 predicted tags for 2 tokens"):
            METRICS[name].contribution(["O", "O"], ["O"], "en")


def test_metric_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        METRICS["accuracy"].name = "x"  # type: ignore[misc]
