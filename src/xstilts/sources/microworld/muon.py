"""The Muon optimizer in single precision, batched over matrices of one shape.

Torch's own runs its iteration in bfloat16, which processors without bfloat16 units do very slowly. Method:
K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic Newton-Schulz iteration of the reference implementation


def orthogonalise(gradients: torch.Tensor, iterations: int = 4) -> torch.Tensor:
    """The nearest semi-orthogonal matrices, roughly: (n, rows, columns) -> the same, singular values near 1."""
    x: torch.Tensor
    a, b, c = _COEFFICIENTS
    tall = gradients.shape[1] > gradients.shape[2]
    x = gradients.transpose(1, 2) if tall else gradients
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; for the matrices inside the layers alone."""

    def __init__(self, matrices: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update; an update has a root mean square of about `lr` times 0.2."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in by_shape.items():
                gradients = torch.stack([m.grad for m in matrices if m.grad is not None])
                state = self.state[matrices[0]]  # one stacked momentum per shape
                momentum = state.setdefault("momentum", torch.zeros_like(gradients))
                momentum.lerp_(gradients, 1 - group["momentum"])
                update = orthogonalise(gradients.lerp(momentum, group["momentum"]))
                scale = group["lr"] * 0.2 * max(shape) ** 0.5
                for matrix, change in zip(matrices, update, strict=True):
                    matrix.sub_(change, alpha=scale)
