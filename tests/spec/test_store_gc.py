"""What `xstilts store gc` removes, and that nothing is missed afterwards."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import mini
from typer.testing import CliRunner

from xstilts.collect import collect_plan
from xstilts.errors import UserError
from xstilts.executors import get_executor
from xstilts.plan import plan
from xstilts.schedule import Outcome, schedule
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.store.claims import Claims
from xstilts.store.gc import DAY, IDLE, POLICIES, find_items, remove_items
from xstilts.store.verify import drop_damaged, verify
from xstilts.store_commands import store_app
from xstilts.study import Study


def study(**changes: Any) -> Study:
    return mini(**{"languages": ["qaa"], "targets": ["mw_entailment"], **changes})


def run(given: Study, store: Store) -> Outcome:
    with closing(get_executor("inline", store)) as engine:
        outcome = schedule(plan(given), store, engine)
    assert not outcome.failed
    return outcome


def report(given: Study, store: Store, out: Path) -> dict[str, bytes]:
    """Every file of the report."""
    from xstilts.api import report_study

    report_study(given, store.root, out)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def collect(store: Store, policies: list[str], *studies: Study) -> list[str]:
    """Remove, and say what."""
    items = find_items(store, [plan(one) for one in studies], policies)
    remove_items(store, items)
    return [item.what for item in items]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which a small study is done."""
    store = Store(tmp_path_factory.mktemp("gc") / "store").open()
    run(study(), store)
    return store.root


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Store:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "store")
    return Store(tmp_path / "store")


def trainings(given: Study) -> tuple[set[str], set[str]]:
    """Keys of (intermediate, target) trainings."""
    cells = plan(given).cells
    return {c.base for c in cells if c.base}, {c.training for c in cells if c.training}


def test_target_checkpoints_go_and_the_report_stays_byte_for_byte(store: Store, tmp_path: Path) -> None:
    """After `gc --drop targets` the report is the same to the byte, and running the study again does nothing."""
    steps, (bases, targets) = plan(study()).steps, trainings(study())
    before = report(study(), store, tmp_path / "before")
    assert len(collect(store, ["targets"], study())) == len(targets) == 2
    trained = [step for step in steps.values() if isinstance(step, Train)]
    assert store.done(trained) == bases
    assert store.dropped(steps.values()) == targets
    assert report(study(), store, tmp_path / "after") == before
    assert run(study(), store).done == []
    assert store.dropped(steps.values()) == targets
    assert verify(store.root).whole


def test_what_was_dropped_is_done_again_when_something_needs_it(store: Store) -> None:
    """A setting asked for later needs the dropped checkpoints: they are trained again, to the same bytes, and nothing
    is left of their having been dropped."""
    _, targets = trainings(study())
    steps = plan(study()).steps
    before = {key: store.manifest(steps[key])["files"] for key in targets}
    collect(store, ["targets"], study())
    more = study(perturbations={"keyboard": {"rates": [0.2]}})
    outcome = run(more, store)
    assert targets <= set(outcome.done)
    assert not trainings(study())[0] & set(outcome.done)
    assert {key: store.manifest(steps[key])["files"] for key in targets} == before
    assert store.dropped(steps.values()) == set()
    assert not list((store.root / "dropped").rglob("*.json"))


def test_a_checkpoint_that_another_study_needs_is_kept(store: Store) -> None:
    """Of several studies none loses a checkpoint that one of them still reads."""
    more = study(name="more", perturbations={"keyboard": {"rates": [0.2]}})
    assert collect(store, ["targets"], study(), more) == []
    assert len(collect(store, ["targets"], study())) == 2


def test_a_checkpoint_without_its_predictions_is_kept(store: Store) -> None:
    """A training whose predictions are not all stored keeps its checkpoint."""
    graph = plan(study())
    (predict,) = [step for step in graph.steps.values() if step.kind == "Predict" and graph.cells[0].training
                  in step.inputs()]  # fmt: skip
    shutil.rmtree(store.of(predict))
    (what,) = collect(store, ["targets"], study())
    kept = graph.cells[0].training
    assert kept is not None and store.has(graph.steps[kept]) and kept[:12] not in what


def test_unused_steps_are_those_no_study_names(store: Store) -> None:
    """`unused` leaves every step of the studies given, and takes all others, partial states too."""
    other = study(name="other", intermediates=[], seeds=[2])
    run(other, store)
    (store.root / "partial" / ("0" * 64)).mkdir(parents=True)
    both, mine = {*plan(study()).steps, *plan(other).steps}, plan(other).steps
    assert collect(store, ["unused"], study(), other) == [f"partial state of {'0' * 12}"]
    assert len(collect(store, ["unused"], other)) == len(both - mine.keys())
    assert store.done(mine.values()) == mine.keys()
    assert not store.done(plan(study()).steps.values()) - mine.keys()


def test_unused_is_refused_while_a_study_that_was_not_given_runs(store: Store) -> None:
    """Steps of a run that is alive are never taken for unused."""
    base = next(iter(trainings(study())[0]))
    with closing(Claims(store.root)) as claims:
        claims.take(base)
        with pytest.raises(UserError, match="was not named runs on this store .*process"):
            find_items(store, [plan(study(intermediates=[]))], ["unused"])
        find_items(store, [plan(study())], ["unused"])
    find_items(store, [plan(study(intermediates=[]))], ["unused"])


@pytest.mark.parametrize("kind", ["Score", "Predict", "Perturb"])
def test_what_verify_dropped_is_done_again_and_the_report_is_the_same(kind: str, store: Store, tmp_path: Path) -> None:
    """No number is made from a damaged file: the report is refused with what to type. After `verify --drop` the study,
    run again, does what is missing, and its report is the same in all but the times."""
    import pandas as pd

    noisy = study(perturbations={"keyboard": {"rates": [0.2]}})
    run(noisy, store)
    step = next(step for step in plan(noisy).steps.values() if step.kind == kind)
    before = collect_plan(plan(noisy), store).contributions
    rates = collect_plan(plan(noisy), store).rates
    for file in store.of(step).glob("*.parquet"):
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(bytes(raw))
    with pytest.raises(UserError, match="damaged: .*xstilts store verify --drop"):
        report(noisy, store, tmp_path / "report")
    assert drop_damaged(store, verify(store.root)) == 1
    assert run(noisy, store).done == [step.key]
    pd.testing.assert_frame_equal(collect_plan(plan(noisy), store).contributions, before)
    pd.testing.assert_frame_equal(collect_plan(plan(noisy), store).rates, rates)
    assert verify(store.root).whole


def temporary(store: Store, key: str, age: float) -> Path:
    folder = store.path("Train", key).parent / f".{key[:12]}-abcdefgh"
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_bytes(b"x" * 1000)
    for path in (folder / "log.jsonl", folder):
        os.utime(path, (time.time() - age,) * 2)
    return folder


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(store: Store) -> None:
    """A temporary folder goes when its run is dead or it is a day old, never while a run that is alive does its step;
    partial states and failures go when their step is done. No study need be named."""
    graph = plan(study())
    done = next(iter(graph.steps.values()))
    with closing(Claims(store.root)) as claims:
        alive, dead, old, young = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
        claims.take(alive)
        (store.root / "claims" / dead).write_text("no such run")
        folders = {
            "alive": temporary(store, alive, 2 * DAY), "dead": temporary(store, dead, 2 * IDLE),
            "old": temporary(store, old, 2 * DAY), "young": temporary(store, young, 2 * IDLE),
        }  # fmt: skip
        for key in (done.key, alive):
            (store.root / "partial" / key).mkdir(parents=True)
            (store.root / "failed").mkdir(exist_ok=True)
            (store.root / "failed" / f"{key}.json").write_text("{}")
        assert len(collect(store, ["leftovers"])) == 4
    assert {name for name, folder in folders.items() if folder.exists()} == {"alive", "young"}
    assert [path.name for path in (store.root / "partial").iterdir()] == [alive]
    assert [path.name for path in (store.root / "failed").iterdir()] == [f"{alive}.json"]
    assert store.done(graph.steps.values()) == graph.steps.keys()


def test_the_token_cache_goes_by_name_and_nothing_misses_it(store: Store, tmp_path: Path) -> None:
    """`--drop tokens` removes the files of the cache and nothing else, without a study; no other policy takes one, and
    neither it nor a damaged file of it is damage to `verify`. What is done again makes them anew."""
    files = sorted(store.tokens.rglob("*.arrow"))
    files[0].write_bytes(b"damaged")
    assert verify(store.root).whole
    assert not [item for item in find_items(store, [plan(study())], ["targets", "unused", "leftovers"])
                if store.tokens in item.path.parents]  # fmt: skip
    items = find_items(store, [], ["tokens"])
    assert [item.path for item in items] == files and items[0].bytes == len(b"damaged")
    done = sorted(path for path in store.root.rglob("*") if path.is_file() and store.tokens not in path.parents)
    shown = CliRunner().invoke(store_app, ["gc", "--drop", "tokens", "--yes", "--store", str(store.root)])
    assert f"{len(files)} removed" in shown.output
    assert done == sorted(path for path in store.root.rglob("*") if path.is_file())
    before = report(study(), store, tmp_path / "before")
    for kind in ("train", "predict", "score"):
        shutil.rmtree(store.root / kind)
    run(study(), store)
    after = report(study(), store, tmp_path / "after")
    assert {name for name in before if before[name] != after[name]} == {"steps.csv"}
    assert sorted(store.tokens.rglob("*.arrow")) == files


def test_the_token_cache_stays_while_a_study_runs(store: Store) -> None:
    """It is refused while a run lives that may read it, from whatever machine."""
    with closing(Claims(store.root)) as claims:
        claims.take("a" * 64)
        with pytest.raises(UserError, match="a study runs on this store .* wait until it has ended"):
            find_items(store, [], ["tokens"])
    assert find_items(store, [], ["tokens"])


def test_a_file_of_the_cache_that_was_not_finished_is_a_leftover(store: Store) -> None:
    """What a worker that was killed left beside the files of the cache goes once it is a day old."""
    old, young = (store.tokens / "ab" / f".{'ab' * 6}-{name}" for name in ("old", "young"))
    old.parent.mkdir(parents=True, exist_ok=True)
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * DAY,) * 2)
    assert collect(store, ["leftovers"]) == [f"temporary folder {old.name}"]
    assert young.exists() and not old.exists()


def test_nothing_goes_without_yes(store: Store, tmp_path: Path) -> None:
    """`xstilts store gc STUDY` shows what would go, with its bytes; `--yes` removes just that."""
    file = tmp_path / "mini.yaml"
    file.write_text(yaml.safe_dump(study().model_dump(mode="json", exclude_defaults=True, exclude={"file"})))
    verb = ["gc", str(file), "--store", str(store.root)]
    before = sorted(path for path in store.root.rglob("*"))
    shown = CliRunner().invoke(store_app, verb)
    assert shown.exit_code == 0, shown.output
    assert "2 would be removed" in shown.output and "nothing was removed; --yes removes it" in shown.output
    assert sorted(path for path in store.root.rglob("*")) == before
    facts = json.loads(CliRunner().invoke(store_app, [*verb, "--json"]).output)
    sizes = [sum(p.stat().st_size for p in Path(item["path"]).rglob("*") if p.is_file()) for item in facts["items"]]
    assert [item["bytes"] for item in facts["items"]] == sizes and facts["bytes"] == sum(sizes)
    assert "2 removed" in CliRunner().invoke(store_app, [*verb, "--yes"]).output
    assert not any(Path(item["path"]).exists() for item in facts["items"])


def test_a_policy_that_needs_a_study_is_refused_without_one(store: Store) -> None:
    """What may go depends on what studies need: without one nothing is guessed. A name that is none is refused with the
    nearest."""
    for name in ("targets", "unused"):
        with pytest.raises(UserError, match="name every STUDY"):
            find_items(store, [], [name])
    with pytest.raises(UserError, match="did you mean 'leftovers'"):
        find_items(store, [], ["leftover"])
    assert set(POLICIES) == {"targets", "unused", "leftovers", "tokens"}


def test_gc_never_follows_a_link_out_of_the_store(store: Store, tmp_path: Path) -> None:
    """A link in the store is removed as a link; what it points at is neither counted nor touched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.tex").write_text("years of work")
    key = "e" * 64
    folder = store.path("Train", key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(outside)
    whole = store.path("Train", "f" * 64)
    whole.mkdir(parents=True)
    (whole / "checkpoint").symlink_to(outside)
    (store.root / "partial").mkdir(exist_ok=True)
    (store.root / "partial" / key).symlink_to(outside)
    shutil.rmtree(store.tokens)
    store.tokens.mkdir()
    (outside / f"{key}.arrow").write_text("not of the cache")
    (store.tokens / "ee").symlink_to(outside)
    assert find_items(store, [], ["tokens"]) == []
    items = find_items(store, [plan(study())], ["unused"])
    assert len(items) == 3 and sum(item.bytes for item in items) < 1000
    remove_items(store, items)
    assert not folder.is_symlink() and not whole.exists()
    assert (outside / "thesis.tex").read_text() == "years of work"
