"""Parse: the head and the relation of every word of a sentence, as one dependency tree."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.models.heads import BiaffineHead
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import IGNORE, Feature, Reads, Spec
from xstilts.tasks.shapes.pieces import whole, word_vectors, words_of
from xstilts.tasks.shapes.trees import best_tree

ROOT = "root"
"""The relation of the one word that hangs on the root, and of no other: the tree gives it, it is never learned."""

_NEVER = float("-inf")


class Parse:
    """Biaffine scores over the first pieces of words (Dozat and Manning 2017); cross-entropies; the best tree.

    The root is word 0: the special piece before the sentence. A sentence longer than `max_length` is read in
    several sequences, whose words are joined before arcs are scored: none is cut, and arcs go anywhere.
    """

    name = "parse"
    tunes = False
    alone = True
    reads: Reads = "words"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per row; the target is the head of each word (0: the root) and the index of its relation."""
        features = whole([row["tokens"] for row in rows], tokenizer, spec.max_length)
        index = {**{relation: i for i, relation in enumerate(_learned(spec))}, ROOT: IGNORE}
        for row, feature in zip(rows, features, strict=True):
            firsts = feature.extra["firsts"][0]
            # an encoder without a piece before the sentence has one after it
            firsts.insert(0, 0 if firsts[0] else len(feature.sequences[0].ids) - 1)
            if training:
                feature.target = list(row["heads"]), [index[relation] for relation in row["relations"]]
        return features

    def head(self, width: int, spec: Spec) -> BiaffineHead:
        """Scores of arcs and relations from the vectors [words, H]."""
        return BiaffineHead(width, len(_learned(spec)), spec.dropout)

    def forward(self, head: BiaffineHead, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> list[Tensor]:
        """One tensor per sentence, computed in float32 whatever the encoder ran in.

        With targets what the loss compares, [words, words + 1 + relations]: the scores of all heads, the root first,
        and of the relations to the gold head. Without, [words, words + 1, 2]: for each head its score and the index
        of the best relation, so that a whole test set fits in memory.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            seen = head(word_vectors(hidden, features).float())
            counts = [words_of(feature) for feature in features]
            parts = zip(*(vectors.split(counts) for vectors in seen), strict=True)
            return [_scores(head, part, feature.target) for part, feature in zip(parts, features, strict=True)]

    def loss(self, output: list[Tensor], features: Sequence[Feature], spec: Spec) -> Tensor:
        """Cross-entropies of the head and of the relation to the gold head, summed, mean over the batch's words."""
        widest = max(map(len, output)) + 1
        heads, relations = zip(*(scores.tensor_split([len(scores) + 1], dim=1) for scores in output), strict=True)
        padded = torch.cat([nn.functional.pad(h, (0, widest - h.shape[1]), value=_NEVER) for h in heads])
        gold_heads, gold_relations = (
            torch.tensor([gold for feature in features for gold in feature.target[side]], device=padded.device)
            for side in (0, 1)
        )
        arcs = nn.functional.cross_entropy(padded, gold_heads, reduction="sum")
        labels = nn.functional.cross_entropy(torch.cat(relations), gold_relations, reduction="sum", ignore_index=IGNORE)
        return (arcs + labels) / len(padded)

    def terms(self, features: Sequence[Feature]) -> int:
        """The words."""
        return sum(len(feature.target[0]) for feature in features)

    def decode(
        self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec
    ) -> list[list[list[Any]]]:
        """[head, relation] of each word: the best tree with one root, and the best relation for each of its arcs."""
        relations = _learned(spec)
        answers = []
        for output in outputs:
            tree = best_tree(output[..., 0])
            best = output[range(len(tree)), tree, 1]
            answers.append([[h, relations[int(i)] if h else ROOT] for h, i in zip(tree, best, strict=True)])
        return answers

    def golds(self, rows: Sequence[Row]) -> list[list[list[Any]]]:
        """[head, relation] of each word."""
        return [[list(arc) for arc in zip(row["heads"], row["relations"], strict=True)] for row in rows]

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """Trees permuted among sentences of equal length, and the words of each tree among themselves.

        They remain trees of the same forms with the same relations; where a word hangs, and by what, says nothing
        any more of the word, its place or its sentence.
        """
        by_length: dict[int, list[Row]] = {}
        for row in rows:
            by_length.setdefault(len(row["heads"]), []).append(row)
        for group in by_length.values():
            rng.shuffle(group)
        return [{**row, **_relabelled(by_length[len(row["heads"])].pop(), rng)} for row in rows]

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """The relations that occur."""
        return tuple(sorted({relation for row in rows for relation in row["relations"]}))


def _learned(spec: Spec) -> list[str]:
    """The relations between words, in head order."""
    return [label for label in spec.labels if label != ROOT]


def _scores(head: BiaffineHead, seen: tuple[Tensor, ...], target: Any) -> Tensor:
    """What `Parse.forward` gives for one sentence, from how the head sees its root and words."""
    dependents, heads, related, relating = seen
    arcs = head.arcs(dependents[1:], heads)
    arcs = arcs.masked_fill(torch.eye(len(arcs) + 1, dtype=torch.bool, device=arcs.device)[1:], _NEVER)
    if target is not None:
        return torch.cat([arcs, head.relations(related[1:], relating[target[0]], paired=True)], dim=1)
    best = head.relations(related[1:], relating, paired=False).argmax(-1)
    return torch.stack([arcs, best.to(arcs.dtype)], dim=-1)


def _relabelled(row: Row, rng: random.Random) -> dict[str, Any]:
    """The heads and relations of a row with its words in a random order."""
    count = len(row["heads"])
    place = [0, *rng.sample(range(1, count + 1), count)]
    arcs = sorted(
        (place[i], place[h], relation)
        for i, (h, relation) in enumerate(zip(row["heads"], row["relations"], strict=True), start=1)
    )
    return {"heads": [h for _, h, _ in arcs], "relations": [relation for *_, relation in arcs]}


SHAPE = Parse()
