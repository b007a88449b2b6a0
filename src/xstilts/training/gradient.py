"""One batch's loss and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from xstilts.tasks.shapes import Feature, Shape, Spec
from xstilts.training import ranks
from xstilts.training.dropout import PartOfDropout
from xstilts.training.forward import collate, forward
from xstilts.training.graphs import MULTIPLE, Graphs
from xstilts.training.hidden import hidden_states
from xstilts.training.slicing import SlicedBatch, sliced_gradient


def gradient(
    encoder: Any, head: nn.Module, shape: Shape, spec: Spec, features: Sequence[Feature], pad: int, where: torch.device,
    context: AbstractContextManager[Any], slices: int = 1, graphs: Graphs | None = None,
) -> float:  # fmt: skip
    """Add the gradient of a batch's mean loss to the parameters' `grad`; returns the loss.

    In several slices, or processes, it is the same but for rounding (see `training.slicing`). A batch that is read at
    once is read through `graphs`, where there are some.
    """
    if slices > 1 or ranks.size() > 1:
        return sliced_gradient(SlicedBatch(encoder, head, shape, spec, features, pad, where, context), slices)
    batch = collate(features, pad, where, MULTIPLE if graphs is not None else 1)
    with context, PartOfDropout() if where.type == "cpu" else nullcontext():
        output = forward(encoder, head, shape, spec, batch, features, hidden_states if graphs is None else graphs)
    loss = shape.loss(output, features, spec)
    loss.backward()
    return loss.item()
