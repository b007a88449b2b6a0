"""The gradient of one batch in slices, the same as in one pass but for rounding: each slice costs a part of the memory,
and processes share the slices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.errors import StepFailed
from xstilts.tasks.shapes import Feature, Output, Shape, Spec
from xstilts.tasks.shapes.pieces import words_of
from xstilts.training import ranks
from xstilts.training.dropout import PartOfDropout, Share
from xstilts.training.forward import collate, forward


def cut(count: int, slices: int, rank: int = 0, size: int = 1) -> list[range]:
    """Which of `count` features the process `rank` of `size` reads, in at most `slices` runs of like length; one empty
    run where there are fewer features than processes and none is left for it."""
    first, last = count * rank // size, count * (rank + 1) // size
    own = last - first
    pieces = max(1, min(slices, own))
    return [range(first + own * i // pieces, first + own * (i + 1) // pieces) for i in range(pieces)]


class SlicedBatch:
    """A batch that is read in slices of its features, each padded to the length of the whole.

    Every slice begins where torch's generator stands now, and leaves it where a pass of the whole batch would.
    """

    def __init__(
        self, encoder: Any, head: nn.Module, shape: Shape, spec: Spec, features: Sequence[Feature], pad: int,
        where: torch.device, context: AbstractContextManager[Any],
    ) -> None:  # fmt: skip
        self.encoder, self.head, self.shape, self.spec = encoder, head, shape, spec
        self.features, self.context = features, context
        self.whole = collate(features, pad, where)
        self.sequences = _ends(len(feature.sequences) for feature in features)
        self.inputs = _ends(map(words_of, features)) if shape.reads == "words" else self.sequences
        self.gpu = where if where.type == "cuda" else None
        self.start = self._generator()

    def forward(self, part: range) -> Output:
        """The head's output for some of the features, in order; for none of them the generator goes its way all the
        same."""
        if not part:
            return self.forward(range(1))[:0]
        self._rewind()
        dropout = PartOfDropout(_share(self.sequences, part))
        batch = {name: tensor[slice(*_share(self.sequences, part)[:2])] for name, tensor in self.whole.items()}
        with self.context, dropout.within(self.head, _share(self.inputs, part)), dropout:
            return forward(self.encoder, self.head, self.shape, self.spec, batch, self.of(part))

    def of(self, part: range) -> Sequence[Feature]:
        """Some of the features."""
        return self.features[part.start : part.stop]

    def _generator(self) -> Tensor:
        state: Tensor = torch.get_rng_state() if self.gpu is None else torch.cuda.get_rng_state(self.gpu)
        return state

    def _rewind(self) -> None:
        if self.gpu is None:
            torch.set_rng_state(self.start)
        else:
            torch.cuda.set_rng_state(self.start, self.gpu)


def sliced_gradient(batch: SlicedBatch, slices: int) -> float:
    """Add the gradient of a batch's mean loss to the parameters' `grad`, which must be empty where there are several
    ranks; returns the loss.

    This process reads its share of the features in `slices` runs. Raises `StepFailed` for a shape that cannot be cut.
    """
    parts = cut(len(batch.features), slices, ranks.rank(), ranks.size())
    terms = batch.shape.terms(batch.features)
    loss = _contrast(batch, parts) if terms is None else sum(_mean(batch, part, terms) for part in parts)
    return ranks.add_gradients(nn.ModuleList([batch.encoder, batch.head]).parameters(), loss)


def _mean(batch: SlicedBatch, part: range, terms: int) -> float:
    """A slice's share in a loss that is a mean over `terms`."""
    features = batch.of(part)
    own = batch.shape.terms(features)
    with torch.set_grad_enabled(bool(own)):
        output = batch.forward(part)
    if not own:
        return 0.0
    loss = batch.shape.loss(output, features, batch.spec) * (own / terms)
    loss.backward()
    return loss.item()


def _contrast(batch: SlicedBatch, parts: Sequence[range]) -> float:
    """The loss, on rank 0, of vectors that are compared with one another across slices.

    All vectors are computed without a gradient, then the loss and its gradient on them, then each slice once more with
    it (Gao et al. 2021, arXiv 2101.06983): what is kept for one slice is what one slice needs, for a second pass.
    """
    ends = [(batch.sequences[part.start], batch.sequences[part.stop]) for part in parts]
    with torch.no_grad():
        outputs = [batch.forward(part) for part in parts]
    if any(not isinstance(o, Tensor) or len(o) != stop - start for o, (start, stop) in zip(outputs, ends, strict=True)):
        raise StepFailed(f"what shape {batch.shape.name} learns from cannot be read in slices")
    vectors = outputs[0].new_zeros(batch.sequences[-1], *outputs[0].shape[1:])
    for output, (start, stop) in zip(outputs, ends, strict=True):
        vectors[start:stop] = output
    vectors = ranks.add(vectors).requires_grad_()
    loss = batch.shape.loss(vectors, batch.features, batch.spec)
    (wanted,) = torch.autograd.grad(loss, vectors)
    for part, (start, stop) in zip(parts, ends, strict=True):
        if part:
            batch.forward(part).backward(wanted[start:stop])
    return loss.item() if ranks.rank() == 0 else 0.0


def _ends(counts: Any) -> list[int]:
    return list(accumulate(counts, initial=0))


def _share(ends: list[int], part: range) -> Share:
    return Share(ends[part.start], ends[part.stop], ends[-1])
