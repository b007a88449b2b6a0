"""Who is alive on a store, and which steps they have: claims and heartbeats, seen by one who only reads."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xstilts.store.claims import BEAT, MISSED, is_running


class Runners:
    """The runs on a store. On this host a run is alive while its process is; on another while its heart beats.

    Clocks of hosts may disagree: how old a heartbeat is counts by the time of day at first sight only, then by whether
    it changes.
    """

    def __init__(self, root: Path) -> None:
        self._runners, self._claims = root / "runners", root / "claims"
        self._known: dict[str, dict[str, Any]] = {}
        self._beats: dict[str, tuple[float, float]] = {}

    def look(self) -> None:
        """See who is there now."""
        found = {}
        for entry in _entries(self._runners):
            try:
                found[entry.name] = self._known.get(entry.name) or json.loads(Path(entry.path).read_text("utf-8"))
                self.beat(entry.name, entry.stat().st_mtime)
            except (OSError, ValueError):
                continue  # it has just gone, or is being written
        self._known = found

    def beat(self, who: str, when: float) -> None:
        """Take note of a sign of life, at `when` by the time of day of whoever gave it."""
        now = time.monotonic()
        last = self._beats.get(who)
        if last is None:
            self._beats[who] = (when, now - max(0.0, time.time() - when))
        elif last[0] != when:
            self._beats[who] = (when, now)

    def alive(self, who: str, process: dict[str, Any]) -> bool:
        """Whether a process (its `space`, `pid` and `began`) that gave signs of life as `who` is there."""
        if (lives := is_running(process)) is not None:
            return lives
        heard = [self._beats[who][1]] if who in self._beats else []
        heard += [
            self._beats[name][1]
            for name, runner in self._known.items()
            if (runner["host"], runner["pid"]) == (process.get("host"), process.get("pid"))
        ]
        return bool(heard) and time.monotonic() - max(heard) < MISSED * BEAT

    def holders(self, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
        """By key, who of those alive does a step: `host`, `pid`, and `since` when, in seconds since 1970."""
        wanted = set(wanted)
        found = {}
        for entry in _entries(self._claims):
            if entry.name in wanted:
                try:
                    name, since = f"{Path(entry.path).read_text('utf-8')}.json", entry.stat().st_mtime
                except OSError:
                    continue  # it has just been released
                runner = self._known.get(name)
                if runner is not None and self.alive(name, runner):
                    found[entry.name] = {"host": runner["host"], "pid": runner["pid"], "since": since}
        return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []
