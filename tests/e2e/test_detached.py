"""A run that outlives its terminal, and what signals do to one that does not."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from xstilts.detach import stoppable
from xstilts.runners import Runners
from xstilts.store.claims import Claims

STUDY = """\
name: mini
model: microworld
source: microworld
languages: [en]
intermediates: [none]
targets: [mw_entailment]
seeds: [1, 2]
settings:
  default: {train_rows: 64, test_rows: 20, epochs: 4, batch_size: 8, max_length: 96, learning_rate: 1.0e-3}
"""
PATIENCE = 150.0
XSTILTS = [sys.executable, "-m", "xstilts"]
LONG = ("epochs: 4", "epochs: 400")
"""A study that is not over before it is ended."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a study."""
    (tmp_path / "mini.yaml").write_text(STUDY)
    return tmp_path


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it has not come to pass"
        time.sleep(0.1)


def events(folder: Path) -> list[dict[str, str]]:
    log = folder / ".xstilts" / "store" / "events" / "mini.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def training(folder: Path) -> bool:
    return any(event["event"] == "step-start" and event["kind"] == "Train" for event in events(folder))


def _on_a_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # tests that run in the background under nohup pass on that it is ignored; a person's shell does not
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def terminal(folder: Path, command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """(process, terminal) of a command that is the leader of a session on a terminal, which is closed at the end: the
    kernel then sends SIGHUP to the session."""
    screen, far = pty.openpty()
    process = subprocess.Popen(
        command, cwd=folder, stdin=far, stdout=far, stderr=far, start_new_session=True,
        preexec_fn=_on_a_terminal,
    )  # fmt: skip
    os.close(far)
    try:
        yield process, screen
    finally:
        os.close(screen)
        process.wait(PATIENCE)


def test_a_detached_run_outlives_its_terminal(folder: Path) -> None:
    """`run --detach` from a shell on a terminal comes back at once and says what to type; the terminal is closed, its
    session is hung up, and the study is finished and reported all the same."""
    command = " ".join([*XSTILTS, "run", "mini.yaml", "--detach", "--executor", "inline"])
    # a shell that stays: it is hung up when its terminal goes
    with terminal(folder, ["sh", "-c", f"{command}; echo returned; sleep 600"]) as (shell, screen):
        text = ""
        while "returned" not in text:
            text += os.read(screen, 4096).decode()
        assert "xstilts status mini.yaml --watch" in text and "kill " in text
        report = folder / "reports" / "mini" / "report.html"
        assert not report.exists(), "the study was over before the terminal was closed"
    assert shell.returncode == -signal.SIGHUP
    pid = int(text.split("kill ")[1].split()[0])
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert events(folder)[-1]["how"] == "finished"
    assert report.is_file()
    assert "steps done" in (folder / ".xstilts" / "store" / "logs" / "mini.out").read_text()
    watched = subprocess.run(
        [*XSTILTS, "status", "mini.yaml", "--watch"], cwd=folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert watched.returncode == 0 and "steps done" in watched.stdout


def test_what_is_wrong_is_said_before_the_run_is_detached(folder: Path) -> None:
    """A wrong study, engine or store is one line in this terminal and exit code 2; nothing is left running."""
    (folder / "bad.yaml").write_text(STUDY.replace("mw_entailment", "mw_entailmen"))
    for arguments, said in (
        (("bad.yaml",), "did you mean"), (("mini.yaml", "--executor", "poll"), "did you mean"),
        (("mini.yaml", "--workers", "0"), "workers"), (("mini.yaml", "--store", "mini.yaml/x"), "--store"),
    ):  # fmt: skip
        done = subprocess.run([*XSTILTS, "run", *arguments, "--detach"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not list(folder.rglob("*.out")) and not events(folder)


def test_a_run_that_breaks_off_at_once_is_no_success(folder: Path) -> None:
    """When the detached run ends before it has begun, its last words are in this terminal, with exit code 2."""
    # -m puts the folder first on the path of the foreground too, so only the child is told
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '--detach' not in sys.orig_argv and 'run' in sys.orig_argv: print('no air', flush=True); os._exit(3)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [*XSTILTS, "run", "mini.yaml", "--detach"], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2 and "ended at once: no air" in done.stderr


def test_kill_ends_a_run_in_one_line(folder: Path) -> None:
    """SIGTERM to a run: one line, exit code 143, no worker left, no half-written step; the log says it was stopped."""
    (folder / "mini.yaml").write_text(STUDY.replace(*LONG))
    process = subprocess.Popen(
        [*XSTILTS, "run", "mini.yaml", "--workers", "2"],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: training(folder))
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; run the same command again" in errors and "Traceback" not in errors
    assert events(folder)[-1]["how"] == "stopped"
    wait_for(lambda: not any(child.is_running() for child in children))
    assert not [path for path in (folder / ".xstilts" / "store").rglob(".*") if path.is_dir()]


def test_a_closed_terminal_ends_a_run_that_is_not_detached(folder: Path) -> None:
    """Closing the terminal of a run is like Ctrl-C, with nothing left to print on: exit code 129, stopped."""
    (folder / "mini.yaml").write_text(STUDY.replace(*LONG))
    with terminal(folder, [*XSTILTS, "run", "mini.yaml", "--executor", "inline"]) as (process, _):
        wait_for(lambda: training(folder))
    assert process.returncode == 128 + signal.SIGHUP
    assert events(folder)[-1]["how"] == "stopped"


def test_a_killed_run_that_nobody_asked_after_holds_nothing(tmp_path: Path) -> None:
    """Where nothing reaps processes (a container without an init), a detached run that was killed stays as a zombie;
    its steps are free and it is not shown as running."""
    code = f"import time; from pathlib import Path; from xstilts.store.claims import Claims\n\
Claims(Path({str(tmp_path)!r})).take('key'); print('taken', flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "taken\n"
    runners = Runners(tmp_path)
    runners.look()
    assert set(runners.holders(["key"])) == {"key"}
    process.kill()
    wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert not runners.holders(["key"])
    claims = Claims(tmp_path)
    assert claims.holder("key") is None and claims.take("key")
    claims.close()
    process.communicate()


def test_nohup_is_respected() -> None:
    """A signal that was ignored before the run stays ignored, and afterwards all are as they were."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # of other tests in this process Ray may have left one
    others = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with stoppable():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGTERM, others)
