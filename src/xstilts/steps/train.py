"""Train: fine-tune an encoder with a fresh head on the training rows of one task (or tasks that share a head)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from xstilts.errors import UserError
from xstilts.metrics import get_metric, score
from xstilts.step import Runtime, Step, Work
from xstilts.steps.prepare import read_rows
from xstilts.store import Store


class Train(Step):
    """One fine-tuning, intermediate or target: the same work in two roles."""

    kind: ClassVar[str] = "Train"

    encoder: str
    """Identity of the pretrained encoder."""
    pretrained: str | None = None
    """Key of the `Pretrain` step that made it; None: it is at hand, at `model`."""
    base: str | None = None
    """Key of the `Train` step whose encoder this one goes on from; None starts from the pretrained one."""
    shape: str
    labels: tuple[str, ...] = ()
    """In head order; empty where the shape has none, or where they are those of the training rows (open)."""
    data: tuple[str, ...]
    """Keys of the `Prepare` steps whose rows are learned from."""
    start: int = 0
    stop: int | None = None
    """Which of the rows, in a fixed random order; None: to the end."""
    shuffle_labels: bool = False
    """The control: labels permuted over rows."""
    recipe: dict[str, Any]
    """The settings that matter for this shape."""
    dev: tuple[tuple[str, str], ...] = ()
    """(language, key of its `Prepare` step) of the rows that choose the checkpoint; none: the last one is taken."""
    metric: str = ""
    """The metric they are scored with; the mean over languages counts."""
    seed: int
    model: Annotated[str, Runtime] = ""
    """Where the pretrained encoder is: a folder or a hub id."""
    precision: Annotated[str, Runtime] = "auto"

    def inputs(self) -> tuple[str, ...]:
        """The rows, and the training this one goes on from."""
        return (*self.data, *(key for _, key in self.dev), *(key for key in (self.pretrained, self.base) if key))

    def run(self, work: Work) -> None:
        """Writes `checkpoint/` (Hugging Face folder with `head.safetensors`) and `log.jsonl`."""
        # torch is imported here and not above: planning and reporting must not pay for it
        import random

        from xstilts.models.encoder import load_encoder, save_checkpoint
        from xstilts.tasks.shapes import SHAPES, Spec
        from xstilts.training.inference import predict
        from xstilts.training.loop import train

        rows = read_rows(work.store, self.data, self.start, self.stop)
        if not rows:
            raise UserError(
                f"no training rows are left after the first {self.start}", remedy="lower train_rows of the target"
            )
        shape = SHAPES.get(self.shape)
        if self.shuffle_labels:
            rows = shape.shuffle_labels(rows, random.Random(f"{self.seed} shuffled"))
        labels = self.labels or shape.inventory(rows)
        encoder, tokenizer = load_encoder(
            self.model, self.encoder, checkpoint_folder(work.store, self.base, self.pretrained)
        )
        spec = Spec.of(self.recipe, labels, encoder.config.num_hidden_layers)
        dev = []
        for code, key in self.dev:
            part = read_rows(work.store, (key,), 0, self.recipe.get("select_rows"))
            dev.append((code, part, shape.encode(part, tokenizer, spec, training=False)))

        def dev_score(head: Any) -> float:
            """Mean over languages of the score on their dev rows."""
            contribution, scores = get_metric(self.metric).contribution, []
            for code, part, encoded in dev:
                answers, _ = predict(
                    encoder, tokenizer, head, shape, spec, part, self.precision, work.out.parent, encoded
                )
                pairs = zip(shape.golds(part), answers, strict=True)
                scores.append(score(contribution(gold, answer, code) for gold, answer in pairs))
            return sum(scores) / len(scores)

        head, notes = train(
            encoder, tokenizer, shape, spec, rows, self.recipe, self.seed, self.precision,
            work.out / "log.jsonl", work.progress, dev_score if dev else None,
        )  # fmt: skip
        work.notes.update(notes)
        save_checkpoint(work.out / "checkpoint", encoder, tokenizer, head, self.shape, labels)


def checkpoint_folder(store: Store, trained: str | None, pretrained: str | None) -> Path | None:
    """Where the encoder to start from is in the store; None where it is the study's own model."""
    if trained is not None:
        return store.path("Train", trained) / "checkpoint"
    return store.path("Pretrain", pretrained) / "checkpoint" if pretrained is not None else None
