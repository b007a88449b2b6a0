"""What a plan is: steps in an order in which they can run, and the cells of the study that they fill."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, cast

from xstilts.arms import NEUTRAL, Options
from xstilts.models.identity import Model
from xstilts.step import Step
from xstilts.study import Study

T = TypeVar("T")


@dataclass(frozen=True)
class Arm:
    """An intermediate as the study names it, for one target (the oracle differs by target)."""

    name: str
    category: str
    control: str = ""
    tasks: tuple[str, ...] = ()
    options: Options = NEUTRAL
    """What of the intermediate phase it varies."""
    known_as: tuple[str, ...] = ()
    """Names under which a study may give settings for its training, general to particular."""


class Cell(NamedTuple):
    """One result the study asks for: where it stands in the grid and which `Score` step holds it."""

    arm: Arm
    target: str
    seed: int
    score: str
    perturbation: str = "clean"
    base: str | None = None
    """Key of the arm's intermediate `Train`; None for the baseline."""
    training: str | None = None
    """Key of the target's own `Train`; None where nothing is fine-tuned (retrieval)."""
    dev: str | None = None
    """Key of the `Score` of the same checkpoint on English dev rows, where the study asks for one."""


@dataclass
class Plan:
    """Steps in an order in which they can run (inputs first), what they are called, and the study's cells."""

    study: Study
    model: Model
    steps: dict[str, Step] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """A name for people; a property of the study, not of the step."""
    examples: dict[str, int] = field(default_factory=dict)
    """Rows that pass through a step, where they are known beforehand; for estimates."""
    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader must know: stand-ins, languages left out."""
    unshared: dict[str, int] = field(default_factory=dict)
    """Steps of each kind if every cell were run on its own."""
    unshared_examples: dict[str, int] = field(default_factory=dict)
    """The rows that would then pass through them, where they are known beforehand."""
    _times: int = field(default=1, repr=False, compare=False)
    _made: dict[Hashable, tuple[object, list[tuple[str, int, int]]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _inputs: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)

    def inputs(self, key: str) -> tuple[str, ...]:
        """Keys of the steps that a step reads; put together once, since all that walks over a plan asks."""
        if key not in self._inputs:
            self._inputs[key] = self.steps[key].inputs()
        return self._inputs[key]

    def add(self, step: Step, label: str, examples: int = 0) -> str:
        """Put a step in the graph, once; returns its key."""
        key = step.key
        if self._times:
            self._count(step.kind, self._times, self._times * examples)
        if key not in self.steps:
            self.steps[key] = step
            self.labels[key] = label
            self.examples[key] = examples
        return key

    def _count(self, kind: str, n: int, examples: int) -> None:
        self.unshared[kind] = self.unshared.get(kind, 0) + n
        self.unshared_examples[kind] = self.unshared_examples.get(kind, 0) + examples

    @contextmanager
    def counted(self, times: int) -> Iterator[None]:
        """Steps added meanwhile count as unshared so many times: once for all that add the same."""
        before, self._times = self._times, times
        try:
            yield
        finally:
            self._times = before

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for all who ask for `what`. The steps it adds count as unshared for each of
        them, as if it were made again."""
        known = self._made.get(what)
        if known is None:
            before, before_examples = self.unshared.copy(), self.unshared_examples.copy()
            with self.counted(1):
                value = make()
            added = [(kind, n - before.get(kind, 0), self.unshared_examples[kind] - before_examples.get(kind, 0))
                     for kind, n in self.unshared.items() if n != before.get(kind, 0)]  # fmt: skip
            known = self._made[what] = value, added
            times = self._times - 1
        else:
            times = self._times
        if times:
            for kind, n, examples in known[1]:
                self._count(kind, times * n, times * examples)
        return cast(T, known[0])


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's search for cycles of garbage: a growing plan has none, and would be searched again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def asked(plan: Plan) -> list[str]:
    """Keys of what a report is made from, each once: the scores of the study's cells, the predictions they are of, and
    the rows that stand for clean ones in these. Where scores are there so are the others, but in a store that was
    damaged."""
    scores = [cell.score for cell in plan.cells] + [cell.dev for cell in plan.cells if cell.dev is not None]
    found = dict.fromkeys(scores)
    predictions = [key for score in found for key in plan.inputs(score) if plan.steps[key].kind == "Predict"]
    found |= dict.fromkeys(predictions)
    read = dict.fromkeys(key for prediction in predictions for key in plan.inputs(prediction))
    return [*found, *(key for key in read if plan.steps[key].kind in ("Perturb", "Pair"))]


def needed(
    plan: Plan, done: Set[str] | Callable[[Iterable[Step]], Set[str]], wanted: Iterable[str] | None = None
) -> set[str]:
    """Keys of the steps that a run does: those not done, on a path to something `wanted` (by key; what the study is
    after where not given) that is not done. A checkpoint that is gone is none of them once all that is made from it is
    there.

    `done` are keys, or what tells which of some steps are: `Store.done`, which is then asked of no more steps than it
    takes, in a study that is all but done of its scores alone.
    """
    found: set[str] = set()
    seen: set[str] = set()
    level = dict.fromkeys(asked(plan) if wanted is None else wanted)
    while level:
        seen.update(level)
        known = done(map(plan.steps.__getitem__, level)) if callable(done) else done
        new = [key for key in level if key not in known]
        found.update(new)
        level = dict.fromkeys([i for key in new for i in plan.inputs(key) if i not in seen])
    return found
