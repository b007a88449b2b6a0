"""A Ray cluster as a run sees it: how to reach it, what its nodes have, and whether a step fits on one."""

from __future__ import annotations

import logging
import os
import signal
import socket
from typing import Any

import ray

from xstilts.errors import UserError
from xstilts.executors.engine import Engine

log = logging.getLogger("xstilts")

_OBJECTS = 100 * 2**20
"""Bytes of a local Ray's object store: steps publish to the store of xstilts and hand next to nothing to Ray."""
_WORDS = {"CPU": "processors", "GPU": "GPUs", "memory": "GiB of memory"}


def connect(engine: Engine) -> bool:
    """Connect this process to the cluster that `engine` names, else the one in RAY_ADDRESS, else a local Ray that is
    started now. False where it was connected before. Raises `UserError` where it cannot be."""
    address = engine.address or "local"
    if address in ("local", "auto"):
        address = os.environ.get("RAY_ADDRESS", address)
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if ":" in address and address != here:
            raise UserError(f"this process is connected to another Ray cluster already, at {here}")
        return False
    local: dict[str, Any] = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        cpus = engine.workers * engine.cpus if engine.workers else len(os.sched_getaffinity(0))
        local = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": _OBJECTS}
    elif address != "auto":
        _knock(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (Exception, SystemExit) as error:
        reason = next(iter(str(error).strip().split("\n")))
        raise UserError(f"no connection to Ray at {address!r} ({reason})", remedy=_REMEDY) from None
    # Ray prints what its nodes report to stdout, where `--json` has its result
    ray._private.worker.print_to_stdstream = _log
    if callable(handler):
        # Ray puts one of its own in its place
        signal.signal(signal.SIGTERM, handler)
    return True


_REMEDY = "write auto on a node of the cluster, ray://HOST:10001 elsewhere; where none is given a local Ray starts"


def _log(data: dict[str, Any], *_: Any, **__: Any) -> None:
    for line in data["lines"]:
        log.warning("ray: %s", line.strip().split("\n")[0])


def _knock(address: str) -> None:
    """Ray itself would take minutes to say that nobody is there, and then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(
            f"{address!r} is no address of a Ray cluster", remedy="write auto, HOST:6379 or ray://HOST:10001"
        )
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster answers at {address} ({error})", remedy=_REMEDY) from None


def nodes() -> list[dict[str, float]]:
    """What each living node has: `CPU`, `GPU`, `memory` in bytes."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def needs(engine: Engine, gpus: float = 0.0, processes: int = 1) -> dict[str, float]:
    """What a step of so many processes is given, in the same terms."""
    asked = {"CPU": engine.cpus * processes, "GPU": gpus, "memory": (engine.memory or 0) * 2**30}
    return {name: amount for name, amount in asked.items() if amount}


def places(there: list[dict[str, float]], need: dict[str, float]) -> int:
    """How many steps that need so much fit on the nodes at a time."""
    return sum(min(int(node.get(name, 0) / amount) for name, amount in need.items()) for node in there)


def lacking(there: list[dict[str, float]], need: dict[str, float]) -> str:
    """In words why a step that needs so much would wait for ever; empty where a node has it."""
    gpus = need.get("GPU", 0)
    if gpus > 1 and gpus % 1:
        return f"it asks for {gpus:g} GPUs, and a fraction can only be of one"
    if places(there, need):
        return ""
    asked, have = _say(need), [_say({name: node.get(name, 0) for name in _WORDS}) for node in there]
    return f"it asks for {asked}, and no node of the Ray cluster has that (" + "; ".join(sorted(set(have))[:3]) + ")"


def _say(amounts: dict[str, float]) -> str:
    scale = {"memory": 2**30}
    return ", ".join(f"{amount / scale.get(name, 1):.3g} {_WORDS[name]}" for name, amount in amounts.items())
