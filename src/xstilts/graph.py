"""What a plan is: steps in an order in which they can run, and the cells of the study that they fill."""

from __future__ import annotations

from dataclasses import dataclass, field

from xstilts.arms import NEUTRAL, Options
from xstilts.models.identity import Model
from xstilts.step import Step
from xstilts.study import Study


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


@dataclass(frozen=True)
class Cell:
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

    def add(self, step: Step, label: str, examples: int = 0) -> str:
        """Put a step in the graph, once; returns its key."""
        self.unshared[step.kind] = self.unshared.get(step.kind, 0) + 1
        self.unshared_examples[step.kind] = self.unshared_examples.get(step.kind, 0) + examples
        if step.key not in self.steps:
            self.steps[step.key] = step
            self.labels[step.key] = label
            self.examples[step.key] = examples
        return step.key
