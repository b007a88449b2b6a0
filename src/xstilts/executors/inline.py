"""Inline: one step after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable

from xstilts.step import Step
from xstilts.store import Store


class Inline:
    """Runs each step when it is waited for."""

    capacity = 1

    def __init__(self, store: Store) -> None:
        self.store = store
        self._queue: list[tuple[Step, str, Callable[[int, int], None]]] = []

    def submit(self, step: Step, label: str, progress: Callable[[int, int], None]) -> None:
        """Remember the step."""
        self._queue.append((step, label, progress))

    def wait(self) -> tuple[str, Exception | None]:
        """Run the step that was submitted first. Ctrl-C passes through; nothing of the step remains."""
        step, label, progress = self._queue.pop(0)
        try:
            self.store.publish(step, label, progress)
        except Exception as error:
            return step.key, error
        return step.key, None

    def close(self) -> None:
        """Nothing runs between calls."""
