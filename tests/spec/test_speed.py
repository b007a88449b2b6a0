"""Training is faster than the plain way to do it. Ratios inside one run only: how long a step takes says nothing."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from xstilts.models.encoder import load_tokenizer
from xstilts.sources.microworld import ENCODER
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training import loop
from xstilts.training.drawing import Learner
from xstilts.training.forward import settle

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a processor's time is compared")

BATCH, LENGTH, STEPS, TURNS = 16, 96, 4, 3
SHAPE = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 512,
         "vocab_size": 100_000, "max_position_embeddings": 128}  # fmt: skip
RECIPE: dict[str, Any] = {"batch_size": BATCH, "steps": STEPS, "learning_rate": 1e-5, "weight_decay": 0.01,
                          "warmup": 0.1, "clip": 1.0}  # fmt: skip
SPEC = Spec(LENGTH, ("a", "b"))


def encoder() -> Any:
    """A small encoder with random weights and the vocabulary of a large one."""
    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model("xlm-roberta", **SHAPE), add_pooling_layer=False)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(str(ENCODER))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """Texts of very different lengths, as real ones are: most of them short."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefgh", k=round(4 * 2 ** rng.uniform(0, 4)))) for _ in range(BATCH * STEPS)]
    return [{"text_a": text, "text_b": "a b", "label": rng.choice("ab")} for text in texts]


def plain(tokenizer: Any, rows: list[dict[str, str]]) -> Callable[[], None]:
    """Steps as scripts have them: all padded to one length, float32, the whole vocabulary, AdamW one by one."""
    model, shape = encoder().train(), SHAPES.get("classify")
    head = shape.head(SHAPE["hidden_size"], SPEC)
    weights = [*model.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(weights, 1e-5, foreach=False)
    texts = [row["text_a"] for row in rows], [row["text_b"] for row in rows]
    whole = tokenizer(*texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
    labels = torch.tensor([SPEC.labels.index(row["label"]) for row in rows])

    def steps() -> None:
        for i in range(0, len(rows), BATCH):
            batch = {name: whole[name][i : i + BATCH] for name in ("input_ids", "attention_mask")}
            hidden = model(**batch).last_hidden_state
            nn.functional.cross_entropy(head(hidden), labels[i : i + BATCH]).backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            optimiser.zero_grad()

    return steps


def ours(tokenizer: Any, rows: list[dict[str, str]], log: Path) -> Callable[[], None]:
    """The training loop, over the same rows; tokenising them is part of it."""
    model, learner = encoder(), Learner("", "", SHAPES.get("classify"), SPEC, rows)

    def steps() -> None:
        loop.train(model, tokenizer, [learner], RECIPE, 0, "auto", log, lambda done, total: None)

    return steps


def times_slower(slow: Callable[[], None], fast: Callable[[], None]) -> float:
    """The median over turns of the processor's time of one over that of the other, which other processes hardly change;
    the two of a turn meet the same load."""
    settle()
    ratios = []
    for turn in range(1 + TURNS):
        seconds = []
        for steps in (slow, fast):
            began = time.process_time()
            steps()
            seconds.append(time.process_time() - began)
        ratios += [seconds[0] / seconds[1]] if turn else []  # the first allocates
    return statistics.median(ratios)


def test_a_training_is_much_faster_than_a_plain_loop(tokenizer: Any, rows: list[Any], tmp_path: Path) -> None:
    """Batches of like length, a trimmed vocabulary, the last layer where it is read, fused AdamW and the faster
    arithmetic: together they save most of the time of a loop without them."""
    assert times_slower(plain(tokenizer, rows), ours(tokenizer, rows, tmp_path / "log")) > 2.5


def test_a_trimmed_vocabulary_saves_time(
    tokenizer: Any, rows: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training whose vocabulary is mostly unused is faster without the rest of it."""
    trimmed = ours(tokenizer, rows, tmp_path / "log")

    def whole() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(loop, "_trims", lambda *_: False)
            trimmed()

    assert times_slower(whole, trimmed) > 1.1
