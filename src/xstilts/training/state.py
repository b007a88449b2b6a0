"""The state of a training, saved now and then so that a run that was killed goes on to the same bytes.

    STORE/partial/<key>/seed-<seed>/<step>/state.safetensors + state.json + log.jsonl

A folder appears by one rename, and the one before it goes only then: whatever moment a process is killed in, the newest
folder is whole. What has been damaged since, or was made by other versions, is not gone on from.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xstilts.step import Interval
from xstilts.store.hashes import sha256_of
from xstilts.store.manifest import seal

log = logging.getLogger("xstilts")

_FILES = ("state.safetensors", "log.jsonl")
_SHARE = 20
"""A save is followed by at least so many times its own duration without one: at most 5 % of the time is spent on it."""


@dataclass(frozen=True)
class State:
    """What a training goes on from."""

    step: int
    """Optimiser steps done."""
    tensors: dict[str, Tensor]
    """Parts of a file that goes with the next save: to be copied."""
    facts: dict[str, Any]
    """Plain values; JSON gives back the very same floats."""
    log: str
    """The training's log up to then."""


class Keeper:
    """Saves and finds the state of one training. `folder` None: nothing is kept. `made_by` says what else the weights
    depend on (versions, arithmetic); a state made by anything else is not gone on from."""

    def __init__(self, folder: Path | None, every: Interval, made_by: Mapping[str, Any]) -> None:
        self.folder, self.every, self.made_by = folder, every, dict(made_by)
        self._saved, self._cost = time.monotonic(), 0.0

    def due(self, step: int) -> bool:
        """Whether the state is to be saved after optimiser step `step`."""
        if self.folder is None:
            return False
        if self.every.steps is not None:
            return step % self.every.steps == 0
        if self.every.seconds is None:
            return False
        return time.monotonic() - self._saved >= max(self.every.seconds, _SHARE * self._cost)

    def save(self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], written: Path | None = None) -> None:
        """Keep the state after optimiser step `step`; `written` is the log, where there is one. A full disk costs the
        state, not the training."""
        assert self.folder is not None
        began = time.monotonic()
        new = self.folder / f".{step:09}-{uuid.uuid4().hex[:8]}"
        try:
            new.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new / "state.safetensors")
            (new / "log.jsonl").write_bytes(b"" if written is None else written.read_bytes())
            files = {name: sha256_of(new / name) for name in _FILES}
            state = {"step": step, "made_by": self.made_by, "facts": facts, "files": files}
            (new / "state.json").write_text(json.dumps(state | {"seal": seal(state)}), "utf-8")
            for path in (*new.iterdir(), new):
                _to_disk(path)
            if not (self.folder / f"{step:09}").exists():  # two workers may do the same step: both save the same
                new.rename(self.folder / f"{step:09}")
                _to_disk(self.folder)
            for old in self._kept():
                if int(old.name) < step:
                    shutil.rmtree(old, ignore_errors=True)
        except (OSError, SafetensorError) as error:  # safetensors writes itself, and has an error of its own for it
            log.warning("the state after step %d cannot be saved (%s); the training goes on", step, error)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            self._saved = time.monotonic()
            self._cost = self._saved - began

    def find(self) -> State | None:
        """The newest state that is whole and was made by the same; None where the training begins anew. What a worker
        that was killed in a save has left goes."""
        if self.folder is not None:
            for left in self.folder.glob(".*-*"):
                shutil.rmtree(left, ignore_errors=True)
        for folder in self._kept():
            try:
                return self._read(folder)
            except (OSError, SafetensorError, ValueError, KeyError, TypeError) as reason:
                log.warning("the state %s is not gone on from: %s", folder, reason)
                shutil.rmtree(folder, ignore_errors=True)
        return None

    def _read(self, folder: Path) -> State:
        """Raises `ValueError` and others for a state that cannot be used."""
        state = json.loads((folder / "state.json").read_text("utf-8"))
        if state["seal"] != seal(state):
            raise ValueError("state.json is damaged")
        if state["made_by"] != self.made_by:
            raise ValueError("other versions, or other arithmetic, made it")
        for name in _FILES:
            if sha256_of(folder / name) != state["files"][name]:
                raise ValueError(f"{name} is damaged")
        # mapped, not read: a state is several times as large as the weights
        tensors = load_file(folder / "state.safetensors")
        return State(state["step"], tensors, state["facts"], (folder / "log.jsonl").read_text("utf-8"))

    def _kept(self) -> list[Path]:
        """Folders of states, the newest first."""
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted((p for p in self.folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name), reverse=True)


def _to_disk(path: Path) -> None:
    """Without this a machine that loses power may keep the name of a file and not its bytes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def generators() -> dict[str, Tensor]:
    """The state of torch's generators, of the processor and of the accelerator."""
    found = {"generator": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["generator.cuda"] = torch.cuda.get_rng_state()
    return found


def restore_generators(tensors: Mapping[str, Tensor]) -> None:
    """Set them to what they were."""
    torch.set_rng_state(tensors["generator"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["generator.cuda"])


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors an optimiser keeps, as `optimiser.<parameter's number>.<name>`."""
    return {
        f"optimiser.{i}.{name}": tensor
        for i, parameter in enumerate(_parameters(optimiser))
        for name, tensor in optimiser.state.get(parameter, {}).items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser of the same parameters back what it kept."""
    parameters = _parameters(optimiser)
    for key, tensor in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".")
            parameter = parameters[int(number)]
            # counters stay where the optimiser makes them: on the processor, but for fused ones on an accelerator
            optimiser.state[parameter][name] = tensor.to(parameter.device, copy=True)


def _parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
