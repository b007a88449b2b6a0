"""Faults of the machine: each is one line, costs what depends on it, and nothing that was done."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.conftest import mini

from xstilts.executors import get_executor
from xstilts.executors.engine import Engine
from xstilts.graph import Arm, Cell, Plan
from xstilts.models.identity import Model
from xstilts.schedule import Outcome, Watcher, explain, schedule
from xstilts.step import Step, Work
from xstilts.store import Store

MEGABYTE = 2**20


class Fill(Step):
    kind: ClassVar[str] = "Fill"
    name: str
    size: int = 0
    needs: tuple[str, ...] = ()
    device: str = ""

    def inputs(self) -> tuple[str, ...]:
        return self.needs

    def run(self, work: Work) -> None:
        with Path(self.device or work.out / "bytes").open("wb", buffering=0) as file:
            for _ in range(max(1, self.size // MEGABYTE)):
                file.write(b"x" * min(MEGABYTE, max(1, self.size)))


def study(*steps: Fill) -> Plan:
    plan = Plan(mini(), Model("sha256:0", "", 0, False, ""))
    for step in steps:
        plan.add(step, step.name)
        plan.cells.append(Cell(Arm("none", "none"), "mw_pos", 1, step.key))
    return plan


def run(plan: Plan, store: Store, watcher: Any = None, executor: str = "inline") -> Outcome:
    # one step at a time: two would share the disk's room
    with closing(get_executor(Engine(executor=executor, workers=1), store)) as engine:
        return schedule(plan, store, engine, watcher)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here, run as root for it: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.mark.parametrize("executor", ["inline", "pool"])
def test_a_full_disk_costs_the_step_that_filled_it(small_disk: Path, executor: str) -> None:
    """On a full disk the step fails with a line that says so and what to type, nothing of it stays on the disk, steps
    that fit go on, and once there is room the same run finishes."""
    store = Store(small_disk).open()
    big, small = Fill(name="big", size=6 * MEGABYTE), Fill(name="small", size=MEGABYTE)
    plan = study(big, small, Fill(name="after", needs=(big.key,)))
    outcome = run(plan, store, executor=executor)
    assert "disk is full" in outcome.failed[big.key] and "store gc" in outcome.remedies[big.key]
    assert outcome.done == [small.key] and len(outcome.blocked) == 1
    assert store.failures()[big.key]["error"] == outcome.failed[big.key]
    assert [path.name for path in store.of(big).parent.iterdir()] == []
    remount(small_disk, "size=16m")
    assert run(plan, store, executor=executor).failed == {}
    assert store.failures() == {}


class Freeze(Watcher):
    """Makes the disk read-only once something is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def end(self, step: Step, error: str | None) -> None:
        remount(self.folder, "ro")


def test_a_store_that_becomes_read_only_ends_in_lines_and_loses_nothing(small_disk: Path) -> None:
    """When the store turns read-only in the middle of a run the rest fails, one line each, and what was done stays."""
    store = Store(small_disk).open()
    steps = [Fill(name=str(i), size=1000) for i in range(3)]
    outcome = run(study(*steps), store, Freeze(small_disk))
    assert len(outcome.done) == 1 and len(outcome.failed) == 2
    assert all("cannot be written to" in reason for reason in outcome.failed.values())
    assert all("writable" in remedy for remedy in outcome.remedies.values())
    remount(small_disk, "rw")
    assert len(run(study(*steps), store).reused) == 1


def test_a_librarys_own_error_for_a_full_disk_is_known(small_disk: Path) -> None:
    """What safetensors raises when weights do not fit on the disk is told as a full disk too."""
    import torch
    from safetensors.torch import save_file

    with pytest.raises(Exception, match="No space left") as caught:
        save_file({"a": torch.zeros(2_000_000)}, small_disk / "weights")
    reason, remedy = explain(caught.value)
    assert reason.startswith("the disk is full") and "store gc" in remedy


def test_no_space_is_told_from_other_failures(tmp_path: Path) -> None:
    """The kernel's word for a full disk becomes the person's, with what to type."""
    step = Fill(name="a", device="/dev/full")
    outcome = run(study(step), Store(tmp_path).open())
    assert outcome.failed == {step.key: "the disk is full (OSError: [Errno 28] No space left on device)"}
    assert outcome.remedies == {step.key: "make room, with `xstilts store gc STUDY` for one; then run again"}
