"""Answers of a trained encoder and head for the rows of one language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Shape, Spec
from xstilts.training.batches import evaluation_batches
from xstilts.training.forward import arithmetic, check_length, collate, device, forward, settle, size_of, split

_TOKENS = 8192
"""Padded pieces per evaluation batch."""


@torch.inference_mode()
def predict(
    encoder: Any, tokenizer: Any, head: nn.Module, shape: Shape, spec: Spec, rows: Sequence[Row], precision: str
) -> tuple[list[Any], dict[str, Any]]:
    """(one answer per row, notes for the manifest)."""
    settle()
    where = device()
    encoder.to(where).eval()
    head.to(where).eval()
    features = shape.encode(rows, tokenizer, spec, training=False)
    check_length(features, encoder)
    outputs: list[Any] = [None] * len(features)
    context, name = arithmetic(precision)
    for indices in evaluation_batches([size_of(f) for f in features], _TOKENS):
        part = [features[i] for i in indices]
        with context:
            output = forward(encoder, head, shape, spec, collate(part, tokenizer.pad_token_id, where), part)
        for i, single in zip(indices, split(output, part), strict=True):
            outputs[i] = single
    return shape.decode(rows, features, outputs, spec), {"precision": name, "device": str(where)}
