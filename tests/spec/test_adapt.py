"""Cheaper arms: what is frozen stays, what is low-rank is merged, what is interpolated lies between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.spec.test_mixture import RECIPE, learners

from xstilts.errors import UserError
from xstilts.models.adapt import add_lora, freeze, merge_lora
from xstilts.models.encoder import (
    StoredHead,
    interpolate,
    load_encoder,
    reuse_head,
    save_checkpoint,
    sha256_of_weights,
)
from xstilts.models.heads import PooledHead
from xstilts.sources.microworld import ENCODER
from xstilts.training.loop import train


def fresh() -> tuple[Any, Any]:
    return load_encoder(str(ENCODER), "", None)


def trained_with(tmp_path: Path, **changes: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], Any]:
    """(weights before, weights after, notes) of a short training."""
    encoder, tokenizer = fresh()
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    found = train(encoder, tokenizer, learners("mw_nli"), {**RECIPE, **changes}, 1, "float32", tmp_path / "log",
                  lambda d, t: None)  # fmt: skip
    return before, dict(found.encoder.state_dict()), found


def test_frozen_layers_stay_bit_for_bit_and_the_others_learn(tmp_path: Path) -> None:
    """With freeze 1 embeddings and the first layer do not change; the second layer and the head do; afterwards the
    encoder is as trainable as any."""
    before, after, found = trained_with(tmp_path, freeze=1)
    fixed = [name for name in before if name.startswith(("embeddings.", "encoder.layer.0."))]
    assert fixed and all(torch.equal(before[name], after[name]) for name in fixed)
    assert not torch.equal(before["encoder.layer.1.output.dense.weight"], after["encoder.layer.1.output.dense.weight"])
    assert all(parameter.requires_grad for parameter in found.encoder.parameters())


def test_more_frozen_layers_than_there_are_is_refused() -> None:
    """The number of layers is said."""
    with pytest.raises(UserError, match="cannot freeze 9 layers of the encoder: it has 3"):
        freeze(fresh()[0], 9)


def test_low_rank_matrices_are_all_that_is_learned_and_they_are_merged(tmp_path: Path) -> None:
    """After a LoRA training the encoder has its old names; only the layers that peft chose differ, by a matrix of the
    rank asked for; far fewer weights were trained."""
    lora = {"rank": 2, "alpha": 4.0, "dropout": 0.0}
    before, after, found = trained_with(tmp_path, lora=lora)
    assert set(before) == set(after)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed and all(".query.weight" in name or ".value.weight" in name for name in changed)
    for name in changed:
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-3) <= 2
    assert found.notes["trained_parameters"] < 0.05 * sum(weight.numel() for weight in before.values())


def test_merging_changes_no_output() -> None:
    """The encoder with low-rank matrices beside it and the one with them merged give the same hidden states."""
    encoder, tokenizer = fresh()
    torch.manual_seed(0)
    wrapped = add_lora(encoder.eval(), {"rank": 2, "alpha": 4.0, "dropout": 0.0}).eval()
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    batch = tokenizer(["the dog sees a red house"], return_tensors="pt")
    with torch.inference_mode():
        beside = wrapped(**batch).last_hidden_state
        merged = merge_lora(wrapped)(**batch).last_hidden_state
        plain = fresh()[0].eval()(**batch).last_hidden_state
    assert torch.allclose(beside, merged, atol=1e-5) and not torch.allclose(plain, merged, atol=1e-2)


def test_layers_that_do_not_exist_are_said() -> None:
    """A wrong module name ends in one line with the remedy."""
    with pytest.raises(UserError, match="lora: .*modules"):
        add_lora(fresh()[0], {"rank": 2, "alpha": 4.0, "dropout": 0.0, "modules": ["qurey"]})


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_interpolated_weights_lie_between(alpha: float) -> None:
    """Every weight is alpha of the one and 1 - alpha of the other; 1 changes nothing."""
    one, other = fresh()[0], fresh()[0]
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    was = sha256_of_weights(one)
    start = {name: weight.clone() for name, weight in one.state_dict().items()}
    interpolate(one, other, alpha)
    assert (sha256_of_weights(one) == was) == (alpha == 1)
    for name, weight in one.named_parameters():
        assert torch.allclose(weight, start[name] + (1 - alpha), atol=1e-6)


def test_a_head_is_reused_by_shape_and_labels_in_whatever_order(tmp_path: Path) -> None:
    """Of two stored heads the one with the same labels is taken, its outputs put in the target's order."""
    encoder, tokenizer = fresh()
    width = encoder.config.hidden_size
    nli, pairs = PooledHead(width, 3, 0.0), PooledHead(width, 2, 0.0)
    stored = [StoredHead("nli", "classify", ("c", "e", "n"), nli), StoredHead("pairs", "classify", ("0", "1"), pairs)]
    save_checkpoint(tmp_path, encoder, tokenizer, stored)
    mine = PooledHead(width, 3, 0.0)
    assert reuse_head(tmp_path, mine, "classify", ("n", "c", "e")) == "head-nli"
    hidden = torch.randn(4, 2, width)
    assert torch.allclose(mine(hidden), nli(hidden)[:, [2, 0, 1]])
    with pytest.raises(UserError, match="no head in .* is of shape tag"):
        reuse_head(tmp_path, mine, "tag", ("n", "c", "e"))
