"""Which weights a training ends with: the best on dev rows among those looked at on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Best:
    """Keeps the weights that scored best so far. Looks happen every `every` optimiser steps and after the last.

    `score` gives the dev score of the weights as they are, in percent; of equal scores the earlier weights stay.
    """

    def __init__(self, modules: tuple[nn.Module, ...], score: Callable[[], float], every: int, patience: int | None):
        self.modules, self.score, self.every, self.patience = modules, score, every, patience
        self.best, self.step, self.looks, self._since = float("-inf"), 0, 0, 0
        self._weights: list[dict[str, Tensor]] = []

    def look(self, step: int) -> float:
        """Score the weights after optimiser step `step`, keep them if they are the best; returns the score."""
        score = self.score()
        for module in self.modules:
            module.train()
        self.looks += 1
        self._since += 1
        if score > self.best:
            self.best, self.step, self._since = score, step, 0
            self._weights = [{name: t.detach().clone() for name, t in m.state_dict().items()} for m in self.modules]
        return score

    @property
    def out_of_patience(self) -> bool:
        """Whether as many looks as `patience` allows brought nothing better."""
        return self.patience is not None and self._since >= self.patience

    def tensors(self) -> dict[str, Tensor]:
        """The best weights, by number of the module and name."""
        return {f"{i}.{name}": tensor for i, weights in enumerate(self._weights) for name, tensor in weights.items()}

    def facts(self) -> dict[str, Any]:
        """Everything else that a training goes on from."""
        return {"best": self.best, "step": self.step, "looks": self.looks, "since": self._since}

    def go_on(self, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take up what `facts` and `tensors` gave."""
        self.best, self.step, self.looks, self._since = (facts[name] for name in ("best", "step", "looks", "since"))
        self._weights = [{} for _ in self.modules] if tensors else []
        for key, tensor in tensors.items():
            number, _, name = key.partition(".")
            self._weights[int(number)][name] = tensor.clone()

    @torch.no_grad()
    def restore(self) -> dict[str, Any]:
        """Put the best weights back; returns notes for the manifest."""
        for module, weights in zip(self.modules, self._weights, strict=True):
            module.load_state_dict(weights)
        return {"best_step": self.step, "best_dev_score": self.best, "dev_looks": self.looks}
