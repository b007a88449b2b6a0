"""What one task brings to a training: its rows, its head, how it is read, and what it is looked at by."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """The rows of one task (or of tasks that are learned as one) and the head they are learned on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = ""
    """What the log and the sampler call it; empty where it is the only part."""
    head: str = ""
    """Parts that name the same head share it."""
    shape: str
    labels: tuple[str, ...] = ()
    """In head order; empty where the shape has none, or where they are those of the training rows (open)."""
    data: tuple[str, ...] = ()
    """Keys of the `Prepare` steps whose rows are learned from."""
    start: int = 0
    stop: int | None = None
    """Which of the rows of `data`, in a fixed random order; None: to the end."""
    more: tuple[str, ...] = ()
    """Keys of `Translate` steps whose rows are learned from besides, all of them."""
    shuffle_labels: bool = False
    """The control: labels permuted over rows."""
    options: dict[str, Any] = {}
    """How its rows are read, where parts differ in that; else the recipe of the training says it."""
    dev: tuple[tuple[str, str], ...] = ()
    """(language, key of its `Prepare` step) of the rows that choose the checkpoint; none: it has no say."""
    metric: str = ""
    """The metric they are scored with; the mean over languages counts."""
