"""Features: the morphological features of every token, from those that the training rows hold."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.errors import UserError
from xstilts.metrics.sets import universal
from xstilts.models.heads import TokenHead
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Reads, Spec
from xstilts.tasks.shapes.pieces import whole, word_vectors, words_of
from xstilts.tasks.shapes.tag import permuted_tags

NONE = "_"
"""What CoNLL-U writes for a token without features."""

_PRIOR = 0.03
"""Chance of a pair on a token before training: in English EWT a token has 1.36 of 47 pairs, 0.029. A head that starts
there spends no steps on learning that most tokens lack most features (Lin et al. 2017, arXiv 1708.02002, section 4.1);
300 sentences, 3 epochs: F1 72.3 against 57.9 from even chances."""


class Features:
    """For each feature name a choice between its values and absence, over the first piece of a token; linear head.

    A softmax per name, and not one yes or no per pair, because the values of a name exclude one another: every
    answer has at most one. Absence scores 0, so a name with a single value is a plain logistic regression. Several
    values at once (`Case=Acc,Dat`) are a value of their own. Only universal features are learned, as only they are
    scored (see `metrics.sets`).
    """

    name = "features"
    tunes = False
    alone = True
    reads: Reads = "words"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per row; the target [tokens, names] holds the place of each token's value among those of its
        name, from 1, and 0 where it has none. Raises `UserError` if there is nothing to learn."""
        features = whole([row["tokens"] for row in rows], tokenizer, spec.max_length)
        if training:
            names = _columns(spec)
            if not names:
                raise UserError("the training rows have no universal feature", remedy="train on another treebank")
            places = {spec.labels[c]: (k, i) for k, columns in enumerate(names) for i, c in enumerate(columns, start=1)}
            for row, feature in zip(rows, features, strict=True):
                feature.target = []
                for tag in row["tags"]:
                    own = dict(places[pair] for pair in universal(tag))
                    feature.target.append([own.get(k, 0) for k in range(len(names))])
        return features

    def head(self, width: int, spec: Spec) -> nn.Module:
        """[tokens, H] to [tokens, pairs]; at first each pair is held to be rare (`_PRIOR`)."""
        head = TokenHead(width, len(spec.labels), spec.dropout)
        nn.init.constant_(head.out.bias, math.log(_PRIOR / (1 - _PRIOR)))
        return head

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> list[Tensor]:
        """Logits [tokens, pairs] of each sentence, pairs in the order of `spec.labels`."""
        return list(head(word_vectors(hidden, features)).split([words_of(f) for f in features]))

    def loss(self, output: list[Tensor], features: Sequence[Feature], spec: Spec) -> Tensor:
        """Negative log-likelihood of all features of a token, mean over the batch's tokens."""
        logits = torch.cat(output)
        targets = torch.tensor([token for feature in features for token in feature.target], device=logits.device)
        parts = [
            nn.functional.cross_entropy(nn.functional.pad(logits[:, columns], (1, 0)), targets[:, k])
            for k, columns in enumerate(_columns(spec))
        ]
        return torch.stack(parts).sum()

    def terms(self, features: Sequence[Feature]) -> int:
        """The tokens."""
        return sum(len(feature.target) for feature in features)

    def decode(
        self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec
    ) -> list[list[str]]:
        """One string per token as CoNLL-U writes features: names in alphabetical order, case aside, or `_`."""
        names = _columns(spec)
        answers = []
        for output in outputs:
            found: list[list[str]] = [[] for _ in output]
            for columns in names:
                best = output[:, columns].argmax(axis=1)
                for pairs, place, score in zip(found, best, output[:, columns].max(axis=1), strict=True):
                    if score > 0:
                        pairs.append(spec.labels[columns[place]])
            answers.append(["|".join(sorted(pairs, key=str.lower)) or NONE for pairs in found])
        return answers

    def golds(self, rows: Sequence[Row]) -> list[list[str]]:
        """All features of each token, the universal ones and others; metrics take what they score."""
        return [list(row["tags"]) for row in rows]

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """The tokens' features permuted over all tokens of all rows."""
        return permuted_tags(rows, rng)

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """The universal `name=value` pairs that occur."""
        return tuple(sorted({pair for row in rows for tag in row["tags"] for pair in universal(tag)}))


def _columns(spec: Spec) -> list[list[int]]:
    """For each feature name, in the order of their first pairs, which of the labels are its pairs."""
    names: dict[str, list[int]] = {}
    for column, pair in enumerate(spec.labels):
        names.setdefault(pair.partition("=")[0], []).append(column)
    return list(names.values())


SHAPE = Features()
