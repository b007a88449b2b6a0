"""What of a store may go, by policies with names, and how it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xstilts.cost.disk import droppable
from xstilts.errors import UserError, did_you_mean
from xstilts.forecast import forecasts_of
from xstilts.graph import Plan
from xstilts.runners import Runners
from xstilts.step import Step
from xstilts.store import Store
from xstilts.store.check import printable
from xstilts.store.manifest import MANIFEST
from xstilts.store.removal import remove
from xstilts.store.walk import contents, keys_in, records, size_of, tokens_in

DAY, IDLE = 86400.0, 600.0
"""Seconds without a write after which a temporary folder is a leftover: of no known run, and of one that is dead."""


@dataclass(frozen=True)
class Item:
    """Something that may go."""

    policy: str
    what: str
    """What it is, with its name."""
    path: Path
    bytes: int
    step: Step | None = None
    """Of a step of which a record stays."""


def targets(store: Store, plans: Sequence[Plan]) -> Iterator[Item]:
    """Checkpoints of target trainings whose predictions are all stored. Intermediate checkpoints are kept, and whatever
    any of the plans still reads."""
    steps = _merged(plans)
    done = store.done(steps.values())
    waiting = {key for step in steps.values() if step.key not in done for key in step.inputs()}
    trained = {cell.training for plan in plans for cell in plan.cells}
    bases = {cell.base for plan in plans for cell in plan.cells}
    # droppable looks at the steps alone; together they say what any of the studies reads
    going = droppable(replace(plans[0], steps=steps)) & trained & done - bases - waiting
    labels = {key: label for plan in plans for key, label in plan.labels.items()}
    for key in (key for key in steps if key in going):
        step = steps[key]
        what = f"checkpoint of {labels[key]} ({key[:12]})"
        yield Item("targets", what, store.of(step), size_of(store.of(step))[0], step)


def unused(store: Store, plans: Sequence[Plan]) -> Iterator[Item]:
    """Steps that none of the plans names, whatever is left of such, and their partial states. Raises `UserError` while
    a run does such a step: its study was not given."""
    named = _merged(plans).keys()
    _refuse_busy(store, named, "a study that was not named", "name its file too, or wait until it has ended")
    for kind, key, folder in contents(store.root).steps:
        if key not in named:
            yield Item("unused", f"{kind} {_label(folder / MANIFEST)} ({key[:12]})", folder, size_of(folder)[0])
    for kind, key, file in records(store.root):
        if key not in named:
            yield Item("unused", f"record of {kind} {_label(file)} ({key[:12]})", file, size_of(file)[0])
    for key in keys_in(store.root / "partial"):
        if key not in named:
            path = store.root / "partial" / key
            yield Item("unused", f"partial state of {key[:12]}", path, size_of(path)[0])


def leftovers(store: Store, plans: Sequence[Plan]) -> Iterator[Item]:
    """Temporary folders of workers that are dead, and partial states and failures of steps that are done."""
    there = contents(store.root)
    claims = keys_in(store.root / "claims")
    runners = Runners(store.root)
    runners.look()
    alive = runners.holders(claims)
    for path in there.temporary:
        mine = [key for key in claims if path.name.startswith(f".{key[:12]}-")]
        size, written = size_of(path)
        idle = time.time() - written
        if not any(key in alive for key in mine) and idle > (IDLE if mine else DAY):
            yield Item("leftovers", f"temporary folder {path.name}", path, size)
    done = {key for _, key, folder in there.steps if (folder / MANIFEST).is_file()}
    for what, folder, suffix in (("partial state", "partial", ""), ("failure", "failed", ".json")):
        for key in keys_in(store.root / folder, suffix):
            if key in done and key not in alive:
                path = store.root / folder / f"{key}{suffix}"
                yield Item("leftovers", f"{what} of {key[:12]}, which is done", path, size_of(path)[0])


def tokens(store: Store, plans: Sequence[Plan]) -> Iterator[Item]:
    """The token cache, which the next steps make anew. Raises `UserError` while a run is on: a file that goes while
    another machine has it mapped, from a network folder, ends what reads it."""
    _refuse_busy(store, (), "a study", "wait until it has ended")
    for file in tokens_in(store.root):
        yield Item("tokens", f"tokens {file.stem[:12]}", file, size_of(file)[0])


Policy = Callable[[Store, Sequence[Plan]], Iterable[Item]]
POLICIES: dict[str, Policy] = {"targets": targets, "unused": unused, "leftovers": leftovers, "tokens": tokens}
"""What may go, by the name a person asks for it with."""
WITHOUT_STUDY = frozenset({"leftovers", "tokens"})
"""Policies that need no study."""


def find_items(store: Store, plans: Sequence[Plan], policies: Sequence[str]) -> list[Item]:
    """What these policies would remove, each thing once. Raises `UserError` for a name that is none, and for a policy
    that needs a study where none was given."""
    found: dict[Path, Item] = {}
    for name in dict.fromkeys(policies):
        if name not in POLICIES:
            raise UserError(f"there is no policy {name!r}", remedy=did_you_mean(name, POLICIES))
        if not plans and name not in WITHOUT_STUDY:
            raise UserError(f"what {name} may go depends on the studies", remedy="name every STUDY that uses the store")
        for item in POLICIES[name](store, plans):
            found.setdefault(item.path, item)
    return list(found.values())


def remove_items(store: Store, items: Iterable[Item]) -> None:
    """Remove them. Raises `UserError` for a store that cannot be written to."""
    for item in items:
        try:
            if item.step is not None:
                store.drop(item.step.kind, item.step.key)
            else:
                remove(item.path)
        except OSError as error:
            what = f"the {item.what} cannot be removed ({error.strerror})"
            raise UserError(what, remedy="make the store's folder writable") from None


def _merged(plans: Sequence[Plan]) -> dict[str, Step]:
    """The steps of all plans, and of what they foretell."""
    return {
        key: step
        for plan in plans for graph in (plan, forecasts_of(plan).plan) for key, step in graph.steps.items()
    }  # fmt: skip


def _refuse_busy(store: Store, named: Iterable[str], which: str, remedy: str) -> None:
    """Raise `UserError` where a run does other steps than those named."""
    runners = Runners(store.root)
    runners.look()
    others = runners.holders(set(keys_in(store.root / "claims")).difference(named))
    for who in others.values():
        raise UserError(f"{which} runs on this store ({who['host']}, process {who['pid']})", remedy=remedy)


def _label(manifest: Path) -> str:
    """What a step is called, as far as its manifest can be read."""
    if manifest.is_symlink() or manifest.parent.is_symlink():
        return "behind a link"
    try:
        return printable(str(json.loads(manifest.read_text("utf-8"))["label"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "without a manifest"
