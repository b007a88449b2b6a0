"""The rows of each shape: the one form that sources write and everything else reads.

A row is a plain dict that fits the shape's Arrow schema. Ids are unique within a task, split and language;
parallel data (XNLI, XQuAD, the microworld) carries the same ids in the same order in every language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.step import fingerprint

Row = dict[str, Any]
PORTION = 1000
"""Rows that are held as dicts at a time, where more are read than are kept."""
_SEED = 20200513

_TEXT = pa.string()
SCHEMAS: dict[str, pa.Schema] = {
    # one text or a pair; label is one of the task's labels
    "classify": pa.schema([("id", _TEXT), ("text_a", _TEXT), ("text_b", _TEXT), ("label", _TEXT)]),
    # tokens and tags of equal length, at least one; tags are among the task's labels
    "tag": pa.schema([("id", _TEXT), ("tokens", pa.list_(_TEXT)), ("tags", pa.list_(_TEXT))]),
    # one tag per token: its morphological features as CoNLL-U writes them, `Case=Nom|Number=Sing`, or `_`
    "features": pa.schema([("id", _TEXT), ("tokens", pa.list_(_TEXT)), ("tags", pa.list_(_TEXT))]),
    # a dependency tree over syntactic words: head of each token, 1-based, 0 for the root; universal relations
    "parse": pa.schema(
        [("id", _TEXT), ("tokens", pa.list_(_TEXT)), ("heads", pa.list_(pa.int32())), ("relations", pa.list_(_TEXT))]
    ),
    # answers are exact substrings: context[start:start + len(answer)] == answer, in code points;
    # no answer at all marks an unanswerable question
    "span": pa.schema(
        [
            ("id", _TEXT),
            ("question", _TEXT),
            ("context", _TEXT),
            ("answers", pa.list_(_TEXT)),
            ("starts", pa.list_(pa.int32())),
        ]
    ),  # fmt: skip
    # label is the index of the right choice
    "choice": pa.schema([("id", _TEXT), ("prompt", _TEXT), ("choices", pa.list_(_TEXT)), ("label", pa.int32())]),
    # aligned pairs: `text` in the evaluated language, `english` its translation
    "retrieve": pa.schema([("id", _TEXT), ("text", _TEXT), ("english", _TEXT)]),
    # two corpora that hold translations of one another among much else. A row is a sentence of the evaluated
    # language (`id`, `text`), an English one (`english_id`, `english`), or one of each that are translations, so that
    # a sample of rows keeps them together; `gold` names all translations of `text`. `id` is `english_id` where there
    # is no text.
    "mine": pa.schema(
        [("id", _TEXT), ("text", _TEXT), ("english_id", _TEXT), ("english", _TEXT), ("gold", pa.list_(_TEXT))]
    ),
    # running text, or a translation pair for translation language modelling
    "mlm": pa.schema([("id", _TEXT), ("text_a", _TEXT), ("text_b", _TEXT)]),
}


@dataclass(frozen=True)
class Rows(Sequence[Row]):
    """Rows in parquet files, read when they are asked for: from the first on, so many are asked for at a time.

    Where `start`/`stop` cut, they cut a fixed random order of the rows of all files, so that a sample of n rows is the
    same for every seed and, in parallel data, for every language. Without a cut the official order is kept.
    """

    files: tuple[tuple[Path, str], ...]
    """Each with the sha256 of its content."""
    start: int = 0
    stop: int | None = None
    more: Rows | None = None
    """Rows that follow."""

    @property
    def identity(self) -> str:
        """A hash of what the rows are, for which none of them is read."""
        more = None if self.more is None else self.more.identity
        return fingerprint([[sha256 for _, sha256 in self.files], self.start, self.stop, more])

    def portions(self) -> Iterator[list[Row]]:
        """All rows in order, at most `PORTION` at a time. Without a cut a portion is all that memory holds."""
        if self._cut:
            import numpy as np

            table = pa.concat_tables([pq.read_table(file) for file, _ in self.files]).combine_chunks()
            order = np.random.Generator(np.random.PCG64(_SEED)).permutation(table.num_rows)[self.start : self.stop]
            for first in range(0, len(order), PORTION):
                yield table.take(pa.array(order[first : first + PORTION])).to_pylist()
        else:
            for file, _ in self.files:
                with pq.ParquetFile(file) as parquet:
                    for batch in parquet.iter_batches(PORTION):
                        yield batch.to_pylist()
        if self.more is not None:
            yield from self.more.portions()

    def __iter__(self) -> Iterator[Row]:
        for portion in self.portions():
            yield from portion

    def __len__(self) -> int:
        own = len(range(self._count)[self.start : self.stop])
        return own if self.more is None else own + len(self.more)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return list(islice(self, *index.indices(len(self))))
        place = range(len(self))[index]
        return next(islice(self, place, None))

    @property
    def _count(self) -> int:
        return sum(pq.read_metadata(file).num_rows for file, _ in self.files)

    @property
    def _cut(self) -> bool:
        return len(range(self._count)[self.start : self.stop]) < self._count
