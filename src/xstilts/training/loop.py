"""The training loop: one task, one head, AdamW, warm-up and linear decay."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xstilts.errors import StepFailed
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Shape, Spec
from xstilts.training.batches import training_batches
from xstilts.training.forward import arithmetic, check_length, collate, device, forward, length_of, settle
from xstilts.training.selection import Best


def train(
    encoder: Any, tokenizer: Any, shape: Shape, spec: Spec, rows: Sequence[Row], recipe: dict[str, Any], seed: int,
    precision: str, log: Path, progress: Callable[[int, int], None],
    dev_score: Callable[[nn.Module], float] | None = None,
) -> tuple[nn.Module, dict[str, Any]]:  # fmt: skip
    """Fine-tune `encoder` in place with a fresh head; returns (head, notes for the manifest).

    Everything random comes from `seed`: head weights, batches, dropout. On one machine two calls with equal
    arguments give bit-equal weights. Writes one JSON line per optimiser step to `log`. Raises `StepFailed` at a
    loss that is not finite.

    With `dev_score` (the score of the encoder as it stands with the given head) the best weights are kept rather than
    the last: looked at every `recipe["evaluate_every"]` steps (an epoch where not given) and at the end, until
    `recipe["patience"]` looks brought nothing better. Looking changes nothing of what is trained.
    """
    torch.manual_seed(seed)
    settle()
    where = device()
    head = shape.head(encoder.config.hidden_size, spec).to(where)
    encoder.to(where).train()
    features = shape.encode(rows, tokenizer, spec, training=True)
    check_length(features, encoder)
    # windows and chunks of a row multiply features; a step still sees batch_size of them
    per_epoch = math.ceil(len(features) / recipe["batch_size"])
    steps = max(1, round(per_epoch * recipe["epochs"]))
    optimiser = torch.optim.AdamW(
        _groups(encoder, head, recipe), lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"], fused=True
    )
    warmup = max(1, min(steps, recipe["warmup_steps"] if "warmup_steps" in recipe else round(steps * recipe["warmup"])))
    best = None
    if dev_score is not None:
        every = recipe.get("evaluate_every") or per_epoch
        best = Best((encoder, head), lambda: dev_score(head), every, recipe.get("patience"))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup + 1))
    )
    generator = torch.Generator().manual_seed(seed)
    batches = training_batches([length_of(f) for f in features], recipe["batch_size"], generator)
    context, arithmetic_name = arithmetic(precision)
    parameters = [*encoder.parameters(), *head.parameters()]
    done, pieces, last = 0, 0, float("nan")
    with log.open("w", encoding="utf-8") as lines:
        for step in range(1, steps + 1):
            part = [features[i] for i in next(batches)]
            batch = collate(part, tokenizer.pad_token_id, where)
            with context:
                output = forward(encoder, head, shape, spec, batch, part)
            loss = shape.loss(output, part, spec)
            last = loss.item()
            if not math.isfinite(last):
                raise StepFailed(
                    f"the loss is {last} at optimiser step {step} of {steps}; lower learning_rate "
                    f"(now {recipe['learning_rate']:g}) or raise warmup"
                )
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, recipe["clip"])
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            line = {"step": step, "loss": last, "rate": schedule.get_last_lr()[0]}
            if best is not None and (step % best.every == 0 or step == steps):
                line["dev_score"] = best.look(step)
            lines.write(json.dumps(line) + "\n")
            schedule.step()
            done, pieces = done + len(part), pieces + int(batch["attention_mask"].sum())
            progress(done, max(done, round(len(features) * recipe["epochs"])))
            if best is not None and best.out_of_patience:
                break
    chosen = best.restore() if best is not None else {}
    encoder.cpu().eval()
    notes = {
        "examples": done, "pieces": pieces, "optimiser_steps": step, "final_loss": last,
        "precision": arithmetic_name, "device": str(where), **chosen,
    }  # fmt: skip
    return head.cpu().eval(), notes


def _groups(encoder: nn.Module, head: nn.Module, recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """Parameter groups: no weight decay on biases and norms (one-dimensional), a rate of its own for the head."""
    groups = []
    for module, rate in ((encoder, None), (head, recipe.get("head_learning_rate"))):
        for decays in (True, False):
            chosen = [p for p in module.parameters() if p.requires_grad and (p.dim() > 1) == decays]
            if chosen:
                groups.append(
                    {"params": chosen} | ({} if decays else {"weight_decay": 0.0}) | ({"lr": rate} if rate else {})
                )
    return groups
