"""No layer or position is computed that nothing reads, and what is read is what the whole encoder gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from xstilts.tasks.shapes import Reads
from xstilts.training.hidden import hidden_states

WIDTH, LAYERS = 32, 3
SMALL = {"vocab_size": 90, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
         "intermediate_size": 48, "max_position_embeddings": 40}  # fmt: skip
KINDS = ("xlm-roberta", "roberta", "bert", "camembert", "deberta-v2", "distilbert")


def encoder(kind: str, dropout: float = 0.0, **options: Any) -> Any:
    """A tiny encoder with random weights."""
    torch.manual_seed(1)
    off = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    if kind == "distilbert":
        shape = {"vocab_size": 90, "dim": WIDTH, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 48, "dropout": dropout,
                 "attention_dropout": dropout}  # fmt: skip
        return AutoModel.from_config(AutoConfig.for_model(kind, **shape), **options)
    return AutoModel.from_config(AutoConfig.for_model(kind, **SMALL, **off), **options)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Three sequences, two of them padded."""
    ids = torch.randint(5, 90, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 7:] = mask[1, 4:] = 0
    return {"input_ids": ids.masked_fill(mask == 0, 1), "attention_mask": mask}


@pytest.mark.parametrize("full", [False, True], ids=["padded", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_piece_is_that_of_the_whole_encoder(kind: str, full: bool, batch: dict[str, Tensor]) -> None:
    """The vector of the first piece is the same but for rounding, whatever the encoder, and alone where it can be."""
    if full:
        batch["attention_mask"] = torch.ones_like(batch["attention_mask"])
    model = encoder(kind).eval()
    with torch.no_grad():
        whole = model(**batch).last_hidden_state
        first = hidden_states(model, batch, "first", -1)
        assert torch.equal(hidden_states(model, batch, "pieces", -1), whole)
    assert first.shape == (3, 1, WIDTH)
    torch.testing.assert_close(first, whole[:, :1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_its_gradient_is_that_of_the_whole_encoder(kind: str, batch: dict[str, Tensor]) -> None:
    """Every weight gets the gradient that it gets when all pieces go through the last layer."""
    model, grads = encoder(kind).train(), []
    wanted = torch.randn(3, 1, WIDTH, generator=torch.Generator().manual_seed(2))
    for read in (lambda: model(**batch).last_hidden_state[:, :1], lambda: hidden_states(model, batch, "first", -1)):
        model.zero_grad()
        (read() * wanted).sum().backward()
        grads.append({name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()})
    for name, grad in grads[0].items():
        other = grads[1][name]
        assert (grad is None) == (other is None), name
        if grad is not None and other is not None:
            torch.testing.assert_close(other, grad, rtol=1e-3, atol=1e-4 * float(grad.abs().max()) + 1e-7, msg=name)


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_the_last_layer_works_at_the_first_piece_alone(kind: str, batch: dict[str, Tensor]) -> None:
    """Its feed-forward part, two thirds of its work, sees one position a sequence, and earlier layers all."""
    model, seen = encoder(kind).eval(), []
    for layer in model.encoder.layer:
        layer.intermediate.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].shape[1]))
    hidden_states(model, batch, "first", -1)
    assert seen == [11, 11, 1]
    assert len(model.encoder.layer) == LAYERS and type(model.encoder.layer[-1]).__name__.endswith("Layer")


def test_other_attention_is_left_to_itself(batch: dict[str, Tensor]) -> None:
    """An encoder that computes attention in another way than torch's own runs whole."""
    model = encoder("xlm-roberta", attn_implementation="eager").eval()
    with torch.no_grad():
        assert torch.equal(hidden_states(model, batch, "first", -1), model(**batch).last_hidden_state[:, :1])


@pytest.mark.parametrize("reads", ["first", "pieces", "layer"])
def test_dropout_is_for_training(reads: Reads, batch: dict[str, Tensor]) -> None:
    """In evaluation two passes give the same bits; in training they do not."""
    model = encoder("xlm-roberta", dropout=0.5)
    for training in (False, True):
        model.train(training)
        one, two = (hidden_states(model, batch, reads, 2) for _ in range(2))
        assert torch.equal(one, two) is not training


def test_an_error_leaves_the_encoder_as_it_was(batch: dict[str, Tensor]) -> None:
    """The layers are back after a pass that failed."""
    model = encoder("xlm-roberta").eval()
    before: nn.ModuleList = model.encoder.layer
    with pytest.raises(IndexError):
        hidden_states(model, {**batch, "input_ids": batch["input_ids"] + 1000}, "first", -1)
    assert model.encoder.layer is before
