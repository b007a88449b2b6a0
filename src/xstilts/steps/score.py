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
        """Writes `scores.parquet`: one row per example and metric."""
        rows = pq.read_table(work.store.path("Predict", self.predictions) / "predictions.parquet").to_pylist()
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
        work.notes["examples"] = len(rows)
        pq.write_table(pa.Table.from_pydict(out, schema=SCHEMA), work.out / "scores.parquet")
