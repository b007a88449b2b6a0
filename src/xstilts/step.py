"""A step is one unit of cached work: its fields are its identity, `run` is its effect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from xstilts.store import Store


KINDS = ("Prepare", "Translate", "Pretrain", "Perturb", "Pair", "Train", "Predict", "Score")
"""Of a study's steps, in the order in which they are told of."""
FORETELLING = ("Embed", "Forecast")
"""Of those that `predict-gain` adds."""


class Runtime:
    """Marks a field that says *where* or *how fast*, never *what*: it is left out of the key."""


_SPELLING = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted keys, no blanks, no NaN."""
    return _SPELLING.encode(value)


def fingerprint(value: Any) -> str:
    """64 hex digits: sha256 of the canonical JSON of a value."""
    return _hash(canonical(value))


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
        fields = self.model_dump(mode="json", exclude=_runtime(type(self)), exclude_defaults=True)
        return {"kind": self.kind, "version": self.version, **fields}

    @cached_property
    def key(self) -> str:
        """64 hex digits: sha256 of the canonical JSON of `identity()`."""
        return fingerprint(self.identity())

    def __copy__(self) -> Self:
        """Without the key: `model_copy` changes fields of the copy."""
        made = super().__copy__()
        made.__dict__.pop("key", None)
        return made

    def inputs(self) -> tuple[str, ...]:
        """Keys of the steps whose output this one reads."""
        return ()

    def run(self, work: Work) -> None:
        """Do the work: read inputs from `work.store`, write files under `work.out`."""
        raise TypeError(f"step kind {self.kind} has no effect")


def _hash(spelt: str) -> str:
    return hashlib.sha256(spelt.encode()).hexdigest()


@cache
def _runtime(kind: type[Step]) -> set[str]:
    """Names of the fields of a kind that stay out of its keys."""
    return {
        name
        for name, info in kind.model_fields.items()
        if any(mark is Runtime or isinstance(mark, Runtime) for mark in info.metadata)
    }


S = TypeVar("S", bound=Step)


def series(first: S, *names: str) -> Callable[..., S]:
    """What makes steps like `first` with other values of the fields `names`, given in that order.

    For plans of a million cells: a tenth of the price of a step made anew, since nothing is validated, what is the same
    is shared and spelt for the key once. The fields must stand in `identity()` under their own names, and the values be
    numbers, text or None of the right type.
    """
    kind, spelt = type(first), {name: canonical(value) for name, value in first.identity().items()}
    if wrong := {*names} & _runtime(kind):
        raise ValueError(f"no part of the key of a {first.kind}: {', '.join(sorted(wrong))}")
    # the key's JSON is sorted by name: the fields that differ, and the text before each. "kind" is always in it, so
    # commas follow what comes before that and precede what comes after
    end, parts = "{", list[tuple[str, int, str, Any, str, str]]()
    for name in sorted({*spelt, *names}):
        comma, after = ("", ",") if name < "kind" else ("," if name > "kind" else "", "")
        if name in names:
            parts.append((end, names.index(name), name, kind.model_fields[name].default, f'{comma}"{name}":', after))
            end = ""
        else:
            end += f'{comma}"{name}":{spelt[name]}{after}'
    end += "}"
    plain = {name: getattr(first, name) for name in kind.model_fields}
    put, spell = object.__setattr__, _SPELLING.encode
    fields_set = first.model_fields_set | {*names}

    def make(*values: str | float | None) -> S:
        fields, spelt = plain.copy(), ""
        for before, i, name, default, prefix, after in parts:
            fields[name] = value = values[i]
            spelt += before
            if value != default:
                spelt += f"{prefix}{value if type(value) is int else spell(value)}{after}"
        fields["key"] = _hash(spelt + end)
        made = kind.__new__(kind)
        # as BaseModel.__copy__ does, without copying what is never changed
        put(made, "__dict__", fields)
        put(made, "__pydantic_fields_set__", fields_set)
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made

    return make
