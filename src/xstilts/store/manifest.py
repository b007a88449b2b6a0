"""The manifest of a published step: what it is, what it took, what made it, and a hash of every file of it."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xstilts.errors import StepFailed
from xstilts.step import Step
from xstilts.store.hashes import sha256_of
from xstilts.store.walk import files_of

MANIFEST = "manifest.json"
_PACKAGES = ("xstilts", "torch", "transformers", "tokenizers", "datasets", "huggingface_hub", "numpy", "pyarrow")


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


@cache
def git_commit() -> str:
    """The commit of the checkout that xstilts runs from; empty where it is an installed package."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def describe(step: Step, label: str, folder: Path, seconds: float, notes: dict[str, Any]) -> dict[str, Any]:
    """The manifest of what `step` wrote into `folder`. Raises `StepFailed` for a link among its files."""
    files, others = files_of(folder)
    for name, what in sorted(others.items()):
        # what a link points at may be anything, and anywhere: nothing outside the store is ever part of it
        raise StepFailed(f"{name} is {what}; a step's output is plain files")
    manifest = {
        "key": step.key,
        "identity": step.identity(),
        "inputs": list(step.inputs()),
        "label": label,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "host": platform.node(),
        "machine": platform.machine(),
        "versions": versions(),
        "git_commit": git_commit(),
        "files": {name: sha256_of(folder / name) for name in sorted(files)},
        **notes,
    }
    return manifest | {"seal": seal(manifest)}


def render(manifest: dict[str, Any]) -> bytes:
    """A manifest as it is written."""
    return json.dumps(manifest, indent=1, ensure_ascii=False).encode()


def seal(manifest: dict[str, Any]) -> str:
    """sha256 of everything else in a manifest or other record, so that a flipped byte in it is found too."""
    rest = {name: value for name, value in manifest.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
