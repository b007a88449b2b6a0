"""Kills a run with -9 again and again, anywhere: python benchmarks/kills.py [--kills 100] [--executor inline pool]

A small study of the microworld (rows, translated rows, perturbed rows, two kinds of target, a mixture that chooses its
checkpoint) is run once undisturbed and then, on another store, killed at random moments and started again until it has
been killed often enough; then it may finish. Weights, predictions and every file of the report but `steps.csv` (which
holds times) must be the same, byte for byte. Prints how often each kind of step was hit, and exits with 1 where
anything differs. 100 kills take about five minutes on two processors.

`inline` is killed as a whole; of `pool` either the run with all its workers, or one worker, which the run replaces.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from xstilts.api import run_study
from xstilts.executors.engine import Engine
from xstilts.step import Interval
from xstilts.store.manifest import git_commit
from xstilts.study import Study

STUDY = {
    "name": "kills",
    "model": "microworld",
    "source": "microworld",
    "languages": ["en", "qaa"],
    "intermediates": ["mw_nli", {"mixed": "mw_nli+mw_pos"}, {"name": "far", "tasks": ["mw_nli"],
                                                             "translate": {"to": ["qaa"], "backend": "table"}}],
    "targets": ["mw_entailment", "mw_pos"],
    "perturbations": {"insert": 0.1},
    "settings": {
        "default": {"train_rows": 64, "dev_rows": 16, "test_rows": 24, "epochs": 2, "batch_size": 8, "max_length": 96,
                    "learning_rate": 1e-3},
        "mixed": {"select": "best", "evaluate_every": 3, "patience": 9},
    },
}  # fmt: skip


KINDS = ("prepare", "translate", "perturb", "train", "predict", "score")


def run(folder: Path, executor: str) -> None:
    """Run the study, from wherever it is, and write the report."""
    engine = Engine(executor=executor, save_every=Interval(steps=2), workers=None if executor == "inline" else 2)
    os.chdir(folder)
    run_study(Study.model_validate(STUDY), folder / "store", folder / "report", engine)


def preload() -> None:
    """Import what every child needs, once; no threads are started, which would not survive a fork."""
    import torch

    import xstilts.models.encoder
    import xstilts.report.html
    import xstilts.training.inference
    import xstilts.training.loop  # noqa: F401

    torch.set_num_threads(1)
    # asked once: the report names the commit, and a checkout that is worked on meanwhile has another one at the end
    git_commit()


def forked(what: Callable[[], None]) -> int:
    """A child process that does something; its number."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        code = 1
        try:
            what()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int, seconds: float) -> bool:
    """Wait so long for a child; whether it has ended. Raises `ChildProcessError` if it failed."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            if status != 0:
                raise ChildProcessError(f"the run ended with status {status}")
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)


def running(store: Path) -> set[Path]:
    """The temporary folders of steps that are being done."""
    return {path for path in store.glob("*/*/.*-*") if path.is_dir()}


def kill(folder: Path, executor: str, kills: int, seed: int, mean: float) -> Counter[str]:
    """Kill the run `kills` times, then let it finish. Half of the kills are some `mean` seconds after a start, the
    others in a step of a kind that is drawn, if one comes within eight times as long: most kinds take moments. Kinds of
    steps that were running when it was killed, with `between` for none."""
    rng, hit, done = random.Random(seed), Counter[str](), 0
    while True:
        known = running(folder / "store")
        pid = forked(lambda: run(folder, executor))
        if done >= kills:
            ended(pid, 1e9)
            return hit
        kind = rng.choice(KINDS) if rng.random() < 0.5 else ""
        over = ended(pid, rng.expovariate(1 / mean)) if not kind else met(pid, folder / "store", known, kind, 8 * mean)
        if over or ended(pid, rng.uniform(0, 0.05)):
            start_over(folder)
            continue
        kinds = [path.parts[-3] for path in running(folder / "store") - known]
        hit.update(kinds or ["between"])
        workers = [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]
        done += 1
        if workers and rng.random() < 0.5:
            rng.choice(workers).kill()  # the run itself goes on
            time.sleep(0.5)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def met(pid: int, store: Path, known: set[Path], kind: str, seconds: float) -> bool:
    """Wait until a child does a step of a kind, or so long; whether it has ended before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(path.parts[-3] == kind for path in running(store) - known):
            return False
        if ended(pid, 0):
            return True
        time.sleep(0.002)
    return False


def start_over(folder: Path) -> None:
    """Forget what was done: it was finished before it was killed often enough."""
    for path in sorted((folder / "store").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file that a step published and of every file of the report, times left out."""
    found = {}
    for manifest in (folder / "store").glob("*/*/*/manifest.json"):
        facts = json.loads(manifest.read_text())
        found |= {f"{manifest.parent.relative_to(folder)}/{name}": digest for name, digest in facts["files"].items()}
    for path in (folder / "report").rglob("*"):
        if path.is_file() and path.name != "steps.csv":
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of each executor")
    parser.add_argument("--executor", nargs="*", default=["inline", "pool"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mean", type=float, help="seconds from most starts to their kill, on average")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    preload()
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        plain = Path(place) / "plain"
        plain.mkdir()
        ended(forked(lambda: run(plain, "inline")), 1e9)
        print("| executor | kills | where | the same bytes |\n|---|---|---|---|")
        for executor in asked.executor:
            folder = Path(place) / executor
            folder.mkdir()
            hit = kill(folder, executor, asked.kills, asked.seed, asked.mean or (0.6 if executor == "inline" else 6.0))
            same = digests(folder) == digests(plain)
            wrong += not same
            where = ", ".join(f"{kind} {n}" for kind, n in hit.most_common())
            print(f"| {executor} | {asked.kills} | {where} | {'yes' if same else 'NO'} |", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
