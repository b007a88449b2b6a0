"""Where in the text of labelled rows a label lies: the vectors that a score of an encoder is computed on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training.features import Features
from xstilts.training.tokens import tokenise

_SEED = 20200513


class Place(NamedTuple):
    """One vector of an encoder's output and the label it should tell."""

    feature: int
    sequence: int
    """Which of the feature's sequences."""
    position: int | None
    """Which of its pieces; None: the mean over all of them."""
    label: str


Found = tuple[Features, list[Place]]
_Encode = Callable[[str, bool], Features]
"""The features of the rows as one shape makes them, for training or not."""


def places(shape: str, rows: Sequence[Row], tokenizer: Any, spec: Spec, most: int, tokens: Path | None = None) -> Found:
    """(features of the rows, at most `most` labelled places in them, a fixed random sample where there are more).

    A text or pair is the mean over its pieces, with its label; each choice likewise, with right or wrong; a word its
    first piece, with its tag or relation. Of an answer's context the pieces inside the answer count, and as many
    others from the same window. No places for a shape that learns no labels (retrieval). `tokens` is the folder of the
    token cache.
    """

    def encode(name: str, training: bool) -> Features:
        return tokenise(tokens, SHAPES.get(name), rows, tokenizer, spec, training)

    if shape not in _READERS or not most:
        return encode(shape, False), []
    features, found = _READERS[shape](rows, encode)
    if len(found) > most:
        chosen = np.random.Generator(np.random.PCG64(_SEED)).permutation(len(found))[:most]
        found = [found[i] for i in sorted(chosen)]
    return features, found


def _texts(rows: Sequence[Row], encode: _Encode) -> Found:
    features = encode("classify", False)
    return features, [Place(i, 0, None, rows[row]["label"]) for i, row in enumerate(features.rows)]


def _choices(rows: Sequence[Row], encode: _Encode) -> Found:
    features = encode("choice", False)
    return features, [
        Place(i, k, None, "right" if k == rows[row]["label"] else "wrong")
        for i, (row, count) in enumerate(zip(features.rows, features.counts, strict=True))
        for k in range(count)
    ]


def _words(column: str) -> Callable[[Sequence[Row], _Encode], Found]:
    def read(rows: Sequence[Row], encode: _Encode) -> Found:
        features = encode("tag", False)  # whatever the shape: its chunks are features, one after the other
        labels = (label for row in rows for label in row[column])
        return features, [
            Place(i, 0, position, next(labels)) for i, f in enumerate(features) for position in f.extra["firsts"]
        ]

    return read


def _answers(rows: Sequence[Row], encode: _Encode) -> Found:
    features = encode("span", True)
    rng, found, seen = random.Random(_SEED), list[Place](), set[int]()
    for i, feature in enumerate(features):
        first, last = feature.target
        if not first or feature.row in seen:  # no answer in this window, or shown by one before it
            continue
        seen.add(feature.row)
        skip = feature.extra["skip"]
        context = range(skip, skip + feature.extra["stop"] - feature.extra["start"])
        others = [p for p in context if not first <= p <= last]
        drawn = sorted(rng.sample(others, min(len(others), last + 1 - first)))
        found += [Place(i, 0, p, "inside") for p in range(first, last + 1)]
        found += [Place(i, 0, p, "outside") for p in drawn]
    return features, found


_READERS: dict[str, Callable[[Sequence[Row], _Encode], Found]] = {
    "classify": _texts,
    "choice": _choices,
    "tag": _words("tags"),
    "features": _words("tags"),
    "parse": _words("relations"),
    "span": _answers,
}
