"""A training that is broken off goes on from its saved state and ends with the very same bytes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import mini

from xstilts.executors import get_executor
from xstilts.plan import plan
from xstilts.schedule import schedule
from xstilts.step import Interval, Step
from xstilts.steps import train
from xstilts.steps.pretrain import Pretrain
from xstilts.store import Store
from xstilts.training import gradient, loop
from xstilts.training.state import Keeper

ARMS: dict[str, dict[str, Any]] = {
    "plain": {"intermediates": ["mw_nli"]},
    "best": {"intermediates": ["mw_nli"], "select": "best",
             "settings": {"default": {"evaluate_every": 1, "patience": 6, "select_rows": 8}}},
    "lora": {"intermediates": [{"name": "low", "tasks": ["mw_nli"], "settings": {"lora": {"rank": 2}}}]},
    "mixture": {"intermediates": [{"name": "mixed", "tasks": ["mw_nli", "mw_pos"], "sampler": {"temperature": 2}}]},
    "language modelling": {"intermediates": [{"name": "text", "tasks": ["mw_nli"],
                                              "mlm": {"languages": ["en", "qaa"], "rows": 40}}]},
    "restarts": {"intermediates": ["mw_nli"],
                 "settings": {"default": {"restarts": 2, "learning_rate": 5.0, "clip": 1000.0}}},
}  # fmt: skip
"""What may vary in a training."""


class Broken(Exception):
    """The worker is gone."""


def training(arm: str) -> tuple[Any, Step]:
    """A plan, and the intermediate training in it."""
    changes = dict(ARMS[arm])
    base = mini().settings["default"] | {"train_rows": 40, "epochs": 2}
    found = plan(mini(**{**changes, "settings": {"default": base | changes.get("settings", {}).get("default", {})}}))
    (key,) = {cell.base for cell in found.cells if cell.base}
    return found, found.steps[key]


def prepared(found: Any, step: Step, folder: Path) -> Store:
    """A store with what the step needs."""
    store = Store(folder).open()
    schedule(found, store, get_executor("inline", store), wanted=step.inputs())
    return store


def weights(store: Store, step: Step) -> dict[str, str]:
    files: dict[str, str] = store.manifest(step)["files"]
    return files


def break_off(store: Store, step: Step, at: list[int], every: int) -> None:
    """Run a step until a worker "dies" at each of these counts of progress in turn."""
    for count in at:
        seen = 0

        def progress(done: int, total: int, last: int) -> None:
            nonlocal seen
            seen += 1
            if seen == last:
                raise Broken

        with pytest.raises(Broken):
            store.publish(step, "", partial(progress, last=count), save_every=Interval(steps=every))


@pytest.mark.parametrize("arm", ARMS)
def test_a_training_that_is_broken_off_ends_with_the_same_bytes(arm: str, tmp_path: Path) -> None:
    """Weights and log of a training that was broken off twice are those of one that was not, whatever it varies."""
    found, step = training(arm)
    plain, broken = (prepared(found, step, tmp_path / name) for name in ("plain", "broken"))
    plain.publish(step, "")
    break_off(broken, step, [4, 2], every=1)
    assert broken.partial(step).is_dir()
    broken.publish(step, "", save_every=Interval(steps=1))
    assert weights(broken, step) == weights(plain, step)
    notes = [
        {name: value for name, value in store.manifest(step).items() if name in ("examples", "pieces", "final_loss",
         "optimiser_steps", "attempts", "best_step", "dev_looks", "steps_by_task")}
        for store in (plain, broken)
    ]  # fmt: skip
    assert notes[0] == notes[1]
    assert not broken.partial(step).exists()


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the state of step 3 was saved, going on computes the remaining steps and no others."""
    found, step = training("plain")
    store = prepared(found, step, tmp_path)
    break_off(store, step, [4], every=3)
    counted: list[int] = []

    def count(*values: Any, **named: Any) -> float:
        counted.append(1)
        return gradient.gradient(*values, **named)

    monkeypatch.setattr(loop, "gradient", count)
    store.publish(step, "")
    assert len(counted) == store.manifest(step)["optimiser_steps"] - 3


def test_whether_it_is_degenerate_is_judged_by_all_its_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule looks at the losses of the whole training, those before it was broken off too."""
    found, step = training("plain")
    store = prepared(found, step, tmp_path)
    judged: list[list[float]] = []

    def judge(losses: list[float]) -> str:
        judged.append(list(losses))
        return ""

    monkeypatch.setattr(train, "diverged", judge)
    break_off(store, step, [4], every=1)
    store.publish(step, "")
    lines = (store.of(step) / "log.jsonl").read_text().splitlines()
    assert judged == [[json.loads(line)["loss"] for line in lines]]


@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "log.jsonl"])
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_a_damaged_state_is_not_gone_on_from(file: str, how: str, tmp_path: Path) -> None:
    """A state with a flipped byte, cut short or with a file missing is left aside, and the result is the same."""
    found, step = training("plain")
    plain, broken = (prepared(found, step, tmp_path / name) for name in ("plain", "broken"))
    plain.publish(step, "")
    break_off(broken, step, [4], every=2)
    (path,) = broken.partial(step).glob(f"*/*/{file}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(data if how == "flip" else data[: len(data) // 2])
    broken.publish(step, "")
    assert weights(broken, step) == weights(plain, step)


def test_a_state_of_other_versions_is_not_gone_on_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Other versions may compute other bits: their state is left aside, and the log says so."""
    import torch

    written = tmp_path / "log"
    written.write_text("{}\n")
    every = Interval(steps=1)
    Keeper(tmp_path / "state", every, {"torch": "1"}).save(7, {"a": torch.ones(2)}, {"x": 0.1}, written)
    same = Keeper(tmp_path / "state", every, {"torch": "1"}).find()
    assert same is not None and (same.step, same.facts, same.log) == (7, {"x": 0.1}, "{}\n")
    assert Keeper(tmp_path / "state", every, {"torch": "2"}).find() is None
    assert "other versions" in caplog.text


def test_a_disk_that_is_full_costs_the_state_and_not_the_training(tmp_path: Path) -> None:
    """Where the state cannot be saved the training ends all the same."""
    found, step = training("plain")
    store = prepared(found, step, tmp_path)
    store.partial(step).parent.mkdir()
    store.partial(step).write_text("no folder can be made here")
    store.publish(step, "", save_every=Interval(steps=1))
    assert store.has(step)


def test_a_write_that_the_system_refuses_costs_the_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A state that does not fit is given up with a warning, leaves nothing, and the one before it stays."""
    import resource

    import torch

    keeper = Keeper(tmp_path, Interval(steps=1), {})
    keeper.save(1, {"a": torch.ones(2)}, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        # safetensors writes it, and raises an error of its own
        keeper.save(2, {"a": torch.ones(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "state after step 2 cannot be saved" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["000000001"]
    found = keeper.find()
    assert found is not None and found.step == 1


def test_a_kill_inside_a_save_leaves_the_state_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a save that was broken off before its rename nothing is used or kept; after it both states are there, and the
    older one is gone on from where the newer is damaged."""
    import torch

    from xstilts.training import state

    keeper = Keeper(tmp_path, Interval(steps=1), {})
    keeper.save(1, {"a": torch.ones(2)}, {})
    with monkeypatch.context() as killed:
        # nothing is cleaned up after a kill
        killed.setattr(state.shutil, "rmtree", lambda *_, **__: None)
        keeper.save(2, {"a": torch.ones(2)}, {})
        (tmp_path / ".000000003-dead").mkdir()
    (tmp_path / "000000002" / "state.safetensors").write_bytes(b"")
    found = keeper.find()
    assert found is not None and found.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["000000001"]


def test_states_are_saved_by_steps_and_by_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By steps every so many; by seconds when these have passed, and never so often that it takes more than 5 %."""
    import torch

    from xstilts.training import state

    by_steps = Keeper(tmp_path, Interval(steps=3), {})
    assert [n for n in range(1, 8) if by_steps.due(n)] == [3, 6]
    now = [0.0]
    monkeypatch.setattr(state.time, "monotonic", lambda: now[0])
    by_time = Keeper(tmp_path / "a", Interval(seconds=10), {})
    (tmp_path / "log").touch()
    monkeypatch.setattr(state, "save_file", lambda *_: now.__setitem__(0, now[0] + 4) or (_[1]).touch())
    now[0] = 9
    assert not by_time.due(1)
    now[0] = 10
    assert by_time.due(1)
    by_time.save(1, {"a": torch.ones(1)}, {}, tmp_path / "log")  # which takes 4 seconds
    now[0] = 14 + 79
    assert not by_time.due(2)
    now[0] = 14 + 80
    assert by_time.due(2)
    assert not Keeper(None, Interval(steps=1), {}).due(1)


def test_the_microworlds_encoder_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretraining that is broken off ends with the bytes of one that was not."""
    from xstilts.sources.microworld import pretrain

    ids, pairs = pretrain.encode_text(pretrain.build_tokenizer(), 1)
    monkeypatch.setattr(pretrain, "encode_text", lambda *_: (ids[:200], pairs[:200]))  # reading it all takes long
    step = Pretrain(world=1, recipe={"steps": 6, "batch": 8, "width": 32, "layers": 1, "heads": 2})
    plain, broken = (Store(tmp_path / name).open() for name in ("plain", "broken"))
    plain.publish(step, "")
    break_off(broken, step, [4, 1], every=2)
    assert [json.loads(p.read_text())["step"] for p in broken.partial(step).glob("*/state.json")] == [2]
    broken.publish(step, "")
    assert weights(broken, step) == weights(plain, step)
