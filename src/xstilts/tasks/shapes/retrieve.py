"""Retrieve: find the translation of a sentence among all sentences of a language. Nothing need be trained."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.retrieval.topk import topk
from xstilts.retrieval.vectors import matrix_of
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Pieces, Reads, Spec, pair

_PORTION = 10_000
"""Texts that are tokenised at a time."""


class Retrieve:
    """Sentence vectors pooled from one layer, nearest by cosine. Trained (the oracle only) by in-batch contrast."""

    name = "retrieve"
    tunes = False
    alone = False
    reads: Reads = "layer"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per row with two sequences: the text and its English translation."""
        texts = singles(tokenizer, [r["text"] for r in rows], spec.max_length)
        english = singles(tokenizer, [r["english"] for r in rows], spec.max_length)
        return [Feature(i, [a, b]) for i, (a, b) in enumerate(zip(texts, english, strict=True))]

    def head(self, width: int, spec: Spec) -> nn.Module:
        """No weights: how the pieces of a sentence become one vector."""
        return Pool(spec.pooling)

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> Tensor:
        """Unit vectors [n, H]."""
        return unit(head(hidden, mask))

    def loss(self, output: Tensor, features: Sequence[Feature], spec: Spec) -> Tensor:
        """Cross-entropy of finding each sentence's translation in the batch, both ways."""
        texts, english = output[0::2], output[1::2]
        similarity = texts @ english.T / spec.temperature
        targets = torch.arange(len(features), device=output.device)
        both = nn.functional.cross_entropy(similarity, targets) + nn.functional.cross_entropy(similarity.T, targets)
        return both / 2

    def terms(self, features: Sequence[Feature]) -> None:
        """None: every sentence is compared with all of the batch."""

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec) -> list[int]:
        """For each English sentence the index of the nearest text (XTREME's direction); ties to the first."""
        vectors = matrix_of(outputs)
        nearest: list[int] = topk(vectors[1::2], vectors[0::2], 1).indices[:, 0].tolist()
        return nearest

    def golds(self, rows: Sequence[Row]) -> list[int]:
        """Each row's own index."""
        return list(range(len(rows)))

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """Translations permuted over the rows."""
        english = [row["english"] for row in rows]
        rng.shuffle(english)
        return [{**row, "english": text} for row, text in zip(rows, english, strict=True)]

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """None: it has no labels."""
        return ()


def singles(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[Pieces]:
    """Each text as one sequence of at most `max_length` pieces.

    In portions: what a tokenizer gives beside the ids is many times their size, and corpora have a million sentences.
    """
    portions = (texts[i : i + _PORTION] for i in range(0, len(texts), _PORTION))
    return [pieces for part in portions for pieces in pair(tokenizer, part, [None] * len(part), max_length)]


def unit(vectors: Tensor) -> Tensor:
    """Vectors [n, H] of length 1, in float32: their inner product is the cosine."""
    return nn.functional.normalize(vectors.float(), dim=-1)


class Pool(nn.Module):
    """[n, length, H] to [n, H]: the mean over real pieces (special ones included, as in XTREME), or the first."""

    def __init__(self, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """[n, length, H] to [n, H]."""
        if self.pooling == "cls":
            return hidden[:, 0]
        weights = mask[..., None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)


SHAPE = Retrieve()
