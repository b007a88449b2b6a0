"""Features in Arrow's memory: a few bytes a piece, mapped from a file where they lie in one, Python's only when asked
for."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xstilts.errors import StepFailed
from xstilts.tasks.shapes import Feature, Pieces

SCHEMA = pa.schema(
    [
        ("row", pa.int32()),
        ("ids", pa.list_(pa.list_(pa.int32()))),  # by sequence
        ("types", pa.list_(pa.uint8())),  # of all sequences, one after the other; null where the encoder has none
        ("rest", pa.string()),  # target and extra as JSON
    ]
)


class _Batch(NamedTuple):
    """The features of a portion of the rows, as views of the file."""

    rows: NDArray[np.int32]
    sequences: NDArray[np.int32]
    """Where the sequences of each feature begin among all, and where the last ends."""
    pieces: NDArray[np.int32]
    """Where the pieces of each sequence begin, and where the last ends."""
    ids: NDArray[np.int32]
    types: NDArray[np.uint8] | None
    rest: Any
    """Arrow's strings."""


class Features(Sequence[Feature]):
    """The features of some rows in order, made from the file as they are asked for.

    Each is equal to the one that the shape made, but that what was a tuple in its target and extra is a list.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = [_views(batch) for batch in batches]
        self._starts = [*accumulate((len(batch.rows) for batch in self._batches), initial=0)]

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> Feature: ...
    @overload
    def __getitem__(self, index: slice) -> list[Feature]: ...
    def __getitem__(self, index: int | slice) -> Feature | list[Feature]:
        places = range(len(self))[index]
        return self._feature(places) if isinstance(places, int) else [self._feature(place) for place in places]

    def _feature(self, place: int) -> Feature:
        number = bisect_right(self._starts, place) - 1
        batch, place = self._batches[number], place - self._starts[number]
        first, last = batch.sequences[place : place + 2].tolist()
        bounds = batch.pieces[first : last + 1].tolist()
        start = bounds[0]
        ids = batch.ids[start : bounds[-1]].tolist()
        types = None if batch.types is None else batch.types[start : bounds[-1]].tolist()
        sequences = [
            Pieces(ids[a - start : b - start], None if types is None else types[a - start : b - start])
            for a, b in zip(bounds, bounds[1:], strict=False)
        ]
        target, extra = json.loads(batch.rest[place].as_py())
        return Feature(int(batch.rows[place]), sequences, target, extra)

    @cached_property
    def rows(self) -> NDArray[np.int32]:
        """Index of the row of each feature."""
        return _joined(batch.rows for batch in self._batches)

    @cached_property
    def counts(self) -> NDArray[np.int32]:
        """Sequences of each feature."""
        return _joined(np.diff(batch.sequences) for batch in self._batches)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Pieces of the longest sequence of each feature."""
        return _joined(np.maximum.reduceat(np.diff(b.pieces), b.sequences[:-1]) for b in self._batches)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Padded pieces that each feature costs in a batch of its like."""
        return self.lengths * self.counts

    @property
    def used(self) -> NDArray[np.intp]:
        """The pieces that occur, in order."""
        seen = np.zeros(1 + max((int(batch.ids.max(initial=0)) for batch in self._batches), default=0), dtype=bool)
        for batch in self._batches:
            seen[batch.ids] = True
        return np.flatnonzero(seen)


def pack(features: Sequence[Feature]) -> Features:
    """Features that are at hand, as if they had been read. Raises `StepFailed` for what JSON cannot hold."""
    return Features([batch_of(features, 0)] if features else [])


def batch_of(features: Sequence[Feature], start: int) -> pa.RecordBatch:
    """Features of rows that are counted from `start`."""
    types = [
        None if f.sequences[0].types is None else [kind for s in f.sequences for kind in s.types or ()]
        for f in features
    ]  # fmt: skip
    try:
        rest = [json.dumps([f.target, f.extra], separators=(",", ":")) for f in features]
    except TypeError as error:
        raise StepFailed(f"a target or extra of a feature is neither number, text, list nor dict ({error})") from None
    columns: list[list[Any]] = [
        [start + f.row for f in features], [[s.ids for s in f.sequences] for f in features], types, rest
    ]  # fmt: skip
    return pa.record_batch(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _views(batch: pa.RecordBatch) -> _Batch:
    row, ids, types, rest = batch.columns
    segments = types.values.to_numpy() if types.null_count < len(types) else None
    return _Batch(
        row.to_numpy(), ids.offsets.to_numpy(), ids.values.offsets.to_numpy(), ids.values.values.to_numpy(), segments,
        rest,
    )  # fmt: skip


def _joined(parts: Iterable[NDArray[np.int32]]) -> NDArray[np.int32]:
    return np.concatenate([np.empty(0, np.int32), *parts])
