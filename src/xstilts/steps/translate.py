"""Translate: the rows of one task in another language, by a translation system, with what did not survive counted."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import StepFailed
from xstilts.step import Runtime, Step, Work
from xstilts.steps.prepare import read_rows
from xstilts.tasks import get_task
from xstilts.tasks.rows import SCHEMAS, Row
from xstilts.translation import load
from xstilts.translation.projection import translate_rows

FILES = "files"
"""The backend of rows that somebody else translated."""
_BLOCK = 512
"""Rows between two signs of progress."""


class Translate(Step):
    """Translate rows and project their labels. Ids are kept, so that a row and its translation can be found."""

    kind: ClassVar[str] = "Translate"

    task: str
    shape: str
    data: tuple[str, ...]
    """Keys of the steps that give the English rows; for `files` the translated ones."""
    start: int = 0
    """Rows used: `start` to `stop` of the fixed random order, as in `Train`."""
    stop: int | None = None
    language: str
    """Translated into."""
    backend: str
    """A name in `translation.TRANSLATORS`, or `files`: the rows were read from translated files, and are only cut."""
    model: str = ""
    """Identity of what translates (`translation.identify`)."""
    options: dict[str, Any] = {}
    """What changes its answers (`translation.options_of`)."""
    location: Annotated[str, Runtime] = ""
    """Where it is."""

    def inputs(self) -> tuple[str, ...]:
        """The steps that give the rows."""
        return self.data

    def run(self, work: Work) -> None:
        """Writes `rows.parquet` in the shape's schema, and counts to the manifest.

        Raises `UserError` for a translator that cannot be loaded, `StepFailed` when no row survives.
        """
        labels = get_task(self.task).labels
        rows = read_rows(work.store, self.data, self.start, self.stop)
        kept: list[Row] = []
        dropped: Counter[str] = Counter()
        if self.backend == FILES:
            kept = rows
        else:
            translator = load(self.backend, self.model, self.location, self.language, self.options)
            for start in range(0, len(rows), _BLOCK):
                block = rows[start : start + _BLOCK]
                survivors, lost = translate_rows(block, self.shape, labels, translator.translate)
                kept += survivors
                dropped += lost
                work.progress(start + len(block), len(rows))
        work.notes |= {"examples": len(kept), "translated": len(kept), "of": len(rows), "dropped": dict(dropped)}
        if not kept:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common())
            raise StepFailed(f"no row of {self.task} survived its translation into {self.language!r} ({reasons})")
        pq.write_table(pa.Table.from_pylist(kept, schema=SCHEMAS[self.shape]), work.out / "rows.parquet")
