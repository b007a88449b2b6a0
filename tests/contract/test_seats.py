"""What a worker of the pool sees of the machine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from tests.contract.tricks import Trick, outcome

from xstilts.errors import UserError
from xstilts.executors.engine import Engine
from xstilts.executors.pool import Pool
from xstilts.executors.seats import seats
from xstilts.step import Step
from xstilts.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


def seen(store: Store, step: Step) -> str:
    return (store.of(step) / "seen.txt").read_text()


def test_threads_are_pinned_unless_a_person_says(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's libraries use the processors of a step; what is set already stays."""
    for name in ("CUDA_VISIBLE_DEVICES", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    step = Trick(does="see")
    with closing(Pool(store, Engine(workers=1, cpus=2))) as executor:
        assert outcome(executor, step) is None
    assert seen(store, step) == "- 7 2 false"


def test_each_worker_has_gpus_of_its_own(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `gpus: {Train: 1}` there are as many workers as GPUs, and no two steps see the same one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    first, second = (Trick(does="see", scratch=name) for name in "ab")
    with closing(Pool(store, Engine(gpus={"Train": 1}))) as executor:
        assert executor.capacity == 2
        for step in (first, second):
            executor.submit(step, "a step", lambda done, total: None)
        assert [executor.wait()[1] for _ in range(2)] == [None, None]
    assert {seen(store, step)[0] for step in (first, second)} == {"3", "5"}


@pytest.mark.parametrize(
    ("visible", "engine", "shares"),
    [
        ("0,1,2,3", {"gpus": {"Train": 2, "Predict": 1}}, ["0,1", "2,3"]),
        ("0,1,2,3", {"gpus": {"Train": 1}, "processes": {"Train": 4}}, ["0,1,2,3"]),
        ("0,1", {"gpus": {"Train": 0.5}}, ["0", "1", "0", "1"]),
        ("0,1", {"gpus": {"Train": 1}, "workers": 3}, ["0", "1", "0"]),
        ("0,1", {}, [None]),
        ("0,1", {"workers": 2}, [None, None]),
        (None, {"gpus": {"Train": 1}}, ["0", "1", "2"]),
        ("", {"workers": 2}, [None, None]),
    ],
)
def test_gpus_are_shared_out(
    visible: str | None, engine: dict[str, object], shares: list[str | None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Those that CUDA_VISIBLE_DEVICES names, else those of the machine, here three."""
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    # what is not set by the pool is as it was
    assert [
        None if seat.get("CUDA_VISIBLE_DEVICES") is None else seat["CUDA_VISIBLE_DEVICES"]
        for seat in seats(Engine.model_validate(engine), tmp_path)
    ] == shares


@pytest.mark.parametrize(("visible", "there"), [("0,1", "has 2"), ("", "has none"), ("-1,0", "has none")])
def test_too_few_gpus_are_refused(visible: str, there: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run on less than what was asked for."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UserError, match=f"3 GPUs, and this machine {there}; change gpus"):
        Pool(store, Engine(gpus={"Train": 3}))
