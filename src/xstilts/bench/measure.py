"""The measurement: rounds over all units of work, by one process and by all at once, and the figures of it."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from xstilts.bench.processes import ask, hear, processes
from xstilts.bench.subject import PREDICTED, Subject
from xstilts.cost.estimate import THROUGHPUT
from xstilts.cost.workload import FORWARD, TRAINING
from xstilts.errors import UserError
from xstilts.models.size import body_parameters, parameters
from xstilts.store import Store, versions

ROUNDS = 5
"""At most; fewer where the time is over."""
_LONGEST = 1.0
"""Seconds after which a unit is not done again in the same round: the median over rounds gains little from more."""
_SHARE = 0.4
"""Of the rate of matrix products that training is taken to reach, to choose how many layers there is time for."""
_ROOM = 0.8
"""Of the free memory that may be taken."""
_DISK, _BLOCK = 2**26, 2**22
"""Bytes written and read in a round at most, and at a time."""

PASSES = {"training": TRAINING, "prediction": FORWARD}
"""Operations per parameter and piece (Kaplan et al. 2020, arXiv 2001.08361). Embeddings and attention between pieces
are not counted: lower than what the machine does, and right for what it is used for, to turn pieces into hours."""

Rates = Mapping[str, list[float]]
"""By unit of work: work per second, in each round."""


def measure(subject: Subject, seconds: float, folder: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """What `throughput.json` holds, measured in about so many `seconds`.

    Rates are `median`, `lowest` and `highest` over rounds, in pieces, operations or bytes per second; those of passes
    are of the whole encoder, also where only some of its layers were measured. `rates` is what a plan is estimated by:
    [pieces of a row, operations per second] of one process while all are at work; `flops` is that of training on rows
    of the first sort. The disk is measured in `folder`, where there is one. `say` is told what is being done. Raises
    `UserError` where the encoder cannot be made, memory runs out or the folder cannot be written to.
    """
    say("starting")
    with processes(subject) as pipes:
        facts = [hear(pipe) for pipe in pipes][0]
        began = time.monotonic()
        say("matrix products")
        # the best of some: what else the machine does at this moment is no reason to measure less
        rate = max(ask(pipes[:1], (f"matrix {facts['precision']}", 0.1))[0] for _ in range(ROUNDS))
        memory = _ROOM * facts.pop("free") / len(pipes)
        subject = subject.within(_SHARE * rate * seconds / (ROUNDS + 1), memory)
        say(f"making an encoder of {subject.layers} layers")
        scales = ask(pipes, subject)[0]
        one, together = _rounds(pipes, subject, began + seconds, folder, say)
        spent = round(time.monotonic() - began, 1)
    return {
        **facts, "processes": len(pipes), **_figures(subject, facts["precision"], scales, one, together, len(pipes)),
        "rounds": len(one[f"matrix {facts['precision']}"]), "seconds": spent, "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def write(found: Mapping[str, Any], store: Store) -> Path:
    """Put what was found where a plan looks for it, whole or not at all."""
    path = store.root / THROUGHPUT
    new = path.with_name(f".{THROUGHPUT}-{os.getpid()}")
    new.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return new.replace(path)


def _rounds(
    pipes: list[Connection], subject: Subject, until: float, folder: Path | None, say: Callable[[str], None]
) -> tuple[Rates, Rates]:
    """(rates of the first process alone, rates of all processes at once together).

    Everything is measured in turns, so that load which changes slowly meets all alike. A round that would end later
    than `until` is not begun, but for the first.
    """
    products, first = ["matrix float32", "matrix bfloat16"], subject.sorts[0].shape
    alone = products + [f"{kind} {sort.shape}" for kind in PASSES for sort in subject.sorts]
    shared = products + [f"{kind} {first}" for kind in PASSES] if len(pipes) > 1 else []
    each = min(_LONGEST, (until - time.monotonic()) / (ROUNDS + 1) / (len(alone) + len(shared)))
    one, together = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for name in alone:
        say(f"warming up: {name}")
        ask(pipes if name in shared else pipes[:1], (name, 0.0))
    done, took = 0, 0.0
    while done < ROUNDS and (not done or time.monotonic() + took <= until):
        began, done = time.monotonic(), done + 1
        for name in alone:
            say(f"round {done} of {ROUNDS}: {name}")
            one[name] += ask(pipes[:1], (name, each))
        for name in shared:
            say(f"round {done} of {ROUNDS}: {name}, {len(pipes)} processes at once")
            together[name].append(sum(ask(pipes, (name, each))))
        for name, rate in {} if folder is None else _disk(folder, each).items():
            one[name].append(rate)
        took = time.monotonic() - began
    return one, together


def _figures(
    subject: Subject, precision: str, scales: dict[str, float], one: Rates, together: Rates, count: int
) -> dict[str, Any]:
    """All but the circumstances."""
    body, first = body_parameters(subject.config), subject.sorts[0].shape

    def both(name: str, scale: float = 1.0) -> dict[str, Any]:
        return {how: spread([rate / scale for rate in rates[name]])
                for how, rates in (("one", one), ("together", together)) if name in rates}  # fmt: skip

    matrix = {name: both(f"matrix {name}") for name in ("float32", "bfloat16")}
    # in the same round both met the same load
    gains = {kind: [a / b for a, b in zip(together[f"{kind} {first}"], one[f"{kind} {first}"], strict=True)]
             for kind in PASSES if together}  # fmt: skip
    found: dict[str, Any] = {"matrix": matrix}
    rates: dict[str, list[list[float]]] = {}
    for kind, operations in PASSES.items():
        kept = statistics.median(gains[kind]) / count if gains else 1.0
        found[kind], rates[kind] = {}, []
        for sort in subject.sorts:
            measured = both(f"{kind} {sort.shape}", scales[sort.shape])
            flops = operations * body * measured["one"]["median"]
            found[kind][sort.shape] = {
                "pieces": sort.pieces, "batch": sort.batch if kind == "training" else PREDICTED // sort.pieces,
                **measured, "flops": flops, "share": flops / matrix[precision]["one"]["median"],
            }  # fmt: skip
            rates[kind].append([sort.pieces, flops * kept])
    disk = {name.removeprefix("disk "): spread(values) for name, values in one.items() if name.startswith("disk ")}
    shape = ("model_type", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
    return {
        "flops": rates["training"][0][1], "rates": {kind: sorted(each) for kind, each in rates.items()}, **found,
        "scaling": {kind: spread(values) for kind, values in gains.items()}, "disk": disk,
        "name": subject.name, "encoder": {name: subject.config.get(name) for name in shape},
        "body_parameters": body, "parameters": parameters(subject.config), "layers": subject.layers,
    }  # fmt: skip


def spread(values: Sequence[float]) -> dict[str, float]:
    """`median`, `lowest` and `highest` of what was measured several times."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def _disk(folder: Path, seconds: float) -> dict[str, float]:
    """Bytes per second written to a file until they are on the disk, and read from there. Raises `UserError` where the
    folder cannot be written to."""
    block, written = os.urandom(_BLOCK), 0
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bench-", buffering=0) as file:
            began = time.perf_counter()
            while not written or (written < _DISK and time.perf_counter() - began < seconds):
                written += file.write(block)
            os.fsync(file.fileno())
            found = {"disk written": written / (time.perf_counter() - began)}
            if hasattr(os, "posix_fadvise"):  # else it would be read from memory
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                file.seek(0)
                began = time.perf_counter()
                while file.read(_BLOCK):
                    pass
                found["disk read"] = written / (time.perf_counter() - began)
    except OSError as error:
        what = f"the store {folder} cannot be written to ({error.strerror})"
        raise UserError(what, remedy="name another folder with --store DIR") from None
    return found
