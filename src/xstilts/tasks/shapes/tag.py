"""Tag: one label per token. Long sentences are split and re-joined, never cut."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.models.heads import TokenHead
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import IGNORE, Feature, Spec
from xstilts.tasks.shapes.pieces import Frame


class Tag:
    """The first piece of a token carries its label (XTREME's `utils_tag.py`); linear head; cross-entropy."""

    name = "tag"
    tunes = False
    reads_layer = False

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """Chunks of at most `max_length` pieces, broken between tokens; every token is in exactly one chunk.

        A token that the tokenizer turns into nothing, or that alone does not fit, becomes the unknown piece, so
        the number of labels never changes (XTREME's convention).
        """
        frame = Frame.of(tokenizer)
        room = frame.room(spec.max_length)
        index = {label: i for i, label in enumerate(spec.labels)}
        tokens = [token for row in rows for token in row["tokens"]]
        flat = iter(tokenizer(tokens, add_special_tokens=False)["input_ids"])
        features: list[Feature] = []
        for i, row in enumerate(rows):
            words = [next(flat) for _ in row["tokens"]]
            words = [ids if 0 < len(ids) <= room else [tokenizer.unk_token_id] for ids in words]
            for start, stop in _chunks([len(ids) for ids in words], room):
                firsts = [len(frame.before) + sum(map(len, words[start:k])) for k in range(start, stop)]
                tags = [index[tag] for tag in row["tags"][start:stop]] if training else None
                pieces = frame.single([piece for ids in words[start:stop] for piece in ids])
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

    def decode(
        self, rows: Sequence[Row], features: Sequence[Feature], outputs: list[Any], spec: Spec
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
        tags = [tag for row in rows for tag in row["tags"]]
        rng.shuffle(tags)
        drawn = iter(tags)
        return [{**row, "tags": [next(drawn) for _ in row["tags"]]} for row in rows]

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """The tags that occur."""
        return tuple(sorted({tag for row in rows for tag in row["tags"]}))


def _chunks(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Runs (start, stop) of tokens that fill at most `room` pieces each and cover all tokens."""
    runs, start, used = [], 0, 0
    for position, length in enumerate(lengths):
        if used + length > room:
            runs.append((start, position))
            start, used = position, 0
        used += length
    return [*runs, (start, len(lengths))]


SHAPE = Tag()
