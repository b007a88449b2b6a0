"""Predict: one checkpoint's answers to one target's evaluation rows, in every language, with one model load."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.step import Runtime, Step, Work
from xstilts.steps.prepare import read_rows
from xstilts.steps.train import checkpoint_folder

SCHEMA = pa.schema(
    [("task", pa.string()), ("language", pa.string()), ("id", pa.string()), ("gold", pa.string()),
     ("prediction", pa.string())]
)  # fmt: skip


class Predict(Step):
    """Zero-shot prediction. Gold and prediction are stored per example as JSON."""

    kind: ClassVar[str] = "Predict"

    encoder: str
    pretrained: str | None = None
    """Key of the `Pretrain` step that made it; None: it is at hand, at `model`."""
    checkpoint: str | None = None
    """Key of the `Train` step to evaluate; None evaluates the pretrained encoder itself (retrieval only)."""
    task: str
    shape: str
    data: tuple[tuple[str, str], ...]
    """(language, key of its `Prepare` step)."""
    rows: int | None = None
    """Rows per language; None: all."""
    options: dict[str, Any]
    model: Annotated[str, Runtime] = ""
    precision: Annotated[str, Runtime] = "auto"

    def inputs(self) -> tuple[str, ...]:
        """The rows, and the training that is evaluated."""
        return (*(key for _, key in self.data), *(key for key in (self.pretrained, self.checkpoint) if key))

    def run(self, work: Work) -> None:
        """Writes `predictions.parquet`, languages in the given order and rows in theirs."""
        from xstilts.models.encoder import load_encoder, load_head
        from xstilts.tasks.shapes import SHAPES, Spec
        from xstilts.training.inference import predict

        folder = checkpoint_folder(work.store, self.checkpoint, self.pretrained)
        encoder, tokenizer = load_encoder(self.model, self.encoder, folder)
        shape = SHAPES.get(self.shape)
        head, labels = load_head(folder if self.checkpoint else None, shape, encoder.config.hidden_size)
        spec = Spec.of(self.options, labels, encoder.config.num_hidden_layers)
        rows = [(language, read_rows(work.store, (key,), 0, self.rows)) for language, key in self.data]
        total, done = sum(len(part) for _, part in rows), 0
        tables = []
        for language, part in rows:
            answers, notes = predict(encoder, tokenizer, head, shape, spec, part, self.precision)
            work.notes.update(notes)
            golds = shape.golds(part)
            tables.append(
                pa.Table.from_pydict(
                    {
                        "task": [self.task] * len(part),
                        "language": [language] * len(part),
                        "id": [row["id"] for row in part],
                        "gold": [json.dumps(gold, ensure_ascii=False) for gold in golds],
                        "prediction": [json.dumps(answer, ensure_ascii=False) for answer in answers],
                    },
                    schema=SCHEMA,
                )
            )
            done += len(part)
            work.progress(done, total)
        work.notes["examples"] = total
        pq.write_table(pa.concat_tables(tables), work.out / "predictions.parquet")
