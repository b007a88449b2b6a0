"""Chunk F1 on BIO tags equals seqeval's, accuracy and the other F1s scikit-learn's, the best tree networkx's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.metrics import METRICS, score
from xstilts.metrics.chunk_f1 import chunks
from xstilts.tasks.shapes.trees import best_tree

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


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_f1_of_the_positive_class_equals_sklearn(pairs: list[tuple[bool, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, guess = zip(*pairs, strict=True)
    ours = score(METRICS["binary_f1"].contribution(str(int(g)), str(int(p)), "en") for g, p in pairs)
    assert ours == pytest.approx(100 * metrics.f1_score(gold, guess, zero_division=0), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd"))), min_size=1, max_size=9))
def test_f1_over_sets_equals_sklearns_micro_average(pairs: list[tuple[set[str], set[str]]]) -> None:
    metrics, preprocessing = pytest.importorskip("sklearn.metrics"), pytest.importorskip("sklearn.preprocessing")
    both = preprocessing.MultiLabelBinarizer(classes=list("abcd"))
    gold, guess = (both.fit_transform([pair[side] for pair in pairs]) for side in (0, 1))
    expected = 100 * metrics.f1_score(gold, guess, average="micro", zero_division=0)
    ours = score(METRICS["set_f1"].contribution(sorted(g), sorted(p), "zh") for g, p in pairs)
    assert ours == pytest.approx(expected, abs=1e-9)
    names = {"a": "Case=Nom", "b": "Number=Sing", "c": "Tense=Past", "d": "Mood=Ind"}
    tokens = [["|".join(names[x] for x in sorted(pair[side])) or "_" for pair in pairs] for side in (0, 1)]
    assert score([METRICS["features_f1"].contribution(*tokens, "en")]) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(words=st.integers(1, 12), seed=st.integers(0, 9999))
def test_the_best_tree_scores_as_much_as_that_of_networkx(words: int, seed: int) -> None:
    """The best of the arborescences whose root is each word in turn."""
    networkx = pytest.importorskip("networkx")
    scores = np.random.default_rng(seed).normal(size=(words, words + 1))
    best = []
    for root in range(words):
        graph = networkx.DiGraph()
        graph.add_node(root)
        graph.add_weighted_edges_from(
            (head - 1, word, scores[word, head])
            for word in range(words)
            for head in range(1, words + 1)
            if word not in (head - 1, root)
        )
        tree = networkx.maximum_spanning_arborescence(graph)
        best.append(scores[root, 0] + tree.size(weight="weight"))
    assert scores[range(words), best_tree(scores)].sum() == pytest.approx(max(best))


def test_part_of_speech_tags_are_chunked_as_the_published_numbers_were() -> None:
    tags = ["NOUN", "NOUN", "SYM", "SYM", "SCONJ", "INTJ", "INTJ", "O", "VERB"]
    assert chunks(tags) == {
        ("NOUN", 0, 1), ("SYM", 2, 2), ("SYM", 3, 3), ("SCONJ", 4, 4), ("INTJ", 5, 6), ("VERB", 8, 8),
    }  # fmt: skip
