"""How something leaves a store: out of sight in one rename, so that no one sees half of it, then for good."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path


def remove(path: Path) -> None:
    """Remove a file, a folder, or a link but not what it points at. Raises `OSError` where it stays as it was.

    A worker that is killed on the way leaves a temporary folder, which `store gc --drop leftovers` finds.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if not path.name.startswith("."):
        aside = path.with_name(f".{path.name[:12]}-{uuid.uuid4().hex[:8]}")
        try:
            path.rename(aside)
        except FileNotFoundError:  # someone else was first
            return
        path = aside
    shutil.rmtree(path, ignore_errors=True)
