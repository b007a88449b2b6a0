"""The processes that do the work: as many as a study's steps run in on this machine. No torch until they run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from xstilts.bench.subject import Subject
from xstilts.errors import UserError
from xstilts.executors.engine import Engine
from xstilts.executors.failure import Failure
from xstilts.executors.seats import seats

_CONTEXT = get_context("spawn")
_SMALLER = "name a smaller encoder with --model, or free some memory"


@contextmanager
def processes(subject: Subject) -> Iterator[list[Connection]]:
    """A pipe to each; they end with the block. Each first says its `units.facts`."""
    begun, pipes = [], []
    resource_tracker.ensure_running()  # it unblocks what is blocked below
    try:
        for environment in seats(Engine()):
            pipe, theirs = _CONTEXT.Pipe()
            process = _CONTEXT.Process(target=_serve, args=(theirs, subject, environment), daemon=True)
            # Ctrl-C is for this process alone: a new process takes over what is blocked here
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
            begun.append(process)
            pipes.append(pipe)
        yield pipes
    finally:
        for process in begun:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()


def ask(pipes: list[Connection], what: Any) -> list[Any]:
    """What each answers, all of them at work at once."""
    for pipe in pipes:
        pipe.send(what)
    return [hear(pipe) for pipe in pipes]


def hear(pipe: Connection) -> Any:
    """What a process says next. Raises what it raised; `UserError` where memory ran out or it was killed."""
    try:
        said = pipe.recv()
    except EOFError:
        raise UserError("a process was killed; memory ran out, it seems", remedy=_SMALLER) from None
    if not isinstance(said, Failure):
        return said
    if said.memory:
        raise UserError(f"memory ran out: {said.words}", remedy=_SMALLER)
    raise said.error()


def _serve(pipe: Connection, subject: Subject, environment: dict[str, str]) -> None:
    """Answer until the parent is gone: to a `Subject`, made with so many layers, how many times as long its whole takes
    for each shape, and to (name of a unit, seconds) the rate at which that was done."""
    os.environ.update(environment)
    try:
        from xstilts.bench import units

        pipe.send(units.facts(subject.precision))
        known = units.products(subject)
        while True:
            asked = pipe.recv()
            if isinstance(asked, Subject):
                known |= units.passes(asked)
                pipe.send({sort.shape: units.scale(asked, sort.shape) for sort in asked.sorts})
            else:
                name, seconds = asked
                pipe.send(units.rate(known[name], seconds))
    except (EOFError, OSError):
        pass  # the parent is gone
    except BaseException as error:
        pipe.send(Failure.of(error))
