"""What a training learns from: the features of each task, in batches, and whose turn it is at each step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Shape, Spec
from xstilts.tasks.shapes.mlm import Masker
from xstilts.training.batches import training_batches
from xstilts.training.forward import check_length, length_of
from xstilts.training.mixture import language_probabilities, probabilities, turns


@dataclass(frozen=True)
class Learner:
    """One task as the loop sees it."""

    name: str
    head: str
    """Learners that name the same head share it."""
    shape: Shape
    spec: Spec
    rows: Sequence[Row]


@dataclass(frozen=True)
class Drawn:
    """A training's batches."""

    batches: list[Iterator[list[Feature]]]
    """Of each learner, without end."""
    order: list[int]
    """Index of the learner of each optimiser step."""
    per_epoch: int
    """Steps in an epoch."""
    pieces: frozenset[int]
    """All pieces that occur in the tasks' features; those of running text are not among them."""


def draw(
    learners: Sequence[Learner], encoder: Any, tokenizer: Any, recipe: dict[str, Any], sampler: dict[str, Any],
    mlm: dict[str, Any], seed: int,
) -> Drawn:  # fmt: skip
    """Encode the rows of the learners and set the course of a training: everything random in it comes from `seed`."""
    size = recipe["batch_size"]
    seeds = [seed + 7919 * i for i in range(len(learners))]  # any distinct ones, the first as if it were alone
    tasks = [learner for learner in learners if not is_text(learner)]
    texts = learners[len(tasks) :]
    encoded = [encode(learner, encoder, tokenizer, learner.rows) for learner in tasks]
    # windows and chunks of a row multiply features; a step still sees batch_size of them
    capped = [
        _capped(learner, len(features), sampler.get("cap")) for learner, features in zip(tasks, encoded, strict=True)
    ]
    per_epoch = sum(math.ceil(count / size) for count in capped or [len(learner.rows) for learner in texts])
    steps = recipe.get("steps") or max(1, round(per_epoch * recipe["epochs"]))
    order = [0] * steps if len(learners) == 1 else _turns(tasks, texts, steps, sampler, mlm, seed)
    batches = [_draw(f, size, s) for f, s in zip(encoded, seeds, strict=False)]
    for i, learner in enumerate(texts, start=len(tasks)):
        # text is plenty: no more of it is encoded than is drawn
        drawn = torch.randperm(len(learner.rows), generator=torch.Generator().manual_seed(seeds[i]))
        rows = [learner.rows[k] for k in drawn[: max(1, order.count(i)) * size].tolist()]
        masker = Masker(tokenizer, learner.spec.mask_rate, seeds[i])
        batches.append(map(masker, _draw(encode(learner, encoder, tokenizer, rows), size, seeds[i])))
    return Drawn(batches, order, per_epoch, pieces_of(feature for features in encoded for feature in features))


def pieces_of(features: Iterable[Feature]) -> frozenset[int]:
    """All pieces that occur in features."""
    return frozenset[int]().union(*(sequence.ids for feature in features for sequence in feature.sequences))


def is_text(learner: Learner) -> bool:
    """Whether it is running text, learned by masking."""
    return learner.shape.name == "mlm"


def encode(learner: Learner, encoder: Any, tokenizer: Any, rows: Sequence[Row]) -> list[Feature]:
    """The features of rows to train on. Raises `UserError` where they are too long for the encoder."""
    features = learner.shape.encode(rows, tokenizer, learner.spec, training=True)
    check_length(features, encoder)
    return features


def _capped(learner: Learner, features: int, cap: int | None) -> float:
    """Features of a pass over a learner's rows, or over what the cap leaves of them."""
    return features * (1.0 if cap is None else min(1.0, cap / len(learner.rows)))


def _draw(features: list[Feature], size: int, seed: int) -> Iterator[list[Feature]]:
    generator = torch.Generator().manual_seed(seed)
    for indices in training_batches([length_of(f) for f in features], size, generator):
        yield [features[i] for i in indices]


def _turns(
    tasks: Sequence[Learner], texts: Sequence[Learner], steps: int, sampler: dict[str, Any], mlm: dict[str, Any],
    seed: int,
) -> list[int]:  # fmt: skip
    by_size, by_language = ({learner.name: len(learner.rows) for learner in kind} for kind in (tasks, texts))
    chances = probabilities(by_size, sampler) if tasks else {}
    spoken = language_probabilities(by_language, mlm["exponent"]) if texts else {}
    return turns(list(chances.values()), steps, list(spoken.values()), mlm.get("weight", 1.0), seed)
