"""Executors launch ready steps. Workers publish to the store and return nothing but how it went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from xstilts.registry import Registry
from xstilts.step import Step
from xstilts.store import Store

EXECUTORS = Registry(
    "executors",
    "executor",
    {"inline": "xstilts.executors.inline:Inline", "pool": "xstilts.executors.pool:Pool"},
)


class Executor(Protocol):
    """Runs steps whose inputs are done, in whatever place, and says when each has ended."""

    capacity: int
    """How many steps it wants at a time."""

    def submit(self, step: Step, label: str, progress: Callable[[int, int], None]) -> None:
        """Launch a step. `progress(done, total)` counts examples while it runs."""
        ...

    def wait(self) -> tuple[str, Exception | None]:
        """Block until a submitted step ends: its key, and what it raised if it failed."""
        ...

    def close(self) -> None:
        """The run is over, or broken off: drop what is still running."""
        ...


def get_executor(name: str, store: Store) -> Executor:
    """The executor called `name`. Raises `UserError` with the nearest names if there is none."""
    executor: Executor = EXECUTORS.get(name)(store)
    return executor
