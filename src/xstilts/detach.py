"""The process of a run: how it ends by a signal, and how it outlives the terminal it was started in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from xstilts.errors import UserError

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 120.0
"""Seconds that a detached run is waited for to begin; it plans the study anew in that time."""


class Stopped(BaseException):
    """The run was told to end by a signal."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C, `kill` and a closed terminal end what is inside in one line; the exit code is 128 and the signal's
    number, as shells have it. Workers are ended and leave nothing behind but the saved state of trainings.

    A signal that is ignored stays so (`nohup xstilts run`).
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _stop)
    try:
        yield
    except (KeyboardInterrupt, Stopped) as stop:
        cause = stop.number if isinstance(stop, Stopped) else int(signal.SIGINT)
        how = "" if cause == signal.SIGINT else f" by {signal.Signals(cause).name}"
        print(f"\nstopped{how}; run the same command again to go on where it stopped", file=sys.stderr)
        sys.exit(128 + cause)
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _stop(number: int, _: object) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # cleaning up is not to be broken off
    if number == signal.SIGHUP:
        # the terminal is gone: whatever is printed from here on would fail
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
    raise Stopped(number)


def detach(arguments: Sequence[str], output: Path, events: Path) -> int:
    """Start `xstilts` with `arguments` in a session of its own, its output appended to a file; returns its process
    number as soon as the event log says that its run has begun. Raises `UserError` where it ends before that."""
    from xstilts.events import Tail

    output.parent.mkdir(exist_ok=True)
    tail = Tail(events)
    tail.read()
    with output.open("ab") as file:
        begins = file.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "xstilts", *arguments], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if any(event["event"] == "run-begin" and event["pid"] == child.pid for event in tail.read()):
            break
        if child.poll() is not None:
            if child.returncode == 0:
                break
            said = output.read_bytes()[begins:].decode(errors="replace").strip()
            raise UserError(f"the run ended at once: {said.removeprefix('xstilts: ') or child.returncode}")
        time.sleep(0.1)
    return child.pid
