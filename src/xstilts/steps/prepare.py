"""Prepare: the rows of one task, split and language, validated and stored in the shape's schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import UserError
from xstilts.sources import get_source
from xstilts.step import Runtime, Step, Work
from xstilts.store import Store
from xstilts.store.manifest import MANIFEST
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Split
from xstilts.tasks.rows import SCHEMAS, Row, Rows


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


def rows_of(store: Store, keys: tuple[str, ...], start: int = 0, stop: int | None = None) -> Rows:
    """Rows of published `Prepare`, `Translate`, `Perturb` and `Pair` steps, one after the other, not read yet. Raises
    `StepFailed` where the files of one are damaged or missing."""
    files = [rows_file(store, key) for key in keys]
    return Rows(tuple((file, _sha256(file)) for file in files), start, stop)


def read_rows(store: Store, keys: tuple[str, ...], start: int = 0, stop: int | None = None) -> list[Row]:
    """`rows_of`, read."""
    return list(rows_of(store, keys, start, stop))


def _sha256(file: Path) -> str:
    """Of a step's file that was just compared with its manifest, which has it."""
    manifest = json.loads((file.parent / MANIFEST).read_text("utf-8"))
    found: str = manifest["files"][file.name]
    return found


def rows_file(store: Store, key: str) -> Path:
    """Where a published step of a kind that gives rows has them: a key does not say its kind. Raises `StepFailed` where
    its files are damaged or missing."""
    kinds = ("Prepare", "Translate", "Perturb", "Pair")
    kind = next((kind for kind in kinds if store.path(kind, key).is_dir()), kinds[0])
    return store.input(kind, key) / "rows.parquet"
