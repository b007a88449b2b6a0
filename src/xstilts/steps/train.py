"""Train: fine-tune an encoder with fresh heads on the training rows of one task, or of several in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from xstilts.errors import UserError
from xstilts.metrics import get_metric, score
from xstilts.step import Runtime, Step, Work
from xstilts.steps.part import Part
from xstilts.steps.prepare import read_rows, rows_of
from xstilts.store import Store
from xstilts.tasks.rows import Row
from xstilts.training.degenerate import ROWS, collapsed, diverged

RESTART = 1000
"""What a restart adds to the seed: another seed of the study would repeat that seed's run."""


class Train(Step):
    """One fine-tuning, intermediate or target: the same work in two roles."""

    kind: ClassVar[str] = "Train"

    encoder: str
    """Identity of the pretrained encoder."""
    pretrained: str | None = None
    """Key of the `Pretrain` step that made it; None: it is at hand, at `model`."""
    base: str | None = None
    """Key of the `Train` step whose encoder this one goes on from; None starts from the pretrained one."""
    alpha: float = 1.0
    """Share of that encoder in the weights started from; the rest is the pretrained one's."""
    reuse_head: bool = False
    """Whether to go on from the head of `base` that has the same shape and labels."""
    parts: tuple[Part, ...]
    """What is learned; several take turns, one an optimiser step."""
    sampler: dict[str, Any] = {}
    """How tasks are drawn, `xstilts.arms.Sampler`; empty: in proportion to their rows."""
    mlm: dict[str, Any] = {}
    """`weight`, `exponent` and `trim` of the language modelling beside them, `xstilts.arms.Mlm`."""
    recipe: dict[str, Any]
    """The settings that matter."""
    seed: int
    model: Annotated[str, Runtime] = ""
    """Where the pretrained encoder is: a folder or a hub id."""
    precision: Annotated[str, Runtime] = "auto"

    def identity(self) -> dict[str, Any]:
        """A training of one part is spelt as before there could be several, so that old work keeps its key."""
        found = super().identity()
        if len(self.parts) == 1:
            found |= found.pop("parts")[0]
        return found

    @property
    def data(self) -> tuple[str, ...]:
        """Keys of all steps whose rows are learned from."""
        return tuple(dict.fromkeys(key for part in self.parts for key in (*part.data, *part.more)))

    @property
    def dev(self) -> tuple[tuple[str, str], ...]:
        """(language, key) of all rows that choose the checkpoint."""
        return tuple(dict.fromkeys(pair for part in self.parts for pair in part.dev))

    @property
    def shape(self) -> str:
        """The shape of what is learned; empty where parts differ in it."""
        shapes = {part.shape for part in self.parts}
        return shapes.pop() if len(shapes) == 1 else ""

    def inputs(self) -> tuple[str, ...]:
        """The rows, and the training this one goes on from."""
        return (*self.data, *(key for _, key in self.dev), *(key for key in (self.pretrained, self.base) if key))

    def run(self, work: Work) -> None:
        """Writes `checkpoint/` (Hugging Face folder with its heads beside) and `log.jsonl`.

        A degenerate training is started again with another seed as often as the recipe's `restarts` says; the manifest
        has every attempt. If all are degenerate the last one stands, and says so.
        """
        # torch is imported here and not above: planning and reporting must not pay for it
        from xstilts.models.encoder import StoredHead, save_checkpoint
        from xstilts.training.loop import Diverged

        rows = [self._rows(work.store, part) for part in self.parts]
        restarts = self.recipe.get("restarts", 0)
        attempts: list[dict[str, Any]] = []
        for attempt in range(1 + restarts):
            seed, log = self.seed + RESTART * attempt, work.out / "log.jsonl"
            if log.exists():
                log.rename(work.out / f"log-{attempt}.jsonl")
            try:
                trained, learners, tokenizer, reason = self._attempt(work, rows, seed, log)
            except Diverged as error:
                attempts.append({"seed": seed, "degenerate": str(error)})
                if attempt == restarts:
                    raise
                continue
            attempts.append({"seed": seed, "degenerate": reason})
            if not reason:
                break
        work.notes.update(trained.notes)
        if len(attempts) > 1 or attempts[-1]["degenerate"]:
            work.notes.update(attempts=attempts, degenerate=attempts[-1]["degenerate"])
        by_head = {learner.head: learner for learner in learners if learner.shape.name != "mlm"}
        heads = [
            StoredHead(name, learner.shape.name, learner.spec.labels, trained.heads[name])
            for name, learner in by_head.items()
        ]
        save_checkpoint(work.out / "checkpoint", trained.encoder, tokenizer, heads)

    def _rows(self, store: Store, part: Part) -> Sequence[Row]:
        """The rows of a part; of a task not read yet, for its features may be in the token cache."""
        import random

        from xstilts.tasks.shapes import SHAPES

        rows = replace(rows_of(store, part.data, part.start, part.stop), more=rows_of(store, part.more))
        if not rows:
            where = f" of {part.task}" if part.task else ""
            raise UserError(
                f"no training rows{where} are left after the first {part.start}",
                remedy="lower train_rows of the target",
            )
        if part.shuffle_labels:
            found: list[Row] = SHAPES.get(part.shape).shuffle_labels(list(rows), random.Random(f"{self.seed} shuffled"))
            return found
        return list(rows) if part.shape == "mlm" else rows

    def _attempt(self, work: Work, rows: list[Sequence[Row]], seed: int, log: Path) -> tuple[Any, Any, Any, str]:
        """(what was trained, its learners, the tokenizer, why it is degenerate if it is)."""
        from xstilts.models.encoder import load_language_model, reuse_head
        from xstilts.tasks.shapes import SHAPES, Spec
        from xstilts.training.drawing import Learner
        from xstilts.training.inference import predict
        from xstilts.training.loop import train
        from xstilts.training.tokens import tokenise

        folder = checkpoint_folder(work.store, self.base, self.pretrained)
        language_head = None
        if any(part.shape == "mlm" for part in self.parts):
            encoder, tokenizer, language_head = load_language_model(self.model, self.encoder, folder)
        else:
            encoder, tokenizer = load_start(
                work.store, self.model, self.encoder, self.base, self.pretrained, self.alpha
            )
        learners = []
        for part, own in zip(self.parts, rows, strict=True):
            shape = SHAPES.get(part.shape)
            options = {**self.recipe, **part.options}
            spec = Spec.of(options, part.labels or shape.inventory(own), encoder.config.num_hidden_layers)
            learners.append(Learner(part.task, part.head, shape, spec, own, work.store.tokens))
        dev = []
        for learner, part in zip(learners, self.parts, strict=True):
            for code, key in part.dev:
                looked_at = read_rows(work.store, (key,), 0, self.recipe.get("select_rows"))
                encoded = tokenise(work.store.tokens, learner.shape, looked_at, tokenizer, learner.spec, training=False)
                dev.append((learner, part.metric, code, looked_at, encoded))

        def answers(encoder: Any, heads: dict[str, Any], learner: Learner, rows: Any, encoded: Any = None) -> list[Any]:
            return predict(encoder, tokenizer, heads[learner.head], learner.shape, learner.spec, rows, self.precision,
                           work.out.parent, encoded, work.halvings)[0]  # fmt: skip

        def dev_score(encoder: Any, heads: dict[str, Any]) -> float:
            """Mean over tasks and languages of the score on their dev rows."""
            scores = []
            for learner, metric, code, part, encoded in dev:
                contribution = get_metric(metric).contribution
                pairs = zip(learner.shape.golds(part), answers(encoder, heads, learner, part, encoded), strict=True)
                scores.append(score(contribution(gold, answer, code) for gold, answer in pairs))
            return sum(scores) / len(scores)

        def begin(heads: dict[str, Any]) -> None:
            """Fill the head with that of the intermediate."""
            assert folder is not None
            (only,) = learners
            work.notes["reused_head"] = reuse_head(folder, heads[only.head], only.shape.name, only.spec.labels)

        trained = train(
            encoder, tokenizer, learners, self.recipe, seed, self.precision, log, work.progress, sampler=self.sampler,
            mlm=self.mlm, language_head=language_head, begin=begin if self.reuse_head else None,
            dev_score=dev_score if dev else None, save_every=work.save_every, halvings=work.halvings,
            partial=None if work.partial is None else work.partial / f"seed-{seed}",
        )  # fmt: skip
        reasons = [f"{head} {wrong}".strip() for head, losses in trained.losses.items() if (wrong := diverged(losses))]
        for learner, part in zip(learners, self.parts, strict=True):
            # running text has no answers, a sentence's translation is its own, and shuffled labels teach none
            if part.shape not in ("mlm", "retrieve") and not part.shuffle_labels:
                some = learner.rows[:ROWS]
                wrong = collapsed(answers(trained.encoder, trained.heads, learner, some), learner.shape.golds(some))
                reasons += [f"{learner.name} {wrong}".strip()] if wrong else []
        return trained, learners, tokenizer, "; ".join(reasons)


def checkpoint_folder(store: Store, trained: str | None, pretrained: str | None) -> Path | None:
    """Where the encoder to start from is in the store; None where it is the study's own model. Raises `StepFailed`
    where its files are damaged or missing."""
    if trained is not None:
        return store.input("Train", trained) / "checkpoint"
    return store.input("Pretrain", pretrained) / "checkpoint" if pretrained is not None else None


def load_start(
    store: Store, model: str, identity: str, trained: str | None, pretrained: str | None, alpha: float = 1.0
) -> tuple[Any, Any]:
    """(encoder, tokenizer) after the training `trained`, or as it was pretrained; `alpha` is the share of the training
    in the weights, the rest being the pretrained encoder's. Raises `UserError` as `load_encoder` does."""
    from xstilts.models.encoder import interpolate, load_encoder

    encoder, tokenizer = load_encoder(model, identity, checkpoint_folder(store, trained, pretrained))
    if trained is not None and alpha != 1:
        interpolate(encoder, load_encoder(model, identity, checkpoint_folder(store, None, pretrained))[0], alpha)
    return encoder, tokenizer
