"""A worker of the pool: a process that runs one step after the other and tells its parent how each went."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from threading import Thread

from xstilts.executors.failure import Failure
from xstilts.executors.job import GRACE, Job, run_job


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
