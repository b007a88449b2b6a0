"""The training loop: one encoder, a head for each kind of task, AdamW, warm-up and linear decay."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.errors import StepFailed, UserError
from xstilts.models.adapt import add_lora, freeze, merge_lora
from xstilts.models.trim import trim, trim_head
from xstilts.step import EVERY_FIVE_MINUTES, Interval
from xstilts.store import versions
from xstilts.training import ranks
from xstilts.training.drawing import Learner, draw, is_text
from xstilts.training.forward import arithmetic, device, settle
from xstilts.training.gradient import gradient
from xstilts.training.graphs import Graphs, can_capture
from xstilts.training.optimiser import decay, parameter_groups, share, warmup_steps
from xstilts.training.selection import Best
from xstilts.training.state import (
    Keeper,
    State,
    generators,
    optimiser_state,
    restore_generators,
    restore_optimiser,
)


class Diverged(StepFailed):
    """The loss is not finite."""


@dataclass
class Trained:
    """What a training gives besides the encoder, which it changed."""

    encoder: Any
    heads: dict[str, nn.Module]
    losses: dict[str, list[float]] = field(default_factory=dict)
    """By head, in the order of its steps."""
    notes: dict[str, Any] = field(default_factory=dict)
    """For the manifest."""


def train(
    encoder: Any, tokenizer: Any, learners: Sequence[Learner], recipe: dict[str, Any], seed: int, precision: str,
    log: Path, progress: Callable[[int, int], None], *, sampler: dict[str, Any] | None = None,
    mlm: dict[str, Any] | None = None, language_head: nn.Module | None = None,
    begin: Callable[[dict[str, nn.Module]], None] | None = None,
    dev_score: Callable[[Any, dict[str, nn.Module]], float] | None = None,
    partial: Path | None = None, save_every: Interval = EVERY_FIVE_MINUTES, halvings: int = 0,
) -> Trained:  # fmt: skip
    """Fine-tune `encoder` in place with fresh heads, one learner a step.

    Several learners take turns as `sampler` and `mlm` say (`mixture.turns`); those of shape `mlm` have `language_head`
    and come last. `begin` may fill the fresh heads with weights. Everything random comes from `seed`: head weights,
    turns, batches, masks, dropout. On one machine two calls with equal arguments give bit-equal weights. Writes one
    JSON line per optimiser step to `log`. Raises `Diverged` at a loss that is not finite, `UserError` where the
    checkpoint asked for comes after the last step.

    With `dev_score` (the score of the encoder as it stands with its heads) the best weights are kept rather than the
    last: looked at every `recipe["evaluate_every"]` steps (an epoch where not given) and at the end, until
    `recipe["patience"]` looks brought nothing better. Looking changes nothing of what is trained. With
    `recipe["stop_after"]` training stops after that step of the same schedule.

    The state is saved in the folder `partial` as `save_every` says. A call that finds one there goes on from it and
    ends with the very same bits. Batches go through the encoder in 2 ** `halvings` slices.
    """
    torch.manual_seed(seed)
    settle()
    mlm = mlm or {}
    where = device()
    heads = _heads(encoder, learners, language_head, where)
    if begin is not None:
        begin(heads)
    if "freeze" in recipe:
        freeze(encoder, recipe["freeze"])
    if "lora" in recipe:
        encoder = add_lora(encoder, recipe["lora"])
    drawn = draw(learners, encoder, tokenizer, recipe, sampler or {}, mlm, seed)
    batches, steps = drawn.batches, len(drawn.order)
    trimmed = trim(encoder, drawn.pieces) if _trims(learners, recipe, mlm) else None
    if trimmed is not None and language_head is not None:
        trim_head(language_head, trimmed)
    encoder.to(where).train()
    if recipe.get("stop_after", 1) > steps:
        raise UserError(
            f"the checkpoint after step {recipe['stop_after']} is asked for, and the training has {steps} steps",
            remedy="lower select, or raise steps or epochs",
        )
    groups = parameter_groups(encoder, heads, recipe)
    optimiser = torch.optim.AdamW(groups, lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"], fused=True)
    warmup = warmup_steps(recipe, steps)
    best = None
    if dev_score is not None:
        every = recipe.get("evaluate_every") or drawn.per_epoch
        best = Best((encoder, *heads.values()), lambda: dev_score(encoder, heads), every, recipe.get("patience"))
    peaks = [group["lr"] for group in optimiser.param_groups]
    context, arithmetic_name = arithmetic(precision)
    modules = nn.ModuleList([encoder, *heads.values()])
    parameters = [p for p in modules.parameters() if p.requires_grad]
    graphs = Graphs() if can_capture(encoder, where) else None
    trained = Trained(encoder, heads)
    made_by = {**versions(), "arithmetic": arithmetic_name, "device": where.type, "weights": _names(modules)}
    keeper = Keeper(partial, save_every, made_by)
    done, pieces, last, before, written = 0, 0, float("nan"), 0, ""
    state = keeper.find()
    if state is not None:
        _restore(state, modules, optimiser, best)
        before, written = state.step, state.log
        done, pieces, last = state.facts["seen"]
        trained.losses.update(state.facts["losses"])
        for turn in drawn.order[:before]:
            next(batches[turn])  # what has been learned from already
        state = None  # several times as large as the weights
    step = before
    with log.open("w", encoding="utf-8") as lines:
        lines.write(written)
        for step, turn in enumerate(drawn.order[before:], start=before + 1):
            learner, part = learners[turn], next(batches[turn])
            rate = share(step, steps, warmup)
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate
            last = gradient(
                encoder, heads[learner.head], learner.shape, learner.spec, part, tokenizer.pad_token_id, where, context,
                slices=2**halvings, graphs=graphs,
            )  # fmt: skip
            if not math.isfinite(last):
                raise Diverged(
                    f"the loss is {last} at optimiser step {step} of {steps}; lower learning_rate "
                    f"(now {recipe['learning_rate']:g}) or raise warmup"
                )
            nn.utils.clip_grad_norm_(parameters, recipe["clip"])
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            trained.losses.setdefault(learner.head, []).append(last)
            line: dict[str, Any] = {"step": step, "loss": last, "rate": peaks[0] * rate}
            if len(learners) > 1:
                line["task"] = learner.name
            if best is not None and (step % best.every == 0 or step == steps):
                if trimmed is not None:
                    trimmed.decay = decay(recipe, step, steps)
                line["dev_score"] = best.look(step)
            lines.write(json.dumps(line) + "\n")
            done, pieces = done + len(part), pieces + sum(len(s.ids) for f in part for s in f.sequences)
            progress(done, max(done, steps * recipe["batch_size"]))
            if step == recipe.get("stop_after") or (best is not None and best.out_of_patience):
                break
            if ranks.rank() == 0 and keeper.due(step):
                lines.flush()
                facts = {"seen": [done, pieces, last], "losses": trained.losses}
                keeper.save(step, *_state(modules, optimiser, best, facts), log)
    chosen = best.restore() if best is not None else {}
    if trimmed is not None:
        trimmed.decay = decay(recipe, chosen.get("best_step", step), steps)
        encoder.set_input_embeddings(trimmed.restored())
    if "lora" in recipe:
        trained.encoder = merge_lora(encoder)
    trained.encoder.requires_grad_(True).cpu().eval()
    for head in heads.values():
        head.cpu().eval()
    trained.notes = {
        "examples": done, "pieces": pieces, "optimiser_steps": step, "final_loss": last,
        "trained_parameters": sum(p.numel() for p in parameters), "precision": arithmetic_name, "device": str(where),
        **chosen,
    }  # fmt: skip
    if graphs is not None:
        trained.notes["graphs"] = len(graphs)
    if len(learners) > 1:
        trained.notes["steps_by_task"] = dict(Counter(learners[turn].name for turn in drawn.order[:step]))
    return trained


def _trims(learners: Sequence[Learner], recipe: dict[str, Any], mlm: dict[str, Any]) -> bool:
    """Whether to train without the pieces that nothing uses: not where embeddings are not trained, and cost nothing, or
    where all pieces are scored to learn the masked ones. Raises `UserError` where that is asked for in vain."""
    fixed = {"freeze", "lora"} & recipe.keys()
    if mlm.get("trim") and fixed:
        raise UserError(f"mlm.trim trains the embeddings in use, and {fixed.pop()} keeps them", remedy="leave out one")
    return not fixed and (mlm.get("trim", False) or not any(map(is_text, learners)))


def _names(modules: nn.Module) -> str:
    """A hash of the names and sizes of what is trained: the same code gives the same."""
    found = [f"{name} {tuple(p.shape)}" for name, p in modules.named_parameters() if p.requires_grad]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def _state(
    modules: nn.Module, optimiser: torch.optim.Optimizer, best: Best | None, facts: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, plain values) of a training between two steps. Weights that are not trained are not among them."""
    tensors = {f"weight.{name}": p.detach() for name, p in modules.named_parameters() if p.requires_grad}
    tensors |= optimiser_state(optimiser) | generators()
    if best is not None:
        tensors |= {f"best.{name}": tensor for name, tensor in best.tensors().items()}
        facts = {**facts, "best": best.facts()}
    return tensors, facts


@torch.no_grad()
def _restore(state: State, modules: nn.Module, optimiser: torch.optim.Optimizer, best: Best | None) -> None:
    for name, parameter in modules.named_parameters():
        if parameter.requires_grad:
            parameter.copy_(state.tensors[f"weight.{name}"])
    restore_optimiser(optimiser, state.tensors)
    restore_generators(state.tensors)
    if best is not None:
        found = {name.removeprefix("best."): t for name, t in state.tensors.items() if name.startswith("best.")}
        best.go_on(state.facts["best"], found)


def _heads(
    encoder: Any, learners: Sequence[Learner], language_head: nn.Module | None, where: torch.device
) -> dict[str, nn.Module]:
    """A head for each name, fresh but for that of language modelling."""
    heads: dict[str, nn.Module] = {}
    for learner in learners:
        if learner.head not in heads:
            fresh = not is_text(learner)
            head = learner.shape.head(encoder.config.hidden_size, learner.spec) if fresh else language_head
            assert head is not None
            heads[learner.head] = head.to(where)
    return heads
