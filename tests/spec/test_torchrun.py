"""One training in two processes under torchrun gives what it gives in one, and ends with whoever wanted it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import mini

from xstilts.errors import StepFailed, UserError
from xstilts.executors import launch
from xstilts.executors.engine import Engine
from xstilts.executors.job import Job, is_memory, run_job
from xstilts.models.encoder import load_encoder
from xstilts.plan import plan
from xstilts.schedule import explain
from xstilts.sources.microworld import ENCODER
from xstilts.step import Work
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.training import ranks

FIELDS = {"train_rows": 25, "test_rows": 16, "dev_rows": 16, "epochs": 1, "batch_size": 8, "max_length": 96,
          "learning_rate": 1e-3, "select": "best"}  # fmt: skip
"""The last batch has one row: one of two ranks has none."""
PATIENCE = 120.0
"""Seconds that processes have to start or end, on whatever machine."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Train]:
    """(a store with its rows, a training of 4 optimiser steps)."""
    planned = plan(mini(settings={"default": FIELDS}, intermediates=[], precision="float32"))
    step = next(step for step in planned.steps.values() if isinstance(step, Train))
    store = Store(tmp_path_factory.mktemp("store")).open()
    for key in step.inputs():
        store.publish(planned.steps[key], "rows")
    return store, step


def job(store: Store, step: Train, processes: int) -> Job:
    return Job.of(store, step, "t", Engine(executor="inline", processes={"Train": processes}))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {f"{file.name} {name}": tensor for file in folder.glob("*.safetensors")
            for name, tensor in load_file(file).items()}  # fmt: skip


def test_two_processes_train_what_one_does(prepared: tuple[Store, Train], tmp_path: Path) -> None:
    """Weights, losses, dev scores and progress of a training with dropout are those of one process but for rounding,
    though one of the ranks has no row of the last batch; one publishes it, and nothing else remains."""
    store, step = prepared
    other = Store(tmp_path / "store").open()
    (other.root / "prepare").symlink_to(store.root / "prepare")
    seen: dict[int, list[tuple[int, int]]] = {1: [], 2: []}
    run_job(job(store, step, 1), lambda done, total: seen[1].append((done, total)))
    run_job(job(other, step, 2), lambda done, total: seen[2].append((done, total)))
    assert seen[1] == seen[2] and seen[1][-1] == (25, 32)
    alone, together = store.manifest(step), other.manifest(step)
    assert together["processes"] == 2 and "processes" not in alone
    assert set(alone["files"]) == set(together["files"])
    assert [path.name for path in other.of(step).parent.iterdir()] == [step.key]
    one, two = (weights(place.of(step) / "checkpoint") for place in (store, other))
    before = load_encoder(str(ENCODER), "", None)[0].state_dict()
    moved = sum((one[f"model.safetensors {name}"] - weight).square().sum() for name, weight in before.items())
    apart = sum((one[name] - two[name]).square().sum() for name in one)
    assert one.keys() == two.keys() and apart < moved * 1e-4
    logs = [(place.of(step) / "log.jsonl").read_text().splitlines() for place in (store, other)]
    for first, second in zip(*(map(json.loads, log) for log in logs), strict=True):
        assert first == pytest.approx(second, rel=1e-4)


def test_an_error_in_a_rank_is_that_of_the_step(prepared: tuple[Store, Train], tmp_path: Path) -> None:
    """What a person did wrong is said by a launch in two processes in the words that one process says it in, and
    nothing of the step remains."""
    store, step = prepared
    wrong = step.model_copy(update={"model": str(tmp_path / "nowhere"), "seed": 77})
    errors = []
    for processes in (1, 2):
        with pytest.raises(UserError) as raised:
            run_job(job(store, wrong, processes), lambda done, total: None)
        errors.append(str(raised.value))
    assert errors[0] == errors[1] and "nowhere" in errors[0] and "\n" not in errors[0]
    assert list(store.of(wrong).parent.iterdir()) == []


WANTED = """
import sys
from pathlib import Path
from xstilts.executors.launch import launch
from xstilts.step import Work
from xstilts.steps.train import Train
from xstilts.store import Store

root, out, fields = sys.argv[1:]
launch(Train.model_validate_json(fields), Work(Store(Path(root)), Path(out)), 2)
"""


def test_ranks_end_with_the_process_that_wants_them(prepared: tuple[Store, Train], tmp_path: Path) -> None:
    """After a kill -9 of the process that launched them torchrun and all ranks end."""
    store, step = prepared
    long = step.model_copy(update={"recipe": {**step.recipe, "epochs": 10_000}})
    parent = subprocess.Popen(
        [sys.executable, "-c", WANTED, str(store.root), str(tmp_path), long.model_dump_json()],
        stderr=subprocess.DEVNULL,
    )
    started = time.monotonic()
    found: list[psutil.Process] = []
    while len(found) < 3 and time.monotonic() - started < PATIENCE:
        found = psutil.Process(parent.pid).children(recursive=True)
        time.sleep(0.1)
    assert len(found) == 3  # torchrun and two ranks
    parent.kill()
    parent.wait()
    gone, left = psutil.wait_procs(found, timeout=PATIENCE)
    for process in left:
        process.kill()
    assert len(gone) == 3


@pytest.mark.parametrize(
    "error",
    [
        UserError("no such thing", file="study.yaml", line=3, remedy="name another"), StepFailed("it went wrong"),
        StepFailed("it went wrong", remedy="type this"), OSError(errno.ENOSPC, "No space left on device", "a/file"),
        PermissionError(errno.EACCES, "Permission denied"), ValueError("odd\nnumbers"), KeyError("name"),
    ],
)  # fmt: skip
def test_errors_cross_as_json(error: Exception) -> None:
    """A person reads the same of an error whether it comes from a rank or not, and the run goes on or stops."""
    there = launch._raised(json.loads(json.dumps(launch._say(error, 1))))
    assert explain(there) == explain(error)
    assert isinstance(there, UserError) == isinstance(error, UserError)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: you tried")])
def test_want_of_memory_in_a_rank_is_want_of_memory(error: Exception) -> None:
    """So that the step is launched again with half as many rows at a time."""
    assert is_memory(launch._raised(json.loads(json.dumps(launch._say(error, 0)))))


def launched(tmp_path: Path, ends: list[str], monkeypatch: pytest.MonkeyPatch, step: Train) -> dict[str, Any]:
    """The notes of a launch whose torchruns end as `ends` say: "" well, else with these words."""
    work = Work(Store(tmp_path), tmp_path / "out")
    work.out.mkdir()

    def torchrun(folder: Path, processes: int, work: Work) -> bool:
        assert not (work.out / "litter").exists()
        (work.out / "litter").write_text("")
        for rank in range(processes):
            (folder / f"notes-{rank}.json").write_text(json.dumps({"examples": 3, "peak_memory_mb": 10 + rank}))
        (folder / "stderr.txt").write_text(words := ends.pop(0))
        return not words

    monkeypatch.setattr(launch, "_torchrun", torchrun)
    monkeypatch.setattr(launch, "oom_kills", lambda: 0)
    launch.launch(step, work, 2)
    assert [path.name for path in work.out.iterdir()] == ["litter"]
    return work.notes


KILLED = "  exitcode  : -9 (pid: 7)\n"


def test_a_rank_that_is_killed_costs_one_launch(
    prepared: tuple[Store, Train], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are launched once more, into an empty folder; the notes are those of rank 0 with the most memory of any."""
    notes = launched(tmp_path, [KILLED, ""], monkeypatch, prepared[1])
    assert notes == {"examples": 3, "processes": 2, "peak_memory_mb": 11}


def test_a_rank_that_is_killed_twice_fails_the_step(
    prepared: tuple[Store, Train], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal is said, and what to type."""
    with pytest.raises(StepFailed, match=r"one of its processes died twice \(SIGKILL\)") as raised:
        launched(tmp_path, [KILLED, KILLED], monkeypatch, prepared[1])
    assert raised.value.remedy


def test_fewer_gpus_than_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes never share a GPU in silence: both numbers are said, and what to write."""
    for name, value in {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"4 processes for a training, and 2 GPUs; processes: \{Train: 2\}"):
        ranks.initialise()
