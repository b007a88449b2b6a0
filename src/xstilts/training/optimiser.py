"""AdamW as a recipe asks for it: which weights decay, at which rates, and how these rise and fall."""

from __future__ import annotations

import math
from typing import Any

from torch import nn


def warmup_steps(recipe: dict[str, Any], steps: int) -> int:
    """How many of `steps` the learning rate rises: at least one."""
    wanted: int = recipe["warmup_steps"] if "warmup_steps" in recipe else round(steps * recipe["warmup"])
    return max(1, min(steps, wanted))


def share(step: int, steps: int, warmup: int) -> float:
    """The share of its peak that the learning rate has at `step` (1 to `steps`): linear up to the end of `warmup`, and
    linear down to the last."""
    return min(step / warmup, (steps - step + 1) / max(1, steps - warmup + 1))


def decay(recipe: dict[str, Any], done: int, steps: int) -> float:
    """What weight decay alone leaves of a weight after `done` of `steps` steps: the product of (1 - rate x decay)."""
    warmup, scale = warmup_steps(recipe, steps), float(recipe["learning_rate"] * recipe["weight_decay"])
    return math.prod(1 - scale * share(step, steps, warmup) for step in range(1, done + 1))


def parameter_groups(encoder: nn.Module, heads: dict[str, nn.Module], recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """Parameter groups: no weight decay on biases and norms (one-dimensional), a rate of its own for fresh heads. A
    language model's head may hold the encoder's embeddings: they are learned once, with the encoder."""
    groups, taken = [], set[int]()
    rates = [(encoder, None), *((head, recipe.get("head_learning_rate")) for head in heads.values())]
    for module, rate in rates:
        own = [p for p in module.parameters() if p.requires_grad and id(p) not in taken]
        taken |= {id(p) for p in module.parameters()}
        for decays in (True, False):
            chosen = [p for p in own if (p.dim() > 1) == decays]
            if chosen:
                groups.append(
                    {"params": chosen} | ({} if decays else {"weight_decay": 0.0}) | ({"lr": rate} if rate else {})
                )
    return groups
