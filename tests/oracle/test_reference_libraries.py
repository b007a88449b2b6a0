"""Chunk F1 on BIO tags equals seqeval's, accuracy equals scikit-learn's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.metrics import METRICS, score
from xstilts.metrics.chunk_f1 import chunks

TAGS = st.sampled_from(["O", *(f"{p}-{t}" for p in "BI" for t in ("PER", "ORG", "LOC"))])
PAIR = st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=12)
LABELS = st.sampled_from(["entailment", "neutral", "contradiction"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PAIR, min_size=1, max_size=6))
def test_chunk_f1_on_bio_tags_equals_seqeval(pairs: list[list[tuple[str, str]]]) -> None:
    sequence_labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    gold, guess = ([[tag[side] for tag in sentence] for sentence in pairs] for side in (0, 1))
    true = set(sequence_labeling.get_entities(gold))
    found = set(sequence_labeling.get_entities(guess))
    total = len(true) + len(found)
    expected = 200.0 * len(true & found) / total if total else 0.0
    contribution = METRICS["chunk_f1"].contribution
    ours = score(contribution(g, p, "en") for g, p in zip(gold, guess, strict=True))
    assert ours == pytest.approx(expected, abs=1e-9)
    if true and found:  # the library warns, rather than scores, when one side has no chunk
        assert ours == pytest.approx(100 * sequence_labeling.f1_score(gold, guess), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=50))
def test_accuracy_equals_sklearn(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, guess = zip(*pairs, strict=True)
    ours = score(METRICS["accuracy"].contribution(g, p, "en") for g, p in pairs)
    assert ours == pytest.approx(100 * metrics.accuracy_score(gold, guess), abs=1e-9)


def test_part_of_speech_tags_are_chunked_as_the_published_numbers_were() -> None:
    tags = ["NOUN", "NOUN", "SYM", "SYM", "SCONJ", "INTJ", "INTJ", "O", "VERB"]
    assert chunks(tags) == {
        ("NOUN", 0, 1), ("SYM", 2, 2), ("SYM", 3, 3), ("SCONJ", 4, 4), ("INTJ", 5, 6), ("VERB", 8, 8),
    }  # fmt: skip
