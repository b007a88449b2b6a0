"""Claims: who does which step, so that two runs on one store do not do the same work twice.

    STORE/runners/<id>.json     a run: its host and process; the file's time is its heartbeat
    STORE/claims/<key>          the id of the run that does this step

Advisory: nothing waits for a claim but the scheduler, and where two runs do the same step both give the same. There are
no locks: a claim is made by creating a file that must not exist, which is atomic on network folders too, and a run that
dies without releasing its claims is known by its heartbeat, or at once on the same host.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
import uuid
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

log = logging.getLogger("xstilts")

BEAT = 20.0
"""Seconds between two heartbeats."""
MISSED = 6
"""Heartbeats missed after which a run on another host counts as dead."""


class Claims:
    """The claims of one run. `root` is the store's folder. Close it: its heart beats in a thread."""

    def __init__(self, root: Path, beat: float = BEAT) -> None:
        self.id, self.beat = uuid.uuid4().hex[:16], beat
        self._claims, self._runners = root / "claims", root / "runners"
        self._mine = self._runners / f"{self.id}.json"
        self._held: set[str] = set()
        self._known: dict[str, tuple[float, bool]] = {}
        self._closed = Event()
        self._heart: Thread | None = None

    def take(self, key: str) -> bool:
        """Claim a step. False where another run that is alive has it. Where claims cannot be written (a full disk) it
        is true, with a warning: work done twice is better than none."""
        if key in self._held:
            return True
        try:
            self._begin()
            taken = self._create(key) or self._take_over(key)
        except OSError as error:
            log.warning("steps cannot be claimed (%s); another run on this store may do the same", error.strerror)
            return True
        if taken:
            self._held.add(key)
        return taken

    def adopt(self, key: str) -> None:
        """Claim a step whoever has it: in a worker that outlives the run it was launched by."""
        self._begin()
        self._replace(key)
        self._held.add(key)

    def release(self, key: str) -> None:
        """Give a step free, whether it is done or not."""
        if key in self._held:
            self._held.discard(key)
            try:
                if self._owner(key) == self.id:  # a worker may have adopted it
                    (self._claims / key).unlink(missing_ok=True)
            except OSError as error:
                log.warning("a claim cannot be removed (%s)", error.strerror)

    def holder(self, key: str) -> str | None:
        """Who has a step, as `host, process 123`; None where no living run has."""
        owner = self._owner(key)
        if owner is None or not self._alive(owner):
            return None
        runner = self._runner(owner)
        return f"{runner['host']}, process {runner['pid']}" if runner else "another run"

    def close(self) -> None:
        """Release everything and stop the heart."""
        self._closed.set()
        for key in list(self._held):
            self.release(key)
        if self._heart is not None:
            self._heart.join()
            try:
                self._mine.unlink(missing_ok=True)
            except OSError as error:
                log.warning("the run's heartbeat file cannot be removed (%s)", error.strerror)

    def _begin(self) -> None:
        if self._heart is None:
            self._claims.mkdir(parents=True, exist_ok=True)
            self._runners.mkdir(exist_ok=True)
            self._introduce()
            self._heart = Thread(target=self._beat, daemon=True)
            self._heart.start()

    def _introduce(self) -> None:
        self._mine.write_text(json.dumps(this_process()), "utf-8")

    def _beat(self) -> None:
        while not self._closed.wait(self.beat):
            try:
                os.utime(self._mine)
            except FileNotFoundError:
                # someone cleaned up, or took this run for dead; it is not
                self._introduce()
            except OSError as error:
                log.warning("no heartbeat (%s); other runs may take this one for dead", error.strerror)

    def _create(self, key: str) -> bool:
        try:
            with (self._claims / key).open("x", encoding="utf-8") as file:
                file.write(self.id)
        except FileExistsError:
            return False
        return True

    def _replace(self, key: str) -> None:
        new = self._claims / f".{key[:12]}-{self.id}"
        new.write_text(self.id, "utf-8")
        new.rename(self._claims / key)

    def _take_over(self, key: str) -> bool:
        """Take the claim of a run that is dead."""
        owner = self._owner(key)
        alive = self._fresh(self._claims / key) if owner == "" else owner is not None and self._alive(owner)
        if alive and owner != self.id:
            return False
        self._replace(key)
        # two runs may do this at a time: the later rename counts, for both
        return self._owner(key) == self.id

    def _owner(self, key: str) -> str | None:
        """The id in a claim; empty in the moment between its creation and its writing."""
        try:
            return (self._claims / key).read_text("utf-8")
        except FileNotFoundError:
            return None

    def _runner(self, owner: str) -> dict[str, Any] | None:
        try:
            runner: dict[str, Any] = json.loads((self._runners / f"{owner}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return runner

    def _alive(self, owner: str) -> bool:
        """Whether a run is alive; looked up every other second at most, since a run may have thousands of claims."""
        if owner == self.id:
            return True
        now = time.monotonic()
        if owner not in self._known or now - self._known[owner][0] > 2:
            self._known[owner] = (now, self._beats(owner))
        return self._known[owner][1]

    def _beats(self, owner: str) -> bool:
        runner = self._runner(owner)
        if runner is None:
            return False
        lives = is_running(runner)
        return self._fresh(self._runners / f"{owner}.json") if lives is None else lives

    def _fresh(self, path: Path) -> bool:
        """Whether a file was written less than some heartbeats ago. By the file server's clock: hosts may disagree."""
        try:
            os.utime(self._mine)
            return self._mine.stat().st_mtime - path.stat().st_mtime < MISSED * self.beat
        except OSError:
            return False


def this_process() -> dict[str, Any]:
    """What `is_running` knows this process by, elsewhere and later."""
    return {"host": platform.node(), "pid": os.getpid(), "began": psutil.Process().create_time(), "space": _space()}


def is_running(process: dict[str, Any]) -> bool | None:
    """Whether a process that `this_process` told of is there; None where that cannot be seen from here."""
    if process.get("space") != _space():
        return None
    try:
        found = psutil.Process(process["pid"])
        # one that was killed, and that its parent has not asked after, still has its number
        return found.status() != psutil.STATUS_ZOMBIE and bool(abs(found.create_time() - process["began"]) < 1)
    except psutil.NoSuchProcess:
        return False


@cache
def _space() -> str:
    """What process numbers are of: a host since it was started, or a container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{platform.node()} {psutil.boot_time():.0f}"
