"""Steps that play tricks on the process that they run in, and what tests ask of an executor about them."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil

from xstilts.executors import Executor
from xstilts.step import Step, Work

MEGABYTE = 2**20


class Odd(Exception):
    """Cannot be made again from what it shows of itself."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class Trick(Step):
    kind: ClassVar[str] = "Trick"
    does: str
    scratch: str = ""

    def run(self, work: Work) -> None:
        getattr(self, self.does)(work)

    def odd(self, work: Work) -> None:
        raise Odd("one", "two")

    def interrupt(self, work: Work) -> None:
        raise KeyboardInterrupt

    def leave(self, work: Work) -> None:
        sys.exit("enough")

    def starve(self, work: Work) -> None:
        raise MemoryError

    def see(self, work: Work) -> None:
        names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
        (work.out / "seen.txt").write_text(" ".join(os.environ.get(name, "-") for name in names))

    def fill_memory(self, work: Work) -> None:
        with (Path(self.scratch) / "halvings").open("a") as file:
            file.write(str(work.halvings))
        bytearray(600 * MEGABYTE // 2**work.halvings)

    def be_killed(self, work: Work) -> None:
        with (Path(self.scratch) / "halvings").open("a") as file:
            file.write(str(work.halvings))
            file.flush()
            if file.tell() == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    def be_killed_with_a_child(self, work: Work) -> None:
        child = os.fork()
        if child == 0:
            time.sleep(600)
        (Path(self.scratch) / "child").write_text(str(child))
        os.kill(os.getpid(), signal.SIGKILL)

    def insist(self, work: Work) -> None:
        """Does not end when it is told to."""
        until = time.monotonic() + 600
        while time.monotonic() < until:
            with suppress(BaseException):
                time.sleep(600)

    def catch_everything(self, work: Work) -> None:
        with suppress(Exception):
            time.sleep(600)


def outcome(executor: Executor, step: Step) -> Exception | None:
    executor.submit(step, "a step", lambda done, total: None)
    ended = executor.wait()
    assert ended is not None and ended[0] == step.key
    return ended[1]


def gone(process: int, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while psutil.pid_exists(process) and time.monotonic() < until:
        time.sleep(0.05)
    return not psutil.pid_exists(process)
