"""A step is one unit of cached work: its fields are its identity, `run` is its effect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from xstilts.store import Store


class Runtime:
    """Marks a field that says *where* or *how fast*, never *what*: it is left out of the key."""


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


class Interval(BaseModel):
    """How often something is done: every so many optimiser steps, or seconds; whichever is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, ge=0)


EVERY_FIVE_MINUTES = Interval(seconds=300.0)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass
class Work:
    """What a running step may touch: the store to read its inputs from, a folder of its own to write to."""

    store: Store
    out: Path
    """Published by one rename when `run` returns; thrown away when it raises."""
    partial: Path | None = None
    """Of this step alone, and not there at first. What is in it outlives a worker that is killed and is found by the
    next one; it goes when the step is published. None: nothing is kept."""
    progress: Callable[[int, int], None] = _silent
    """Called with (examples done, examples in all)."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Facts for the manifest (examples, precision); recorded, never hashed."""
    save_every: Interval = EVERY_FIVE_MINUTES
    """How often a training saves its state into `partial`."""
    halvings: int = 0
    """How often memory ran out in this step before: a batch goes through the encoder in 2 ** halvings slices."""


class Step(BaseModel):
    """Base of all kinds. Fields must be plain JSON values; paths belong in `Runtime` fields.

    A field that equals its default is left out of the key, so a field added later with a neutral default
    leaves the keys of old work unchanged. Never change a default: add a field or raise `version`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    version: ClassVar[int] = 1

    def identity(self) -> dict[str, Any]:
        """What the key is the hash of: kind, version and every field that is neither runtime nor default."""
        runtime = {
            name
            for name, info in type(self).model_fields.items()
            if any(mark is Runtime or isinstance(mark, Runtime) for mark in info.metadata)
        }
        fields = self.model_dump(mode="json", exclude=runtime, exclude_defaults=True)
        return {"kind": self.kind, "version": self.version, **fields}

    @cached_property
    def key(self) -> str:
        """64 hex digits: sha256 of the canonical JSON of `identity()`."""
        return hashlib.sha256(canonical(self.identity()).encode()).hexdigest()

    def inputs(self) -> tuple[str, ...]:
        """Keys of the steps whose output this one reads."""
        return ()

    def run(self, work: Work) -> None:
        """Do the work: read inputs from `work.store`, write files under `work.out`."""
        raise TypeError(f"step kind {self.kind} has no effect")
