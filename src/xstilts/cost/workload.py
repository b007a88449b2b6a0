"""How much work each step of a plan is: rows, looks at dev rows, pieces, operations. Nothing is run, no torch."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xstilts.analysis.perturbations import CLEAN
from xstilts.cost.measured import Measured, measure
from xstilts.graph import Plan
from xstilts.sources.microworld import SIZES, TEXT_SIZE
from xstilts.step import Step
from xstilts.steps.pair import Pair
from xstilts.steps.perturb import Perturb
from xstilts.steps.predict import Predict
from xstilts.steps.prepare import Prepare
from xstilts.steps.score import Score
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.tasks import get_task
from xstilts.tasks.sizes import official_rows
from xstilts.training.mixture import probabilities

FORWARD, TRAINING = 2, 6
"""Floating-point operations per parameter of the encoder's body and piece: a multiplication and an addition forward,
twice as many backward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Attention between pieces is left out, as
there."""

PIECES = {
    "classify": 50, "tag": 30, "features": 30, "parse": 30, "span": 250, "choice": 300, "retrieve": 40, "mine": 40,
    "mlm": 40,
}  # fmt: skip
"""Typical pieces per row of a shape, where no training in the store tells."""
ROWS = 10_000
"""Rows assumed of a split whose size nothing tells."""


@dataclass(frozen=True)
class Load:
    """The work of one step."""

    rows: int
    """Rows that pass through it, every epoch counted."""
    guessed: bool = False
    """Whether the size of a split in it is an assumption."""
    pieces: float = 0.0
    """What its rows are in pieces of the tokenizer; 0 where no encoder reads them."""
    passes: int = 0
    """Operations per parameter and piece: `FORWARD`, `TRAINING`, or 0 where no encoder runs."""
    looks: int = 0
    """How often dev rows are scored on the way, to choose a checkpoint."""
    looked: int = 0
    """Rows scored in all these looks together."""
    looked_pieces: float = 0.0

    def operations(self, parameters: int) -> float:
        """Floating-point operations of an encoder with this many body parameters, without the looks."""
        return self.passes * parameters * self.pieces

    def look_operations(self, parameters: int) -> float:
        """Those of the looks."""
        return FORWARD * parameters * self.looked_pieces


def loads(
    plan: Plan, store: Store, known: Measured | None = None, wanted: Collection[str] | None = None
) -> dict[str, Load]:
    """The work of every step, or of those `wanted` (by key, with all that they are made from), by key.

    Sizes of splits are those the store has counted (manifests of `Prepare`), else those of the official files, else
    `ROWS`, cut as the step cuts them. Trainings are counted in full: patience may end one sooner. `known` is what
    `measure` gives of the plan, where that is at hand.
    """
    known = known or measure(plan, store)
    found: dict[str, Load] = {}
    alike: dict[tuple[int, ...], Load] = {}
    pieces = {**PIECES, **_measured_pieces(plan, known)}
    for key, step in plan.steps.items():
        if wanted is not None and key not in wanted:
            continue
        same = _alike(step, found)
        if same is None:
            found[key] = _load(step, found, known, pieces)
        else:
            if same not in alike:
                alike[same] = _load(step, found, known, pieces)
            found[key] = alike[same]
    return found


def _alike(step: Step, found: Mapping[str, Load]) -> tuple[int, ...] | None:
    """The same for steps whose work is the same, since they differ in seed or checkpoint alone: a plan has few sorts of
    work beside its steps. All that is looked at is held by the plan, so that no two things of it have one `id`."""
    if isinstance(step, Train):
        return (id(step.parts), id(step.recipe), id(step.sampler), id(step.mlm))
    if isinstance(step, Predict):
        return (id(step.data), id(step.tune), id(step.perturbed), id(step.rows), id(step.tune_rows))
    return (id(found[step.predictions]),) if isinstance(step, Score) else None


def _load(step: Step, found: Mapping[str, Load], known: Measured, pieces: Mapping[str, float]) -> Load:
    if isinstance(step, Prepare):
        rows = _split_rows(step, known)
        return Load(ROWS if rows is None else rows, guessed=rows is None)
    if isinstance(step, Train):
        return _training(step, found, pieces)
    if isinstance(step, Predict):
        wanted = [_cut(found, (key,), 0, step.rows) for _, key in step.data]
        wanted += [_cut(found, (key,), 0, step.tune_rows) for _, key in step.tune]
        wanted += [found[key] for _, key in step.perturbed]
        total = _sum(wanted)
        return Load(total.rows, total.guessed, total.rows * pieces[step.shape], FORWARD)
    if isinstance(step, Score):
        return Load(found[step.predictions].rows, found[step.predictions].guessed)
    fields: Any = step
    if isinstance(step, Perturb | Pair):
        start = step.start if isinstance(step, Perturb) else 0
        return _sum(_cut(found, (key,), start, step.stop) for _, key in step.data)
    if step.kind in ("Translate", "Embed"):
        total = _cut(found, fields.data, fields.start, fields.stop)
        if step.kind == "Embed":
            return Load(total.rows, total.guessed, total.rows * pieces[fields.shape], FORWARD)
        return total
    return Load(0)


def _split_rows(step: Prepare, known: Measured) -> int | None:
    if step.key in known.manifests:
        rows: int = known.manifests[step.key]["examples"]
        return rows
    if step.source == "microworld":
        return TEXT_SIZE if get_task(step.task).shape == "mlm" else SIZES[step.split]
    return official_rows(step.task, step.split, step.language) if step.file is None else None


def _sum(parts: Iterable[Load]) -> Load:
    parts = list(parts)
    return Load(sum(part.rows for part in parts), any(part.guessed for part in parts))


def _cut(found: Mapping[str, Load], keys: Iterable[str], start: int, stop: int | None) -> Load:
    """The rows [start, stop) of some data steps together."""
    whole = _sum(found[key] for key in keys)
    if whole.guessed and stop is not None:  # what is asked for, rather than an assumption of what there is
        return Load(stop - start)
    return Load(len(range(whole.rows)[start:stop]), whole.guessed)


def _training(step: Train, found: Mapping[str, Load], pieces: Mapping[str, float]) -> Load:
    """As `xstilts.training.loop` goes: epochs of the tasks, text between them, looks on the way and at the end.

    One row counts as one feature; windows of long texts are more.
    """
    recipe, batch = step.recipe, step.recipe["batch_size"]
    cap = step.sampler.get("cap")
    sizes = [_sum((_cut(found, part.data, part.start, part.stop), _sum(found[key] for key in part.more)))
             for part in step.parts]  # fmt: skip
    learned = [min(size.rows, cap or size.rows) for size in sizes]
    tasks = [i for i, part in enumerate(step.parts) if part.shape != "mlm"]
    texts = [i for i, part in enumerate(step.parts) if part.shape == "mlm"]
    per_epoch = sum(math.ceil(learned[i] / batch) for i in tasks or texts)
    steps = recipe.get("steps") or max(1, round(per_epoch * recipe["epochs"]))
    between = round(steps * step.mlm.get("weight", 1.0)) if tasks and texts else 0
    every, total = recipe.get("evaluate_every") or per_epoch, steps + between
    share = min(1.0, recipe.get("stop_after", total) / total)
    seen = share * (steps * batch if "steps" in recipe else sum(learned[i] for i in tasks or texts) * recipe["epochs"])
    chances = probabilities({str(i): sizes[i].rows for i in tasks}, {**step.sampler, **_weights(step)}) if tasks else {}
    width = sum(chances[str(i)] * pieces[step.parts[i].shape] for i in tasks) if tasks else pieces["mlm"]
    text_rows = share * between * batch
    looks = math.ceil(total / every) if step.dev else 0
    looked = [(_cut(found, (key,), 0, recipe.get("select_rows")), pieces[part.shape])
              for part in step.parts for _, key in part.dev]  # fmt: skip
    return Load(
        rows=round(seen + text_rows), guessed=any(size.guessed for size in sizes),
        pieces=seen * width + text_rows * pieces["mlm"], passes=TRAINING, looks=looks,
        looked=looks * sum(rows.rows for rows, _ in looked),
        looked_pieces=looks * sum(rows.rows * each for rows, each in looked),
    )  # fmt: skip


def _weights(step: Train) -> dict[str, Any]:
    """The sampler's weights by index of a part; a sampler names them by task."""
    given = step.sampler.get("weights")
    return (
        {"weights": {str(i): given[part.task] for i, part in enumerate(step.parts) if part.task in given}}
        if given
        else {}
    )


def _measured_pieces(plan: Plan, known: Measured) -> dict[str, float]:
    """Pieces per feature of each shape, from the trainings of the plan that are done and learn nothing else."""
    pieces, examples = defaultdict[str, float](float), defaultdict[str, int](int)
    for step, manifest in known.of(plan.steps, Train):
        if step.shape:
            pieces[step.shape] += manifest["pieces"]
            examples[step.shape] += manifest["examples"]
    return {shape: pieces[shape] / examples[shape] for shape in pieces if examples[shape]}


_DATA = ("Prepare", "Translate", "Perturb", "Pair")


def unshared(plan: Plan) -> Counter[str]:
    """How often each training, prediction and score would run if every cell of the study were run on its own."""
    asked: Counter[str] = Counter()
    reached: dict[str, frozenset[str]] = {}
    nothing = frozenset[str]()
    for key, step in plan.steps.items():  # inputs come first
        before = nothing.union(*(reached[i] for i in plan.inputs(key) if i in reached))
        if before or step.kind not in _DATA:
            reached[key] = before if step.kind in _DATA else before | {key}
    for cell in plan.cells:
        if cell.perturbation != CLEAN:  # a checkpoint is trained and read for all its settings in one go
            continue
        asked.update(reached[cell.score] | reached[cell.dev] if cell.dev else reached[cell.score])
    return asked
