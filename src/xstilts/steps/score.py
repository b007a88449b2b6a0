"""Score: what each example contributes to each metric of its task."""

from __future__ import annotations

import json
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.metrics import get_metric
from xstilts.step import Step, Work

SCHEMA = pa.schema(
    [("language", pa.string()), ("id", pa.string()), ("metric", pa.string()), ("numerator", pa.float64()),
     ("denominator", pa.float64())]
)  # fmt: skip
PERTURBED = pa.schema([("perturbation", pa.string()), *SCHEMA])


class Score(Step):
    """Per-example contributions; a score is 100 times the ratio of their sums, so any resampling is exact."""

    kind: ClassVar[str] = "Score"

    predictions: str
    """Key of the `Predict` step."""
    metrics: tuple[str, ...]

    def inputs(self) -> tuple[str, ...]:
        """The predictions."""
        return (self.predictions,)

    def run(self, work: Work) -> None:
        """Writes `scores.parquet`: one row per example and metric; and `perturbed.parquet`, which says by what, where
        the rows were predicted under perturbations too."""
        folder = work.store.input("Predict", self.predictions)
        rows = pq.read_table(folder / "predictions.parquet").to_pylist()
        work.notes["examples"] = len(rows)
        pq.write_table(pa.Table.from_pydict(self._scores(rows), schema=SCHEMA), work.out / "scores.parquet")
        if (folder / "perturbed.parquet").is_file():
            rows = pq.read_table(folder / "perturbed.parquet").to_pylist()
            names = [row["perturbation"] for row in rows] * len(self.metrics)
            work.notes["examples"] += len(rows)
            table = pa.Table.from_pydict({"perturbation": names} | self._scores(rows), schema=PERTURBED)
            pq.write_table(table, work.out / "perturbed.parquet")

    def _scores(self, rows: list[dict[str, str]]) -> dict[str, list[object]]:
        """Columns of `SCHEMA`: the rows for the first metric, then for the next."""
        out: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
        for name in self.metrics:
            metric = get_metric(name)
            for row in rows:
                numerator, denominator = metric.contribution(
                    json.loads(row["gold"]), json.loads(row["prediction"]), row["language"]
                )
                values = (row["language"], row["id"], name, numerator, denominator)
                for column, value in zip(SCHEMA.names, values, strict=True):
                    out[column].append(value)
        return out
