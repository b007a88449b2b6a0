"""Prepare: the rows of one task, split and language, validated and stored in the shape's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import UserError
from xstilts.sources import get_source
from xstilts.step import Runtime, Step, Work
from xstilts.store import Store
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Split
from xstilts.tasks.rows import SCHEMAS, Row


class Prepare(Step):
    """Read, validate and store rows. Keyed on the content of what is read, never on its path."""

    kind: ClassVar[str] = "Prepare"

    task: str
    split: Split
    language: str
    source: str
    content: str
    """Identity of what is read: the sha256 of the files, the place and commit on the hub, the generator's version."""
    folder: Annotated[str | None, Runtime] = None
    """The data folder."""
    file: Annotated[str | None, Runtime] = None
    """A file that stands in for the split, relative to the data folder."""

    def run(self, work: Work) -> None:
        """Writes `rows.parquet`. Raises `UserError` for rows that are wrong and for data that was not planned."""
        source, task = get_source(self.source, None if self.folder is None else Path(self.folder)), get_task(self.task)
        if self.file is None:
            content = source.identity(task, self.split, self.language)
        else:
            content = source.identity_of(self.file, task, self.language)
        if content != self.content:  # a file was edited, or a branch of the hub moved on
            what = f"the {self.split} data of {self.task} in {self.language!r} changed since the study was planned"
            raise UserError(what, remedy="start the study again")
        if self.file is None:
            rows = source.rows(task, self.split, self.language)
        else:
            rows = source.rows_from(self.file, task, self.language)
            if left_out := source.left_out_of(self.file, task, self.language):
                work.notes["left_out"] = left_out
        work.notes["examples"] = len(rows)
        work.progress(len(rows), len(rows))
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS[task.shape]), work.out / "rows.parquet")


def read_rows(store: Store, keys: tuple[str, ...], start: int = 0, stop: int | None = None) -> list[Row]:
    """Rows of published `Prepare`, `Translate` and `Perturb` steps, concatenated.

    Where `start`/`stop` cut, they cut a fixed random order of the rows, so that a sample of n rows is the same
    for every seed and, in parallel data, for every language. Without a cut the official order is kept.
    """
    import numpy as np

    tables = [pq.read_table(rows_file(store, key)) for key in keys]
    table = pa.concat_tables(tables)
    if start or (stop is not None and stop < table.num_rows):
        order = np.random.Generator(np.random.PCG64(20200513)).permutation(table.num_rows)[start:stop]
        table = table.take(pa.array(order))
    rows: list[Row] = table.to_pylist()
    return rows


def rows_file(store: Store, key: str) -> Path:
    """Where a published step of a kind that gives rows has them: a key does not say its kind. Raises `StepFailed` where
    its files are damaged or missing."""
    kinds = ("Prepare", "Translate", "Perturb", "Pair")
    kind = next((kind for kind in kinds if store.path(kind, key).is_dir()), kinds[0])
    return store.input(kind, key) / "rows.parquet"
