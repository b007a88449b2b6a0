"""How rows become pieces and outputs become answers: labels never shift."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spec.test_training import RECIPE

from xstilts.errors import UserError
from xstilts.metrics import METRICS, score
from xstilts.models.encoder import StoredHead, load_encoder, load_head, save_checkpoint, sha256_of_weights
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Feature, Spec
from xstilts.tasks.shapes.pieces import Frame
from xstilts.tasks.shapes.span import windows
from xstilts.training.drawing import Learner
from xstilts.training.inference import predict
from xstilts.training.loop import train

TARGETS = ("mw_pos", "mw_entities", "mw_entailment", "mw_questions", "mw_choice")


def perfect(name: str, features: list[Feature], rows: list[Any]) -> list[Any]:
    """Outputs of a head that is always right and always sure."""
    outputs = []
    for feature in features:
        length = len(feature.sequences[0].ids)
        if name == "tag":
            output = np.zeros((1, length, 40), dtype=np.float32)
            output[0, feature.extra["firsts"], feature.target] = 1
        elif name == "span":
            output = np.zeros((1, length, 2), dtype=np.float32)
            output[0, feature.target[0], 0] = output[0, feature.target[1], 1] = 9 if feature.target[0] else 0
        elif name == "choice":
            output = np.zeros((len(feature.sequences), 1), dtype=np.float32)
            output[feature.target] = 1
        else:
            output = np.zeros((1, 40), dtype=np.float32)
            output[0, feature.target] = 1
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("max_length", [24, 128])
@pytest.mark.parametrize("language", ["en", "qaa", "qag"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_perfect_head_answers_gold(name: str, language: str, max_length: int, loaded: Any) -> None:
    """Encoding then decoding a perfect output gives gold, in windows and chunks of any length."""
    task = get_task(name)
    if language not in task.languages:
        language = "en"
    if task.shape in ("span", "choice", "classify") and max_length == 24:
        max_length = 64
    rows = get_source("microworld").rows(task, "dev", language)[:40]
    shape = SHAPES.get(task.shape)
    spec = Spec(max_length=max_length, labels=task.labels, stride=16, max_answer=12)
    features = shape.encode(rows, loaded[1], spec, training=True)
    answers = shape.decode(rows, features, perfect(task.shape, features, rows), spec)
    golds = shape.golds(rows)
    if task.shape == "span":
        assert [a in g for a, g in zip(answers, golds, strict=True)].count(False) == 0
    else:
        assert answers == golds


def test_a_long_sentence_is_split_and_rejoined(loaded: Any) -> None:
    """A sentence longer than the window is split between tokens; every token gets exactly one label, in order."""
    tokens = [f"word{i}" for i in range(300)]
    row = {"id": "1", "tokens": tokens, "tags": ["A" if i % 3 else "B" for i in range(300)]}
    shape, spec = SHAPES.get("tag"), Spec(max_length=32, labels=("A", "B"))
    features = shape.encode([row], loaded[1], spec, training=True)
    assert len(features) > 5
    assert max(len(f.sequences[0].ids) for f in features) <= 32
    assert shape.decode([row], features, perfect("tag", features, [row]), spec) == [row["tags"]]


def test_a_token_that_cannot_be_tokenised_keeps_its_label(loaded: Any) -> None:
    """Tokens of no pieces, or of too many, become the unknown piece: the number of labels never changes."""
    tokens = ["a", "", "\u200b", "\ufeff", "b" * 500, "c"]
    row = {"id": "1", "tokens": tokens, "tags": list("ABABAB")}
    shape, spec = SHAPES.get("tag"), Spec(max_length=32, labels=("A", "B"))
    features = shape.encode([row], loaded[1], spec, training=True)
    assert shape.decode([row], features, perfect("tag", features, [row]), spec) == [row["tags"]]
    assert loaded[1].unk_token_id in features[0].sequences[0].ids


def test_labels_that_training_never_saw_are_wrong_and_no_fault(loaded: Any, tmp_path: Path) -> None:
    """With open labels a head answers in those of its training rows, read from the checkpoint; others in gold are
    wrong."""
    encoder, tokenizer = loaded
    learned = [{"id": "1", "tokens": ["a", "dog"], "tags": ["NP/N", "N"]}]
    unseen = [{"id": "1", "tokens": ["a", "dog", "sees"], "tags": ["NP/N", "N", "S\\NP"]}]
    shape, width = SHAPES.get("tag"), encoder.config.hidden_size
    spec = Spec(max_length=32, labels=shape.inventory(learned))
    save_checkpoint(tmp_path, encoder, tokenizer, [StoredHead("", "tag", spec.labels, shape.head(width, spec))])
    head, labels = load_head(tmp_path, shape, width)
    assert labels == ("N", "NP/N")
    (answer,), _ = predict(encoder, tokenizer, head, shape, Spec(max_length=32, labels=labels), unseen, "float32")
    assert len(answer) == 3 and set(answer) <= set(labels)
    right, count = METRICS["token_accuracy"].contribution(shape.golds(unseen)[0], answer, "en")
    assert right < 3 and count == 3


BUNDLES = st.lists(
    st.sampled_from(
        ["_", "Case=Acc,Dat|Number=Plur", "Case=Nom", "Number=Sing|NumType=Card", "Mood=Ind|Tense=Past|VerbForm=Fin"]
    ),
    min_size=1,
    max_size=60,
)


def features_rows(tags: list[list[str]]) -> list[Any]:
    return [{"id": str(i), "tokens": [f"word{k}" for k in range(len(t))], "tags": t} for i, t in enumerate(tags)]


@settings(max_examples=30, deadline=None)
@given(tags=st.lists(BUNDLES, min_size=1, max_size=4))
def test_a_perfect_head_answers_the_gold_features(loaded: Any, tags: list[list[str]]) -> None:
    """Encoding then decoding a perfect output gives every token its features as CoNLL-U writes them."""
    shape, rows = SHAPES.get("features"), features_rows([["Case=Nom"], *tags])
    spec = Spec(max_length=32, labels=shape.inventory(rows))
    features = shape.encode(rows, loaded[1], spec, training=True)
    outputs = [
        np.array([[1.0 if label in tag.split("|") else -1.0 for label in spec.labels] for tag in row["tags"]])
        for row in rows
    ]
    assert shape.decode(rows, features, outputs, spec) == shape.golds(rows)
    wrong = shape.loss([torch.tensor(-50 * output) for output in outputs], features, spec)
    right = shape.loss([torch.tensor(50 * output) for output in outputs], features, spec)
    assert right.item() == pytest.approx(0, abs=1e-6) and wrong.item() > 10


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999))
def test_a_token_has_at_most_one_value_of_a_feature(seed: int) -> None:
    """Whatever a head gives out, the answer is valid CoNLL-U: each name once, in alphabetical order, case aside."""
    labels = ("Case=Acc", "Case=Nom", "NumType=Card", "Number=Plur", "Number=Sing", "Tense=Past")
    output = np.random.default_rng(seed).normal(size=(9, len(labels)))
    for tag in SHAPES.get("features").decode([{}], [], [output], Spec(labels=labels))[0]:
        names = [pair.partition("=")[0] for pair in tag.split("|")] if tag != "_" else []
        assert len(set(names)) == len(names) and names == sorted(names, key=str.lower)
        assert tag == "_" or set(tag.split("|")) <= set(labels)


def test_a_head_that_knows_no_features_has_the_loss_of_guessing(loaded: Any) -> None:
    """Even scores cost the log of the number of choices, absence among them, of each name."""
    shape, rows = SHAPES.get("features"), features_rows([["Case=Nom|Number=Sing", "Case=Acc", "_"]])
    spec = Spec(max_length=32, labels=shape.inventory(rows))
    features = shape.encode(rows, loaded[1], spec, training=True)
    loss = shape.loss([torch.zeros(3, 3)], features, spec)
    assert loss.item() == pytest.approx(np.log(3) + np.log(2))


def test_features_that_are_not_universal_are_neither_learned_nor_a_fault(loaded: Any) -> None:
    """Language- and treebank-specific features have no label; rows of nothing else cannot be trained on."""
    shape, rows = SHAPES.get("features"), features_rows([["Number=Sing|Typo=Yes", "Gender[psor]=Masc"]])
    assert shape.inventory(rows) == ("Number=Sing",)
    shape.encode(rows, loaded[1], Spec(max_length=32, labels=("Number=Sing",)), training=True)
    with pytest.raises(UserError, match="no universal feature"):
        shape.encode(features_rows([["Typo=Yes"]]), loaded[1], Spec(max_length=32), training=True)


def test_a_features_head_learns_and_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    """Features made up from parts of speech are learned from a few dozen sentences, bit for bit the same again."""
    source, task, shape = get_source("microworld"), get_task("mw_pos"), SHAPES.get("features")
    of = {"NOUN": "Case=Nom|Number=Sing", "VERB": "Tense=Past", "ADJ": "Degree=Pos"}
    rows, held_out = (
        [{**row, "tags": [of.get(tag, "_") for tag in row["tags"]]} for row in source.rows(task, split, "en")[:80]]
        for split in ("train", "dev")
    )
    hashes = []
    for _ in range(2):
        encoder, tokenizer = load_encoder(str(ENCODER), "", None)
        recipe = {**RECIPE, "epochs": 4, "learning_rate": 3e-3}
        spec = Spec.of(recipe, shape.inventory(rows), encoder.config.num_hidden_layers)
        learner = Learner("", "", shape, spec, rows)
        trained = train(encoder, tokenizer, [learner], recipe, 1, "float32", tmp_path / "log", lambda d, t: None)
        head = trained.heads[""]
        hashes.append(sha256_of_weights(encoder) + sha256_of_weights(head))
        answers, _ = predict(encoder, tokenizer, head, shape, spec, held_out, "float32")
    assert hashes[0] == hashes[1]
    golds = shape.golds(held_out)
    assert score(METRICS["features_f1"].contribution(g, a, "en") for g, a in zip(golds, answers, strict=True)) > 80


def unanswerable(threshold: float | None, nulls: list[float], best: float, loaded: Any) -> str:
    """The answer to a question over as many windows as `nulls`, whose null scores they are."""
    shape, spec = SHAPES.get("span"), Spec(max_length=24, stride=8, max_answer=4, null_threshold=threshold)
    row = {"id": "1", "question": "what?", "context": "the red dog sees a tree " * 9, "answers": [], "starts": []}
    features = shape.encode([row], loaded[1], spec, training=True)
    assert len(features) > len(nulls) and {f.target for f in features} == {(0, 0)}
    outputs = []
    for k, feature in enumerate(features):
        output = np.full((1, len(feature.sequences[0].ids), 2), -50, dtype=np.float32)
        output[0, 0] = nulls[min(k, len(nulls) - 1)] / 2
        outputs.append(output)
    outputs[0][0, features[0].extra["skip"]] = best / 2
    (answer,) = shape.decode([row], features, outputs, spec)
    assert answer in ("the", "")
    return str(answer)


@pytest.mark.parametrize(
    ("threshold", "nulls", "best", "answered"),
    [
        (None, [99.0], 1.0, True),  # SQuAD v1.1: every question has an answer
        (0.0, [3.0], 2.0, False),
        (0.0, [2.0], 2.0, True),  # not more
        (0.0, [9.0, 1.0], 2.0, True),  # the lowest over the windows counts
        (0.0, [9.0, 3.0], 2.0, False),
        (1.5, [3.0], 2.0, True),
        (0.5, [3.0], 2.0, False),
        (-2.0, [1.0], 2.0, False),
    ],
)
def test_a_question_without_an_answer_is_left_blank(
    threshold: float | None, nulls: list[float], best: float, answered: bool, loaded: Any
) -> None:
    """No answer is given where none scores more than the best by over the threshold (SQuAD 2.0), if there is one."""
    assert bool(unanswerable(threshold, nulls, best, loaded)) == answered


@given(length=st.integers(1, 900), room=st.integers(8, 300), stride=st.integers(1, 400), answer=st.integers(1, 40))
def test_windows_overlap_so_that_no_answer_is_cut(length: int, room: int, stride: int, answer: int) -> None:
    """Windows cover the context, fit the room, and every answer of up to max_answer pieces is whole in one."""
    found = windows(length, room, stride, answer)
    assert found[0][0] == 0 and found[-1][1] == length
    assert all(0 < stop - start <= room for start, stop in found)
    assert len(found) <= length + 1
    if answer < room:
        for start in range(0, max(1, length - answer + 1), 7):
            end = min(start + answer, length)
            assert any(a <= start and end <= b for a, b in found)


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("وُلد أحمد زويل في مدينة دمنهور عام 1946 في مصر.", "مدينة دمنهور"),
        ("長城位於中國北部,全長超過兩萬公里。", "兩萬公里"),
        ("ताजमहल आगरा शहर में यमुना नदी के किनारे है।", "यमुना नदी"),
        ("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "ประเทศไทย"),
        ("Zażółć gęślą jaźń w Łodzi, 12.5 % tak.", "12.5 %"),
    ],
)
def test_an_answer_is_given_in_the_exact_characters_of_the_context(context: str, answer: str, real: Any) -> None:
    """Offsets lead back to the original characters in every script."""
    tokenizer = real[1]
    row = {"id": "1", "question": "?", "context": context, "answers": [answer], "starts": [context.index(answer)]}
    shape, spec = SHAPES.get("span"), Spec(max_length=40, stride=8, max_answer=20)
    features = shape.encode([row], tokenizer, spec, training=True)
    (found,) = shape.decode([row], features, perfect("span", features, [row]), spec)
    # a piece may be longer than the answer, never shorter, and never anything but the context's own characters
    assert answer in found and found in context and len(found) <= len(answer) + 6


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_shuffled_labels_keep_their_distribution(seed: int) -> None:
    """The shuffled control has the same labels in all, on other rows; inputs stay as they are."""
    rng = random.Random(seed)
    rows = [{"id": str(i), "text_a": str(i), "text_b": None, "label": rng.choice("ABC")} for i in range(60)]
    shuffled = SHAPES.get("classify").shuffle_labels(rows, random.Random(seed))
    assert sorted(r["label"] for r in shuffled) == sorted(r["label"] for r in rows)
    assert [r["text_a"] for r in shuffled] == [r["text_a"] for r in rows]
    assert [r["label"] for r in shuffled] != [r["label"] for r in rows]


def test_shuffled_spans_are_still_spans_of_their_context() -> None:
    """The shuffled control of span questions asks for a stretch of the context of the same length."""
    rows = [{"id": "1", "question": "q", "context": "abcdefghij", "answers": ["cde"], "starts": [2]}] * 5
    for row in SHAPES.get("span").shuffle_labels(rows, random.Random(1)):
        (text,), (start,) = row["answers"], row["starts"]
        assert len(text) == 3 and row["context"][start : start + 3] == text


def test_pairs_and_chunks_have_the_encoders_own_special_pieces(loaded: Any) -> None:
    """A chunk assembled from ids is what the tokenizer itself makes of the same text."""
    tokenizer = loaded[1]
    frame = Frame.of(tokenizer)
    one, two = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("the red dog", "a tree"))
    assert frame.single(one).ids == tokenizer("the red dog")["input_ids"]
    assert frame.pair(one, two).ids == tokenizer("the red dog", "a tree")["input_ids"]
    assert frame.room(64) == 64 - tokenizer.num_special_tokens_to_add(pair=False)
    assert frame.room(64, 3) == 61 - tokenizer.num_special_tokens_to_add(pair=True)


def test_retrieval_finds_the_nearest_by_cosine() -> None:
    """Each English vector retrieves the text of the greatest cosine, whatever the order."""
    rng = np.random.default_rng(1)
    english = rng.normal(size=(20, 8))
    english /= np.linalg.norm(english, axis=1, keepdims=True)
    order = rng.permutation(20)
    outputs = [np.stack([english[order[i]], english[i]]) for i in range(20)]
    answers = SHAPES.get("retrieve").decode([{}] * 20, [], outputs, Spec())
    assert [int(order[a]) for a in answers] == list(range(20))
