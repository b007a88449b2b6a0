"""The verbs of `xstilts store`: is it whole, and what of it may go."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xstilts.flags import JsonOption, StoreOption

if TYPE_CHECKING:
    from xstilts.store.gc import Item
    from xstilts.store.verify import Findings

store_app = typer.Typer(help="Check a store, and make room in it.", no_args_is_help=True)

SHOWN = 200
"""Items that are listed one by one."""


@store_app.command()
def verify(
    store: StoreOption = None,
    as_json: JsonOption = False,
    drop: Annotated[bool, typer.Option("--drop", help="Remove the damaged steps, so that a run does them again.")]
        = False,
    made_from: Annotated[bool, typer.Option("--made-from", help="With --drop: remove what was made from them too.")]
        = False,
) -> None:  # fmt: skip
    """Compare every file of every step with its hash. Exit code 1 if something is damaged."""
    from xstilts.api import find_store
    from xstilts.store.verify import drop_damaged
    from xstilts.store.verify import verify as look

    opened = find_store(store)
    root = opened.root
    findings = look(root)
    dropped = drop_damaged(opened, findings, made_from) if drop else 0
    if as_json:
        print(json.dumps({**asdict(findings), "dropped": dropped}, indent=1, ensure_ascii=False))
    else:
        _print_findings(findings, root)
        if drop:
            print(f"{dropped} removed; run the study again to have them done again")
        elif findings.damaged:
            print(opened.mend)
    if not findings.whole:
        sys.exit(1)


def _print_findings(findings: Findings, root: Path) -> None:
    from xstilts.cost.needs import size

    for item in findings.damaged:
        print(f"damaged  {item.name}: {'; '.join(item.faults)}")
    for item in findings.made_from:
        print(f"made from it  {item.name}: whole, but made from {item.made_from[:12]}")
    if findings.made_from:
        print(
            "what was made from a damaged step is right if that was damaged afterwards; --drop --made-from drops it too"
        )
    found = f"{findings.steps} steps, {len(findings.damaged)} damaged, {len(findings.made_from)} made from these"
    speed = size(findings.bytes / (findings.seconds or 1))
    print(f"{found}; {size(findings.bytes)} in {findings.seconds:.1f} s, {speed}/s")
    rest = ", ".join(f"{count} {what}" for what, count in findings.leftovers.items() if count)
    if rest:
        print(f"besides: {rest} (xstilts store gc --drop leftovers --store {root} shows which are of no more use)")


@store_app.command()
def gc(
    studies: Annotated[
        list[Path] | None, typer.Argument(metavar="STUDY...", help="Every study that uses the store.")
    ] = None,
    store: StoreOption = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            "--drop", metavar="POLICY", help="targets: checkpoints whose predictions are stored; unused: steps that no "
            "STUDY names; leftovers: what dead workers left; tokens: rows as encoders read them. Can be repeated. "
            "[default: targets]",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it. Without this it is only shown.")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show what could be removed from a store, and remove it with --yes."""
    from xstilts.api import find_store
    from xstilts.plan import plan
    from xstilts.store.gc import find_items, remove_items
    from xstilts.study import Study

    opened = find_store(store)
    # planned as a run would: with assumed data every step would have another key
    items = find_items(opened, [plan(Study.load(study)) for study in studies or ()], drop or ["targets"])
    if yes:
        remove_items(opened, items)
    if as_json:
        facts = [{"policy": i.policy, "what": i.what, "path": str(i.path), "bytes": i.bytes} for i in items]
        print(json.dumps({"removed": yes, "bytes": sum(i.bytes for i in items), "items": facts}, indent=1,
                         ensure_ascii=False))  # fmt: skip
    else:
        _print_items(items, yes)


def _print_items(items: Sequence[Item], removed: bool) -> None:
    from xstilts.cost.needs import size

    for item in items[:SHOWN]:
        print(f"{item.policy:10}{size(item.bytes):>10}  {item.what}")
    if len(items) > SHOWN:
        print(f"... {len(items) - SHOWN} more; --json lists them")
    total: Counter[str] = Counter()
    for item in items:
        total[item.policy] += item.bytes
    parts = [f"{name} {sum(item.policy == name for item in items)} ({size(of)})" for name, of in total.items()]
    verb = "removed" if removed else "would be removed"
    print(f"{len(items)} {verb}, {size(sum(total.values()))}" + (f": {', '.join(parts)}" if len(parts) > 1 else ""))
    if items and not removed:
        print("nothing was removed; --yes removes it")
