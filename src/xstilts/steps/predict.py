"""Predict: one checkpoint's answers to one target's evaluation rows, in every language, with one model load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import UserError
from xstilts.step import Runtime, Step, Work
from xstilts.steps.perturb import read_perturbed
from xstilts.steps.prepare import read_rows, rows_of
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
    perturbed: tuple[tuple[str, str], ...] = ()
    """(name of a setting, key of the step whose rows stand in for the clean ones in it)."""
    options: dict[str, Any]
    model: Annotated[str, Runtime] = ""
    precision: Annotated[str, Runtime] = "auto"

    def inputs(self) -> tuple[str, ...]:
        """The rows, and the training that is evaluated."""
        keys = [key for _, key in (*self.data, *self.tune, *self.perturbed)] + [self.pretrained, self.checkpoint]
        return tuple(dict.fromkeys(key for key in keys if key))

    def run(self, work: Work) -> None:
        """Writes `predictions.parquet`, languages in the given order and rows in theirs, and `perturbed.parquet`, the
        same for every perturbation.

        The checkpoint is loaded once, and every text is read once: what a perturbation left as it was keeps its clean
        answer. Raises `UserError` where no rows are left to tune on.
        """
        from xstilts.models.encoder import load_head
        from xstilts.tasks.shapes import SHAPES, Spec
        from xstilts.training.inference import tune

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
        noisy = {name: read_perturbed(work.store, key) for name, key in self.perturbed}
        total = sum(len(rows_of(work.store, (key,), 0, self.rows)) for _, key in self.data)
        total += sum(len(rows) for languages in noisy.values() for rows in languages.values())
        done = 0
        clean: list[Any] = []
        perturbed: list[Any] = []
        for language, key in self.data:
            part = read_rows(work.store, (key,), 0, self.rows)
            if shape.tunes:
                known = self._tuning_rows(work.store, language, key)
                spec = tune(encoder, tokenizer, head, shape, spec, known, self.precision, scratch, work.halvings,
                            work.store.tokens)  # fmt: skip
                work.notes["thresholds"][language] = spec.threshold
            settings = {name: rows[language] for name, rows in noisy.items() if language in rows}
            reader = _Reader(encoder, tokenizer, head, shape, spec, self.precision, scratch, work.halvings,
                             work.store.tokens)  # fmt: skip
            answers, others = reader.answers(part, settings)
            work.notes.update(reader.notes)
            clean.append(self._table(language, part, shape.golds(part), answers))
            for name, rows in settings.items():
                table = self._table(language, rows, shape.golds(rows), others[name])
                perturbed.append(table.add_column(0, "perturbation", pa.array([name] * len(rows), pa.string())))
            done += len(part) + sum(map(len, settings.values()))
            work.progress(done, total)
        work.notes["examples"] = total
        pq.write_table(pa.concat_tables(clean), work.out / "predictions.parquet")
        if self.perturbed:
            pq.write_table(pa.concat_tables(perturbed), work.out / "perturbed.parquet")

    def _table(self, language: str, rows: list[Row], golds: list[Any], answers: list[Any]) -> pa.Table:
        return pa.Table.from_pydict(
            {
                "task": [self.task] * len(rows),
                "language": [language] * len(rows),
                "id": [row["id"] for row in rows],
                "gold": [json.dumps(gold, ensure_ascii=False) for gold in golds],
                "prediction": [json.dumps(answer, ensure_ascii=False) for answer in answers],
            },
            schema=SCHEMA,
        )

    def _tuning_rows(self, store: Store, language: str, evaluated: str) -> list[Row]:
        """Rows of a language that are not evaluated and whose gold is known; `UserError` where there are none."""
        keys = [key for code, key in self.tune if code == language]
        rows = [row for key in keys if key != evaluated for row in read_rows(store, (key,), 0, self.tune_rows)]
        if evaluated in keys and self.rows is not None:
            stop = None if self.tune_rows is None else self.rows + self.tune_rows
            rows += read_rows(store, (evaluated,), self.rows, stop)
        if not rows:
            count = len(rows_of(store, (evaluated,)))
            raise UserError(
                f"{self.task} has no rows in {language} to set its threshold on besides those it is evaluated on",
                remedy=f"give it a dev split of its own or evaluate on fewer rows of this one: "
                f"settings.{self.task}.test_rows (dev_rows if dev is evaluated) below {count}",
            )
        return rows


class _Reader:
    """A loaded checkpoint that answers the rows of one language, clean and perturbed."""

    def __init__(
        self, encoder: Any, tokenizer: Any, head: Any, shape: Any, spec: Any, precision: str, scratch: Path,
        halvings: int, tokens: Path,
    ) -> None:  # fmt: skip
        self.encoder, self.tokenizer, self.head, self.shape, self.spec = encoder, tokenizer, head, shape, spec
        self.precision, self.scratch, self.halvings, self.tokens = precision, scratch, halvings, tokens
        self.notes: dict[str, Any] = {}

    def answers(self, rows: list[Row], settings: dict[str, list[Row]]) -> tuple[list[Any], dict[str, list[Any]]]:
        """One answer per clean row, and per row of each setting. Rows that equal the clean row of their id are not read
        again."""
        import numpy as np

        from xstilts.training.inference import replaced

        features, outputs = self._read(rows)
        clean = self.shape.decode(rows, features, outputs, self.spec)
        known = {row["id"]: i for i, row in enumerate(rows)}
        same = {name: [i if rows[i := known[row["id"]]] == row else None for row in noisy]
                for name, noisy in settings.items()}  # fmt: skip
        changed = {name: [i for i, clean_row in enumerate(same[name]) if clean_row is None] for name in settings}
        # one pass for all settings
        news, results = self._read([settings[name][i] for name in settings for i in changed[name]])
        found: dict[str, list[Any]] = {}
        start = 0
        for name, noisy in settings.items():
            stop = start + len(changed[name])
            # features are in the order of their rows
            first, last = np.searchsorted(news.rows, (start, stop)).tolist()
            own = [replace(feature, row=feature.row - start) for feature in news[first:last]]
            theirs = [results[i] for i in range(first, last)]
            start = stop
            if self.shape.alone:
                rest = [noisy[i] for i in changed[name]]
                new = iter(self.shape.decode(rest, own, theirs, self.spec) if rest else [])
                answers = [next(new) if i is None else clean[i] for i in same[name]]
            else:
                by = {row: place for place, row in enumerate(changed[name])}
                features_, outputs_ = replaced(noisy, features, outputs, by, own, theirs, self.scratch)
                answers = self.shape.decode(noisy, features_, outputs_, self.spec)
            found[name] = answers
        return clean, found

    def _read(self, rows: list[Row]) -> tuple[Any, Any]:
        """(features of the rows, one array per feature)."""
        from xstilts.training.features import Features
        from xstilts.training.inference import read

        if not rows:
            return Features([]), []
        features, outputs, notes = read(self.encoder, self.tokenizer, self.head, self.shape, self.spec, rows,
                                        self.precision, self.scratch, halvings=self.halvings,
                                        tokens=self.tokens)  # fmt: skip
        self.notes.update(notes)
        return features, outputs
