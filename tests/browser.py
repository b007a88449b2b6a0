"""A real Chromium for tests, driven through its DevTools protocol over two pipes: no driver, port or package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds until an answer that has not come counts as a failure; these machines are shared
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = ("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage",
          "--remote-debugging-pipe")  # fmt: skip
# a browser reads commands from its file 3 and answers in its file 4
_START = "import os, sys; a, b, *c = sys.argv[1:]; os.dup2(int(a), 3); os.dup2(int(b), 4); os.execvp(c[0], c)"
_KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowUp": 38, "ArrowDown": 40, "Home": 36, "End": 35}


def chromium() -> str | None:
    """The command of an installed Chromium or Chrome: $XSTILTS_CHROMIUM, else the first on the path; None: none."""
    return os.environ.get("XSTILTS_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """One tab. Its doings since `open` lie in `events`, as the protocol names them (method and params)."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._rest, self._last = to, back, b"", 0
        self._session: str | None = None
        self.events: list[tuple[str, dict[str, Any]]] = []
        tab = self.send("Target.getTargets")["targetInfos"][0]["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command of the protocol; RuntimeError if it is refused, TimeoutError if none comes."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._next(until)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def _next(self, until: float) -> dict[str, Any]:
        """The next message; what is not an answer is noted in `events`."""
        while b"\0" not in self._rest:
            if not select.select([self._back], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"the browser said nothing for {PATIENCE:g} seconds")
            read = os.read(self._back, 1 << 20)
            if not read:
                raise RuntimeError("the browser is gone")
            self._rest += read
        raw, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(raw)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
            if message["method"] == "Page.javascriptDialogOpening":  # it would stop the page for good
                self._last += 1
                close = {"id": self._last, "method": "Page.handleJavaScriptDialog", "params": {"accept": False}}
                os.write(self._to, json.dumps({**close, "sessionId": self._session}).encode() + b"\0")
                self._last += 1  # never mistaken for the answer that is waited for
        return message

    def open(self, file: Path, fragment: str = "") -> None:
        """Loads a local file anew and waits until it is there."""
        self.send("Page.navigate", url="about:blank")
        self._wait("Page.loadEventFired")
        self.events.clear()
        self.send("Page.navigate", url=file.resolve().as_uri() + fragment)
        self._wait("Page.loadEventFired")

    def reload(self) -> None:
        """Loads the same page again."""
        self.send("Page.reload")
        self._wait("Page.loadEventFired")

    def _wait(self, event: str) -> None:
        until = time.monotonic() + PATIENCE
        while event not in [method for method, _ in self.events]:
            self._next(until)
        self.events = [(method, about) for method, about in self.events if method != event]

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise; RuntimeError if it throws."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"].get("exception", found["exceptionDetails"])))
        return found["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """The text of every element that the selector finds."""
        return list(self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent.trim())"))

    def click(self, selector: str) -> None:
        """A click of the mouse on the middle of the first element that the selector finds."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', inline: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Keys of the keyboard, one after the other, on whatever has the focus."""
        for key in keys:
            text = {"Enter": "\r", " ": " "}.get(key, "")
            about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": _KEYS[key]}
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
            self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def look(self, *, dark: bool = False, width: int = 1100, height: int = 900, media: str = "screen") -> None:
        """Light or dark, the window's size in CSS pixels, and `screen` or `print`."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, file: Path) -> None:
        """Writes what the window shows as a PNG."""
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    @property
    def complaints(self) -> list[str]:
        """Errors, warnings, console messages, dialogs and broken policies since `open`; requests but for the file."""
        found = []
        for method, about in self.events:
            if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded",
                          "Page.javascriptDialogOpening"):  # fmt: skip
                found.append(f"{method}: {json.dumps(about)[:600]}")
            elif method == "Network.requestWillBeSent" and about["type"] != "Document":
                found.append(f"request for {about['request']['url'][:200]}")
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A running browser's only tab; `profile` is a folder of its own. It is gone afterwards."""
    command = chromium()
    if command is None:
        raise RuntimeError("no Chromium")
    ours, theirs = os.pipe(), os.pipe()
    flags = [*_QUIET, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (ours[0], theirs[1])]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *map(str, ends), command, *flags, "about:blank"], pass_fds=ends,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for end in (ours[0], theirs[1], *ends):
        os.close(end)
    try:
        yield Page(ours[1], theirs[0])
    finally:
        os.close(ours[1])  # it ends when nobody listens any more
        os.close(theirs[0])
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
