"""Tag: one label per token, from a closed set or an open one. Long sentences are split and re-joined, never cut."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.models.heads import TokenHead
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import IGNORE, Feature, Reads, Spec
from xstilts.tasks.shapes.pieces import chunks


class Tag:
    """The first piece of a token carries its label (XTREME's `utils_tag.py`); linear head; cross-entropy."""

    name = "tag"
    tunes = False
    alone = True
    reads: Reads = "pieces"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per chunk of a sentence (see `pieces.chunks`); the target is a label's index per token."""
        index = {label: i for i, label in enumerate(spec.labels)}
        features: list[Feature] = []
        for i, parts in enumerate(chunks([row["tokens"] for row in rows], tokenizer, spec.max_length)):
            for start, stop, pieces, firsts in parts:
                tags = [index[tag] for tag in rows[i]["tags"][start:stop]] if training else None
                features.append(Feature(i, [pieces], tags, {"firsts": firsts}))
        return features

    def head(self, width: int, spec: Spec) -> nn.Module:
        """[n, length, H] to [n, length, labels]."""
        return TokenHead(width, len(spec.labels), spec.dropout)

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> Tensor:
        """Logits [n, length, labels]."""
        logits: Tensor = head(hidden)
        return logits

    def loss(self, output: Tensor, features: Sequence[Feature], spec: Spec) -> Tensor:
        """Cross-entropy over the first pieces of all tokens in the batch."""
        targets = torch.full(output.shape[:2], IGNORE)
        for i, feature in enumerate(features):
            targets[i, feature.extra["firsts"]] = torch.tensor(feature.target)
        return nn.functional.cross_entropy(output.flatten(0, 1), targets.flatten().to(output.device))

    def terms(self, features: Sequence[Feature]) -> int:
        """The tokens."""
        return sum(len(feature.target) for feature in features)

    def decode(
        self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec
    ) -> list[list[str]]:
        """As many labels per row as it has tokens: the chunks' labels joined in order."""
        answers: list[list[str]] = [[] for _ in rows]
        for feature, output in zip(features, outputs, strict=True):
            best = output[0][feature.extra["firsts"]].argmax(-1)
            answers[feature.row].extend(spec.labels[int(i)] for i in best)
        return answers

    def golds(self, rows: Sequence[Row]) -> list[list[str]]:
        """The tags."""
        return [list(row["tags"]) for row in rows]

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """Tags permuted over all tokens of all rows."""
        return permuted_tags(rows, rng)

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """The tags that occur."""
        return tuple(sorted({tag for row in rows for tag in row["tags"]}))


def permuted_tags(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """The same tokens with all tags of all rows in a random order."""
    tags = [tag for row in rows for tag in row["tags"]]
    rng.shuffle(tags)
    drawn = iter(tags)
    return [{**row, "tags": [next(drawn) for _ in row["tags"]]} for row in rows]


SHAPE = Tag()
