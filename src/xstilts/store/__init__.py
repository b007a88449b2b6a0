"""The store: each step's output in a folder of its own, published by one atomic rename.

    STORE/<kind>/<key[:2]>/<key>/manifest.json + files        a step exists if and only if its manifest exists
    STORE/failed/<key>.json                                   the last failure of a step that does not exist
    STORE/partial/<key>/                                      what a step that was broken off goes on from
    STORE/dropped/<kind>/<key[:2]>/<key>.json                 the manifest of a step whose files were dropped
    STORE/tokens/<key[:2]>/<key>.arrow                        rows as an encoder reads them (`training/tokens.py`)

The files are the only truth; there is no index, no database and no lock, so any number of machines may share it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from xstilts.errors import StepFailed, UserError
from xstilts.step import EVERY_FIVE_MINUTES, Interval, Step, Work
from xstilts.store.check import check_once
from xstilts.store.hashes import sha256_of, sha256_of_files
from xstilts.store.manifest import MANIFEST, describe, render, versions
from xstilts.store.removal import remove

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

    @property
    def tokens(self) -> Path:
        """The folder of the token cache."""
        return self.root / "tokens"

    def of(self, step: Step) -> Path:
        """Where `step` is published."""
        return self.path(step.kind, step.key)

    def has(self, step: Step) -> bool:
        """Whether the step is done."""
        return (self.of(step) / MANIFEST).is_file()

    def done(self, steps: Iterable[Step]) -> set[str]:
        """Keys of those of `steps` that are done. Folders are listed, not asked for one by one: 100,000 steps are found
        in a fraction of a second, and over a network folder in as many requests as there are folders."""
        listed, found = cache(_names), set()
        for step in steps:
            key, kind = step.key, step.kind.lower()
            folder = f"{self.root}/{kind}/{key[:2]}"
            # strings, since a Path costs ten times as much
            if key in listed(folder) and os.access(f"{folder}/{key}/{MANIFEST}", os.F_OK):
                found.add(key)
        return found

    def failures(self) -> dict[str, dict[str, Any]]:
        """The last failure of every step that failed, by key: `{"error": one line, "remedy": what to type, "created":
        time}`. Of a step that is done since then there is none."""
        folder = self.root / "failed"
        names = [name for name in _names(str(folder)) if name.endswith(".json") and not name.startswith(".")]
        notes = {name.removesuffix(".json"): _note(folder / name) for name in names}
        return {key: note for key, note in notes.items() if note is not None}

    def manifest(self, step: Step) -> dict[str, Any]:
        """The manifest of a step that is done. Raises `UserError` where it is damaged."""
        return self._read(self.of(step) / MANIFEST, step)

    def record(self, step: Step) -> dict[str, Any] | None:
        """The manifest of a step that is done, or what is left of one whose files were dropped; None of any other.
        Raises `UserError` where it is damaged."""
        if self.has(step):
            return self.manifest(step)
        file = self._dropped(step.kind, step.key)
        return self._read(file, step) if file.is_file() else None

    def _read(self, file: Path, step: Step) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads(file.read_text("utf-8"))
        except ValueError:
            raise UserError(f"the manifest of {step.kind} {step.key[:12]} is damaged", remedy=self.mend) from None
        return manifest

    def dropped(self, steps: Iterable[Step]) -> set[str]:
        """Keys of those of `steps` that were done and whose files were dropped since. Folders are listed as in
        `done`."""
        listed, folder = cache(_names), f"{self.root}/dropped"
        found = [s for s in steps if f"{s.key}.json" in listed(f"{folder}/{s.kind.lower()}/{s.key[:2]}")]
        return {step.key for step in found} - self.done(found)

    def drop(self, kind: str, key: str) -> None:
        """Remove the files of a step that is done but leave its record, so that a report still knows what it took. It
        is done again when something needs it. Raises `OSError` where it stays as it was."""
        folder, record = self.path(kind, key), self._dropped(kind, key)
        record.parent.mkdir(parents=True, exist_ok=True)
        _write(record, (folder / MANIFEST).read_bytes())
        remove(folder)

    def _dropped(self, kind: str, key: str) -> Path:
        return self.root / "dropped" / kind.lower() / key[:2] / f"{key}.json"

    def input(self, kind: str, key: str) -> Path:
        """Where the output of a step lies that another one reads. Every file is compared with the manifest first, once
        in a process while it stays as it is. Raises `StepFailed` where one is damaged or missing."""
        folder = self.path(kind, key)
        try:
            found = check_once(folder, kind, key)
        except (FileNotFoundError, NotADirectoryError):
            what = f"{kind} {key[:12]}, which it reads, is not in the store any more"
            raise StepFailed(what, remedy="run the study again") from None
        if found.faults:
            what = " ".join(f"{kind} {found.label} ({key[:12]})".split())
            raise StepFailed(f"{what}, which it reads, is damaged: {found.faults[0]}", remedy=self.mend)
        return folder

    @property
    def mend(self) -> str:
        """What to type where a step is damaged."""
        return f"type: xstilts store verify --drop --store {shlex.quote(str(self.root))}; then run the study again"

    def failure(self, step: Step) -> dict[str, Any] | None:
        """The last failure of a step, `{"error": one line, "created": time}`, if it failed and is not done."""
        path = self.root / "failed" / f"{step.key}.json"
        if self.has(step) or not path.is_file():
            return None
        return _note(path)

    def record_failure(self, step: Step, error: str, remedy: str = "") -> None:
        """Keep the reason why a step failed, for `status`."""
        folder = self.root / "failed"
        folder.mkdir(parents=True, exist_ok=True)
        note = {
            "kind": step.kind, "error": error, "remedy": remedy,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        _write(folder / f"{step.key}.json", json.dumps(note, ensure_ascii=False).encode("utf-8", "replace"))

    def partial(self, step: Step) -> Path:
        """Where a step keeps what it needs to go on after it was broken off; gone once it is published."""
        return self.root / "partial" / step.key

    def publish(
        self, step: Step, label: str, progress: Callable[[int, int], None] | None = None, *,
        save_every: Interval = EVERY_FIVE_MINUTES, halvings: int = 0, run: Callable[[Work], None] | None = None,
    ) -> bool:  # fmt: skip
        """Run `step` in a temporary sibling folder, then rename it into place. True if this call published it.

        Whatever `step.run` raises passes through, and nothing of the step remains but its `partial` folder. When
        another worker was first, its output stays and this one is dropped: both are equal by construction. `save_every`
        and `halvings` are those of `Work`; `run` does what `step.run` does, elsewhere.
        """
        final = self.of(step)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{step.key[:12]}-", dir=final.parent))
        try:
            work = Work(self, temporary, self.partial(step), save_every=save_every, halvings=halvings)
            if progress is not None:
                work.progress = progress
            began = time.perf_counter()
            (run or step.run)(work)
            if halvings:
                work.notes["halvings"] = halvings
            manifest = describe(step, label, temporary, time.perf_counter() - began, work.notes)
            (temporary / MANIFEST).write_bytes(render(manifest))
            temporary.chmod(0o755)
            first = self._put(temporary, final)
            shutil.rmtree(self.partial(step), ignore_errors=True)
            if first:
                (self.root / "failed" / f"{step.key}.json").unlink(missing_ok=True)
                self._dropped(step.kind, step.key).unlink(missing_ok=True)
            return first
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _put(self, temporary: Path, final: Path) -> bool:
        """Rename a whole step into its place; False where another one is there."""
        try:
            temporary.rename(final)
        except OSError:
            # listed, not asked for: a network folder may remember for a while that there was none
            if final.is_dir() and MANIFEST in _names(str(final)):
                return False
            if not os.path.lexists(final):
                raise
            # without a manifest it is no step, and in the way
            remove(final)
            temporary.rename(final)
        return True


def _write(file: Path, text: bytes) -> None:
    """Write a file whole or not at all."""
    new = file.with_name(f".{file.name[:12]}-{uuid.uuid4().hex[:8]}")
    try:
        new.write_bytes(text)
        new.rename(file)
    finally:
        new.unlink(missing_ok=True)


def _note(file: Path) -> dict[str, Any] | None:
    """Why a step failed, as it was kept; None where it is done meanwhile."""
    note: dict[str, Any] = {"kind": "", "error": f"not known: {file.name} is damaged", "remedy": "", "created": ""}
    try:
        note |= json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        pass
    return note
