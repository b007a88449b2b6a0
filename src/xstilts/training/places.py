"""Where in the text of labelled rows a label lies: the vectors that a score of an encoder is computed on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import SHAPES, Feature, Spec
from xstilts.tasks.shapes.pieces import chunks

_SEED = 20200513


class Place(NamedTuple):
    """One vector of an encoder's output and the label it should tell."""

    feature: int
    sequence: int
    """Which of the feature's sequences."""
    position: int | None
    """Which of its pieces; None: the mean over all of them."""
    label: str


Found = tuple[list[Feature], list[Place]]


def places(shape: str, rows: Sequence[Row], tokenizer: Any, spec: Spec, most: int) -> Found:
    """(features of the rows, at most `most` labelled places in them, a fixed random sample where there are more).

    A text or pair is the mean over its pieces, with its label; each choice likewise, with right or wrong; a word its
    first piece, with its tag or relation. Of an answer's context the pieces inside the answer count, and as many
    others from the same window. No places for a shape that learns no labels (retrieval).
    """
    if shape not in _READERS or not most:
        return SHAPES.get(shape).encode(rows, tokenizer, spec, training=False), []
    features, found = _READERS[shape](rows, tokenizer, spec)
    if len(found) > most:
        chosen = np.random.Generator(np.random.PCG64(_SEED)).permutation(len(found))[:most]
        found = [found[i] for i in sorted(chosen)]
    return features, found


def _texts(rows: Sequence[Row], tokenizer: Any, spec: Spec) -> Found:
    features = SHAPES.get("classify").encode(rows, tokenizer, spec, training=False)
    return features, [Place(i, 0, None, rows[f.row]["label"]) for i, f in enumerate(features)]


def _choices(rows: Sequence[Row], tokenizer: Any, spec: Spec) -> Found:
    features = SHAPES.get("choice").encode(rows, tokenizer, spec, training=False)
    return features, [
        Place(i, k, None, "right" if k == rows[f.row]["label"] else "wrong")
        for i, f in enumerate(features)
        for k in range(len(f.sequences))
    ]


def _words(column: str) -> Callable[[Sequence[Row], Any, Spec], Found]:
    def read(rows: Sequence[Row], tokenizer: Any, spec: Spec) -> Found:
        features: list[Feature] = []
        found: list[Place] = []
        for i, parts in enumerate(chunks([row["tokens"] for row in rows], tokenizer, spec.max_length)):
            for start, stop, pieces, firsts in parts:
                labels = rows[i][column][start:stop]
                found += [Place(len(features), 0, p, label) for p, label in zip(firsts, labels, strict=True)]
                features.append(Feature(i, [pieces]))
        return features, found

    return read


def _answers(rows: Sequence[Row], tokenizer: Any, spec: Spec) -> Found:
    features = SHAPES.get("span").encode(rows, tokenizer, spec, training=True)
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


_READERS: dict[str, Callable[[Sequence[Row], Any, Spec], Found]] = {
    "classify": _texts,
    "choice": _choices,
    "tag": _words("tags"),
    "features": _words("tags"),
    "parse": _words("relations"),
    "span": _answers,
}
