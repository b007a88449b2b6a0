"""Mine: find the translations that two corpora hold among much else (BUCC). Never trained; a threshold is tuned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from xstilts.errors import StepFailed, UserError
from xstilts.retrieval import mining
from xstilts.retrieval.vectors import Selected, matrix_of
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Reads, Spec
from xstilts.tasks.shapes.retrieve import Pool, singles, unit


class Mine:
    """Sentence vectors as in `retrieve`; pairs by ratio margin (`retrieval/mining.py`), down to a threshold."""

    name = "mine"
    tunes = True
    alone = False
    reads: Reads = "layer"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """One feature per row with the sequences it has: the text, then the English sentence."""
        sides = {
            side: iter(singles(tokenizer, [row[side] for row in rows if row[side] is not None], spec.max_length))
            for side in ("text", "english")
        }
        return [
            Feature(i, [next(pieces) for side, pieces in sides.items() if row[side] is not None])
            for i, row in enumerate(rows)
        ]

    def head(self, width: int, spec: Spec) -> nn.Module:
        """No weights: how the pieces of a sentence become one vector."""
        return Pool(spec.pooling)

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> Tensor:
        """Unit vectors [n, H]."""
        return unit(head(hidden, mask))

    def loss(self, output: Tensor, features: Sequence[Feature], spec: Spec) -> Tensor:
        """None: raises `UserError`."""
        raise UserError("bitext mining is not trained", remedy="train on translation pairs, a task of shape retrieve")

    def terms(self, features: Sequence[Feature]) -> None:
        """None: it is not trained."""

    def decode(
        self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec
    ) -> list[list[str]]:
        """The English ids found for each row's text, one or none; none for a row without text.

        Raises `StepFailed` where no threshold has been tuned.
        """
        if spec.threshold is None:
            raise StepFailed("bitext mining has no threshold: it is tuned on rows whose gold is known, never guessed")
        answers: list[list[str]] = [[] for _ in rows]
        for row, english_id, score in _mined(rows, outputs, spec):
            if score >= spec.threshold:
                answers[row].append(english_id)
        return answers

    def tune(self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec) -> Spec:
        """`spec` with the threshold of the greatest F1 on these rows. Raises `UserError` if they hold no gold pair."""
        golds = self.golds(rows)
        total = sum(map(len, golds))
        if not total:
            raise UserError(
                f"the {len(rows)} rows that should set the threshold of bitext mining hold no gold pair",
                remedy="give more of them: a lower test_rows, or a dev split of its own",
            )
        pairs = _mined(rows, outputs, spec)
        is_gold = [english_id in golds[row] for row, english_id, _ in pairs]
        return replace(spec, threshold=mining.best_threshold([score for *_, score in pairs], is_gold, total))

    def golds(self, rows: Sequence[Row]) -> list[list[str]]:
        """The ids of all translations of each row's text."""
        return [list(row["gold"] or []) for row in rows]

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """Gold permuted over the rows with a text."""
        golds = [row["gold"] for row in rows if row["text"] is not None]
        rng.shuffle(golds)
        drawn = iter(golds)
        return [row if row["text"] is None else {**row, "gold": next(drawn)} for row in rows]

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """None: it has no labels."""
        return ()


def _mined(rows: Sequence[Row], outputs: Sequence[Any], spec: Spec) -> list[tuple[int, str, float]]:
    """(row of the text, id of the English sentence, margin) of all candidates, the best first."""
    sides, sequence = {"text": _Side([], []), "english": _Side([], [])}, 0
    for i, row in enumerate(rows):
        for name, side in sides.items():
            if row[name] is not None:
                side.rows.append(i)
                side.sequences.append(sequence)
                sequence += 1
    matrix, (text, english) = matrix_of(outputs), sides.values()
    pairs = mining.mine(
        Selected(matrix, np.array(text.sequences, dtype=np.int64)),
        Selected(matrix, np.array(english.sequences, dtype=np.int64)),
        [rows[i]["text"] for i in text.rows],
        [rows[i]["english"] for i in english.rows],
        spec.neighbours,
    )
    return [
        (text.rows[a], rows[english.rows[b]]["english_id"], float(score)) for a, b, score in zip(*pairs, strict=True)
    ]


class _Side(NamedTuple):
    """The sentences of one side: the rows they are in, and which of all encoded sequences they are."""

    rows: list[int]
    sequences: list[int]


SHAPE = Mine()
