"""What `xstilts store verify` finds."""

from __future__ import annotations

import ast
import json
import os
import shutil
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from xstilts.errors import StepFailed, UserError
from xstilts.step import Step, Work
from xstilts.store import Store, sha256_of
from xstilts.store import check as checking
from xstilts.store.check import check
from xstilts.store.manifest import render
from xstilts.store.verify import Findings, drop_damaged, verify
from xstilts.store_commands import store_app


class Make(Step):
    """Some files, made from other steps."""

    kind: ClassVar[str] = "Make"
    name: str
    needs: tuple[str, ...] = ()

    def inputs(self) -> tuple[str, ...]:
        return self.needs

    def run(self, work: Work) -> None:
        for key in self.needs:
            work.store.input("Make", key)
        (work.out / "deep").mkdir()
        (work.out / "data.bin").write_bytes(self.name.encode() * 40)
        (work.out / "deep" / "empty").write_bytes(b"")
        (work.out / "deep" / "text é.txt").write_text("naïve\n" * 20)


class Train(Make):
    kind: ClassVar[str] = "Train"


def filled(root: Path) -> tuple[Store, dict[str, Step]]:
    """A store with a chain of steps, a, b and c, and one beside it."""
    store, steps = Store(root / "store").open(), dict[str, Step]()
    for name, before in (("a", ""), ("b", "a"), ("c", "b"), ("other", "")):
        steps[name] = Make(name=name, needs=(steps[before].key,) if before else ())
        store.publish(steps[name], f"the step {name}")
    return store, steps


def names(findings: Findings) -> list[str]:
    return [item.key for item in findings.damaged]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Step]]:
    return filled(tmp_path_factory.mktemp("verify"))


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_every_flipped_byte_is_found(shared: tuple[Store, dict[str, Step]], data: st.DataObject) -> None:
    """Whichever byte of whichever file of a step is changed, into whichever other, `verify` names that step and no
    other as damaged; the manifest is no exception."""
    store, steps = shared
    step = steps[data.draw(st.sampled_from(sorted(steps)))]
    file = data.draw(st.sampled_from([path for path in files(store.of(step)) if path.stat().st_size]))
    before = file.read_bytes()
    place, change = data.draw(st.integers(0, len(before) - 1)), data.draw(st.integers(1, 255))
    changed = bytearray(before)
    changed[place] ^= change
    try:
        file.write_bytes(bytes(changed))
        assert names(verify(store.root)) == [step.key]
    finally:
        file.write_bytes(before)


def test_every_byte_of_a_manifest_counts(tmp_path: Path) -> None:
    """No byte of a manifest can be lost, or flipped in its lowest bit, without being found."""
    store, steps = filled(tmp_path)
    folder = store.of(steps["b"])
    text = (folder / "manifest.json").read_bytes()
    for place in range(len(text)):
        for changed in (b"", bytes([text[place] ^ 1])):
            (folder / "manifest.json").write_bytes(text[:place] + changed + text[place + 1 :])
            assert check(folder, "Make", steps["b"].key).faults, text[:place]
    (folder / "manifest.json").write_bytes(text)
    assert verify(store.root).whole


@pytest.mark.parametrize("name", ["data.bin", "deep/text é.txt", "deep/empty", "manifest.json"])
def test_a_file_that_is_cut_missing_or_longer_is_found(name: str, tmp_path: Path) -> None:
    """A file that was cut off, lost or grew is found, and named."""
    store, steps = filled(tmp_path)
    file = store.of(steps["b"]) / name
    whole = file.read_bytes()
    for text in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"x", None):
        if text == whole:
            continue
        file.unlink() if text is None else file.write_bytes(text)
        (found,) = verify(store.root).damaged
        assert (found.key, found.kind) == (steps["b"].key, "Make")
        assert any(name in fault for fault in found.faults), found.faults
    file.write_bytes(whole)
    assert verify(store.root).whole


def test_a_file_that_was_added_is_found(tmp_path: Path) -> None:
    """A file that the manifest does not name does not belong to a step: a loader might take it for one that does."""
    store, steps = filled(tmp_path)
    (store.of(steps["c"]) / "deep" / "pytorch_model.bin").write_bytes(b"x")
    (found,) = verify(store.root).damaged
    assert found.faults == ("deep/pytorch_model.bin does not belong to it",)


def test_what_was_made_from_a_damaged_step_is_named_apart(tmp_path: Path) -> None:
    """Steps that rest on a damaged one, however far away, are named as made from it and are not called damaged."""
    store, steps = filled(tmp_path)
    (store.of(steps["a"]) / "data.bin").write_bytes(b"")
    findings = verify(store.root)
    assert [item.label for item in findings.damaged] == ["the step a"]
    assert {item.label: item.made_from for item in findings.made_from} == {
        "the step b": steps["a"].key, "the step c": steps["a"].key,
    }  # fmt: skip


def test_what_was_made_by_way_of_a_dropped_step_is_named_too(tmp_path: Path) -> None:
    """A step stays known as made from a damaged one when the step between them was dropped."""
    store, steps = filled(tmp_path)
    store.drop("Make", steps["b"].key)
    (store.of(steps["a"]) / "data.bin").write_bytes(b"")
    assert [item.label for item in verify(store.root).made_from] == ["the step c"]


def test_dropping_removes_what_is_damaged_and_nothing_else(tmp_path: Path) -> None:
    """`--drop` removes the damaged step alone, and with `--made-from` what was made from it too; after it the store is
    whole and the step can be done again."""
    store, steps = filled(tmp_path)
    (store.of(steps["a"]) / "data.bin").write_bytes(b"")
    assert drop_damaged(store, verify(store.root)) == 1
    assert store.done(steps.values()) == {steps[name].key for name in ("b", "c", "other")}
    assert verify(store.root).whole
    assert store.publish(steps["a"], "again") and verify(store.root).whole
    (store.of(steps["a"]) / "data.bin").write_bytes(b"")
    assert drop_damaged(store, verify(store.root), made_from=True) == 3
    assert store.done(steps.values()) == {steps["other"].key}
    assert not list(store.root.rglob(".*-*"))


def test_of_a_damaged_training_with_a_sound_manifest_a_record_stays(tmp_path: Path) -> None:
    """A damaged checkpoint goes, but the report keeps what its training took; a damaged manifest goes whole."""
    store, sound, broken = Store(tmp_path).open(), Train(name="sound"), Train(name="broken")
    for step in (sound, broken):
        store.publish(step, step.name)
    manifest = store.manifest(sound)
    (store.of(sound) / "data.bin").write_bytes(b"?")
    (store.of(broken) / "manifest.json").write_text("{}")
    assert drop_damaged(store, verify(store.root)) == 2
    assert (store.record(sound), store.record(broken)) == (manifest, None)
    assert store.dropped([sound, broken]) == {sound.key}
    (store.root / "dropped" / "train" / sound.key[:2] / f"{sound.key}.json").write_text("{}")
    (found,) = verify(store.root).damaged
    assert found.key == sound.key
    drop_damaged(store, verify(store.root))
    assert verify(store.root).whole


def test_a_step_in_the_place_of_another_is_found(tmp_path: Path) -> None:
    """A whole folder that was copied over another step's, or lies elsewhere than its key says, is found."""
    store, steps = filled(tmp_path)
    shutil.rmtree(store.of(steps["c"]))
    shutil.copytree(store.of(steps["a"]), store.of(steps["c"]))
    assert names(verify(store.root)) == [steps["c"].key]
    shutil.rmtree(store.of(steps["c"]))
    elsewhere = store.root / "make" / ("00" if steps["a"].key[:2] != "00" else "01") / steps["a"].key
    shutil.copytree(store.of(steps["a"]), elsewhere)
    (found,) = verify(store.root).damaged
    assert found.faults == ("it lies in the wrong folder",)
    drop_damaged(store, verify(store.root))
    assert store.has(steps["a"]) and not elsewhere.exists()


def test_manifests_of_before_are_read_but_their_seal_cannot_be_broken_off(tmp_path: Path) -> None:
    """A manifest from before there were seals is whole if its files and its key are; one that had a seal and lost it is
    damaged."""
    store, steps = filled(tmp_path)
    file = store.of(steps["a"]) / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["seal"]
    file.write_bytes(render(manifest))
    assert names(verify(store.root)) == [steps["a"].key]
    del manifest["git_commit"]
    file.write_bytes(render(manifest))
    assert verify(store.root).whole
    manifest["identity"]["name"] = "z"
    file.write_bytes(render(manifest))
    assert names(verify(store.root)) == [steps["a"].key]


@pytest.mark.parametrize("text", ["null", "[]", "{}", '{"files": []}', "[" * 100_000, '{"key": 1e999}', "\ufeff{}"])
def test_whatever_stands_in_a_manifest_is_an_answer(text: str, tmp_path: Path) -> None:
    """Nonsense in a manifest is one damaged step, in a line, and never a crash."""
    store, steps = filled(tmp_path)
    (store.of(steps["a"]) / "manifest.json").write_text(text)
    assert names(verify(store.root)) == [steps["a"].key]


def test_the_command_names_the_steps_and_what_to_type(tmp_path: Path) -> None:
    """`xstilts store verify` prints a line for each damaged step and what was made from it, says what to type, and
    ends with exit code 1; with `--drop` the next one ends with 0."""
    store, steps = filled(tmp_path)
    verb = ["verify", "--store", str(store.root)]
    assert CliRunner().invoke(store_app, verb).exit_code == 0
    (store.of(steps["b"]) / "data.bin").write_bytes(b"")
    (store.root / "partial" / steps["a"].key).mkdir(parents=True)
    result = CliRunner().invoke(store_app, verb)
    assert result.exit_code == 1
    assert f"damaged  Make the step b {steps['b'].key[:12]}: data.bin is not what was written" in result.output
    assert f"made from it  Make the step c {steps['c'].key[:12]}" in result.output
    assert "xstilts store verify --drop" in result.output
    assert "1 partial states" in result.output
    facts = json.loads(CliRunner().invoke(store_app, [*verb, "--json"]).output)
    assert [item["key"] for item in facts["damaged"]] == [steps["b"].key]
    assert [item["key"] for item in facts["made_from"]] == [steps["c"].key]
    assert CliRunner().invoke(store_app, [*verb, "--drop"]).exit_code == 1
    assert CliRunner().invoke(store_app, verb).exit_code == 0


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Where there is no store nothing is said to be whole."""
    with pytest.raises(UserError, match="no store at .*--store"):
        verify(tmp_path / "nowhere")


def test_an_input_is_compared_before_it_is_read_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step never reads a damaged input: it fails with a line that names it and what to type. A file that stays as it
    is is hashed once in a process."""
    store, steps = filled(tmp_path)
    hashed: list[str] = []
    monkeypatch.setattr(checking, "sha256_of", lambda path: (hashed.append(path.name), sha256_of(path))[1])
    for _ in range(3):
        store.input("Make", steps["c"].key)
    assert sorted(hashed) == ["data.bin", "empty", "text é.txt"]
    file = store.of(steps["c"]) / "data.bin"
    file.write_bytes(b"C" + file.read_bytes()[1:])
    os.utime(file, ns=(1, 1))  # a write within one tick of the clock is not seen
    later = Make(name="later", needs=(steps["c"].key,))
    with pytest.raises(StepFailed, match=r"Make the step c \(.*data\.bin is not what was written") as caught:
        store.publish(later, "later")
    assert f"xstilts store verify --drop --store {store.root}" in caught.value.remedy
    shutil.rmtree(store.of(steps["c"]))
    with pytest.raises(StepFailed, match="is not in the store any more"):
        store.publish(later, "later")


def test_a_folder_without_a_manifest_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """A step whose manifest was lost is no step; when it is done again, what lies in its place gives way."""
    store, steps = filled(tmp_path)
    (store.of(steps["a"]) / "manifest.json").unlink()
    assert not store.has(steps["a"])
    assert store.publish(steps["a"], "again")
    assert verify(store.root).whole


def test_a_damaged_note_of_a_failure_is_no_crash(tmp_path: Path) -> None:
    """A note of a failure that a full disk cut off still says that the step failed."""
    store, step = Store(tmp_path).open(), Make(name="x")
    store.record_failure(step, "why")
    (store.root / "failed" / f"{step.key}.json").write_text("")
    failure = store.failure(step)
    assert failure is not None and "damaged" in failure["error"]
    assert store.failures()[step.key] == failure


def test_the_store_rests_on_nothing_that_network_folders_break() -> None:
    """No locks and no database: renames, folders and files that must not exist are all that the store is made of."""
    import xstilts.store

    banned = {"fcntl", "msvcrt", "sqlite3", "dbm", "shelve", "filelock", "portalocker", "mmap"}
    for file in Path(xstilts.store.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        imported = {alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import)
                    for alias in node.names}  # fmt: skip
        whence = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        imported |= {module.partition(".")[0] for module in whence}
        assert not imported & banned, file.name
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not called & {"flock", "lockf", "link", "symlink", "hardlink_to", "symlink_to"}, file.name
