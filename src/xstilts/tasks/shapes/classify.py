"""Classify: one label for a text or a pair of texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.models.heads import PooledHead
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Reads, Spec, pair


class Classify:
    """Dense, tanh and a linear layer over the first piece; cross-entropy."""

    name = "classify"
    tunes = False
    alone = True
    reads: Reads = "first"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per row; the target is the label's index in `spec.labels`."""
        pieces = pair(tokenizer, [r["text_a"] for r in rows], [r["text_b"] for r in rows], spec.max_length)
        index = {label: i for i, label in enumerate(spec.labels)}
        return [
            Feature(i, [sequence], index[row["label"]] if training else None)
            for i, (row, sequence) in enumerate(zip(rows, pieces, strict=True))
        ]

    def head(self, width: int, spec: Spec) -> nn.Module:
        """[n, length, H] to [n, labels]."""
        return PooledHead(width, len(spec.labels), spec.dropout)

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> Tensor:
        """Logits [n, labels]."""
        logits: Tensor = head(hidden)
        return logits

    def loss(self, output: Tensor, features: Sequence[Feature], spec: Spec) -> Tensor:
        """Cross-entropy over the labels."""
        return nn.functional.cross_entropy(output, torch.tensor([f.target for f in features], device=output.device))

    def terms(self, features: Sequence[Feature]) -> int:
        """The rows."""
        return len(features)

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec) -> list[str]:
        """The most probable label of each row."""
        return [spec.labels[int(output.argmax())] for output in outputs]

    def golds(self, rows: Sequence[Row]) -> list[str]:
        """The labels."""
        return [row["label"] for row in rows]

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """Labels permuted over the rows."""
        labels = [row["label"] for row in rows]
        rng.shuffle(labels)
        return [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """The labels that occur."""
        return tuple(sorted({row["label"] for row in rows}))


SHAPE = Classify()
