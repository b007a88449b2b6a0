"""A worker of the pool: a process that runs one step after the other and tells its parent how each went."""

from __future__ import annotations

import os
import signal
import time
import traceback
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from threading import Thread

from xstilts.errors import StepFailed
from xstilts.executors.job import Job, is_memory, run_job

GRACE = 5.0
"""Seconds that a step has to unwind and clean up once it is ended."""


@dataclass(frozen=True)
class Failure:
    """What a step raised, in a form that any process can read."""

    pickled: bytes
    """Empty where it cannot be pickled."""
    words: str
    trace: str
    memory: bool
    """Whether memory ran out."""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Of what was raised just now."""
        words = str(error).strip()
        try:
            pickled = bytes(ForkingPickler.dumps(error)) if isinstance(error, Exception) else b""
        except Exception:
            pickled = b""
        return cls(
            pickled, type(error).__name__ + (f": {words}" if words else ""),
            "".join(traceback.format_exception(error)), is_memory(error),
        )  # fmt: skip

    def error(self) -> Exception:
        """The very exception, with the worker's traceback as a note; a `StepFailed` with its type and words where it
        is none that can be read here."""
        try:
            error = ForkingPickler.loads(self.pickled) if self.pickled else None
        except Exception:
            error = None
        if not isinstance(error, Exception):
            error = StepFailed(self.words)
        error.add_note(f"in a worker process:\n{self.trace}")
        return error


def serve(parent: Connection, environment: dict[str, str]) -> None:
    """Run what the parent sends, until it closes the connection or ends this process.

    Sends back (done, total) while a step runs, and at its end None or a `Failure`. Ctrl-C is the parent's to handle.
    When the parent ends this process, or is itself killed, the running step unwinds and cleans up. `environment` is
    that of this worker; of the number of threads, what a person has set goes before it.
    """
    # a group of its own, so that what its steps start can be ended with it
    os.setpgrp()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    Thread(target=_follow_parent, daemon=True).start()
    try:
        while not _state.ending:
            try:
                job = parent.recv()
            except (EOFError, OSError):
                break
            except Exception as error:
                # a step that this process cannot read: of a module that is not here, say
                parent.send(Failure.of(error))
            else:
                parent.send(_run(job, parent))
    except OSError:
        pass  # the parent is gone
    _leave()


@dataclass
class _State:
    busy: bool = False
    ending: bool = False


_state = _State()


def _run(job: Job, parent: Connection) -> Failure | None:
    _state.busy = True
    try:
        run_job(job, lambda done, total: parent.send((done, total)))
    except BaseException as error:
        if _state.ending:
            _leave()
        return Failure.of(error)
    finally:
        _state.busy = False
    return None


def _end(*_: object) -> None:
    """A running step unwinds and cleans up; an idle worker goes at once."""
    # once: a second signal must not break off the cleaning up
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _state.ending = True
    if _state.busy:
        raise SystemExit(1)
    _leave()


def _leave() -> None:
    """End now: nothing here is worth the second that an orderly end of torch takes."""
    parent = parent_process()
    if parent is None or parent.is_alive():
        os._exit(1)
    # nobody else is left to end what the step had started
    os.killpg(0, signal.SIGKILL)


def _follow_parent() -> None:
    """Without this a worker whose parent was killed with -9 would go on, or wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os.killpg(0, signal.SIGKILL)
