"""Embed: how one encoder, pretrained or after an intermediate training, sees the training rows of one task."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar

from xstilts.errors import UserError
from xstilts.step import Runtime, Step, Work
from xstilts.steps.prepare import read_rows
from xstilts.steps.train import load_start


class Embed(Step):
    """A pass of rows through an encoder. Nothing is trained."""

    kind: ClassVar[str] = "Embed"

    encoder: str
    """Identity of the pretrained encoder."""
    pretrained: str | None = None
    """Key of the `Pretrain` step that made it; None: it is at hand, at `model`."""
    checkpoint: str | None = None
    """Key of the intermediate `Train` whose encoder is looked at; None: the pretrained one."""
    alpha: float = 1.0
    """Its share, the rest being the pretrained encoder, as targets start from it."""
    shape: str
    data: tuple[str, ...]
    """Keys of the `Prepare` steps whose rows are read."""
    start: int = 0
    stop: int
    """Which of the rows, in a fixed random order."""
    vectors: int = 0
    """How many vectors with labels are kept at most; 0: the mean alone is wanted."""
    options: dict[str, Any]
    """How rows are read."""
    model: Annotated[str, Runtime] = ""
    precision: Annotated[str, Runtime] = "auto"

    def inputs(self) -> tuple[str, ...]:
        """The rows, and the training whose encoder is looked at."""
        return (*self.data, *(key for key in (self.pretrained, self.checkpoint) if key))

    def run(self, work: Work) -> None:
        """Writes `mean.npy` [H] and, where labelled vectors are wanted, `vectors.npy` [n, H] and `labels.json` [n].

        Raises `UserError` where there are no rows.
        """
        import numpy as np

        from xstilts.tasks.shapes import Spec
        from xstilts.training.embedding import embed
        from xstilts.training.places import places

        rows = read_rows(work.store, self.data, self.start, self.stop)
        if not rows:
            raise UserError("there are no training rows to look at", remedy="lower train_rows of the target")
        encoder, tokenizer = load_start(
            work.store, self.model, self.encoder, self.checkpoint, self.pretrained, self.alpha
        )
        spec = Spec.of(self.options, (), encoder.config.num_hidden_layers)
        features, found = places(self.shape, rows, tokenizer, spec, self.vectors, work.store.tokens)
        mean, vectors, notes = embed(encoder, tokenizer, features, found, self.precision, work.progress, work.halvings)
        work.notes.update(notes, examples=len(rows))
        np.save(work.out / "mean.npy", mean)
        if self.vectors:
            np.save(work.out / "vectors.npy", vectors)
            labels = json.dumps([place.label for place in found], ensure_ascii=False)
            (work.out / "labels.json").write_text(labels, "utf-8")
