"""Executors launch ready steps. Workers publish to the store and return nothing but how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from xstilts.executors.engine import Engine
from xstilts.registry import Registry
from xstilts.step import Step
from xstilts.store import Store

EXECUTORS = Registry(
    "executors",
    "executor",
    {
        "inline": "xstilts.executors.inline:Inline",
        "pool": "xstilts.executors.pool:Pool",
        "ray": "xstilts.executors.ray:Ray",
        "slurm": "xstilts.executors.slurm:Slurm",
    },
)


class Executor(Protocol):
    """Runs steps whose inputs are done, in whatever place, and says when each has ended."""

    capacity: int
    """How many steps it wants at a time."""

    def submit(self, step: Step, label: str, progress: Callable[[int, int], None]) -> None:
        """Launch a step. `progress(done, total)` counts examples while it runs."""
        ...

    def wait(self, seconds: float | None = None) -> tuple[str, Exception | None] | None:
        """Block until a submitted step ends: its key, and what it raised if it failed. None after so many seconds
        in which none did."""
        ...

    def close(self) -> None:
        """The run is over, or broken off: drop what is still running."""
        ...


def get_executor(engine: Engine | str, store: Store) -> Executor:
    """The executor that `engine` names, for steps of `store`. Raises `UserError` with the nearest names if there is
    none, and where what it needs is not installed."""
    engine = Engine(executor=engine) if isinstance(engine, str) else engine
    executor: Executor = EXECUTORS.get(engine.executor)(store, engine)
    return executor
