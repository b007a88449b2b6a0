"""Choice: which of several continuations or answers fits a prompt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.models.heads import PooledHead
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Reads, Spec, pair


class Choice:
    """Each (prompt, choice) pair gets one logit; softmax over the choices of a row."""

    name = "choice"
    tunes = False
    alone = True
    reads: Reads = "first"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per row with as many sequences as the row has choices; the target is the right one's index."""
        prompts = [row["prompt"] for row in rows for _ in row["choices"]]
        choices = [choice for row in rows for choice in row["choices"]]
        pieces = iter(pair(tokenizer, prompts, choices, spec.max_length))
        return [
            Feature(i, [next(pieces) for _ in row["choices"]], row["label"] if training else None)
            for i, row in enumerate(rows)
        ]

    def head(self, width: int, spec: Spec) -> nn.Module:
        """[n, length, H] to [n, 1]."""
        return PooledHead(width, 1, spec.dropout)

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> Tensor:
        """Logits [n, 1]."""
        logits: Tensor = head(hidden)
        return logits

    def loss(self, output: Tensor, features: Sequence[Feature], spec: Spec) -> Tensor:
        """Cross-entropy over the choices of each row; rows may differ in their number of choices."""
        parts = output.squeeze(-1).split([len(f.sequences) for f in features])
        logits = nn.utils.rnn.pad_sequence(list(parts), batch_first=True, padding_value=float("-inf"))
        return nn.functional.cross_entropy(logits, torch.tensor([f.target for f in features], device=output.device))

    def terms(self, features: Sequence[Feature]) -> int:
        """The rows."""
        return len(features)

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec) -> list[int]:
        """The index of the most probable choice of each row."""
        return [int(output.argmax()) for output in outputs]

    def golds(self, rows: Sequence[Row]) -> list[int]:
        """The indices of the right choices."""
        return [int(row["label"]) for row in rows]

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """A choice drawn evenly for each row."""
        return [{**row, "label": rng.randrange(len(row["choices"]))} for row in rows]

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """None: it has no labels."""
        return ()


SHAPE = Choice()
