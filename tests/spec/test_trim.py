"""A vocabulary trimmed to what is learned from changes nothing of what is learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import mini
from torch import nn

from xstilts.models.encoder import load_encoder
from xstilts.models.trim import TrimmedEmbedding
from xstilts.plan import plan
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.steps.train import Train
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training import loop
from xstilts.training.drawing import Learner
from xstilts.training.inference import predict
from xstilts.training.loop import train

RECIPE = next(s for s in plan(mini()).steps.values() if isinstance(s, Train)).recipe


def run(task: str, log: Path, dev: bool = False, **changes: Any) -> tuple[Any, list[dict[str, Any]], list[Any]]:
    """(encoder, log, answers) of a short training whose rows use a part of the vocabulary."""
    encoder, tokenizer = load_encoder(str(ENCODER), "", None)
    declared, world = get_task(task), get_source("microworld")
    recipe = {**RECIPE, "stride": 64, "max_query": 32, "max_answer": 12, "weight_decay": 0.1, "learning_rate": 1e-3,
              "evaluate_every": 2, **changes}  # fmt: skip
    spec = Spec.of(recipe, declared.labels, encoder.config.num_hidden_layers)
    learner = Learner("", "", SHAPES.get(declared.shape), spec, world.rows(declared, "train", "en")[:20])
    # in another language, where there is one: other pieces
    rows = world.rows(declared, "dev", "qaa" if world.has(declared, "dev", "qaa") else "en")[:60]

    def answers(encoder: Any, heads: dict[str, nn.Module]) -> list[Any]:
        return predict(encoder, tokenizer, heads[""], learner.shape, spec, rows, "float32")[0]

    def score(encoder: Any, heads: dict[str, nn.Module]) -> float:
        return sum(a == b for a, b in zip(answers(encoder, heads), learner.shape.golds(rows), strict=True)) / len(rows)

    trained = train(encoder, tokenizer, [learner], recipe, 1, "float32", log, lambda d, t: None,
                    dev_score=score if dev else None)  # fmt: skip
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return trained.encoder, lines, answers(trained.encoder, trained.heads)


@pytest.mark.parametrize("dev", [False, True], ids=["last", "best on dev"])
@pytest.mark.parametrize("task", ["mw_entailment", "mw_pos", "mw_questions", "mw_choice"])
def test_trimmed_and_whole_learn_the_same(
    task: str, dev: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses, weights (those of pieces that were never seen too: weight decay has them) and answers are the same but
    for rounding; so are the scores of the weights on the way, in a language whose pieces are not trained."""
    trimmed = run(task, tmp_path / "trimmed", dev)
    monkeypatch.setattr(loop, "_trims", lambda *_: False)
    whole = run(task, tmp_path / "whole", dev)
    assert [line.get("dev_score") for line in trimmed[1]] == [line.get("dev_score") for line in whole[1]]
    losses = [[line["loss"] for line in lines] for _, lines, _ in (trimmed, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    theirs = whole[0].state_dict()
    for name, weight in trimmed[0].state_dict().items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=2e-5, msg=name)
    assert trimmed[2] == whole[2]


def test_most_of_the_vocabulary_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimiser has no state for pieces that the training rows do not use."""
    sizes = []

    class Watched(torch.optim.AdamW):
        def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
            super().__init__(groups, **options)
            sizes.append(sum(p.numel() for group in groups for p in group["params"]))

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    encoder, lines, _ = run("mw_pos", tmp_path / "log")
    whole = sum(p.numel() for p in encoder.parameters())
    width = encoder.config.hidden_size
    assert whole - sizes[0] > 0.5 * encoder.config.vocab_size * width
    assert type(encoder.get_input_embeddings()) is nn.Embedding and lines


@pytest.mark.parametrize(
    "changes", [{"freeze": 1}, {"lora": {"rank": 2, "alpha": 4, "dropout": 0.0}}], ids=["frozen", "lora"]
)
def test_embeddings_that_are_not_trained_are_not_trimmed(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to save where they get no gradient anyway."""
    monkeypatch.setattr(loop, "trim", lambda *_: pytest.fail("was trimmed"))
    run("mw_nli", tmp_path / "log", **changes)


def embeddings(used: set[int], pad: int | None) -> tuple[nn.Embedding, TrimmedEmbedding]:
    torch.manual_seed(0)
    whole = nn.Embedding(30, 4, padding_idx=pad)
    return whole, TrimmedEmbedding(whole, used)


@given(
    st.sets(st.integers(0, 29), min_size=1), st.lists(st.integers(0, 29), min_size=1), st.sampled_from([None, 0, 1, 29])
)
def test_in_evaluation_every_piece_has_its_row(used: set[int], ids: list[int], pad: int | None) -> None:
    """Trained or not, and what is put back is the same table."""
    whole, trimmed = embeddings(used, pad)
    before = whole.weight.detach().clone()
    trimmed.eval()
    assert torch.equal(trimmed(torch.tensor([ids])), whole(torch.tensor([ids])))
    assert torch.equal(trimmed.restored().weight, before)


def test_a_piece_that_was_not_named_cannot_be_trained_on() -> None:
    """It is an error, never the row of another piece."""
    _, trimmed = embeddings({3, 4}, 1)
    trimmed.train()
    assert trimmed(torch.tensor([[3, 4, 1]])).shape == (1, 3, 4)
    with pytest.raises(IndexError):
        trimmed(torch.tensor([[3, 5]]))


@pytest.mark.parametrize("pad", [None, 1])
def test_padding_gets_no_gradient(pad: int | None) -> None:
    """As in the whole embedding."""
    whole, trimmed = embeddings({1, 3}, pad)
    for table in (whole, trimmed.train()):
        table(torch.tensor([[3, 1]])).sum().backward()
    assert whole.weight.grad is not None and trimmed.weight.grad is not None
    assert torch.equal(trimmed.weight.grad, whole.weight.grad[trimmed.kept])
