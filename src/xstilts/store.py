"""The store: each step's output in a folder of its own, published by one atomic rename.

    STORE/<kind>/<key[:2]>/<key>/manifest.json + files        a step exists if and only if its manifest exists
    STORE/failed/<key>.json                                   the last failure of a step that does not exist

The files are the only truth; there is no index, no database and no lock, so any number of machines may share it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xstilts.errors import UserError
from xstilts.step import Step, Work

_PACKAGES = ("xstilts", "torch", "transformers", "tokenizers", "datasets", "huggingface_hub", "numpy", "pyarrow")


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(files: Iterable[Path]) -> str:
    """One sha256, in hex, over the names and contents of files; computed once while they stay as they are."""
    return _sha256_of_files(tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files))


@lru_cache
def _sha256_of_files(stamps: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _, _ in stamps:
        digest.update(f"{Path(path).name}:{sha256_of(Path(path))}\n".encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


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
        return (self.of(step) / "manifest.json").is_file()

    def manifest(self, step: Step) -> dict[str, Any]:
        """The manifest of a step that is done."""
        manifest: dict[str, Any] = json.loads((self.of(step) / "manifest.json").read_text("utf-8"))
        return manifest

    def failure(self, step: Step) -> dict[str, Any] | None:
        """The last failure of a step, `{"error": one line, "created": time}`, if it failed and is not done."""
        path = self.root / "failed" / f"{step.key}.json"
        if self.has(step) or not path.is_file():
            return None
        failure: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return failure

    def record_failure(self, step: Step, error: str) -> None:
        """Keep the reason why a step failed, for `status`."""
        folder = self.root / "failed"
        folder.mkdir(parents=True, exist_ok=True)
        note = {"kind": step.kind, "error": error, "created": datetime.now(UTC).isoformat(timespec="seconds")}
        (folder / f"{step.key}.json").write_text(json.dumps(note, ensure_ascii=False), "utf-8")

    def publish(self, step: Step, label: str, progress: Callable[[int, int], None] | None = None) -> bool:
        """Run `step` in a temporary sibling folder, then rename it into place. True if this call published it.

        Whatever `step.run` raises passes through, and nothing of the step remains. When another worker was
        first, its output stays and this one is dropped: both are equal by construction.
        """
        final = self.of(step)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{step.key[:12]}-", dir=final.parent))
        try:
            work = Work(store=self, out=temporary)
            if progress is not None:
                work.progress = progress
            began = time.perf_counter()
            step.run(work)
            manifest = self._describe(step, label, temporary, time.perf_counter() - began, work.notes)
            (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), "utf-8")
            temporary.chmod(0o755)
            try:
                temporary.rename(final)
            except OSError:
                if not (final / "manifest.json").is_file():
                    raise
                return False
            (self.root / "failed" / f"{step.key}.json").unlink(missing_ok=True)
            return True
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _describe(self, step: Step, label: str, folder: Path, seconds: float, notes: dict[str, Any]) -> dict[str, Any]:
        files = {str(p.relative_to(folder)): sha256_of(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        return {
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
            "files": files,
            **notes,
        }
