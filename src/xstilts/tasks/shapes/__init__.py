"""The shapes of tasks: how rows become pieces, what head they need, how outputs become answers.

A shape is one file with one object. It knows nothing of training or of files.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from xstilts.registry import Registry
from xstilts.tasks.rows import Row

if TYPE_CHECKING:
    import torch

_NAMES = ("classify", "tag", "features", "parse", "span", "choice", "retrieve", "mine", "mlm")
SHAPES = Registry(
    "shapes",
    "shape",
    {name: f"xstilts.tasks.shapes.{name}:SHAPE" for name in _NAMES},
)

IGNORE = -100
"""Label of a position that contributes nothing to the loss (PyTorch's convention)."""


class Pieces(NamedTuple):
    """One encoded sequence, special pieces included."""

    ids: list[int]
    types: list[int] | None
    """Segment ids, for encoders that have them (mBERT, mDeBERTa)."""


@dataclass
class Feature:
    """What goes through the encoder for one row, or for one piece of a row (a window, a chunk)."""

    row: int
    """Index of the row it came from."""
    sequences: list[Pieces]
    target: Any = None
    """What the loss compares with; None when only predicting."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What decoding needs."""


@dataclass(frozen=True)
class Spec:
    """The settings a shape reads."""

    max_length: int = 128
    labels: tuple[str, ...] = ()
    dropout: float = 0.1
    stride: int = 128
    max_query: int = 64
    max_answer: int = 30
    n_best: int = 20
    layer: int = -1
    pooling: str = "mean"
    temperature: float = 0.05
    null_threshold: float | None = None
    neighbours: int = 4
    mask_rate: float = 0.15
    threshold: float | None = None
    """Mine: pairs of a lower margin are not given; tuned by `predict`, never set by a study."""

    @classmethod
    def of(cls, options: dict[str, Any], labels: Sequence[str], depth: int) -> Spec:
        """From a step's options, for an encoder of `depth` layers (see `Settings.layer` for its default)."""
        known = {name: value for name, value in options.items() if name in cls.__dataclass_fields__}
        if known.get("layer") is None:
            known["layer"] = depth * 14 // 24
        return cls(**{**known, "labels": tuple(labels)})


Reads = Literal["first", "pieces", "words", "layer"]
"""What of an encoder's hidden states a head looks at."""

Output = Any
"""What a head gives for a batch: a tensor [n, ...] over its sequences, or a list of one tensor per feature."""


class Shape(Protocol):
    """What training and prediction need of a shape. H is the encoder's width.

    `hidden` is [n, length, H] for the n sequences of a batch's features in order ([n, 1, H] where first pieces alone
    are read), `mask` [n, length] is 1 on real pieces. Everything a batch needs beside the pieces is in its features.
    """

    name: str
    tunes: bool
    """Whether a number of its decoding is tuned on rows apart (mining: the threshold); see `Tuned`."""
    alone: bool
    """Whether the answer to a row depends on no other row; in retrieval all rows of a language are candidates."""
    reads: Reads
    """What its head is given: the "first" piece of each sequence, all "pieces", one vector a word ("words":
    `pieces.word_vectors`), or the pieces after layer `spec.layer` and not the last ("layer": retrieval)."""

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """Pieces and, when training, targets. A row may give several features, in order, never none."""
        ...

    def head(self, width: int, spec: Spec) -> torch.nn.Module:
        """A fresh head; its initial weights come from torch's global generator."""
        ...

    def forward(
        self, head: torch.nn.Module, hidden: torch.Tensor, mask: torch.Tensor, features: Sequence[Feature]
    ) -> Output:
        """The head's output: a tensor [n, ...] over sequences, or a list with one tensor per feature."""
        ...

    def loss(self, output: Output, features: Sequence[Feature], spec: Spec) -> torch.Tensor:
        """Mean loss of a batch, a scalar."""
        ...

    def terms(self, features: Sequence[Feature]) -> int | None:
        """How many terms the loss of features with targets is the mean of, so that it can be put together from those
        of parts of a batch; None where it is no mean, since features are compared with one another."""
        ...

    def decode(self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec) -> list[Any]:
        """One answer per row, from the outputs (one array per feature, padding removed)."""
        ...

    def golds(self, rows: Sequence[Row]) -> list[Any]:
        """The right answer per row, in the form that the metrics take."""
        ...

    def shuffle_labels(self, rows: Sequence[Row], rng: random.Random) -> list[Row]:
        """The same inputs with labels that carry no information about them, equally distributed."""
        ...

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """All labels that occur in rows, sorted: the head's outputs where a task's labels are open."""
        ...


class Tuned(Shape, Protocol):
    """A shape with a number that is set on rows apart from the evaluated ones."""

    def tune(self, rows: Sequence[Row], features: Sequence[Feature], outputs: Sequence[Any], spec: Spec) -> Spec:
        """`spec` with the number at which these rows, whose gold is known, score best."""
        ...


def pair(tokenizer: Any, first: Sequence[str], second: Sequence[str | None], max_length: int) -> list[Pieces]:
    """Encode texts or pairs of texts in the encoder's own pair format, the longest cut first at its end."""
    singles = [other is None for other in second]
    if any(singles) and not all(singles):
        raise ValueError("a task mixes single texts and pairs")
    texts = (list(first),) if all(singles) else (list(first), [other or "" for other in second])
    batch = tokenizer(*texts, truncation="longest_first", max_length=max_length)
    types = batch.get("token_type_ids")
    return [Pieces(ids, types[i] if types is not None else None) for i, ids in enumerate(batch["input_ids"])]
