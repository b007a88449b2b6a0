"""What a training learns from: the features of each task, in batches, and whose turn it is at each step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Shape, Spec
from xstilts.tasks.shapes.mlm import Masker
from xstilts.training.batches import training_batches
from xstilts.training.features import Features
from xstilts.training.forward import check_length
from xstilts.training.mixture import language_probabilities, probabilities, turns
from xstilts.training.tokens import tokenise


@dataclass(frozen=True)
class Learner:
    """One task as the loop sees it."""

    name: str
    head: str
    """Learners that name the same head share it."""
    shape: Shape
    spec: Spec
    rows: Sequence[Row]
    tokens: Path | None = None
    """The folder of the token cache; None: features are made anew."""


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
    """All pieces that occur in features, and the special ones that are always there; those of running text are among
    them where its vocabulary is trimmed."""


def draw(
    learners: Sequence[Learner], encoder: Any, tokenizer: Any, recipe: dict[str, Any], sampler: dict[str, Any],
    mlm: dict[str, Any], seed: int,
) -> Drawn:  # fmt: skip
    """Encode the rows of the learners and set the course of a training: everything random in it comes from `seed`.
    Targets of running text count the pieces in order, where `mlm` says `trim`."""
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
    lines = []
    for i, learner in enumerate(texts, start=len(tasks)):
        # text is plenty: no more of it is encoded than is drawn
        drawn = torch.randperm(len(learner.rows), generator=torch.Generator().manual_seed(seeds[i]))
        rows = [learner.rows[k] for k in drawn[: max(1, order.count(i)) * size].tolist()]
        lines.append(encode(learner, encoder, tokenizer, rows))
    trims = mlm.get("trim", False)
    special = {encoder.get_input_embeddings().padding_idx, tokenizer.mask_token_id if trims else None} - {None}
    pieces = frozenset[int](special).union(*(f.used.tolist() for f in (*encoded, *(lines if trims else ()))))
    for learner, features, own in zip(texts, lines, seeds[len(tasks) :], strict=True):
        masker = Masker(tokenizer, learner.spec.mask_rate, own, sorted(pieces) if trims else None)
        batches.append(map(masker, _draw(features, size, own)))
    return Drawn(batches, order, per_epoch, pieces)


def is_text(learner: Learner) -> bool:
    """Whether it is running text, learned by masking."""
    return learner.shape.name == "mlm"


def encode(learner: Learner, encoder: Any, tokenizer: Any, rows: Sequence[Row]) -> Features:
    """The features of rows to train on. Raises `UserError` where they are too long for the encoder."""
    # what is drawn of running text differs with the seed: it would be kept and never read again
    folder = None if is_text(learner) else learner.tokens
    features = tokenise(folder, learner.shape, rows, tokenizer, learner.spec, training=True)
    check_length(int(features.lengths.max()), encoder)
    return features


def _capped(learner: Learner, features: int, cap: int | None) -> float:
    """Features of a pass over a learner's rows, or over what the cap leaves of them."""
    return features * (1.0 if cap is None else min(1.0, cap / len(learner.rows)))


def _draw(features: Features, size: int, seed: int) -> Iterator[list[Feature]]:
    generator = torch.Generator().manual_seed(seed)
    for indices in training_batches(features.lengths, size, generator):
        yield [features[i] for i in indices]


def _turns(
    tasks: Sequence[Learner], texts: Sequence[Learner], steps: int, sampler: dict[str, Any], mlm: dict[str, Any],
    seed: int,
) -> list[int]:  # fmt: skip
    by_size, by_language = ({learner.name: len(learner.rows) for learner in kind} for kind in (tasks, texts))
    chances = probabilities(by_size, sampler) if tasks else {}
    spoken = language_probabilities(by_language, mlm["exponent"]) if texts else {}
    return turns(list(chances.values()), steps, list(spoken.values()), mlm.get("weight", 1.0), seed)
