"""A batch that goes through the encoder in slices gives what it gives in one piece, dropout included."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.conftest import mini
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModel, BertConfig, DebertaV2Config

from xstilts.models.adapt import add_lora
from xstilts.models.encoder import load_encoder, load_language_model
from xstilts.plan import plan
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.steps.predict import Predict
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Shape, Spec
from xstilts.tasks.shapes.mlm import Masker
from xstilts.tasks.shapes.retrieve import Pool
from xstilts.training import dropout, inference, ranks
from xstilts.training.batches import TOKENS
from xstilts.training.dropout import PartOfDropout, Share
from xstilts.training.forward import arithmetic, collate, device, forward
from xstilts.training.gradient import gradient
from xstilts.training.slicing import cut

CPU = torch.device("cpu")
COUNT = 10
TASKS = {"classify": "mw_nli", "tag": "mw_pos", "span": "mw_squad", "choice": "mw_choice", "retrieve": "mw_parallel",
         "mlm": "mw_text"}  # fmt: skip
TRAINED = (*TASKS, "features", "parse")


class Case:
    """A batch of one shape, and what reads it."""

    def __init__(self, name: str, encoder: Any = None, count: int = COUNT) -> None:
        self.shape: Shape = SHAPES.get(name)
        own, self.tokenizer, language_head = load_language_model(str(ENCODER), "", None)
        self.encoder = own if encoder is None else encoder
        rows = trees(count) if name == "parse" else morphology(count) if name == "features" else microworld(name, count)
        declared = get_task(TASKS[name]).labels if name in TASKS else ()
        self.spec = Spec(96, declared or self.shape.inventory(rows), dropout=0.2, stride=32, layer=2)
        self.features = self.shape.encode(rows, self.tokenizer, self.spec, training=True)
        if name == "mlm":
            self.features = Masker(self.tokenizer, 0.15, 1)(self.features)
        torch.manual_seed(5)
        self.head = language_head if name == "mlm" else self.shape.head(self.encoder.config.hidden_size, self.spec)
        nn.ModuleList([self.encoder, self.head]).train()

    def gradient(
        self, slices: int, context: AbstractContextManager[Any] | None = None, more: bool = False
    ) -> tuple[float, dict[str, torch.Tensor | None], torch.Tensor]:
        """(loss, gradient of every weight, where the generator ends) of the batch in slices, after one seed. With
        `more` it is added to the gradient that is there."""
        both = nn.ModuleList([self.encoder, self.head])
        if not more:
            both.zero_grad(set_to_none=True)
        torch.manual_seed(7)
        loss = gradient(self.encoder, self.head, self.shape, self.spec, self.features, self.tokenizer.pad_token_id, CPU,
                        context or nullcontext(), slices)  # fmt: skip
        found = {name: None if p.grad is None else p.grad.clone() for name, p in both.named_parameters()}
        return loss, found, torch.get_rng_state()


def microworld(name: str, count: int) -> list[dict[str, Any]]:
    task = get_task(TASKS[name])
    return get_source("microworld").rows(task, "train", "qaa" if name in ("retrieve", "mlm") else "en")[:count]


def trees(count: int) -> list[dict[str, Any]]:
    """Sentences of unequal length, whose words hang on the one before."""
    rows = [row["tokens"][: 3 + i % 5] for i, row in enumerate(microworld("tag", count))]
    return [{"id": str(i), "tokens": tokens, "heads": list(range(len(tokens))),
             "relations": ["root"] + [("det", "obj", "nmod")[k % 3] for k in range(1, len(tokens))]}
            for i, tokens in enumerate(rows)]  # fmt: skip


def morphology(count: int) -> list[dict[str, Any]]:
    tags = ("Case=Nom|Number=Sing", "_", "Number=Plur", "Tense=Past")
    rows = [row["tokens"] for row in microworld("tag", count)]
    return [{"id": str(i), "tokens": tokens, "tags": [tags[(i + k) % 4] for k in range(len(tokens))]}
            for i, tokens in enumerate(rows)]  # fmt: skip


def assert_alike(one: dict[str, torch.Tensor | None], other: dict[str, torch.Tensor | None], within: float) -> None:
    """The same weights have a gradient, and each tensor of it differs by at most a share of its largest value; where
    that is next to nothing (what cancels in a softmax), of a hundredth of the largest of all."""
    assert {n for n, g in one.items() if g is None} == {n for n, g in other.items() if g is None}
    least = max(g.abs().max() for g in one.values() if g is not None) / 100
    for name, value in one.items():
        if value is not None:
            most = (value - other[name]).abs().max() / max(value.abs().max(), least)
            assert most <= within, f"{name}: {most:.2g}"


@pytest.mark.parametrize("name", TRAINED)
def test_slices_give_the_gradient_of_the_batch(name: str) -> None:
    """With dropout on, the loss and gradient of a batch in 2, 3, 4 and more slices than it has features are those of
    one pass but for rounding, and the generator ends where that pass leaves it."""
    case = Case(name)
    loss, whole, state = case.gradient(1)
    assert any(g is not None and g.abs().max() > 1e-3 for g in whole.values())
    for slices in (2, 3, 4, 99):
        other, cut_up, after = case.gradient(slices)
        assert other == pytest.approx(loss, rel=1e-5)
        assert_alike(whole, cut_up, 1e-4)
        assert torch.equal(state, after)


@pytest.mark.parametrize("name", TRAINED)
def test_one_slice_without_dropout_is_a_plain_pass_bit_for_bit(name: str) -> None:
    """But for the masks of dropout nothing stands between a training and torch: without it gradient and generator are
    those of four lines."""
    case = Case(name)
    for module in nn.ModuleList([case.encoder, case.head]).modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    _, found, state = case.gradient(1)
    case.encoder.zero_grad(set_to_none=True)
    torch.manual_seed(7)
    batch = collate(case.features, case.tokenizer.pad_token_id, CPU)
    output = forward(case.encoder, case.head, case.shape, case.spec, batch, case.features)
    case.shape.loss(output, case.features, case.spec).backward()
    plain = {f"0.{name}": p.grad for name, p in case.encoder.named_parameters()}
    assert all(plain[n] is None if found[n] is None else torch.equal(plain[n], found[n]) for n in plain)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("size", [2, 11])
def test_shares_of_ranks_add_up_to_the_gradient_of_the_batch(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all ranks compute, some of them without a row, sums to the loss and gradient of one process, and each ends
    with its generator where that ends: so it does not matter how many there are."""
    case = Case(name)
    loss, whole, state = case.gradient(1)
    monkeypatch.setattr(ranks, "size", lambda: size)
    monkeypatch.setattr(ranks, "add_gradients", lambda parameters, loss: loss)

    def as_rank(rank: int, add: Any, more: bool) -> Any:
        monkeypatch.setattr(ranks, "rank", lambda: rank)
        monkeypatch.setattr(ranks, "add", add)
        return case.gradient(2, more=more)

    vectors: list[torch.Tensor] = []

    def give(own: torch.Tensor) -> torch.Tensor:
        vectors.append(own.clone())
        raise StopIteration

    if name == "retrieve":  # where ranks meet before the loss
        for rank in range(size):
            with pytest.raises(StopIteration):
                as_rank(rank, give, False)
    total = 0.0
    for rank in range(size):
        own, added, after = as_rank(rank, lambda _: torch.stack(vectors).sum(0), rank > 0)
        total += own
        assert torch.equal(state, after)
    assert total == pytest.approx(loss, rel=1e-5)
    assert_alike(whole, added, 1e-4)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_every_feature_is_in_one_slice_of_one_rank(count: int, slices: int, size: int) -> None:
    """In order, once; only the sole slice of a rank may be empty, and a rank's differ in length by one at most."""
    shares = [cut(count, slices, rank, size) for rank in range(size)]
    assert [i for share in shares for part in share for i in part] == list(range(count))
    for share in shares:
        assert len(share) <= slices and (len(share) == 1 or all(share))
        assert max(map(len, share)) - min(map(len, share)) <= 1


def test_low_rank_matrices_and_bfloat16_are_sliced_alike() -> None:
    """Dropout of LoRA is cut as all other, and in bfloat16 a gradient differs by bfloat16's rounding alone."""
    case = Case("classify")
    case.encoder = add_lora(case.encoder, {"rank": 2, "alpha": 4.0, "dropout": 0.3}).train()
    for part in case.encoder.parameters():
        if part.requires_grad:
            nn.init.normal_(part, std=0.1)
    for precision, within in (("float32", 1e-4), ("bfloat16", 0.1)):
        context = arithmetic(precision)[0]
        loss, whole, state = case.gradient(1, context)
        other, cut_up, after = case.gradient(3, context)
        assert other == pytest.approx(loss, rel=within / 10)
        assert_alike(whole, cut_up, within)
        assert torch.equal(state, after)


SMALL = {"vocab_size": 1437, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 64, "max_position_embeddings": 130}  # fmt: skip
OTHERS = {
    "BERT": (BertConfig(**SMALL), {}),
    "BERT without fused attention": (BertConfig(**SMALL), {"attn_implementation": "eager"}),
    "DeBERTa": (
        DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=16),
        {},
    ),
}


@pytest.mark.parametrize("which", OTHERS)
def test_other_encoders_are_sliced_alike(which: str) -> None:
    """Attention of whatever make, and dropout of what belongs to no sequence (DeBERTa's relative positions)."""
    config, options = OTHERS[which]
    torch.manual_seed(3)
    encoder = AutoModel.from_config(config, **options)
    encoder.pooler = None
    case = Case("tag", encoder)
    loss, whole, state = case.gradient(1)
    other, cut_up, after = case.gradient(3)
    assert other == pytest.approx(loss, rel=1e-5)
    assert_alike(whole, cut_up, 1e-4)
    assert torch.equal(state, after)


@pytest.mark.parametrize("mask", ["none", "bool", "float", "causal", "groups"])
def test_attention_is_that_of_torch(mask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention with dropout gives what torch's does where it draws the same, for every kind of mask."""
    monkeypatch.setattr(dropout, "_draw", lambda shape, p: torch.empty(shape).bernoulli_(1 - p).bool())
    torch.manual_seed(1)
    query, key, value = torch.randn(3, 4, 4, 6, 5).transpose(2, 3)
    options: dict[str, Any] = {
        "none": {}, "bool": {"attn_mask": torch.rand(4, 1, 4, 4) + torch.eye(4) > 0.5},
        "float": {"attn_mask": torch.randn(4, 1, 4, 4), "scale": 0.3}, "causal": {"is_causal": True},
        "groups": {"enable_gqa": True},
    }[mask]  # fmt: skip
    if mask == "groups":
        key, value = key[:, :3], value[:, :3]
    found = []
    for mode in (nullcontext(), PartOfDropout(Share(0, 4, 4))):
        torch.manual_seed(2)
        with mode:
            found.append(scaled_dot_product_attention(query, key, value, dropout_p=0.3, **options))
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.99])
def test_masks_drop_the_share_that_is_asked_for(p: float) -> None:
    """Each place falls out with the probability asked for, by itself: neighbours, and places a word of the generator
    apart, no more often together than chance has it; what stays is scaled, and its gradient too."""
    torch.manual_seed(1)
    ones = torch.ones(1000, 10, 100, requires_grad=True)
    with PartOfDropout():
        found = nn.functional.dropout(ones, p)
    assert torch.equal(found.unique(), torch.tensor([0.0, 1 / (1 - p)]))
    found.sum().backward()
    assert torch.equal(ones.grad, found)
    dropped = (found == 0).flatten().double()
    count, error = len(dropped), (p * (1 - p)) ** 0.5
    assert abs(dropped.mean() - p) < 4 * error / count**0.5
    for apart in (1, 2, 3, 4, 8, 100):
        together = ((dropped[apart:] - p) * (dropped[:-apart] - p)).mean() / error**2
        assert abs(together) < 4 / count**0.5


def test_dropout_that_is_of_no_sequence_is_refused() -> None:
    """A mask that would be that of other rows is never drawn in silence."""
    with PartOfDropout(Share(0, 2, 4)), pytest.raises(RuntimeError, match="cannot be cut"):
        nn.functional.dropout(torch.ones(3, 2, 2), 0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="fused attention on a GPU draws dropout in an order of its own")
def test_a_training_and_its_answers_in_halves_are_those_in_one_piece(tmp_path: Path) -> None:
    """A step that memory ran out for gives, with half as many rows at a time, the same weights and losses but for
    rounding, and the same answers."""
    fields = {"train_rows": 24, "test_rows": 16, "epochs": 1, "batch_size": 8, "max_length": 96, "learning_rate": 1e-3}
    planned = plan(mini(settings={"default": fields}, intermediates=[], languages=["en"], precision="float32"))
    found = []
    for halvings in (0, 1):
        store = Store(tmp_path / str(halvings)).open()
        for step in planned.steps.values():
            if step.kind != "Score":
                store.publish(step, "", halvings=halvings)
        train, predict = (next(s for s in planned.steps.values() if isinstance(s, kind)) for kind in (Train, Predict))
        losses = [json.loads(line)["loss"] for line in (store.of(train) / "log.jsonl").read_text().splitlines()]
        weights = load_file(store.of(train) / "checkpoint" / "model.safetensors")
        found.append((losses, weights, (store.of(predict) / "predictions.parquet").read_bytes()))
    (losses, weights, answers), (other_losses, other_weights, other_answers) = found
    before = load_encoder(str(ENCODER), "", None)[0].state_dict()
    moved = sum((weights[name] - before[name]).square().sum() for name in weights)
    apart = sum((weights[name] - other_weights[name]).square().sum() for name in weights)
    assert 0 < apart < moved * 1e-4
    assert losses != other_losses and losses == pytest.approx(other_losses, rel=1e-4)
    assert answers == other_answers


def test_evaluation_reads_fewer_pieces_at_a_time(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each halving halves the padded pieces of an evaluation batch, and outputs are the same but for rounding."""
    encoder, tokenizer = loaded
    shape = SHAPES.get("retrieve")
    spec, rows = Spec(96, layer=2), microworld("retrieve", 40)
    sizes: list[int] = []

    def counted(*args: Any) -> dict[str, torch.Tensor]:
        batch = collate(*args)
        sizes.append(batch["input_ids"].numel())
        return batch

    monkeypatch.setitem(TOKENS, device().type, 512)
    monkeypatch.setattr(inference, "collate", counted)
    found, largest = [], []
    for halvings in (0, 2, 12):
        sizes.clear()
        _, outputs, _ = inference.read(
            encoder, tokenizer, Pool("mean"), shape, spec, rows, "float32", halvings=halvings
        )
        found.append(np.concatenate([outputs[i] for i in range(len(rows))]))
        largest.append(max(sizes))
    assert 256 < largest[0] <= 512 and largest[1] <= 128 and largest[2] < largest[1]
    assert all(np.allclose(found[0], other, atol=1e-5) for other in found)
