"""Perturb: the rows of one task under one perturbation at one rate, with the rate reached in every row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.perturb import get_perturbation
from xstilts.perturb.rate import Reached
from xstilts.perturb.resources import Resource
from xstilts.step import Runtime, Step, Work
from xstilts.steps.prepare import read_rows, rows_file
from xstilts.store import Store
from xstilts.tasks.rows import SCHEMAS, Row

RATES = pa.schema([("language", pa.string()), ("id", pa.string()), ("edits", pa.int64()), ("units", pa.int64())])
"""Of `rates.parquet`: one row for each of `rows.parquet`, in its order."""


class Perturb(Step):
    """Change the text of rows and nothing that their labels rest on. The same for every checkpoint and seed."""

    kind: ClassVar[str] = "Perturb"

    task: str
    shape: str
    labels: tuple[str, ...] = ()
    data: tuple[tuple[str, str], ...]
    """(language, key of the step that gives its rows)."""
    start: int = 0
    """Rows used of each: `start` to `stop` of the fixed random order, as elsewhere."""
    stop: int | None = None
    perturbation: str
    """A name in `perturb.PERTURBATIONS`."""
    rate: float
    seed: int = 0
    keep: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    """(language, key of the translation pairs) that words of other languages are learned from; code-switching only."""
    encoder: str = ""
    """Identity of the encoder that proposes words; empty where the perturbation needs none."""
    pretrained: str | None = None
    """Key of the `Pretrain` step that made it."""
    model: Annotated[str, Runtime] = ""

    def inputs(self) -> tuple[str, ...]:
        """The rows, and what the perturbation is made with."""
        keys = [key for _, key in (*self.data, *self.pairs)]
        return tuple(dict.fromkeys([*keys, *((self.pretrained,) if self.pretrained else ())]))

    def run(self, work: Work) -> None:
        """Writes `rows.parquet` in the shape's schema, languages in the given order, and `rates.parquet`."""
        from xstilts.perturb.rows import perturb_rows

        found: list[Row] = []
        rates: list[dict[str, Any]] = []
        parts: list[Reached] = []
        resources = self._resources(work.store)
        for done, (language, key) in enumerate(self.data, start=1):
            rows = read_rows(work.store, (key,), self.start, self.stop)
            changed, reached = perturb_rows(
                rows, self.shape, self.labels, language, self.perturbation, self.rate, self.seed, keep=self.keep,
                resource=resources(language),
            )  # fmt: skip
            found += changed
            parts += reached
            rates += [rate_row(language, row, part) for row, part in zip(rows, reached, strict=True)]
            work.progress(done, len(self.data))
        work.notes |= {"examples": len(found), "reached": round(Reached.total(parts).rate, 6)}
        publish(work.out, self.shape, found, rates)

    def _resources(self, store: Store) -> Callable[[str], Resource | None]:
        """What the perturbation takes words from, by language: loaded once, or learned when it is asked for."""
        needs = get_perturbation(self.perturbation).needs
        if needs == "model":
            from xstilts.perturb.neighbours import load_neighbours
            from xstilts.steps.train import checkpoint_folder

            base = checkpoint_folder(store, None, self.pretrained)
            model = load_neighbours(self.perturbation, self.model, self.encoder, base)
            return lambda language: model
        if needs == "table":
            from xstilts.perturb.codeswitch import learn_table

            def learned(language: str) -> Resource:
                pairs = read_rows(store, tuple(key for code, key in self.pairs if code == language))
                return learn_table((row["text"], row["english"]) for row in pairs)

            return learned
        return lambda language: None


def publish(out: Path, shape: str, rows: list[Row], rates: list[dict[str, Any]]) -> None:
    """Write rows that stand for clean ones, and by how much they differ from these."""
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS[shape]), out / "rows.parquet")
    pq.write_table(pa.Table.from_pylist(rates, schema=RATES), out / "rates.parquet")


def read_perturbed(store: Store, key: str) -> dict[str, list[Row]]:
    """By language, the rows that a published `Perturb` or `Pair` step puts in the place of clean ones."""
    file = rows_file(store, key)
    languages = pq.read_table(file.parent / "rates.parquet", columns=["language"])["language"].to_pylist()
    found: dict[str, list[Row]] = {}
    for language, row in zip(languages, pq.read_table(file).to_pylist(), strict=True):
        found.setdefault(language, []).append(row)
    return found


def rate_row(language: str, row: Row, reached: Reached) -> dict[str, Any]:
    """A row of `rates.parquet`."""
    return {"language": language, "id": row["id"], "edits": reached.edits, "units": reached.units}
