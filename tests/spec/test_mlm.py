"""Masked language modelling: what is masked is predicted, nothing else counts, and it is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from xstilts.errors import UserError
from xstilts.models.encoder import load_encoder, load_language_model
from xstilts.models.trim import trim, trim_head
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.tasks import get_task
from xstilts.tasks.shapes import Spec
from xstilts.tasks.shapes.mlm import SHAPE, Masker
from xstilts.training.drawing import Learner
from xstilts.training.forward import collate, forward
from xstilts.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> tuple[Any, Any, nn.Module]:
    return load_language_model(str(ENCODER), "", None)


def texts(count: int, code: str = "qaa", start: int = 0) -> list[dict[str, Any]]:
    return get_source("microworld").rows(get_task("mw_text"), "train", code)[start : start + count]


def test_fifteen_in_a_hundred_pieces_are_masked_and_eighty_ten_ten_of_these(model: Any) -> None:
    """Over 2,000 texts 15 % of the pieces are predicted: 80 % masked, 10 % another piece, 10 % as they were; special
    pieces never."""
    _, tokenizer, _ = model
    plain = SHAPE.encode(texts(2000), tokenizer, Spec(max_length=96), training=True)
    masked = Masker(tokenizer, 0.15, 1)(plain)
    by_row = {f.row: f for f in plain}
    fate, special = {"mask": 0, "other": 0, "same": 0}, set(tokenizer.all_special_ids)
    for feature in masked:
        before, after = by_row[feature.row].sequences[0].ids, feature.sequences[0].ids
        for place, gold in zip(*feature.target, strict=True):
            assert before[place] == gold and gold not in special
            now = after[place]
            fate["mask" if now == tokenizer.mask_token_id else "same" if now == gold else "other"] += 1
        untouched = set(range(len(before))) - set(feature.target[0])
        assert all(before[i] == after[i] for i in untouched)
    total = sum(fate.values())
    pieces = sum(sum(i not in special for i in f.sequences[0].ids) for f in plain)
    assert total / pieces == pytest.approx(0.15, abs=0.01)
    assert [fate[name] / total for name in ("mask", "other", "same")] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_masks_are_drawn_anew_each_time_and_the_same_for_a_seed(model: Any) -> None:
    """The second draw of one batch differs from the first, and two maskers of one seed agree on both."""
    _, tokenizer, _ = model
    plain = SHAPE.encode(texts(8), tokenizer, Spec(max_length=96), training=True)
    one, two = Masker(tokenizer, 0.15, 1), Masker(tokenizer, 0.15, 1)
    first, second = one(plain), one(plain)
    assert [f.target for f in first] != [f.target for f in second]
    assert (first, second) == (two(plain), two(plain))


def test_the_loss_is_that_of_transformers_over_masked_positions_alone(model: Any) -> None:
    """Logits are computed for masked positions only; their loss equals that of the whole model with all other labels
    ignored, so unmasked positions contribute nothing."""
    from transformers import AutoModelForMaskedLM

    encoder, tokenizer, head = model
    encoder.eval()
    head.eval()
    part = Masker(tokenizer, 0.15, 2)(SHAPE.encode(texts(6), tokenizer, Spec(max_length=96), training=True))
    batch = collate(part, tokenizer.pad_token_id, CPU)
    whole = AutoModelForMaskedLM.from_pretrained(ENCODER, dtype=torch.float32).eval()
    labels = torch.full_like(batch["input_ids"], -100)
    for i, feature in enumerate(part):
        labels[i, feature.target[0]] = torch.tensor(feature.target[1])
    with torch.inference_mode():
        output = forward(encoder, head, SHAPE, Spec(), batch, part)
        expected = whole(**batch, labels=labels).loss
    assert len(output) == sum(len(f.target[0]) for f in part)
    assert float(SHAPE.loss(output, part, Spec())) == pytest.approx(float(expected), abs=1e-4)


def test_a_long_text_becomes_several_features_and_loses_nothing(model: Any) -> None:
    """The pieces of all features of a text, special ones aside, are those of the text."""
    _, tokenizer, _ = model
    text = " ".join(row["text_a"] for row in texts(40))
    features = SHAPE.encode(
        [{"id": "1", "text_a": text, "text_b": None}], tokenizer, Spec(max_length=48), training=True
    )
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert len(features) > 2 and max(len(f.sequences[0].ids) for f in features) <= 48
    joined = [i for f in features for i in f.sequences[0].ids if i not in special]
    assert joined == tokenizer(text, add_special_tokens=False)["input_ids"]


def backwards(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Texts that the encoder has not learned yet: the words of each in reverse."""
    return [
        {**row, "text_a": " ".join(reversed(row["text_a"].split())), "text_b": None}
        for row in texts(count, start=start)
    ]


def masked_loss(encoder: Any, tokenizer: Any, head: nn.Module) -> float:
    """On texts that were not trained on, with fixed masks."""
    plain = SHAPE.encode(backwards(200, start=5000), tokenizer, Spec(max_length=96), training=True)
    part = Masker(tokenizer, 0.15, 5)(plain)
    with torch.inference_mode():
        output = forward(encoder.eval(), head.eval(), SHAPE, Spec(), collate(part, tokenizer.pad_token_id, CPU), part)
        return float(SHAPE.loss(output, part, Spec()))


def test_the_loss_of_masked_pieces_falls(tmp_path: Path) -> None:
    """Sixty steps on a new kind of text lower the loss of masked pieces in other texts of that kind by a fifth."""
    encoder, tokenizer, head = load_language_model(str(ENCODER), "", None)
    before = masked_loss(encoder, tokenizer, head)
    recipe = {"learning_rate": 1e-3, "epochs": 1.0, "steps": 60, "batch_size": 16, "warmup": 0.1, "weight_decay": 0.0,
              "clip": 1.0}  # fmt: skip
    learner = Learner("text qaa", "mlm", SHAPE, Spec(max_length=96), backwards(2000))
    trained = train(encoder, tokenizer, [learner], recipe, 1, "float32", tmp_path / "log", lambda d, t: None,
                    mlm={"weight": 1.0, "exponent": 0.3}, language_head=head)  # fmt: skip
    after = masked_loss(trained.encoder, tokenizer, trained.heads["mlm"])
    assert after < 0.8 * before, (before, after)


@pytest.mark.parametrize("tied", [True, False], ids=["embeddings as output weights", "output weights of its own"])
def test_a_trimmed_vocabulary_is_the_whole_one_without_the_rest(tied: bool) -> None:
    """Masks with a vocabulary read and want pieces of it alone, those that stood there; the loss and the gradient of
    every weight are those of the whole model with all other pieces left out of the softmax."""
    encoder, tokenizer, head = load_language_model(str(ENCODER), "", None)
    if tied:
        head.decoder.weight = encoder.get_input_embeddings().weight
    both = nn.ModuleList([encoder.eval(), head.eval()])
    plain = SHAPE.encode(texts(40), tokenizer, Spec(max_length=96), training=True)
    used = {i for f in plain for i in f.sequences[0].ids} | {tokenizer.mask_token_id, tokenizer.pad_token_id}
    vocabulary = sorted(used)
    assert len(vocabulary) < encoder.config.vocab_size / 2
    part = Masker(tokenizer, 0.15, 3, vocabulary)(plain)
    ids = [f.sequences[0].ids for f in plain]
    for feature in part:
        places, wanted = feature.target
        assert [vocabulary[k] for k in wanted] == [ids[feature.row][place] for place in places]
        assert used.issuperset(feature.sequences[0].ids)
    batch = collate(part, tokenizer.pad_token_id, CPU)
    losses, gradients = [], []
    trimmed = None
    for chosen in (vocabulary, slice(None)):
        both.zero_grad()
        loss = SHAPE.loss(forward(encoder, head, SHAPE, Spec(), batch, part)[:, chosen], part, Spec())
        loss.backward()
        losses.append(loss.item())
        found = {name: p.grad.clone() for name, p in both.named_parameters() if p.grad is not None}
        gradients.append(
            {name: g[vocabulary] if len(g) == encoder.config.vocab_size else g for name, g in found.items()}
        )
        if trimmed is None:
            trimmed = trim(encoder, used)
            trim_head(head, trimmed)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    theirs, ours = gradients
    assert len(ours) == len(theirs)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-6, msg=name)


def test_pieces_that_no_text_uses_are_left_as_they_were(tmp_path: Path) -> None:
    """With `trim` the trained encoder has its whole vocabulary again: what the texts use has moved, the rest has
    not. Where embeddings are kept as they are it is refused."""
    encoder, tokenizer, head = load_language_model(str(ENCODER), "", None)
    before = encoder.get_input_embeddings().weight.detach().clone()
    rows = texts(40)
    recipe = {"learning_rate": 1e-3, "epochs": 1.0, "steps": 4, "batch_size": 16, "warmup": 0.1, "weight_decay": 0.0,
              "clip": 1.0}  # fmt: skip
    learner = Learner("text qaa", "mlm", SHAPE, Spec(max_length=96), rows)
    mlm = {"weight": 1.0, "exponent": 0.3, "trim": True}
    with pytest.raises(UserError, match=r"mlm.trim"):
        train(encoder, tokenizer, [learner], {**recipe, "freeze": 0}, 1, "float32", tmp_path / "log",
              lambda d, t: None, mlm=mlm, language_head=head)  # fmt: skip
    encoder, tokenizer, head = load_language_model(str(ENCODER), "", None)
    trained = train(encoder, tokenizer, [learner], recipe, 1, "float32", tmp_path / "log", lambda d, t: None, mlm=mlm,
                    language_head=head)  # fmt: skip
    after = trained.encoder.get_input_embeddings().weight
    moved = set((after != before).any(1).nonzero()[:, 0].tolist())
    used = {i for f in SHAPE.encode(rows, tokenizer, Spec(max_length=96), True) for i in f.sequences[0].ids}
    assert after.shape == before.shape
    assert moved <= used | {tokenizer.mask_token_id}
    assert tokenizer.mask_token_id in moved and len(moved) > len(used) / 2


def test_an_encoder_without_its_language_head_is_refused(tmp_path: Path) -> None:
    """A checkpoint of a fine-tuning has no language-model head, and a random one is no substitute."""
    encoder, tokenizer = load_encoder(str(ENCODER), "", None)
    encoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no masked-language-model head"):
        load_language_model(str(tmp_path), "", None)
