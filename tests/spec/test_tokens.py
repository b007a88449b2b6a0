"""The token cache: features come back as they were made, whatever happens to its files."""

from __future__ import annotations

import itertools
import json
import logging
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import mini

from xstilts.errors import StepFailed, UserError
from xstilts.executors import get_executor
from xstilts.plan import plan
from xstilts.schedule import schedule
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.steps.prepare import Prepare, read_rows, rows_of
from xstilts.steps.train import Train
from xstilts.store import Store, sha256_of
from xstilts.tasks import get_task
from xstilts.tasks.rows import PORTION, SCHEMAS, Row, Rows
from xstilts.tasks.shapes import SHAPES, Feature, Pieces, Spec
from xstilts.training import tokens
from xstilts.training.features import pack
from xstilts.training.forward import length_of, size_of
from xstilts.training.tokens import tokenise

TASKS = ("mw_nli", "mw_pos", "mw_questions", "mw_choice", "mw_parallel")


def words(count: int) -> list[Row]:
    """Sentences with features and trees, some longer than a sequence."""
    tags = itertools.cycle(["Case=Nom|Number=Sing", "_", "Number=Plur", "Case=Acc,Dat"])
    return [
        {"id": str(i), "tokens": [f"wug{k}" for k in range(n)], "tags": [next(tags) for _ in range(n)],
         "heads": list(range(n)), "relations": ["root", *["dep"] * (n - 1)]}
        for i, n in enumerate(1 + i * 7 % 40 for i in range(count))
    ]  # fmt: skip


def example(name: str, count: int = 60) -> tuple[Any, list[Row], Spec]:
    """(shape, rows, settings) by name of a shape or of a task of the microworld."""
    if name in ("features", "parse"):
        shape, rows = SHAPES.get(name), words(count)
    elif name == "mine":
        shape = SHAPES.get(name)
        rows = [
            {"id": str(i), "text": None if i % 3 == 1 else "wug " * i, "english_id": str(i), "gold": [],
             "english": None if i % 3 == 2 else "dog " * i} for i in range(count)
        ]  # fmt: skip
    elif name == "mlm":
        shape = SHAPES.get(name)
        rows = [{"id": str(i), "text_a": "wug dax " * (1 + i % 40), "text_b": None} for i in range(count)]
    else:
        task = get_task(name)
        shape = SHAPES.get(task.shape)
        rows = get_source("microworld").rows(task, "dev", "en")[:count]
    return shape, rows, Spec(max_length=32, stride=8, max_query=8, labels=shape.inventory(rows))


def as_json(features: list[Feature]) -> list[Feature]:
    """With lists in the place of tuples."""
    plain = [json.loads(json.dumps([f.target, f.extra])) for f in features]
    return [replace(f, target=target, extra=extra) for f, (target, extra) in zip(features, plain, strict=True)]


NAMES = (*TASKS, "features", "parse", "mine", "mlm")
"""Something of every shape."""


def test_there_is_something_of_every_shape() -> None:
    """No shape is left out of these tests."""
    assert {example(name, 1)[0].name for name in NAMES} == set(SHAPES.targets())


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_features_come_back_as_they_were_made(
    name: str, training: bool, typed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every shape, for training and prediction, with segment ids and without: made, read again and held in memory,
    portions and all, features equal those of one call of the shape, and so do their lengths, sizes, rows and pieces."""
    from xstilts.models.encoder import load_tokenizer

    tokenizer = load_tokenizer(str(ENCODER))
    if typed:
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    shape, rows, spec = example(name)
    fresh = shape.encode(rows, tokenizer, spec, training)
    assert (fresh[0].sequences[0].types is not None) == typed
    monkeypatch.setattr(tokens, "PORTION", 7)
    for folder in (tmp_path, tmp_path, None):
        found = tokenise(folder, shape, rows, tokenizer, spec, training)
        assert list(found) == as_json(fresh)
        assert all(type(f.row) is int and type(f.sequences[0]) is Pieces for f in found)
        assert found.lengths.tolist() == [length_of(f) for f in fresh]
        assert found.sizes.tolist() == [size_of(f) for f in fresh]
        assert found.rows.tolist() == [f.row for f in fresh]
        assert found.counts.tolist() == [len(f.sequences) for f in fresh]
        assert found.used.tolist() == sorted({i for f in fresh for s in f.sequences for i in s.ids})
    assert len(list(tmp_path.rglob("*.arrow"))) == 1


IDS = st.lists(st.integers(0, 250_001), min_size=1, max_size=9)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


MADE = st.lists(st.tuples(st.lists(IDS, min_size=1, max_size=4), VALUES, VALUES), max_size=12)


@given(MADE, st.booleans(), st.data())
def test_whatever_json_holds_comes_back(made: list[Any], typed: bool, data: st.DataObject) -> None:
    """Features with any pieces, targets and extras come back by number, from the end, and in slices; beyond the end
    there are none."""
    features = [
        Feature(row, [Pieces(ids, [i % 2 for i in ids] if typed else None) for ids in sequences], target, {"x": extra})
        for row, (sequences, target, extra) in enumerate(made)
    ]
    packed = pack(features)
    assert list(packed) == features and len(packed) == len(features)
    first, last = data.draw(st.integers(-15, 15)), data.draw(st.integers(-15, 15))
    assert packed[first:last] == features[first:last]
    assert not features or packed[-1] == features[-1]
    with pytest.raises(IndexError):
        packed[len(features)]
    assert packed.used.tolist() == sorted({i for f in features for s in f.sequences for i in s.ids})


def test_what_json_cannot_hold_is_refused_in_a_line() -> None:
    """A shape of another package that gives features something else is told so."""
    with pytest.raises(StepFailed, match=r"neither number, text, list nor dict \(Object of type ndarray"):
        pack([Feature(0, [Pieces([1], None)], np.zeros(2))])


# -- what a key says ----------------------------------------------------------------------------------------------


def key_of(shape: Any, rows: Any, tokenizer: Any, spec: Spec, training: bool = True) -> str:
    return tokens._key(shape, rows, tokenizer, spec, training)


def test_a_key_depends_on_all_that_features_depend_on(loaded: Any, tmp_path: Path) -> None:
    """Rows, tokenizer, shape, settings and purpose: each changes the key. What only decoding reads, and what the
    tokenizer was asked for before, do not."""
    from xstilts.models.encoder import load_tokenizer

    shape, rows, spec = example("mw_nli", 8)
    plain = key_of(shape, rows, loaded[1], spec)
    other = load_tokenizer(str(ENCODER))
    other(["a b c"] * 2, truncation="longest_first", max_length=7, padding=True)
    assert key_of(shape, rows, other, replace(spec, dropout=0.5, layer=2, threshold=1.0)) == plain
    other.add_tokens(["wug"])
    renamed = load_tokenizer(str(ENCODER))
    renamed.model_input_names = ["input_ids", "token_type_ids"]
    changed = [{**rows[0], "text_a": rows[0]["text_a"] + "."}, *rows[1:]]
    keys = [
        plain, key_of(shape, rows, load_again(other, tmp_path), spec), key_of(shape, rows, renamed, spec),
        key_of(shape, changed, loaded[1], spec), key_of(shape, rows[::-1], loaded[1], spec),
        key_of(shape, rows, loaded[1], replace(spec, max_length=33)), key_of(shape, rows, loaded[1], spec, False),
        key_of(shape, rows, loaded[1], replace(spec, labels=spec.labels[::-1])),
        key_of(SHAPES.get("choice"), rows, loaded[1], spec),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


def load_again(tokenizer: Any, folder: Path) -> Any:
    from xstilts.models.encoder import load_tokenizer

    tokenizer.save_pretrained(folder)
    return load_tokenizer(str(folder))


def test_changed_code_makes_features_anew(loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version of the code has made is not read."""
    shape, rows, spec = example("mw_nli", 8)
    code = tmp_path / "pieces.py"
    code.write_text("before")
    monkeypatch.setattr(tokens, "_CODE", [code])
    before = key_of(shape, rows, loaded[1], spec)
    code.write_text("after the change")
    assert key_of(shape, rows, loaded[1], spec) != before


# -- rows that are not read ---------------------------------------------------------------------------------------


def written(rows: list[Row], shape: str, folder: Path, name: str = "rows") -> tuple[Path, str]:
    file = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS[shape]), file)
    return file, sha256_of(file)


def test_rows_of_a_warm_cache_are_not_read(loaded: Any, tmp_path: Path) -> None:
    """Where features are in the cache the files of the rows need not even be there; other stretches of the same rows
    are other features."""
    shape, rows, spec = example("mw_nli")
    file, sha256 = written(rows, shape.name, tmp_path)
    given_, cut = Rows(((file, sha256),)), Rows(((file, sha256),), 5, 15)
    cold = [tokenise(tmp_path / "tokens", shape, some, loaded[1], spec, True) for some in (given_, cut)]
    assert list(cold[0]) == shape.encode(rows, loaded[1], spec, True)
    assert list(cold[1]) == shape.encode(list(cut), loaded[1], spec, True) and len(cold[1]) == 10
    file.unlink()
    warm = [tokenise(tmp_path / "tokens", shape, some, loaded[1], spec, True) for some in (given_, cut)]
    assert [list(features) for features in warm] == [list(features) for features in cold]


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=3), start=st.integers(0, 40),
    stop=st.none() | st.integers(0, 60), first=st.integers(-9, 70), last=st.integers(-9, 70),
)  # fmt: skip
def test_rows_are_cut_from_one_fixed_order(
    counts: list[int], start: int, stop: int | None, first: int, last: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut rows are those of a fixed permutation of all files' rows, uncut ones keep their order; length, numbers and
    slices are those of the list, and rows that follow come after them, uncut."""
    folder = tmp_path_factory.mktemp("rows")
    numbers = iter(range(1000))
    parts = [[{"id": str(next(numbers)), "text": "a", "english": "b"} for _ in range(count)] for count in counts]
    files = tuple(written(part, "retrieve", folder, str(i)) for i, part in enumerate(parts))
    everything = [row for part in parts for row in part]
    expected = everything
    if start or (stop is not None and stop < len(everything)):
        order = np.random.Generator(np.random.PCG64(20200513)).permutation(len(everything))
        expected = [everything[i] for i in order[start:stop]]
    rows = Rows(files, start, stop)
    assert list(rows) == expected and len(rows) == len(expected) and rows[first:last] == expected[first:last]
    assert list(replace(rows, more=Rows(files))) == expected + everything
    if expected:
        assert rows[-1] == expected[-1]
    with pytest.raises(IndexError):
        rows[len(expected)]


def test_rows_are_read_in_portions(tmp_path: Path) -> None:
    """However many there are, cut or not, no more than a portion is held at a time."""
    rows = [{"id": str(i), "text": "a", "english": "b"} for i in range(2 * PORTION + 10)]
    files = (written(rows, "retrieve", tmp_path),)
    for some in (Rows(files), Rows(files, 3, 2 * PORTION)):
        sizes = [len(portion) for portion in some.portions()]
        assert max(sizes) == PORTION and sum(sizes) == len(some)


def test_the_identity_of_rows_is_their_content(tmp_path: Path) -> None:
    """It is the sha256 that the manifest of a step has, wherever the store lies, with the stretch and what follows."""
    step = next(s for s in plan(mini()).steps.values() if isinstance(s, Prepare))
    found = []
    for name in ("a", "b"):
        store = Store(tmp_path / name)
        store.publish(step, "rows")
        rows = rows_of(store, (step.key,), 2, 9)
        assert list(rows) == read_rows(store, (step.key,), 2, 9)
        assert rows.files[0][1] == sha256_of(rows.files[0][0])
        found.append([rows.identity, replace(rows, start=3).identity, replace(rows, more=rows).identity])
    assert found[0] == found[1] and len(set(found[0])) == 3


# -- files that are not what was written --------------------------------------------------------------------------


@pytest.fixture
def kept(loaded: Any, tmp_path: Path) -> tuple[Path, Any, list[Feature]]:
    """(the file of some features in a cache, what gives them again, the features)."""
    shape, rows, spec = example("mw_pos", 20)

    def again() -> list[Feature]:
        return list(tokenise(tmp_path, shape, rows, loaded[1], spec, True))

    features = again()
    (file,) = tmp_path.rglob("*.arrow")
    return file, again, features


def damaged(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    if how == "other":
        other = file.parent / ("0" * 64 + ".arrow")
        tokens._write(other, "0" * 64, [])
        data = bytearray(other.read_bytes())
        other.unlink()
    elif how == "flipped":
        data[len(data) // 3] ^= 1
    file.write_bytes({"cut": data[:-100], "empty": b"", "short": data[:9], "longer": data + b"x"}.get(how, data))


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "short", "longer", "other"])
def test_a_damaged_file_is_made_anew(how: str, kept: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happened to a file, it is noticed before anything of it is used, said in a line, and the file is what it
    was."""
    file, again, features = kept
    before = file.read_bytes()
    damaged(file, how)
    assert again() == features
    assert "made anew" in caplog.text and file.read_bytes() == before
    caplog.clear()
    assert again() == features and not caplog.text


def test_every_flipped_bit_is_found(kept: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The sha256 is over every byte, and its own bytes count too."""
    file, again, features = kept
    data = file.read_bytes()
    caplog.set_level(logging.CRITICAL)
    for place in [*range(0, len(data), 997), len(data) - 1]:
        flipped = bytearray(data)
        flipped[place] ^= 16
        file.write_bytes(flipped)
        assert tokens._read(file, file.stem) is None
    assert again() == features


def test_many_that_make_the_same_file_are_all_right(loaded: Any, tmp_path: Path) -> None:
    """Steps that tokenise the same rows at a time all get the same features and leave one file."""
    shape, rows, spec = example("mw_pos", 200)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: list(tokenise(tmp_path, shape, rows, loaded[1], spec, True)), range(6)))
    assert all(features == found[0] for features in found) and found[0] == shape.encode(rows, loaded[1], spec, True)
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".arrow"]


def test_a_file_that_goes_while_it_is_read_stays_readable(kept: Any, loaded: Any, tmp_path: Path) -> None:
    """A mapped file outlives its name, and another in its place changes nothing of what was opened."""
    file, _, features = kept
    shape, rows, spec = example("mw_pos", 20)
    opened = tokenise(tmp_path, shape, rows, loaded[1], spec, True)
    shutil.rmtree(file.parent)
    assert list(opened) == features


def test_a_full_disk_costs_the_cache_and_not_the_step(
    loaded: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a file cannot be written whole the features are held in memory, a line says why, and nothing is left."""
    shape, rows, spec = example("mw_pos", 20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        found = tokenise(tmp_path, shape, rows, loaded[1], spec, True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(found) == shape.encode(rows, loaded[1], spec, True)
    assert "tokens cannot be kept" in caplog.text and "the step goes on" in caplog.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_where_no_folder_can_be_made_the_step_goes_on(
    loaded: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a store that cannot be written to the features are held in memory."""
    (tmp_path / "tokens").write_text("in the way")
    shape, rows, spec = example("mw_pos", 20)
    found = tokenise(tmp_path / "tokens", shape, rows, loaded[1], spec, True)
    assert list(found) == shape.encode(rows, loaded[1], spec, True) and "cannot be kept" in caplog.text


def test_what_a_shape_refuses_leaves_no_file(loaded: Any, tmp_path: Path) -> None:
    """A mistake in the data passes through, and nothing of the features stays."""
    rows = [{"id": "0", "tokens": ["a"], "tags": ["Typo=Yes"]}]
    with pytest.raises(UserError, match="no universal feature"):
        tokenise(tmp_path, SHAPES.get("features"), rows, loaded[1], Spec(max_length=32), True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# -- steps --------------------------------------------------------------------------------------------------------


def outputs(store: Store) -> dict[str, bytes]:
    """All files that steps published, but for what tells of the time."""
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in sorted(store.root.rglob("*"))
        if path.is_file() and path.relative_to(store.root).parts[0] in ("train", "predict", "score", "perturb")
        and path.name != "manifest.json"
    }  # fmt: skip


def test_steps_publish_the_same_bytes_from_a_warm_cache(tmp_path: Path) -> None:
    """Trainings, with the control and dev rows too, and predictions, clean and perturbed, are the same to the byte from
    a cache that is cold, warm and not there, and the second run makes no file of it."""
    study = mini(
        intermediates=["mw_nli"], controls={"shuffled": "mw_nli"}, targets=["mw_entailment", "mw_retrieval"],
        languages=["qaa"], perturbations={"keyboard": [0.1]},
        settings={"default": {"train_rows": 24, "test_rows": 16, "epochs": 1, "batch_size": 8, "max_length": 96,
                              "learning_rate": 1e-3}},
    )  # fmt: skip
    found = []
    for name in ("cold", "warm", "none"):
        store = Store(tmp_path / name).open()
        if name == "warm":
            shutil.copytree(tmp_path / "cold" / "tokens", store.tokens)
        if name == "none":
            store.tokens.write_text("in the way")
        before = {path: path.stat().st_mtime_ns for path in store.tokens.rglob("*.arrow")}
        with closing(get_executor("inline", store)) as engine:
            assert not schedule(plan(study), store, engine).failed
        after = {path: path.stat().st_mtime_ns for path in store.tokens.rglob("*.arrow")}
        assert bool(after) == (name != "none") and (name != "warm" or after == before)
        found.append(outputs(store))
    assert found[0] and found[0] == found[1] == found[2]


def test_a_training_from_a_warm_cache_never_holds_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a task are read for the look at its last weights alone, a portion of them."""
    graph = plan(mini(targets=["mw_entailment"], intermediates=["mw_nli"], languages=["qaa"]))
    store = Store(tmp_path).open()
    with closing(get_executor("inline", store)) as engine:
        assert not schedule(graph, store, engine).failed
    read: list[int] = []
    portions = Rows.portions

    def counted(self: Rows) -> Any:
        for portion in portions(self):
            read.append(len(portion))
            yield portion

    monkeypatch.setattr(Rows, "portions", counted)
    training = next(s for s in graph.steps.values() if isinstance(s, Train))
    shutil.rmtree(store.of(training))
    store.publish(training, "again")
    assert read == [24]


_MEMORY = """
import sys
from pathlib import Path
from xstilts.models.encoder import load_tokenizer
from xstilts.tasks.rows import Rows
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training.batches import training_batches
from xstilts.training.tokens import tokenise
import pyarrow as pa, pyarrow.parquet as pq, torch

folder, encoder, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
table = pa.table({"id": ["x"] * 1000, "text_a": ["wug dax blick " * 5] * 1000, "text_b": ["toma " * 9] * 1000,
                  "label": ["a"] * 1000})
with pq.ParquetWriter(folder / "rows.parquet", table.schema) as writer:
    for _ in range(count // 1000):
        writer.write_table(table)
tokenizer = load_tokenizer(encoder)

def peak(name):
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields[name].split()[0]) // 1024

before = peak("RssAnon")
rows = Rows(((folder / "rows.parquet", "0" * 64),))
most = 0
for _ in range(2):
    features = tokenise(folder, SHAPES.get("classify"), rows, tokenizer, Spec(labels=("a",)), True)
    batches = training_batches(features.lengths, 32, torch.Generator().manual_seed(0))
    for _ in range(50):
        [features[i] for i in next(batches)]
        most = max(most, peak("RssAnon"))
print(most - before)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Five times as many rows take a few bytes each more, not the hundreds that they have as Python's objects."""
    grown = []
    for count in (10_000, 50_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        command = [sys.executable, "-c", _MEMORY, str(folder), str(ENCODER), str(count)]
        grown.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert grown[1] - grown[0] < 40_000 * 200 / 2**20
