"""Whatever makes trainings and evaluations fast leaves their numbers as a plain loop has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from xstilts.models.encoder import load_encoder
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training.batches import training_batches
from xstilts.training.drawing import Learner
from xstilts.training.inference import predict
from xstilts.training.loop import train

LENGTH, STEPS, SEED = 96, 40, 3
RECIPE: dict[str, Any] = {"batch_size": 16, "steps": STEPS, "learning_rate": 1e-3, "weight_decay": 0.1, "warmup": 0.1,
                          "clip": 1.0}  # fmt: skip
TASK = get_task("mw_entailment")
SHAPE = SHAPES.get("classify")
SPEC = Spec(LENGTH, TASK.labels, dropout=0.0)


def start() -> tuple[Any, Any]:
    """(encoder without dropout, since masks are drawn otherwise than torch draws them; tokenizer)."""
    encoder, tokenizer = load_encoder(str(ENCODER), "", None)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return encoder, tokenizer


def texts(tokenizer: Any, rows: list[dict[str, Any]]) -> Any:
    """Padded to one length."""
    pairs = [row["text_a"] for row in rows], [row["text_b"] for row in rows]
    return tokenizer(*pairs, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")


def plain(rows: list[dict[str, Any]], held_out: list[dict[str, Any]]) -> tuple[list[float], list[str]]:
    """(losses, answers) of a loop as a script has it: every sequence padded to one length, float32, all layers at all
    pieces, the whole vocabulary, torch's AdamW one weight after the other."""
    model, tokenizer = start()
    torch.manual_seed(SEED)
    head = SHAPE.head(model.config.hidden_size, SPEC)
    weights = [*model.parameters(), *head.parameters()]
    groups = [{"params": [p for p in weights if p.dim() > 1]},
              {"params": [p for p in weights if p.dim() == 1], "weight_decay": 0.0}]  # fmt: skip
    optimiser = torch.optim.AdamW(groups, 1e-3, weight_decay=0.1, foreach=False)
    whole, labels = texts(tokenizer, rows), torch.tensor([SPEC.labels.index(row["label"]) for row in rows])
    batches = training_batches(whole["attention_mask"].sum(1), 16, torch.Generator().manual_seed(SEED))
    losses = []
    model.train()
    for step in range(1, STEPS + 1):
        chosen = next(batches)
        for group in optimiser.param_groups:  # up in the first tenth, and down
            group["lr"] = 1e-3 * min(step / 4, (STEPS - step + 1) / (STEPS - 3))
        hidden = model(**{name: whole[name][chosen] for name in ("input_ids", "attention_mask")}).last_hidden_state
        loss = nn.functional.cross_entropy(head(hidden), labels[chosen])
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        read = texts(tokenizer, held_out)
        hidden = model(input_ids=read["input_ids"], attention_mask=read["attention_mask"]).last_hidden_state
    return losses, [SPEC.labels[k] for k in head(hidden).argmax(-1)]


@pytest.mark.parametrize(("precision", "within", "same"), [("float32", 1e-4, 1.0), ("bfloat16", 0.02, 0.95)])
def test_all_levers_together_learn_and_answer_as_a_plain_loop(
    precision: str, within: float, same: float, tmp_path: Path
) -> None:
    """Over the same batches the loss curve is that of a plain loop, and so are the answers for other rows in another
    language: in float32 but for its rounding, in bfloat16 but for that of bfloat16."""
    world = get_source("microworld")
    rows, held_out = world.rows(TASK, "train", "en")[:200], world.rows(TASK, "dev", "qaa")[:100]
    expected, their_answers = plain(rows, held_out)
    encoder, tokenizer = start()
    learner = Learner("", "", SHAPE, SPEC, rows, tmp_path / "tokens")
    trained = train(encoder, tokenizer, [learner], RECIPE, SEED, precision, tmp_path / "log", lambda d, t: None)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log").read_text().splitlines()]
    assert sum(expected[-10:]) < 0.95 * sum(expected[:10])
    assert max(abs(a - b) for a, b in zip(losses, expected, strict=True)) < within
    answers, _ = predict(trained.encoder, tokenizer, trained.heads[""], SHAPE, SPEC, held_out, precision)
    assert sum(a == b for a, b in zip(answers, their_answers, strict=True)) >= same * len(held_out)
