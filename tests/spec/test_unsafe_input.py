"""Files that may be hostile or broken: pickles, poisoned weights, links and names that lead out of the store."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tests.conftest import mini
from torch import nn

from xstilts.errors import StepFailed, UserError
from xstilts.models.encoder import StoredHead, load_encoder, load_head, reuse_head, save_checkpoint
from xstilts.models.identity import find_model, identity_of
from xstilts.sources.microworld import ENCODER
from xstilts.step import Step, Work
from xstilts.steps.prepare import read_rows
from xstilts.steps.score import Score
from xstilts.steps.train import checkpoint_folder
from xstilts.store import Store, hashes
from xstilts.store import check as checking
from xstilts.store.manifest import render, seal
from xstilts.store.verify import drop_damaged, verify
from xstilts.tasks.shapes import SHAPES, Spec


class Evil:
    """What it does when it is unpickled: it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def write_pickle(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps({"weight": Evil(mark)}))


def write_zip(file: Path, mark: Path) -> None:
    """As `torch.save` writes it, a pickle in a zip archive."""
    torch.save({"weight": Evil(mark)}, file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder of one's own."""
    return Path(shutil.copytree(ENCODER, tmp_path / "model"))


def refused(folder: Path) -> str:
    """The line with which a model folder is refused, the same when a study is planned and when it is loaded."""
    with pytest.raises(UserError) as planned:
        find_model(str(folder), "main", folder.parent)
    with pytest.raises(UserError) as loaded:
        load_encoder(str(folder), "", None)
    assert str(planned.value) == str(loaded.value)
    assert "\n" not in str(loaded.value)
    return str(loaded.value)


# -- pickles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_pickle, write_zip])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "model.pkl", "model.ckpt"])
def test_a_folder_with_nothing_but_pickles_is_refused_with_the_way_to_convert_it(
    write: Callable[[Path, Path], None], name: str, folder: Path, tmp_path: Path
) -> None:
    """A model that has only pickled weights is refused, says why and how to convert it, and nothing is executed."""
    (folder / "model.safetensors").unlink()
    write(folder / name, tmp_path / "mark")
    line = refused(folder)
    assert f"{name} is a pickle and is never loaded" in line and "python -c" in line
    assert not (tmp_path / "mark").exists()
    # the trap is real: unpickled, it springs
    if write is write_zip:
        torch.load(folder / name, weights_only=False)
    else:
        pickle.loads((folder / name).read_bytes())  # noqa: S301
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("write", [write_pickle, write_zip])
def test_a_pickle_that_is_called_safetensors_is_never_opened(
    write: Callable[[Path, Path], None], folder: Path, tmp_path: Path
) -> None:
    """A pickle named model.safetensors is seen for what it is before anything could load it."""
    write(folder / "model.safetensors", tmp_path / "mark")
    assert "model.safetensors is a pickle under another name and is never loaded" in refused(folder)
    assert not (tmp_path / "mark").exists()


def test_a_pickle_beside_safetensors_is_not_looked_at(folder: Path, tmp_path: Path) -> None:
    """Where there are both, the pickle is left alone."""
    write_pickle(folder / "pytorch_model.bin", tmp_path / "mark")
    load_encoder(str(folder), "", None)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["../model/model.safetensors", "/tmp/x.safetensors", "pytorch_model.bin"])
def test_an_index_that_names_other_files_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    """An index of weights in several files may name safetensors of its own folder and nothing else."""
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    write_pickle(folder / "pytorch_model.bin", tmp_path / "mark")
    index = {"metadata": {}, "weight_map": {"embeddings.word_embeddings.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "which is no safetensors file of the folder" in refused(folder)
    assert not (tmp_path / "mark").exists()


def test_an_adapter_is_refused(folder: Path) -> None:
    """An adapter names another model that would be loaded in its place, and that no key knows of."""
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere", "peft_type": "LORA"}')
    assert "is an adapter" in refused(folder)


def test_the_conversion_that_is_offered_works(folder: Path, tmp_path: Path) -> None:
    """The command of the refusal makes a folder that is accepted, with the same weights."""
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    command = shlex.split(refused(folder).partition("convert it: ")[2])
    command[0] = sys.executable
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr
    find_model(str(tmp_path / "model-safe"), "main", tmp_path)
    ours, _ = load_encoder(str(tmp_path / "model-safe"), "", None)
    theirs, _ = load_encoder(str(ENCODER), "", None)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


# -- poisoned weights -------------------------------------------------------------------------------------------


def poison(file: Path, change: Callable[[dict[str, torch.Tensor], str], None]) -> str:
    """Change the weights in a file; returns the name of the tensor that was changed."""
    weights = load_file(file)
    name = next(name for name in sorted(weights) if name.endswith("query.weight"))
    change(weights, name)
    save_file(weights, file, metadata={"format": "pt"})
    return name


def nan(weights: dict[str, torch.Tensor], name: str) -> None:
    weights[name][0, 0] = float("nan")


def infinite(weights: dict[str, torch.Tensor], name: str) -> None:
    weights[name][-1, -1] = float("-inf")


def reshaped(weights: dict[str, torch.Tensor], name: str) -> None:
    weights[name] = weights[name][1:].clone()


def lacking(weights: dict[str, torch.Tensor], name: str) -> None:
    del weights[name]


@pytest.mark.parametrize(
    ("change", "what"),
    [(nan, "holds values that are no finite numbers"), (infinite, "holds values that are no finite numbers"),
     (reshaped, "among its weights and"), (lacking, "its weights lack")],
)  # fmt: skip
def test_poisoned_weights_are_refused_by_name(
    change: Callable[[dict[str, torch.Tensor], str], None], what: str, folder: Path
) -> None:
    """Weights that are NaN, infinite, of another shape or missing are never trained on: one line names the tensor. In a
    person's own model it ends the run, in a checkpoint of the store it fails the step that reads it."""
    name = poison(folder / "model.safetensors", change)
    short = name.partition("encoder.")[2]
    for base, kind in ((None, UserError), (folder, StepFailed)):
        with pytest.raises(kind) as caught:
            load_encoder(str(folder), "", base)
        assert what in str(caught.value) and short in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 7, 100, 5000, -1, +1])
def test_cut_weights_are_refused_when_a_study_is_planned(cut: int, folder: Path) -> None:
    """Weights that were cut off, or go on after their end, are refused before anything runs."""
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole + b"x" if cut == 1 else whole[:cut])
    assert "model.safetensors" in refused(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\x80\x02 not text"])
def test_whatever_stands_in_the_files_beside_is_a_line(name: str, text: str, folder: Path) -> None:
    """Nonsense in the tokenizer's or the model's config is refused in one line or does not matter; no library's
    traceback passes through."""
    (folder / name).write_text(text)
    try:
        load_encoder(str(folder), "", None)
    except UserError as error:
        assert "\n" not in str(error) and str(folder) in str(error)
    else:
        assert name == "tokenizer_config.json"


def test_a_model_that_changed_under_a_study_is_refused(folder: Path) -> None:
    """The model that is loaded is the one that the keys were made with."""
    identity = identity_of(folder)
    load_encoder(str(folder), identity, None)
    poison(folder / "model.safetensors", lambda weights, name: weights[name].mul_(2))
    with pytest.raises(UserError, match="changed since the study was planned"):
        load_encoder(str(folder), identity, None)


def test_a_poisoned_model_ends_a_run_in_one_line(folder: Path, tmp_path: Path) -> None:
    """At the terminal: exit code 2 and one line with the folder, what is wrong, and no traceback."""
    poison(folder / "model.safetensors", nan)
    study = mini(model=str(folder), languages=["qaa"]).model_dump(mode="json", exclude_defaults=True, exclude={"file"})
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(study))
    done = subprocess.run(
        [sys.executable, "-m", "xstilts", "run", "mini.yaml"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("xstilts:")]
    assert str(folder) in line and "no finite numbers" in line


# -- heads beside a checkpoint ----------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(loaded: tuple[Any, Any], tmp_path: Path) -> Path:
    head = SHAPES.get("classify").head(loaded[0].config.hidden_size, Spec(labels=("a", "b")))
    save_checkpoint(tmp_path / "checkpoint", *loaded, [StoredHead("nli", "classify", ("a", "b"), head)])
    return tmp_path / "checkpoint"


def head_nan(file: Path, mark: Path) -> None:
    save_file({name: weight * float("nan") for name, weight in load_file(file).items()}, file)


def head_wide(file: Path, mark: Path) -> None:
    save_file({name: torch.cat([weight, weight]) for name, weight in load_file(file).items()}, file)


@pytest.mark.parametrize(
    ("write", "what"), [(write_pickle, "is a pickle"), (head_nan, "no finite numbers"), (head_wide, "of another shape")]
)
def test_a_poisoned_head_fails_the_step_that_reads_it(
    write: Callable[[Path, Path], None], what: str, checkpoint: Path, loaded: tuple[Any, Any], tmp_path: Path
) -> None:
    """A head that is a pickle, not finite or of another shape fails its step by name, and executes nothing."""
    write(checkpoint / "head.safetensors", tmp_path / "mark")
    width = loaded[0].config.hidden_size
    shape = SHAPES.get("classify")
    with pytest.raises(StepFailed, match=f"head.safetensors .*{what}"):
        load_head(checkpoint, shape, width)
    fresh: nn.Module = shape.head(width, Spec(labels=("a", "b")))
    with pytest.raises(StepFailed, match=f"head.safetensors .*{what}"):
        reuse_head(checkpoint, fresh, "classify", ("b", "a"))
    assert not (tmp_path / "mark").exists()


# -- links, and names that lead out of the store ----------------------------------------------------------------


class Files(Step):
    """Files as a checkpoint has them, or a link."""

    kind: ClassVar[str] = "Train"
    link: str = ""

    def run(self, work: Work) -> None:
        (work.out / "checkpoint").mkdir()
        (work.out / "checkpoint" / "model.safetensors").write_bytes(b"weights")
        if self.link:
            (work.out / "checkpoint" / "config.json").symlink_to(self.link)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    file = tmp_path / "outside" / "secret.txt"
    file.parent.mkdir()
    file.write_text("not the store's")
    return file


@pytest.mark.parametrize("target", ["secret", "/etc/hostname", "../../../..", "checkpoint/model.safetensors"])
def test_a_link_in_a_steps_output_is_refused(target: str, outside: Path, tmp_path: Path) -> None:
    """A step whose output has a link, wherever it leads, is never published."""
    store, step = Store(tmp_path / "store").open(), Files(link=str(outside) if target == "secret" else target)
    with pytest.raises(StepFailed, match=r"checkpoint/config\.json is a link"):
        store.publish(step, "")
    assert not store.has(step)
    assert outside.read_text() == "not the store's"


def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are hashed from now on."""
    found: list[Path] = []
    monkeypatch.setattr(checking, "sha256_of", lambda path: (found.append(path), hashes.sha256_of(path))[1])
    return found


@pytest.mark.parametrize("name", ["../{up}outside/secret.txt", "{whole}", "a/../../b", "checkpoint/../model"])
def test_a_manifest_that_names_a_file_outside_is_damage(
    name: str, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest that names an absolute path or one with `..` is damaged, sealed or not; what it names is neither read
    nor removed."""
    store, step = Store(tmp_path / "store").open(), Files()
    store.publish(step, "the step")
    name = name.format(up="../" * 3, whole=outside)
    manifest = store.manifest(step)
    manifest["files"][name] = hashes.sha256_of(outside)
    manifest["seal"] = seal(manifest)
    (store.of(step) / "manifest.json").write_bytes(render(manifest))
    read = opened(monkeypatch)
    findings = verify(store.root)
    (found,) = findings.damaged
    assert found.faults == (f"manifest.json names a file outside its folder ({name})",)
    assert all(path.resolve().is_relative_to(store.of(step)) for path in read)
    drop_damaged(store, findings)
    assert not store.has(step) and outside.read_text() == "not the store's"


@pytest.mark.parametrize("where", ["file", "folder", "step", "prefix", "kind"])
def test_a_link_in_the_store_is_damage_and_never_followed(
    where: str, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link in the place of a file, of a step or of a folder above it is found; what it points at is not read, and
    stays."""
    store, step = Store(tmp_path / "store").open(), Files()
    store.publish(step, "the step")
    final = store.of(step)
    place = {"file": final / "checkpoint/model.safetensors", "folder": final / "checkpoint", "step": final,
             "prefix": final.parent, "kind": final.parent.parent}[where]  # fmt: skip
    moved = place.rename(outside.parent / "moved")
    place.symlink_to(moved)
    read = opened(monkeypatch)
    findings = verify(store.root)
    (found,) = findings.damaged
    assert any("link" in fault for fault in found.faults)
    assert all(path.resolve().is_relative_to(final) for path in read)
    drop_damaged(store, findings)
    assert moved.exists() and outside.read_text() == "not the store's"
    assert (where in ("prefix", "kind")) == (not verify(store.root).whole)


# -- what steps read from the store -----------------------------------------------------------------------------


class Given(Step):
    """A step of another kind's name, with the files that such a step would leave."""

    kind: ClassVar[str] = "Predict"

    def run(self, work: Work) -> None:
        (work.out / "predictions.parquet").write_bytes(b"predictions")


class Rows(Given):
    kind: ClassVar[str] = "Prepare"

    def run(self, work: Work) -> None:
        (work.out / "rows.parquet").write_bytes(b"rows")


def test_no_step_reads_a_damaged_input(tmp_path: Path) -> None:
    """Rows, predictions and checkpoints that are not what was written fail the step that would read them, with the
    command that mends the store."""
    store = Store(tmp_path / "store").open()
    rows, predictions, trained = Rows(), Given(), Files()
    reading: dict[Step, Callable[[], object]] = {
        rows: lambda: read_rows(store, (rows.key,)),
        predictions: lambda: store.publish(Score(predictions=predictions.key, metrics=("accuracy",)), ""),
        trained: lambda: checkpoint_folder(store, trained.key, None),
    }
    for step, read in reading.items():
        store.publish(step, "made before")
        for file in [path for path in store.of(step).rglob("*") if path.is_file() and path.name != "manifest.json"]:
            file.write_bytes(b"?")
        with pytest.raises(StepFailed, match=f"made before .* damaged: .*{file.name}") as caught:
            read()
        assert "xstilts store verify --drop" in caught.value.remedy
