"""What is known to be for want of memory, and what is done about it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.contract.tricks import MEGABYTE, Trick, outcome

from xstilts.errors import StepFailed
from xstilts.executors import pool
from xstilts.executors.engine import Engine
from xstilts.executors.inline import Inline
from xstilts.executors.job import HALVINGS, is_memory
from xstilts.executors.memory import oom_kills
from xstilts.executors.pool import Pool
from xstilts.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


@pytest.mark.parametrize(
    ("kills", "halvings"), [([3, 4], "01"), ([3, 3], "00"), ([None, None], "01")], ids=["rose", "stood", "unknown"]
)
def test_evidence_decides_what_a_kill_was(
    kills: list[int | None], halvings: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker killed with -9 was short of memory if the kernel's counter rose, or if there is none."""
    counts = iter(kills)
    monkeypatch.setattr(pool, "oom_kills", lambda: next(counts))
    with closing(Pool(store, Engine(workers=1))) as executor:
        assert outcome(executor, Trick(does="be_killed", scratch=str(tmp_path))) is None
    assert (tmp_path / "halvings").read_text() == halvings


def test_each_kill_of_the_kernel_is_the_death_of_one_worker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers that the kernel killed were short of memory; a third that somebody killed was not."""
    kills = 0
    monkeypatch.setattr(pool, "oom_kills", lambda: kills)
    with closing(Pool(store, Engine(workers=1))) as executor:
        kills = 2
        assert [executor._memory_ran_out() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/memory.events": "oom 9\noom_kill 4\noom_group_kill 0\n",
          "proc/vmstat": "oom_kill 8\n"}, 4),
        ({"proc/self/cgroup": "5:cpu,memory:/b", "sys/fs/cgroup/memory/b/memory.oom_control": "oom_kill 3\n"}, 3),
        ({"proc/self/cgroup": "5:memory:/outside", "sys/fs/cgroup/memory/memory.oom_control": "oom_kill 2\n"}, 2),
        ({"proc/self/cgroup": "0::/", "proc/vmstat": "nr_free_pages 7\noom_kill 8\n"}, 8),
        ({"proc/vmstat": "nr_free_pages 7\n"}, None),
        ({}, None),
    ],
    ids=["v2", "v1", "v1 in a container", "machine", "old kernel", "no Linux"],
)  # fmt: skip
def test_the_kernels_counters_are_read(files: dict[str, str], count: int | None, tmp_path: Path) -> None:
    """Those of the own control group go before that of the machine; where there is none, nothing is claimed."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert oom_kills(tmp_path) == count


HUNGRY = """\
import os, sys
from pathlib import Path
from tests.contract.tricks import Trick, outcome
from xstilts.executors.engine import Engine
from xstilts.executors.pool import Pool
from xstilts.store import Store

if __name__ == "__main__":
    Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
    executor = Pool(Store(Path(sys.argv[2])).open(), Engine(workers=1))
    failure = outcome(executor, Trick(does="fill_memory", scratch=sys.argv[2]))
    executor.close()
    assert failure is None, failure
"""


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 300 MB of memory."""
    lines = Path("/proc/self/cgroup").read_text().splitlines() if sys.platform == "linux" else []
    own = {controllers: path.lstrip("/") for _, controllers, path in (line.split(":", 2) for line in lines)}
    root, limits = Path("/sys/fs/cgroup") / own.get("", ""), {"memory.max": 300 * MEGABYTE, "memory.swap.max": 0}
    if "memory" in own:
        root = Path("/sys/fs/cgroup/memory") / own["memory"]
        limits = {"memory.limit_in_bytes": 300 * MEGABYTE, "memory.swappiness": 0}
    group = root / f"xstilts-test-{os.getpid()}"
    try:
        group.mkdir()
        for name, limit in limits.items():
            (group / name).write_text(str(limit))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(
            f"no control group with less memory can be made here ({error}); root can, where cgroups are writable"
        )
    yield group
    until = time.monotonic() + 30
    while (group / "cgroup.procs").read_text() and time.monotonic() < until:
        time.sleep(0.05)
    group.rmdir()


def test_a_kill_by_the_kernel_halves_the_batch(small_group: Path, tmp_path: Path) -> None:
    """The real thing: a step that needs 600 MB of 300 is killed, killed again at half of it, and ends at a quarter."""
    script = tmp_path / "hungry.py"
    script.write_text(HUNGRY)
    ran = subprocess.run(
        [sys.executable, str(script), str(small_group), str(tmp_path)], timeout=120, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "halvings").read_text() == "012"


def test_halving_ends_at_one_row(store: Store) -> None:
    """A step that no batch is small enough for fails, and says what to type."""
    failure = outcome(Inline(store, Engine()), Trick(does="starve"))
    assert isinstance(failure, StepFailed) and "one row" in str(failure) and "--workers" in failure.remedy
    assert HALVINGS == 5


def test_torchs_errors_of_memory_are_known() -> None:
    """torch says it in a bare RuntimeError where the memory of the machine is meant, by name where an accelerator's."""
    import torch

    with pytest.raises(RuntimeError) as raised:
        torch.empty(10**15)
    assert is_memory(raised.value) and is_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_memory(RuntimeError("size mismatch"))
