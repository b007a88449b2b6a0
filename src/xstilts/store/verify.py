"""Look at every byte of a store: which steps are damaged, and which were made from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from xstilts.errors import UserError
from xstilts.store import Store
from xstilts.store.check import Check, check, check_manifest, printable
from xstilts.store.removal import remove
from xstilts.store.walk import Contents, contents, keys_in, records

THREADS = 4
"""Files that are read at a time: hashing is done outside of Python's lock, and a network folder answers late."""
_BLOCK = 512
Place = tuple[str, str, Path]
"""Kind as its folder spells it, key, folder."""


@dataclass(frozen=True)
class Damaged:
    """Something in a store that is not what was written."""

    kind: str
    key: str
    label: str
    """What it is called; empty where its manifest cannot be read."""
    faults: tuple[str, ...]
    path: str
    """Relative to the store."""
    sound: bool
    """Whether its manifest is as it was written."""
    made_from: str = ""
    """Of a step that is itself whole: the key of a damaged one it was made from, maybe by way of others."""

    @property
    def name(self) -> str:
        """One line for a person."""
        return " ".join(f"{self.kind} {self.label} {self.key[:12]}".split())


@dataclass
class Findings:
    """What a look at a whole store found."""

    steps: int = 0
    bytes: int = 0
    seconds: float = 0.0
    damaged: list[Damaged] = field(default_factory=list)
    """To be done again."""
    made_from: list[Damaged] = field(default_factory=list)
    """Whole, but made from what is damaged: to be done again too, unless that was damaged afterwards."""
    leftovers: dict[str, int] = field(default_factory=dict)
    """Things that do no harm, by what they are: temporary folders, partial states, failures."""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damaged


def verify(root: Path, look: Callable[[int, int], None] | None = None, threads: int = THREADS) -> Findings:
    """Compare every step in the store at `root` with its manifest; `look(done, total)` counts steps.

    Links are damage, and never followed. Raises `UserError` where there is no store.
    """
    if not root.is_dir():
        raise UserError(f"there is no store at {root}", remedy="name it with --store DIR or XSTILTS_STORE")
    began = time.perf_counter()
    there = contents(root)
    findings = Findings(leftovers=_leftovers(root, there))
    inputs: dict[str, list[str]] = {}
    whole: dict[str, Damaged] = {}
    for (kind, key, folder), found in _checks(there.steps, threads):
        findings.steps += 1
        findings.bytes += found.bytes
        if look is not None:
            look(findings.steps, len(there.steps))
        if found.faults and not folder.is_symlink() and not folder.exists():
            continue  # someone dropped it while we looked
        faults = found.faults or (() if folder.parent.name == key[:2] else ("it lies in the wrong folder",))
        spelt = printable(found.manifest["identity"]["kind"]) if found.manifest else kind.capitalize()
        item = Damaged(spelt, key, found.label, faults, str(folder.relative_to(root)), found.sound)
        if faults:
            findings.damaged.append(item)
        else:
            inputs[key], whole[key] = found.inputs, item
    findings.damaged += _records(root, inputs)
    findings.damaged += [
        Damaged("folder", "", path.name, ("is a link, and what is behind it was not looked at",), path.name, False)
        for path in there.links
    ]
    findings.made_from = _made_from({item.key for item in findings.damaged}, inputs, whole)
    findings.seconds = time.perf_counter() - began
    return findings


def drop_damaged(store: Store, findings: Findings, made_from: bool = False) -> int:
    """Remove the steps that are damaged, and if asked to those made from them; says how many. Of a training whose
    manifest is sound a record stays, as of one whose checkpoint was dropped.

    A link that stands for a step is removed, what it points at never. Raises `UserError` for a store that cannot be
    written to.
    """
    going = [item for item in [*findings.damaged, *(findings.made_from if made_from else ())] if item.key]
    for item in going:
        try:
            if item.kind == "Train" and item.sound and store.root / item.path == store.path(item.kind, item.key):
                store.drop(item.kind, item.key)
            else:
                remove(store.root / item.path)
        except OSError as error:
            what = f"{item.path} cannot be removed from the store ({error.strerror})"
            raise UserError(what, remedy="make the store's folder writable") from None
    return len(going)


def _checks(places: list[Place], threads: int) -> Iterator[tuple[Place, Check]]:
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            yield from zip(block, pool.map(lambda place: check(place[2], place[0], place[1]), block), strict=True)


def _records(root: Path, inputs: dict[str, list[str]]) -> Iterator[Damaged]:
    """What is wrong with what is left of steps whose files were dropped; where nothing is, what they were made from
    goes into `inputs`."""
    for kind, key, file in records(root):
        made = partial(Damaged, kind.capitalize(), key, path=str(file.relative_to(root)), sound=False)
        if file.is_symlink():
            yield made(label="", faults=("what is left of it is a link",))
            continue
        manifest, faults = check_manifest(file.read_bytes(), kind, key)
        if manifest is not None and not faults:
            inputs.setdefault(key, manifest["inputs"])
        else:
            label = printable(str((manifest or {}).get("label", "")))
            yield made(label=label, faults=tuple(f"what is left of it: {fault}" for fault in faults))


def _made_from(damaged: set[str], inputs: dict[str, list[str]], whole: dict[str, Damaged]) -> list[Damaged]:
    """Steps that are whole and rest on damaged ones, however far away; in the order of `whole`."""
    readers: dict[str, list[str]] = {}
    for key, read in inputs.items():
        for one in read:
            readers.setdefault(one, []).append(key)
    source = {}
    rest = [(key, key) for key in sorted(damaged)]
    while rest:
        key, first = rest.pop()
        for reader in readers.get(key, ()):
            if reader not in source:
                source[reader] = first
                rest.append((reader, first))
    return [replace(item, made_from=source[key]) for key, item in whole.items() if key in source]


def _leftovers(root: Path, there: Contents) -> dict[str, int]:
    found: dict[str, Any] = {
        "temporary folders": there.temporary,
        "partial states": keys_in(root / "partial"),
        "failures": keys_in(root / "failed", ".json"),
    }
    return {what: len(some) for what, some in found.items()}
