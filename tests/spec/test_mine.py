"""The shape `mine` and the threshold that Predict tunes for it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.errors import StepFailed, UserError
from xstilts.metrics import METRICS, score
from xstilts.retrieval import vectors
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.step import Step, Work
from xstilts.steps.predict import Predict
from xstilts.store import Store
from xstilts.tasks import get_task
from xstilts.tasks.rows import SCHEMAS, Row
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training import inference
from xstilts.training.forward import settle


@pytest.fixture(autouse=True)
def as_in_a_step() -> None:
    settle()


def corpora(n: int, seed: int = 1) -> list[Row]:
    """Rows of the microworld: a third pairs, a third texts, a third English sentences, in random order."""
    drawn = get_source("microworld").rows(get_task("mw_retrieval"), "dev", "qaa")[: 3 * n]
    rows: list[Row] = []
    for i, row in enumerate(drawn):
        text: Row = {"id": f"q{i}", "text": row["text"], "english_id": None, "english": None, "gold": []}
        english = {"english_id": f"e{i}", "english": row["english"]}
        if i % 3 == 0:
            rows.append({**text, **english, "gold": [f"e{i}"]})
        else:
            rows.append(text if i % 3 == 1 else {**text, **english, "id": f"e{i}", "text": None, "gold": None})
    random.Random(seed).shuffle(rows)
    return rows


def outputs_of(rows: list[Row], noise: float, seed: int = 1) -> list[np.ndarray]:
    """Unit vectors per row: those of a pair are near each other, all others are not."""
    rng, found = np.random.default_rng(seed), []
    for row in rows:
        base = np.abs(rng.normal(size=(1, 16)))
        both = base + noise * rng.normal(size=((row["text"] is not None) + (row["english"] is not None), 16))
        found.append((both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float32))
    return found


def f1(rows: list[Row], answers: list[Any]) -> float:
    golds = SHAPES.get("mine").golds(rows)
    return score(METRICS["set_f1"].contribution(g, a, "qaa") for g, a in zip(golds, answers, strict=True))


def test_a_row_gives_the_sequences_it_has(loaded: Any) -> None:
    """One feature per row: the text's pieces, then the English ones, each as the tokenizer makes them alone."""
    rows, tokenizer = corpora(10), loaded[1]
    for part in (rows, [r for r in rows if r["text"] is None], [r for r in rows if r["english"] is None]):
        features = SHAPES.get("mine").encode(part, tokenizer, Spec(), training=False)
        assert [f.row for f in features] == list(range(len(part)))
        assert [[s.ids for s in f.sequences] for f in features] == [
            [tokenizer(r[side])["input_ids"] for side in ("text", "english") if r[side] is not None] for r in part
        ]


def test_the_translation_is_found_in_the_row_of_its_text() -> None:
    """Pairs whose vectors are near are answered with the English id in the row of the text; all else with nothing."""
    rows, shape = corpora(30), SHAPES.get("mine")
    outputs = outputs_of(rows, 0.01)
    spec = shape.tune(rows, [], outputs, Spec())
    assert shape.decode(rows, [], outputs, spec) == shape.golds(rows)


def test_the_tuned_threshold_is_the_best_on_its_rows() -> None:
    """No other threshold gives these rows a greater F1, where pairs and others mix."""
    rows, shape = corpora(40), SHAPES.get("mine")
    outputs = outputs_of(rows, 0.25)
    spec = shape.tune(rows, [], outputs, Spec())
    found = f1(rows, shape.decode(rows, [], outputs, spec))
    others = [f1(rows, shape.decode(rows, [], outputs, Spec(threshold=float(t)))) for t in np.linspace(0.5, 2, 151)]
    assert 20 < max(others) <= found < 100


def test_gold_that_is_not_among_the_rows_counts_as_missed() -> None:
    """A translation that a sample of rows has cut off still counts in recall, as in the metric: it lowers F1 but
    does not move the threshold's cut beyond the candidates."""
    rows, shape = corpora(20), SHAPES.get("mine")
    more = [{**r, "gold": [*r["gold"], "elsewhere"]} if r["gold"] else r for r in rows]
    outputs = outputs_of(rows, 0.01)
    answers = shape.decode(more, [], outputs, shape.tune(more, [], outputs, Spec()))
    assert answers == shape.golds(rows) and f1(more, answers) == pytest.approx(200 / 3)


def test_without_a_threshold_nothing_is_mined() -> None:
    """A threshold is never guessed."""
    rows = corpora(5)
    with pytest.raises(StepFailed, match="never guessed"):
        SHAPES.get("mine").decode(rows, [], outputs_of(rows, 0.1), Spec())


def test_rows_without_gold_set_no_threshold() -> None:
    """Tuning on rows without a gold pair is refused with the remedy."""
    rows: list[Row] = [{**row, "gold": []} for row in corpora(5)]
    with pytest.raises(UserError, match="no gold pair.*lower test_rows"):
        SHAPES.get("mine").tune(rows, [], outputs_of(rows, 0.1), Spec())


def test_mining_is_not_trained() -> None:
    """Its loss is refused in words."""
    with pytest.raises(UserError, match="not trained.*retrieve"):
        SHAPES.get("mine").loss(torch.zeros(2, 2), [], Spec())


def test_shuffled_gold_stays_with_texts() -> None:
    """The shuffled control has the same gold lists on other texts; English rows have none."""
    rows = corpora(30)
    shuffled = SHAPES.get("mine").shuffle_labels(rows, random.Random(1))
    assert [r["id"] for r in shuffled] == [r["id"] for r in rows] and shuffled != rows
    assert sorted(map(str, (r["gold"] for r in shuffled))) == sorted(map(str, (r["gold"] for r in rows)))
    assert all(r["gold"] is None for r in shuffled if r["text"] is None)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 9999))
def test_retrieval_answers_as_the_whole_matrix_would(n: int, seed: int) -> None:
    """The nearest text of each English sentence, of equal ones the first."""
    outputs = np.random.default_rng(seed).integers(-2, 3, size=(n, 2, 3)).astype(np.float32)
    expected = (outputs[:, 1] @ outputs[:, 0].T).argmax(axis=1).tolist()
    assert SHAPES.get("retrieve").decode([{}] * n, [], list(outputs), Spec()) == expected


# -- Predict ----------------------------------------------------------------------------------------------------


class Rows(Step):
    """Rows that are given."""

    kind: ClassVar[str] = "Prepare"
    rows: tuple[Row, ...]

    def run(self, work: Work) -> None:
        pq.write_table(pa.Table.from_pylist(list(self.rows), schema=SCHEMAS["mine"]), work.out / "rows.parquet")


class Bench:
    """A store with the rows of two splits, and Predict steps over them."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, Store(root / "store").open()
        rows = corpora(60)
        self.test, self.dev = rows[:120], rows[120:]
        self.keys = {}
        for name, part in (("t", self.test), ("d", self.dev)):
            step = Rows(rows=tuple(part))
            self.store.publish(step, name)
            self.keys[name] = step.key

    def run(self, tune: str | None, rows: int | None = None, **fields: Any) -> tuple[list[dict[str, Any]], Work]:
        step = Predict(
            **{
                "encoder": "microworld", "task": "bucc2018", "shape": "mine", "data": (("zh", self.keys["t"]),),
                "rows": rows,
                "tune": () if tune is None else (("zh", self.keys[tune]),), "options": {"max_length": 96, "layer": 1},
                "model": str(ENCODER), "precision": "float32", **fields,
            }
        )  # fmt: skip
        out = self.root / "store" / "out"
        out.mkdir(exist_ok=True)
        work = Work(store=self.store, out=out)
        step.run(work)
        return pq.read_table(out / "predictions.parquet").to_pylist(), work


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_threshold_is_set_on_the_split_named_and_noted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the tuning step set the threshold; the manifest says which it was; the answers are those at it."""
    asked: list[list[Row]] = []
    tune = inference.tune
    monkeypatch.setattr(inference, "tune", lambda *a, **k: (asked.append(a[5]), tune(*a, **k))[1])
    table, work = bench.run("d")
    assert asked == [bench.dev]
    assert work.notes["thresholds"]["zh"] > 0 and work.notes["examples"] == len(bench.test)
    assert [r["id"] for r in table] == [r["id"] for r in bench.test]
    answers = [json.loads(r["prediction"]) for r in table]
    assert 0 < sum(map(len, answers)) < sum(row["text"] is not None for row in bench.test)
    assert f1(bench.test, answers) > 10


def test_no_evaluated_row_sets_its_own_threshold(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only one split has gold, the rows after the evaluated ones set the threshold: all others, each once."""
    asked: list[str] = []
    tune = inference.tune
    monkeypatch.setattr(inference, "tune", lambda *a, **k: (asked.extend(row["id"] for row in a[5]), tune(*a, **k))[1])
    table, _ = bench.run("t", rows=50)
    evaluated = [row["id"] for row in table]
    assert len(evaluated) == 50 and sorted(evaluated + asked) == sorted(row["id"] for row in bench.test)


@pytest.mark.parametrize("split", ["t", "d"])
def test_as_many_rows_set_the_threshold_as_asked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    """`tune_rows` are taken of the tuning rows, none of them evaluated."""
    asked: list[str] = []
    tune = inference.tune
    monkeypatch.setattr(inference, "tune", lambda *a, **k: (asked.extend(row["id"] for row in a[5]), tune(*a, **k))[1])
    table, _ = bench.run(split, rows=50, tune_rows=30)
    assert len(set(asked)) == 30 and not set(asked) & {row["id"] for row in table}


@pytest.mark.parametrize(("tune", "rows"), [("t", None), ("t", 120), ("t", 500), (None, 50)])
def test_without_rows_to_tune_on_prediction_is_refused(bench: Bench, tune: str | None, rows: int | None) -> None:
    """Evaluating all rows of the only split with gold is refused, with the setting that leaves some."""
    with pytest.raises(UserError, match="no rows in zh to set its threshold.*test_rows.* below 120"):
        bench.run(tune, rows)


def test_prediction_waits_for_the_rows_it_is_tuned_on() -> None:
    """The tuning step is an input, once, and part of the key."""
    fields: dict[str, Any] = {
        "encoder": "e",
        "task": "bucc2018",
        "shape": "mine",
        "data": (("zh", "t"),),
        "options": {},
    }
    plain, same, other = (Predict(**fields, tune=tune) for tune in ((), (("zh", "t"),), (("zh", "d"),)))
    assert (plain.inputs(), same.inputs(), other.inputs()) == (("t",), ("t",), ("t", "d"))
    assert len({plain.key, same.key, other.key}) == 3


def test_vectors_in_a_file_give_the_same_answers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more vectors than memory is meant for, they lie in a nameless file beside the step's output: the answers
    are equal and nothing is left."""
    expected, _ = bench.run("d")
    folders: list[Path | None] = []
    allocate = vectors.allocate

    def spy(n: int, width: int, folder: Path | None = None) -> Any:
        folders.append(folder)
        array = allocate(n, width, folder)
        assert isinstance(array, np.memmap)
        return array

    monkeypatch.setattr(vectors, "MOST_IN_MEMORY", 1000)
    monkeypatch.setattr(vectors, "allocate", spy)
    found, work = bench.run("d")
    assert found == expected
    assert folders == [work.out.parent] * 2
    assert sorted(p.name for p in work.out.parent.iterdir()) == ["out", "prepare", "tokens"]
    assert [p.name for p in work.out.iterdir()] == ["predictions.parquet"]


def test_the_pooling_asked_for_is_the_pooling_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head without weights follows the options: `cls` is not silently the mean."""
    used: list[str] = []
    read = inference.read
    monkeypatch.setattr(inference, "read", lambda *a, **k: (used.append(a[2].pooling), read(*a, **k))[1])
    for pooling in ("mean", "cls"):
        bench.run("d", options={"max_length": 96, "layer": 1, "pooling": pooling})
    assert list(dict.fromkeys(used)) == ["mean", "cls"]
