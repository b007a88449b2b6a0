"""What lies in a store and in its steps' folders, found without following a link."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_KEY = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{2}")
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}-.+")


@dataclass
class Contents:
    """What a store holds."""

    steps: list[tuple[str, str, Path]] = field(default_factory=list)
    """(kind as its folder spells it, key, folder), sorted; whether they are whole is another matter."""
    temporary: list[Path] = field(default_factory=list)
    """Folders of steps that are running, or of workers that died."""
    links: list[Path] = field(default_factory=list)
    """Links in the place of the folders above steps: what is behind them is not looked at."""


def contents(root: Path) -> Contents:
    """All steps of a store, and what is beside them."""
    found = Contents()
    for kind in _entries(root):
        if kind.is_symlink():
            found.links.append(Path(kind.path))
            continue
        for prefix in _entries(kind):
            if not _PREFIX.fullmatch(prefix.name):
                continue
            if prefix.is_symlink():
                found.links.append(Path(prefix.path))
                continue
            for entry in _entries(prefix):
                if _KEY.fullmatch(entry.name):
                    found.steps.append((kind.name, entry.name, Path(entry.path)))
                elif _TEMPORARY.fullmatch(entry.name):
                    found.temporary.append(Path(entry.path))
    found.steps.sort()
    return found


def keys_in(folder: Path, suffix: str = "") -> list[str]:
    """Keys that name an entry of a folder, such as those of failures and partial states."""
    names = (entry.name.removesuffix(suffix) for entry in _entries(folder) if entry.name.endswith(suffix))
    return sorted(name for name in names if _KEY.fullmatch(name))


def records(root: Path) -> list[tuple[str, str, Path]]:
    """(kind as its folder spells it, key, file) of what is left of steps whose files were dropped."""
    folders = ((kind.name, Path(prefix.path)) for kind in _entries(root / "dropped") for prefix in _entries(kind))
    return sorted((kind, key, folder / f"{key}.json") for kind, folder in folders for key in keys_in(folder, ".json"))


def tokens_in(root: Path) -> list[Path]:
    """Files of the token cache, sorted."""
    cache = root / "tokens"
    folders = [] if cache.is_symlink() else [Path(entry.path) for entry in _entries(cache) if not entry.is_symlink()]
    return sorted(folder / f"{key}.arrow" for folder in folders for key in keys_in(folder, ".arrow"))


def files_of(folder: Path) -> tuple[dict[str, os.stat_result], dict[str, str]]:
    """(by name relative to `folder`, its plain files; by name, what is neither file nor folder)."""
    files, others = {}, {}
    rest = [("", os.fspath(folder))]
    while rest:
        before, place = rest.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                name = before + entry.name
                if entry.is_symlink():
                    others[name] = "a link"
                elif entry.is_dir(follow_symlinks=False):
                    rest.append((f"{name}/", entry.path))
                elif entry.is_file(follow_symlinks=False):
                    files[name] = entry.stat(follow_symlinks=False)
                else:
                    others[name] = "no file"
    return files, others


def size_of(path: Path) -> tuple[int, float]:
    """(bytes, when it was last written to in seconds since 1970) of a file, a link, or all files of a folder."""
    try:
        own = path.lstat()
        files = [own] if path.is_symlink() or not path.is_dir() else list(files_of(path)[0].values())
    except FileNotFoundError:
        return 0, 0.0
    return sum(stat.st_size for stat in files), max(stat.st_mtime for stat in (own, *files))


def _entries(folder: Path | os.DirEntry[str]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
