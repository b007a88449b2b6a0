"""A time limit that is raised inside what runs, so that it unwinds and cleans up."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from xstilts.executors.job import overdue


class _Alarm(BaseException):
    """Not an `Exception`: a step that catches those is ended as well."""


def within(seconds: float | None, call: Callable[[], None], pulse: float | None = None) -> None:
    """Call something that ends within so many seconds (None: whenever it does). Raises `StepFailed` if it does not.

    An alarm reaches Python code, sleep and most input and output; a call into native code is ended only when it
    returns. With `pulse` one comes every so many seconds: it wakes what sleeps or waits for a file or a process, since
    only then Python raises what others have asked it to (the `KeyboardInterrupt` by which Ray cancels).
    """
    if seconds is None and pulse is None:
        return call()
    began, armed = time.monotonic(), seconds is not None

    def ring(*_: object) -> None:
        nonlocal armed
        if armed and (pulse is None or time.monotonic() - began >= (seconds or 0.0)):
            armed = False
            raise _Alarm

    handler = signal.signal(signal.SIGALRM, ring)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, pulse or seconds or 0.0, pulse or 0.0)
    try:
        try:
            call()
        finally:
            armed = False
    except _Alarm:
        raise overdue(seconds or 0.0) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            # a process has one alarm: whoever had set it gets it back, late rather than not at all
            signal.setitimer(signal.ITIMER_REAL, max(0.001, remaining - (time.monotonic() - began)), interval)
