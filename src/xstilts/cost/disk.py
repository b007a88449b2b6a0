"""How much disk a plan needs, with every checkpoint kept and with those dropped that nothing goes on from. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from xstilts.cost.workload import Load
from xstilts.graph import Plan
from xstilts.models.identity import Model
from xstilts.step import Step
from xstilts.steps.predict import Predict
from xstilts.steps.pretrain import Pretrain
from xstilts.steps.score import Score
from xstilts.steps.train import Train
from xstilts.tasks import get_task

FLOAT32, FLOAT16 = 4, 2
"""Bytes of a parameter in the checkpoints of `Train` and of `Pretrain`."""
ROW = {
    "classify": 160, "tag": 80, "features": 110, "parse": 120, "span": 640, "choice": 380, "retrieve": 70, "mine": 80,
    "mlm": 100,
}  # fmt: skip
PREDICTION = {
    "classify": 3, "tag": 75, "features": 140, "parse": 190, "span": 75, "choice": 80, "retrieve": 6, "mine": 7,
}  # fmt: skip
SCORE = 30
"""Bytes of a stored row, of a prediction with its gold, and of a contribution. Measured on the real data of the tests
(the larger of two sets of a shape, gold answers in place of predictions): beside checkpoints they hardly count."""


@dataclass(frozen=True)
class Disk:
    """Bytes of the store once a plan has run."""

    checkpoint: int
    """One checkpoint: all parameters in float32, and the tokenizer."""
    checkpoints: int
    """How many trainings leave one."""
    kept: int
    """How many of them others go on from: intermediate ones, which are kept either way."""
    everything: int
    """With every checkpoint kept."""
    retained: int
    """With the checkpoint of a target dropped once its predictions are stored."""
    peak: int
    """The most there is at a time on the way to `retained`, steps one after the other in the order of the plan. Each
    further worker may add a checkpoint."""


def disk(plan: Plan, work: Mapping[str, Load]) -> Disk | None:
    """What the store of a plan takes. None where the size of the encoder is not known."""
    if not plan.model.parameters:
        return None
    sizes = {key: output_bytes(step, work[key], plan.model) for key, step in plan.steps.items()}
    trainings = [key for key, step in plan.steps.items() if isinstance(step, Train)]
    dropped = droppable(plan)
    readers = Counter(used for key in plan.steps for used in dropped.intersection(plan.inputs(key)))
    now = peak = 0
    for key in plan.steps:
        now += sizes[key]
        peak = max(peak, now)
        for used in dropped.intersection(plan.inputs(key)):
            readers[used] -= 1
            if not readers[used]:
                now -= sizes[used]
    checkpoint = FLOAT32 * plan.model.parameters + plan.model.tokenizer_bytes
    kept = len(trainings) - len(dropped)
    return Disk(checkpoint, len(trainings), kept, sum(sizes.values()), now, peak)


def droppable(plan: Plan) -> set[str]:
    """Trainings that are read by `Predict` steps alone: once these are done, no step of the plan needs them."""
    readers: dict[str, set[str]] = {key: set() for key, step in plan.steps.items() if isinstance(step, Train)}
    for reader, step in plan.steps.items():
        for key in readers.keys() & plan.inputs(reader):
            readers[key].add(step.kind)
    return {key for key, kinds in readers.items() if kinds == {Predict.kind}}


def output_bytes(step: Step, work: Load, model: Model) -> int:
    """Bytes of what a step publishes; logs and manifests count as nothing."""
    if isinstance(step, Train):
        return FLOAT32 * model.parameters + model.tokenizer_bytes
    if isinstance(step, Pretrain):
        return FLOAT16 * model.parameters + model.tokenizer_bytes
    if isinstance(step, Predict):
        return work.rows * PREDICTION[step.shape]
    if isinstance(step, Score):
        return work.rows * len(step.metrics) * SCORE
    shape = getattr(step, "shape", None) or (get_task(step.task).shape if hasattr(step, "task") else None)
    return work.rows * ROW.get(shape or "", 0)
