"""Predict: one checkpoint's answers to one target's evaluation rows, in every language, with one model load."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import UserError
from xstilts.step import Runtime, Step, Work
from xstilts.steps.prepare import read_rows
from xstilts.steps.train import checkpoint_folder, load_start
from xstilts.store import Store
from xstilts.tasks.rows import Row

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
    alpha: float = 1.0
    """Share of the checkpoint in the weights that are evaluated; the rest is the pretrained encoder's."""
    task: str
    shape: str
    data: tuple[tuple[str, str], ...]
    """(language, key of its `Prepare` step)."""
    rows: int | None = None
    """Rows per language; None: all."""
    tune: tuple[tuple[str, str], ...] = ()
    """(language, key of the `Prepare` step whose rows set what the shape tunes: the threshold of bitext mining). Where
    it is the step of `data`, the rows after the evaluated ones do."""
    tune_rows: int | None = None
    """Rows per language that do so; None: all."""
    options: dict[str, Any]
    model: Annotated[str, Runtime] = ""
    precision: Annotated[str, Runtime] = "auto"

    def inputs(self) -> tuple[str, ...]:
        """The rows, and the training that is evaluated."""
        keys = [key for _, key in (*self.data, *self.tune)] + [self.pretrained, self.checkpoint]
        return tuple(dict.fromkeys(key for key in keys if key))

    def run(self, work: Work) -> None:
        """Writes `predictions.parquet`, languages in the given order and rows in theirs.

        Raises `UserError` where no rows are left to tune on.
        """
        from xstilts.models.encoder import load_head
        from xstilts.tasks.shapes import SHAPES, Spec
        from xstilts.training.inference import predict, tune

        folder = checkpoint_folder(work.store, self.checkpoint, self.pretrained)
        encoder, tokenizer = load_start(
            work.store, self.model, self.encoder, self.checkpoint, self.pretrained, self.alpha
        )
        shape = SHAPES.get(self.shape)
        head, labels = load_head(folder if self.checkpoint else None, shape, encoder.config.hidden_size)
        spec = Spec.of(self.options, labels, encoder.config.num_hidden_layers)
        if not head.state_dict():
            # a head without weights is nothing but its settings, which a checkpoint does not hold
            head = shape.head(encoder.config.hidden_size, spec)
        if shape.tunes:
            work.notes["thresholds"] = {}
        scratch = work.out.parent  # on the store's disk: the system's temporary folder may be memory
        total = sum(len(range(_count(work.store, key))[: self.rows]) for _, key in self.data)
        done = 0
        tables = []
        for language, key in self.data:
            part = read_rows(work.store, (key,), 0, self.rows)
            if shape.tunes:
                known = self._tuning_rows(work.store, language, key)
                spec = tune(encoder, tokenizer, head, shape, spec, known, self.precision, scratch)
                work.notes["thresholds"][language] = spec.threshold
            answers, notes = predict(encoder, tokenizer, head, shape, spec, part, self.precision, scratch)
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

    def _tuning_rows(self, store: Store, language: str, evaluated: str) -> list[Row]:
        """Rows of a language that are not evaluated and whose gold is known; `UserError` where there are none."""
        keys = [key for code, key in self.tune if code == language]
        rows = [row for key in keys if key != evaluated for row in read_rows(store, (key,), 0, self.tune_rows)]
        if evaluated in keys and self.rows is not None:
            stop = None if self.tune_rows is None else self.rows + self.tune_rows
            rows += read_rows(store, (evaluated,), self.rows, stop)
        if not rows:
            raise UserError(
                f"{self.task} has no rows in {language} to set its threshold on besides those it is evaluated on",
                remedy=f"give it a dev split of its own or evaluate on fewer rows of this one: "
                f"settings.{self.task}.test_rows (dev_rows if dev is evaluated) below {_count(store, evaluated)}",
            )
        return rows


def _count(store: Store, key: str) -> int:
    """How many rows a `Prepare` step has published."""
    count: int = pq.read_metadata(store.path("Prepare", key) / "rows.parquet").num_rows
    return count
