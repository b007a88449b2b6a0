"""What parsing promises: always a tree, never a cut sentence, a control without information."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spec.test_training import RECIPE

from xstilts.metrics import METRICS, score
from xstilts.models.encoder import load_encoder, sha256_of_weights
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.tasks import get_task
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import SHAPES, Feature, Spec
from xstilts.tasks.shapes.trees import best_tree
from xstilts.training.drawing import Learner
from xstilts.training.forward import collate, forward
from xstilts.training.inference import predict
from xstilts.training.loop import train

SHAPE = SHAPES.get("parse")
LABELS = ("det", "nsubj", "obj", "root")


def is_tree(heads: list[int]) -> bool:
    """Whether exactly one word hangs on the root, and every word on it in the end."""
    return heads.count(0) == 1 and all(reaches_root(heads, word) for word in range(1, len(heads) + 1))


def reaches_root(heads: list[int], word: int) -> bool:
    for _ in heads:
        word = heads[word - 1] if word else 0
    return word == 0


def a_row(count: int, seed: int) -> Row:
    """A random tree over made-up words."""
    rng = random.Random(seed)
    order = rng.sample(range(1, count + 1), count)
    heads = {word: rng.choice([0, *order[:i]][1:] or [0]) for i, word in enumerate(order)}
    relations = [rng.choice(LABELS[:-1]) if heads[i + 1] else "root" for i in range(count)]
    tokens = [f"word{rng.randrange(99)}" for _ in range(count)]
    return {"id": str(seed), "tokens": tokens, "heads": [heads[i + 1] for i in range(count)], "relations": relations}


def perfect(feature: Feature) -> Any:
    """The output of a head that is always right: high scores for the gold arcs and relations alone."""
    heads, relations = feature.target
    output = np.random.default_rng(1).uniform(size=(len(heads), len(heads) + 1, 2)).astype(np.float32)
    output[..., 1] = 0
    output[range(len(heads)), heads] = [(9, max(0, relation)) for relation in relations]
    return output


@settings(max_examples=150, deadline=None)
@given(words=st.integers(1, 5), seed=st.integers(0, 10**6), whole=st.booleans())
def test_the_best_tree_is_the_best_of_all_trees(words: int, seed: int, whole: bool) -> None:
    """No tree with one root scores more, by all trees of up to five words; scores may be equal or far apart."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 3, size=(words, words + 1)) if whole else rng.normal(scale=100, size=(words, words + 1))
    found = best_tree(scores)
    trees = [list(heads) for heads in product(range(words + 1), repeat=words) if is_tree(list(heads))]
    assert found in trees
    assert scores[range(words), found].sum() == pytest.approx(max(scores[range(words), t].sum() for t in trees))


@settings(max_examples=50, deadline=None)
@given(words=st.integers(1, 60), seed=st.integers(0, 10**6), kind=st.sampled_from(["random", "equal", "cycles"]))
def test_a_tree_comes_out_whatever_the_scores(words: int, seed: int, kind: str) -> None:
    """Sentences of any length, all scores equal, every word best on its neighbour: one root, no cycle."""
    rng = np.random.default_rng(seed)
    scores = np.zeros((words, words + 1)) if kind == "equal" else rng.normal(size=(words, words + 1))
    if kind == "cycles":
        scores[range(words), [i + 2 if i % 2 == 0 and i + 1 < words else i for i in range(words)]] += 50
    assert is_tree(best_tree(scores))


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(1, 120), min_size=1, max_size=4), seed=st.integers(0, 999))
def test_a_perfect_head_answers_gold_in_sentences_of_any_length(loaded: Any, counts: list[int], seed: int) -> None:
    """Encoding then decoding a perfect output gives gold; long sentences are read in several sequences, never cut."""
    tokenizer = loaded[1]
    rows = [a_row(count, seed + i) for i, count in enumerate(counts)]
    spec = Spec(max_length=32, labels=LABELS)
    features = SHAPE.encode(rows, tokenizer, spec, training=True)
    assert [f.row for f in features] == list(range(len(rows)))
    assert all(len(s.ids) <= 32 for f in features for s in f.sequences)
    assert SHAPE.decode(rows, features, [perfect(f) for f in features], spec) == SHAPE.golds(rows)


@settings(max_examples=30, deadline=None)
@given(words=st.integers(1, 20), seed=st.integers(0, 999))
def test_the_relation_root_marks_the_root_and_nothing_else(words: int, seed: int) -> None:
    """Whatever a head gives out, one word is `root`, the one that hangs on word 0."""
    rng = np.random.default_rng(seed)
    output = np.stack([rng.normal(size=(words, words + 1)), rng.integers(0, 3, size=(words, words + 1))], axis=-1)
    (answer,) = SHAPE.decode([a_row(words, 1)], [], [output], Spec(labels=LABELS))
    assert [head for head, relation in answer if relation == "root"] == [0]
    assert [relation for head, relation in answer if head == 0] == ["root"]


def scored(loaded: Any, rows: list[Row], training: bool) -> tuple[list[torch.Tensor], list[Feature]]:
    encoder, tokenizer = loaded
    spec = Spec(max_length=32, labels=LABELS)
    features = SHAPE.encode(rows, tokenizer, spec, training)
    torch.manual_seed(1)
    head = SHAPE.head(encoder.config.hidden_size, spec).eval()
    with torch.inference_mode():
        batch = collate(features, tokenizer.pad_token_id, torch.device("cpu"))
        return forward(encoder.eval(), head, SHAPE, spec, batch, features), features


def test_training_and_decoding_see_the_same_scores(loaded: Any) -> None:
    """The arc scores are equal, and the relation that decoding would give an arc is the one that training scores
    best; no word can be its own head."""
    rows = [a_row(count, count) for count in (1, 3, 8, 70)]
    (learned, _), (decoded, _) = scored(loaded, rows, True), scored(loaded, rows, False)
    for row, one, other in zip(rows, learned, decoded, strict=True):
        count = len(row["heads"])
        assert one.shape == (count, count + 1 + 3) and other.shape == (count, count + 1, 2)
        assert torch.allclose(one[:, : count + 1], other[..., 0], atol=1e-5)
        assert one[:, count + 1 :].argmax(1).tolist() == other[range(count), row["heads"], 1].tolist()
        assert other[range(count), range(1, count + 1), 0].isneginf().all()


def test_a_sentence_is_scored_alone_as_in_company(loaded: Any) -> None:
    """Sentences of a batch, and the padding between them, do not touch one another."""
    rows = [a_row(count, count) for count in (12, 70, 3)]
    together = scored(loaded, rows, False)[0]
    for row, beside in zip(rows, together, strict=True):
        (alone,) = scored(loaded, [row], False)[0]
        assert torch.allclose(alone[..., 0], beside[..., 0], atol=1e-4)


def test_a_head_that_knows_nothing_has_the_loss_of_guessing(loaded: Any) -> None:
    """Even scores cost the log of the number of heads (all words but itself, and the root) and of relations."""
    rows = [a_row(count, count) for count in (4, 9)]
    outputs, features = scored(loaded, rows, True)
    even = [output.masked_fill(output.isfinite(), 0) for output in outputs]
    expected = (4 * np.log(4) + 9 * np.log(9) + (3 + 8) * np.log(3)) / 13
    assert SHAPE.loss(even, features, Spec(labels=LABELS)).item() == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 15), min_size=1, max_size=8), seed=st.integers(0, 999))
def test_shuffled_trees_are_trees_of_the_same_forms(counts: list[int], seed: int) -> None:
    """The shuffled control has a tree per sentence, the same words, and over all the same relations and numbers of
    dependents."""
    rows = [a_row(count, seed + i) for i, count in enumerate(counts)]
    shuffled = SHAPE.shuffle_labels(rows, random.Random(seed))
    assert [row["tokens"] for row in shuffled] == [row["tokens"] for row in rows]
    assert all(is_tree(row["heads"]) for row in shuffled)
    assert all(
        (h == 0) == (r == "root") for row in shuffled for h, r in zip(row["heads"], row["relations"], strict=True)
    )

    def forms(these: list[Row]) -> list[Any]:
        """Each word's relation and those of its dependents."""
        return sorted(
            (relation, sorted(r for h, r in zip(row["heads"], row["relations"], strict=True) if h == word))
            for row in these
            for word, relation in enumerate(row["relations"], start=1)
        )

    assert forms(shuffled) == forms(rows)


def test_shuffled_trees_say_nothing_of_the_words() -> None:
    """Over many sentences the shuffled heads agree with the gold ones as often as chance would have it."""
    rows = [a_row(10, i) for i in range(300)]
    for row in rows:
        row["heads"], row["relations"] = [0, *range(1, 10)], ["root", *["det"] * 9]
    shuffled = SHAPE.shuffle_labels(rows, random.Random(1))
    same = [a == b for x, y in zip(rows, shuffled, strict=True) for a, b in zip(x["heads"], y["heads"], strict=True)]
    assert 0.08 < np.mean(same) < 0.12  # one in ten


def grammar(split: str, count: int) -> list[Row]:
    """The microworld's sentences with a made-up tree: all hang on the first verb, by their part of speech."""
    rows = []
    for row in get_source("microworld").rows(get_task("mw_pos"), split, "en"):
        if "VERB" in row["tags"]:
            verb = row["tags"].index("VERB")
            heads = [0 if i == verb else verb + 1 for i in range(len(row["tags"]))]
            relations = ["root" if i == verb else tag for i, tag in enumerate(row["tags"])]
            rows.append({"id": row["id"], "tokens": row["tokens"], "heads": heads, "relations": relations})
    return rows[:count]


def test_a_parser_learns_and_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    """A rule is learned from a few dozen sentences, bit for bit the same again."""
    hashes, answers = [], []
    rows, held_out = grammar("train", 96), grammar("dev", 30)
    for _ in range(2):
        encoder, tokenizer = load_encoder(str(ENCODER), "", None)
        recipe = {**RECIPE, "epochs": 5, "learning_rate": 3e-3}
        spec = Spec.of(recipe, ("root", *SHAPE.inventory(rows)), 2)
        learner = Learner("", "", SHAPE, spec, rows)
        trained = train(encoder, tokenizer, [learner], recipe, 1, "float32", tmp_path / "log", lambda d, t: None)
        head = trained.heads[""]
        hashes.append(sha256_of_weights(encoder) + sha256_of_weights(head))
        answers.append(predict(encoder, tokenizer, head, SHAPE, spec, held_out, "float32")[0])
    assert hashes[0] == hashes[1]
    las = score(METRICS["las"].contribution(g, a, "en") for g, a in zip(SHAPE.golds(held_out), answers[0], strict=True))
    assert las > 80
