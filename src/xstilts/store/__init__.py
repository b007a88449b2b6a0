"""The store: each step's output in a folder of its own, published by one atomic rename.

    STORE/<kind>/<key[:2]>/<key>/manifest.json + files        a step exists if and only if its manifest exists
    STORE/failed/<key>.json                                   the last failure of a step that does not exist
    STORE/partial/<key>/                                      what a step that was broken off goes on from

The files are the only truth; there is no index, no database and no lock, so any number of machines may share it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xstilts.errors import UserError
from xstilts.step import EVERY_FIVE_MINUTES, Interval, Step, Work
from xstilts.store.hashes import sha256_of, sha256_of_files
from xstilts.store.manifest import MANIFEST, describe, versions

__all__ = ["Store", "sha256_of", "sha256_of_files", "versions"]


def _names(folder: str) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return set()


class Store:
    """A folder of published step outputs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> Store:
        """Create the folder and make sure it can be written to. Raises `UserError` if not."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise UserError(
                f"the store {self.root} cannot be written to ({error.strerror})",
                remedy="name another folder with --store DIR or XSTILTS_STORE",
            ) from None
        return self

    def path(self, kind: str, key: str) -> Path:
        """Where the step of this kind and key is published."""
        return self.root / kind.lower() / key[:2] / key

    def of(self, step: Step) -> Path:
        """Where `step` is published."""
        return self.path(step.kind, step.key)

    def has(self, step: Step) -> bool:
        """Whether the step is done."""
        return (self.of(step) / MANIFEST).is_file()

    def done(self, steps: Iterable[Step]) -> set[str]:
        """Keys of those of `steps` that are done. Folders are listed, not asked for one by one: 100,000 steps are looked
        up in a fraction of a second, and over a network folder in as many requests as there are folders."""
        listed: dict[str, set[str]] = {}
        found = set()
        for step in steps:
            key, kind = step.key, step.kind.lower()
            folder = f"{self.root}/{kind}/{key[:2]}"
            if folder not in listed:
                listed[folder] = _names(folder)
            # strings, since a Path costs ten times as much
            if key in listed[folder] and os.path.isfile(f"{folder}/{key}/{MANIFEST}"):  # noqa: PTH113
                found.add(key)
        return found

    def failures(self) -> dict[str, dict[str, Any]]:
        """The last failure of every step that failed, by key: `{"error": one line, "remedy": what to type, "created":
        time}`. Of a step that is done since then there is none."""
        folder = self.root / "failed"
        return {name.removesuffix(".json"): json.loads((folder / name).read_text("utf-8"))
                for name in _names(str(folder)) if name.endswith(".json")}  # fmt: skip

    def manifest(self, step: Step) -> dict[str, Any]:
        """The manifest of a step that is done."""
        manifest: dict[str, Any] = json.loads((self.of(step) / MANIFEST).read_text("utf-8"))
        return manifest

    def failure(self, step: Step) -> dict[str, Any] | None:
        """The last failure of a step, `{"error": one line, "created": time}`, if it failed and is not done."""
        path = self.root / "failed" / f"{step.key}.json"
        if self.has(step) or not path.is_file():
            return None
        failure: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return failure

    def record_failure(self, step: Step, error: str, remedy: str = "") -> None:
        """Keep the reason why a step failed, for `status`."""
        folder = self.root / "failed"
        folder.mkdir(parents=True, exist_ok=True)
        note = {
            "kind": step.kind, "error": error, "remedy": remedy,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        (folder / f"{step.key}.json").write_text(json.dumps(note, ensure_ascii=False), "utf-8")

    def partial(self, step: Step) -> Path:
        """Where a step keeps what it needs to go on after it was broken off; gone once it is published."""
        return self.root / "partial" / step.key

    def publish(
        self, step: Step, label: str, progress: Callable[[int, int], None] | None = None, *,
        save_every: Interval = EVERY_FIVE_MINUTES, halvings: int = 0,
    ) -> bool:  # fmt: skip
        """Run `step` in a temporary sibling folder, then rename it into place. True if this call published it.

        Whatever `step.run` raises passes through, and nothing of the step remains but its `partial` folder. When
        another worker was first, its output stays and this one is dropped: both are equal by construction. `save_every`
        and `halvings` are those of `Work`.
        """
        final = self.of(step)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{step.key[:12]}-", dir=final.parent))
        try:
            work = Work(self, temporary, self.partial(step), save_every=save_every, halvings=halvings)
            if progress is not None:
                work.progress = progress
            began = time.perf_counter()
            step.run(work)
            manifest = describe(step, label, temporary, time.perf_counter() - began, work.notes)
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), "utf-8")
            temporary.chmod(0o755)
            try:
                temporary.rename(final)
            except OSError:
                if not (final / MANIFEST).is_file():
                    raise
                return False
            (self.root / "failed" / f"{step.key}.json").unlink(missing_ok=True)
            shutil.rmtree(self.partial(step), ignore_errors=True)
            return True
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
