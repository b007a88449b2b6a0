"""Causes every fault for real and says what was seen and lost: python benchmarks/reliability.py [--only NAME ...]

Each fault strikes a small study of the microworld, run as a person runs it, in a process of its own with a store of its
own. Then the same command is given again, and the report and all weights are compared with those of a run that nothing
befell, byte for byte (`steps.csv`, which holds times, aside). Prints the table of docs/reliability.md and exits with 1
if anything was lost. Some faults need root on Linux (a small disk, a memory limit); they say so where they cannot be
caused. About five minutes on two processors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

STUDY = """
name: small
model: {model}
source: microworld
languages: [en, qaa, qad]
precision: {precision}
intermediates: [mw_nli]
targets: [mw_entailment, mw_pos]
settings:
  default: {{train_rows: 192, test_rows: 40, epochs: 3, batch_size: {batch}, max_length: 96, learning_rate: 0.001}}
"""
PATIENCE = 300.0


class NotCaused(Exception):
    """The machine does not let the fault be caused; why."""


@dataclass(frozen=True)
class Place:
    """Where one fault is tried: a folder with the study, the store and the report in it."""

    folder: Path

    def study(self, model: str = "microworld", batch: int = 16, precision: str = "auto") -> Path:
        """The study's file."""
        file = self.folder / "small.yaml"
        file.write_text(STUDY.format(model=model, batch=batch, precision=precision))
        return file

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / "store"

    @property
    def report(self) -> Path:
        """The report's folder."""
        return self.folder / "report"

    def command(self, *words: str) -> list[str]:
        """`xstilts` with these words. Paths are relative: the report has the command in it."""
        return [sys.executable, "-m", "xstilts", *words, "--store", "store"]

    def run(self, *flags: str) -> list[str]:
        """The command that runs the study."""
        return self.command("run", "small.yaml", "--out", "report", *flags)

    def do(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False, **options
        )

    @contextmanager
    def started(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        """A command in a session of its own, ended at the end whatever happens."""
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def verify(self, *flags: str) -> list[Any]:
        """What `xstilts store verify` finds damaged."""
        found: list[Any] = json.loads(self.do(self.command("store", "verify", "--json", *flags)).stdout)["damaged"]
        return found

    def trainings(self) -> list[Path]:
        """Folders of trainings that are going on."""
        return list((self.store / "train").glob("*/.*-*"))


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something. Raises `TimeoutError`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Worker processes of a run that compute."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def failure(place: Place) -> str:
    """What `xstilts status` says of the failed step."""
    facts = json.loads(place.do(place.command("status", "small.yaml", "--json")).stdout)
    (first, *_) = facts["failures"]
    return f"{first['error']}; {first['remedy']}" if first.get("remedy") else first["error"]


def last_line(text: str) -> str:
    """The last line of what a command printed."""
    return text.strip().splitlines()[-1]


# the faults -----------------------------------------------------------------------------------------------------------


def kill_the_run(place: Place) -> str:
    """`kill -9` of the run and all its workers, three times, in the middle of trainings."""
    for _ in range(3):
        with place.started(place.run("--save-every", "3 steps")) as process:
            until(place.trainings, "a training")
            time.sleep(random.Random(place.folder.name).uniform(0.5, 2))
            os.killpg(process.pid, signal.SIGKILL)
    return "nothing; the next run goes on from the last saved state"


def kill_a_worker(place: Place) -> str:
    """`kill -9` of one worker in the middle of a training."""
    with place.started(place.run("--save-every", "3 steps")) as process:
        until(place.trainings, "a training")
        time.sleep(1)
        workers(process)[0].kill()
        output, _ = process.communicate(timeout=PATIENCE)
    return f"nothing: a new worker goes on. {output.splitlines()[0]}"


def interrupt(place: Place) -> str:
    """Ctrl-C in the middle of a training."""
    with place.started(place.run()) as process:
        until(place.trainings, "a training")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    return last_line(errors)


def close_the_terminal(place: Place) -> str:
    """`xstilts run --detach`, then a hang-up signal to its terminal's session."""
    with place.started(place.run("--detach")) as process:
        output, _ = process.communicate(timeout=PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP)
    until((place.report / "report.html").is_file, "the report")
    return f"the run goes on: “{output.strip().splitlines()[0]}”"


def hang(place: Place) -> str:
    """A worker is stopped (SIGSTOP) in the middle of a training; `--time-limit 20`."""
    with place.started(place.run("--time-limit", "20 s", "--save-every", "3 steps")) as process:
        until(place.trainings, "a training")
        time.sleep(1)
        workers(process)[0].suspend()
        process.communicate(timeout=PATIENCE)
    return failure(place)


def fill_the_disk(place: Place) -> str:
    """The store is on a disk of 12 MB; later it is made larger."""
    with mounted(place.store, "size=12m"):
        place.do(place.run())
        seen = failure(place)
        subprocess.run(["mount", "-o", "remount,size=200m", place.store], check=True)
        place.do(place.run())
        subprocess.run(["cp", "-r", place.store, place.folder / "kept"], check=True)
    place.store.rmdir()
    (place.folder / "kept").rename(place.store)
    return seen


def freeze_the_disk(place: Place) -> str:
    """The store becomes read-only in the middle of a training; later it is writable again."""
    with mounted(place.store, "size=200m"):
        with place.started(place.run()) as process:
            until(place.trainings, "a training")
            # laid over the store: a disk with open files cannot be made read-only
            subprocess.run(["mount", "--bind", place.store, place.store], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", place.store], check=True)
            _, errors = process.communicate(timeout=PATIENCE)
        refused = place.do(place.run())
        subprocess.run(["umount", place.store], check=True)
        assert process.returncode and refused.returncode and "Traceback" not in errors, errors
        place.do(place.run())
        subprocess.run(["cp", "-r", place.store, place.folder / "kept"], check=True)
    place.store.rmdir()
    (place.folder / "kept").rename(place.store)
    failed = next(line for line in errors.splitlines() if "Read-only" in line)
    return f"{failed.replace(str(place.folder), '…')}; then, at the start: {last_line(refused.stderr)}"


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small disk at `folder`. Raises `NotCaused` where that is not allowed."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        raise NotCaused(f"a small disk cannot be mounted here ({made.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def flip_bytes(place: Place) -> str:
    """In a finished store a byte of a checkpoint is flipped, a file of predictions cut short, one of scores removed."""
    place.do(place.run())
    rng = random.Random(7)
    weights = sorted((place.store / "train").glob("*/*/checkpoint/model.safetensors"))[0]
    data = bytearray(weights.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    weights.write_bytes(data)
    cut = sorted((place.store / "predict").glob("*/*/predictions.parquet"))[0]
    os.truncate(cut, cut.stat().st_size // 2)
    sorted((place.store / "score").glob("*/*/scores.parquet"))[-1].unlink()
    damaged = place.verify()
    assert len(damaged) == 3, damaged
    place.verify("--drop")
    return "`xstilts store verify` names the three steps and what was made from them"


def poison(place: Place) -> str:
    """A byte is flipped in the intermediate checkpoint before anything has gone on from it."""
    with place.started(place.run("--workers", "1")) as process:
        until(lambda: [m for m in (place.store / "train").glob("*/*/manifest.json") if "mw_nli, seed" in m.read_text()],
              "the intermediate training")  # fmt: skip
        os.killpg(process.pid, signal.SIGKILL)
    (manifest,) = [m for m in (place.store / "train").glob("*/*/manifest.json") if "mw_nli, seed" in m.read_text()]
    weights = manifest.parent / "checkpoint" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 64
    weights.write_bytes(data)
    place.do(place.run())
    seen = failure(place)
    place.verify("--drop")
    return seen


class Creates:
    """What a pickle can do to whoever loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def offer_a_pickle(place: Place) -> str:
    """The study's model is a folder whose weights are a pickle that creates a file when it is loaded."""
    from xstilts.sources.microworld import ENCODER

    model, trap = place.folder / "model", place.folder / "sprung"
    subprocess.run(["cp", "-r", ENCODER, model], check=True)
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Creates(trap)))
    place.study(model=str(model))
    refused = place.do(place.run())
    assert refused.returncode == 2 and not trap.exists(), refused.stderr
    place.study()
    return last_line(refused.stderr).replace(str(place.folder), "…")


def point_outside(place: Place) -> str:
    """A manifest names `../../../secret`, and a file of predictions is replaced by a link to one outside."""
    secret = place.folder / "secret"
    secret.write_text("not the store's")
    place.do(place.run())
    manifest = sorted((place.store / "score").glob("*/*/manifest.json"))[0]
    facts = json.loads(manifest.read_text())
    facts["files"]["../../../../secret"] = hashlib.sha256(secret.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(facts))
    link = sorted((place.store / "predict").glob("*/*/predictions.parquet"))[0]
    link.unlink()
    link.symlink_to(secret)
    found = place.verify()
    place.verify("--drop")
    assert len(found) == 2 and secret.read_text() == "not the store's"
    return "`xstilts store verify` names both steps; nothing outside the store is read or removed"


def share_the_store(place: Place) -> str:
    """Two runs of the study on one store at a time."""
    second = ["second" if word == "report" else word for word in place.run("--workers", "1", "--json")]
    with place.started(place.run("--workers", "1", "--json")) as one, place.started(second) as two:
        first, other = (json.loads(process.communicate(timeout=PATIENCE)[0]) for process in (one, two))
    total = len([*place.store.glob("*/*/*/manifest.json")])
    assert first["done"] + other["done"] == total, (first, other, total)
    return f"{total} steps, of which one did {first['done']} and the other {other['done']}: none was done twice"


def run_out_of_memory(place: Place) -> str:
    """A memory limit (cgroup) below what a batch of 192 rows needs in float32: the kernel kills the worker."""
    place.study(batch=192, precision="float32")
    group = limited(place.folder.name)
    free = place.do(place.run("--workers", "1"))
    assert free.returncode == 0, free.stderr
    peak = max(json.loads(m.read_text())["peak_memory_mb"] for m in (place.store / "train").glob("*/*/manifest.json"))
    place.store.rename(place.folder / "free")
    limit = round(0.8 * peak)
    killed = 0
    with group(limit) as enter:
        before = oom_kills()
        process = place.do(place.run("--workers", "1"), preexec_fn=enter)
        killed = oom_kills() - before
    assert killed and process.returncode == 0, (killed, process.stderr)
    apart = distance(place.folder / "free", place.store)
    answers = [hashes(folder, "predictions.parquet") for folder in (place.folder / "free", place.store)]
    same = sum(answers[0][name] == answers[1].get(name) for name in answers[0])
    subprocess.run(["rm", "-rf", place.store], check=True)
    place.study()
    return (f"workers killed: {killed}, at a limit of {limit} MB (needed: {peak} MB); the run ends with all steps "
            f"done, weights {apart:.0e} of their length away from those without a limit, {same} of {len(answers[0])} "
            "files of predictions the same")  # fmt: skip


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory."""
    lines = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(lines["oom_kill"])


def limited(name: str) -> Callable[[int], object]:
    """A group of processes with a memory limit. Raises `NotCaused` where none can be made."""

    @contextmanager
    def group(megabytes: int) -> Iterator[Callable[[], None]]:
        old = Path("/sys/fs/cgroup/memory")
        root, file = (old, "memory.limit_in_bytes") if old.is_dir() else (Path("/sys/fs/cgroup"), "memory.max")
        folder = root / f"xstilts-{name}"
        try:
            folder.mkdir()
            (folder / file).write_text(str(megabytes * 2**20))
        except OSError as error:
            raise NotCaused(f"no memory limit can be set here ({error.strerror})") from None
        try:
            yield lambda: (folder / "cgroup.procs").write_text(str(os.getpid())) and None
        finally:
            time.sleep(0.5)
            folder.rmdir()

    return group


def distance(one: Path, other: Path) -> float:
    """The largest distance between two stores' weights of a checkpoint, as a share of their length."""
    from safetensors.numpy import load_file

    worst = 0.0
    for path in one.glob("train/*/*/checkpoint/model.safetensors"):
        first, second = load_file(path), load_file(other / path.relative_to(one))
        apart = sum(float(((tensor - second[name]) ** 2).sum()) for name, tensor in first.items())
        worst = max(worst, (apart / sum(float((tensor**2).sum()) for tensor in first.values())) ** 0.5)
    return worst


@dataclass(frozen=True)
class Fault:
    """One fault: what a person calls it, what causes it, the test that holds it."""

    name: str
    cause: Callable[[Place], str]
    test: str


FAULTS = (
    Fault("the run is killed", kill_the_run, "e2e/test_kills.py"),
    Fault("a worker is killed", kill_a_worker, "contract/test_executors.py"),
    Fault("Ctrl-C", interrupt, "e2e/test_cli.py"),
    Fault("the terminal is closed", close_the_terminal, "e2e/test_detached.py"),
    Fault("a worker hangs", hang, "contract/test_executors.py"),
    Fault("memory runs out", run_out_of_memory, "spec/test_slices.py"),
    Fault("the disk is full", fill_the_disk, "spec/test_faults.py"),
    Fault("the store becomes read-only", freeze_the_disk, "spec/test_faults.py"),
    Fault("files are damaged", flip_bytes, "spec/test_store_verify.py"),
    Fault("a checkpoint is poisoned", poison, "spec/test_unsafe_input.py"),
    Fault("a pickle is offered as weights", offer_a_pickle, "spec/test_unsafe_input.py"),
    Fault("a link or `..` in a name", point_outside, "spec/test_store_verify.py"),
    Fault("two runs share a store", share_the_store, "spec/test_two_runs.py"),
)


def hashes(folder: Path, pattern: str, leave_out: str = "") -> dict[str, str]:
    """sha256 of the files of a folder, by their path in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob(pattern) if path.is_file() and path.name != leave_out
    }  # fmt: skip


def lost(place: Place, plain: Place) -> str:
    """What of a run that nothing befell is missing or different after the study was run again."""
    again = place.do(place.run())
    if again.returncode:
        return f"the run could not be finished: {last_line(again.stderr)}"
    missing = False
    for what, pattern, which in (("report", "*", "report"), ("weights", "*.safetensors", "store")):
        ours, theirs = (hashes(getattr(p, which), pattern, "steps.csv") for p in (place, plain))
        missing = which == "store" and ours.keys() < theirs.keys()
        # a checkpoint that was removed is made again when something needs it, and not before
        names = ours.keys() if missing else ours.keys() | theirs.keys()
        different = sorted(name for name in names if ours.get(name) != theirs.get(name))
        if different:
            return f"{what}: {', '.join(different[:3])}"
    return "nothing" + " (a checkpoint that nothing needs any more is made again when something does)" * missing


def main() -> None:
    """Cause, look, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="names of faults, or parts of them")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    bad = 0
    print("| fault | how it is caused | what is seen | what is lost | test |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        plain = place_in(Path(folder), "plain")
        done = plain.do(plain.run())
        assert done.returncode == 0, done.stderr
        for number, fault in enumerate(FAULTS):
            if asked.only and not any(part in fault.name for part in asked.only):
                continue
            place = place_in(Path(folder), f"{number:02}")
            try:
                seen = fault.cause(place)
                gone = lost(place, plain)
            except NotCaused as reason:
                seen, gone = f"NOT CAUSED: {reason}", "–"
            seen = seen.replace(str(place.store), "STORE").replace("|", "\\|")
            bad += not gone.startswith(("nothing", "–"))
            how = " ".join((fault.cause.__doc__ or "").split())
            print(f"| {fault.name} | {how} | {seen} | {gone} | `tests/{fault.test}` |", flush=True)
    sys.exit(1 if bad else 0)


def place_in(folder: Path, name: str) -> Place:
    """A new place with the study in it. The command in a report names the study's file, so all are called alike."""
    place = Place(folder / name / "work")
    place.folder.mkdir(parents=True)
    place.study()
    return place


if __name__ == "__main__":
    main()
