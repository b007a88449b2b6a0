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
from xstilts.metrics.sets import universal

TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "NOUN", "VERB", "SYM", "SCONJ", "CCONJ", "E-X"])
SENTENCE = st.lists(st.tuples(TAG, TAG), min_size=1, max_size=10).map(
    lambda pairs: ([gold for gold, _ in pairs], [guess for _, guess in pairs])
)
TEXT = st.text(alphabet="ab the.,!ñ中ال一cd ", max_size=12)
ANSWER = st.tuples(st.lists(TEXT, min_size=1, max_size=3), TEXT)
LABEL = st.tuples(st.sampled_from("abc"), st.sampled_from("abc"))
BINARY = st.tuples(st.sampled_from("01"), st.sampled_from("01"))
IDS = st.tuples(st.lists(st.sampled_from("abcde"), unique=True), st.lists(st.sampled_from("abcde"), unique=True))
ARC = st.tuples(st.integers(0, 5), st.sampled_from(["nsubj", "nsubj:pass", "obj", "root"]))
TREE = st.lists(st.tuples(ARC, ARC), min_size=1, max_size=10).map(
    lambda pairs: ([gold for gold, _ in pairs], [guess for _, guess in pairs])
)
BUNDLE = st.sampled_from(
    ["_", "Case=Nom", "Case=Acc,Dat|Number=Sing", "Number=Sing", "Number=Plur|Typo=Yes", "Typo=Yes"]
)
BUNDLES = st.lists(st.tuples(BUNDLE, BUNDLE), min_size=1, max_size=10).map(
    lambda pairs: ([gold for gold, _ in pairs], [guess for _, guess in pairs])
)
EXAMPLES = {
    "accuracy": LABEL, "token_accuracy": SENTENCE, "chunk_f1": SENTENCE,
    "qa_f1": ANSWER, "qa_em": ANSWER, "mlqa_f1": ANSWER, "mlqa_em": ANSWER,
    "binary_f1": BINARY, "set_f1": IDS, "uas": TREE, "las": TREE, "features_f1": BUNDLES, "features_accuracy": BUNDLES,
}  # fmt: skip
# what an F1 needs of gold to be more than 0 of 0
FOUND = {
    "chunk_f1": lambda gold: any(tag != "O" for tag in gold),
    "binary_f1": lambda gold: gold == "1",
    "set_f1": bool,
    "features_f1": lambda gold: any(map(universal, gold)),
}


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
    assume(FOUND.get(name, lambda gold: True)(gold))
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
        ("binary_f1", "1", None, "en", 0),
        ("set_f1", ["a", "b"], ["b", "c", "b"], "zh", 50),
        ("uas", [[2, "nsubj"], [0, "root"]], [[2, "obj"], [0, "root"]], "en", 100),
        ("las", [[2, "nsubj"], [0, "root"]], [[2, "obj"], [0, "root"]], "en", 50),
        ("las", [[2, "nsubj"], [0, "root"]], [[2, "nsubj:pass"], [1, "root"]], "en", 50),  # subtypes do not count
        ("features_f1", ["Case=Nom|Number=Sing"], ["Case=Acc|Number=Sing"], "de", 50),
        ("features_accuracy", ["Case=Nom|Number=Sing", "_"], ["Case=Acc|Number=Sing", "_"], "de", 50),
        ("features_accuracy", ["Number=Sing|Typo=Yes"], ["Number=Sing"], "en", 100),  # only universal ones count
        ("features_f1", ["Case=Acc,Dat"], ["Case=Dat"], "de", 0),  # several values are one
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
    for name in ("uas", "las"):
        with pytest.raises(ValueError, match="1 predicted heads for 2 tokens"):
            METRICS[name].contribution([[2, "nsubj"], [0, "root"]], [[0, "root"]], "en")
    for name in ("features_f1", "features_accuracy"):
        with pytest.raises(ValueError, match="1 predictions for 2 tokens"):
            METRICS[name].contribution(["_", "_"], ["_"], "en")


def test_metric_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        METRICS["accuracy"].name = "x"  # type: ignore[misc]
