"""A submission holds the stored predictions in XTREME's layout, of whole official test sets, or is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from submission_fixture import LANGUAGES, NLI, ROWS, write_data, write_labels

from xstilts.errors import UserError
from xstilts.step import Step
from xstilts.steps.predict import SCHEMA, Predict
from xstilts.steps.prepare import Prepare, read_rows
from xstilts.store import Store
from xstilts.store.manifest import describe, render
from xstilts.study import Study
from xstilts.submission import Submission, score_submission, write_submission
from xstilts.submission.layout import PARTS
from xstilts.submission.writing import File, write_files

Answer = Callable[[dict[str, Any], int], Any]
GOLD: dict[str, Answer] = {
    "classify": lambda row, i: row["label"],
    "tag": lambda row, i: row["tags"],
    "span": lambda row, i: row["answers"][0],
    "retrieve": lambda row, i: i,
    "mine": lambda row, i: row["gold"],
}


class World:
    """A study over a tiny data folder, and a store with predictions that a test chooses."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, Store(root / "store")
        write_data(root / "data")

    def study(self, *targets: str, **changes: Any) -> Study:
        fields: dict[str, Any] = {
            "name": "sub", "model": "microworld", "source": "files", "data": str(self.root / "data"),
            "languages": ["de"] if targets == ("tatoeba",) else list(LANGUAGES),
            "intermediates": [], "targets": targets,
        }  # fmt: skip
        return Study.model_validate({**fields, **changes})

    def predict(self, study: Study, answer: Answer | None = None) -> None:
        """Publish the rows of a study's test sets and an answer to each; the right one where none is given."""
        steps = study.plan().steps
        for step in steps.values():
            if isinstance(step, Prepare):
                self.store.publish(step, "rows")
        for step in steps.values():
            if isinstance(step, Predict):
                found = [
                    {"task": step.task, "language": language, "id": row["id"], "gold": "null",
                     "prediction": json.dumps((answer or GOLD[step.shape])(row, i))}
                    for language, key in step.data
                    for i, row in enumerate(read_rows(self.store, (key,), 0, step.rows))
                ]  # fmt: skip
                self.put(step, found)

    def put(self, step: Step, found: list[dict[str, str]]) -> None:
        folder = self.store.of(step)
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(found, schema=SCHEMA), folder / "predictions.parquet")
        (folder / "manifest.json").unlink(missing_ok=True)
        (folder / "manifest.json").write_bytes(render(describe(step, "answers", folder, 0.0, {})))

    def submit(self, study: Study, **options: Any) -> Submission:
        return write_submission(study, self.store, options.pop("intermediate", "none"), self.root / "out", **options)

    def refused(self, study: Study, **options: Any) -> list[str]:
        with pytest.raises(UserError) as caught:
            self.submit(study, **options)
        assert not list(self.root.glob("*out*")), "something was written"
        return [str(single) for single in getattr(caught.value, "errors", [caught.value])]

    def text(self, name: str) -> str:
        return (self.root / "out" / name).read_bytes().decode("utf-8")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "bucc2018", "tatoeba")


def test_the_right_answers_score_a_hundred(world: World) -> None:
    """Predictions that are the gold score 100 in every task and language, against labels made apart."""
    study = world.study(*TARGETS)
    world.predict(study)
    world.submit(study)
    write_labels(world.root / "data", world.root / "labels")
    tasks = score_submission(world.root / "out", world.root / "labels").tasks
    assert {(name, task["avg_metric"]) for name, task in tasks.items()} == {(name, 100.0) for name in TARGETS}


def test_files_are_in_the_official_layout(world: World) -> None:
    """Text labels; one tag a line and a blank line between sentences; a flat object of ids and answers."""
    study = world.study("xnli", "pawsx", "panx", "xquad")
    world.predict(study, lambda row, i: {"text_a": str(i % 2) if row.get("label") in ("0", "1") else NLI[i % 3],
                                         "tokens": ["B-PER", *["O"] * (len(row.get("tokens", "-")) - 1)],
                                         "question": row.get("context", "")[:3]}[list(row)[1]])  # fmt: skip
    world.submit(study)
    assert world.text("xnli/test-de.tsv").split("\n")[:3] == list(NLI)
    assert world.text("pawsx/test-en.tsv") == "0\n1\n" * (ROWS // 2)
    assert world.text("panx/test-de.tsv").startswith("B-PER\nO\n\nB-PER\nO\nO\n\nB-PER\nO\nO\nO\n\nB-PER\nO\n\n")
    assert not world.text("panx/test-de.tsv").endswith("\n\n")
    assert json.loads(world.text("xquad/test-de.json"))["q0"] == "der"


def test_tatoeba_asks_in_the_sorted_order_of_the_english_sentences(world: World) -> None:
    """Line k answers the k-th English sentence by stripped text, equal ones in their order."""
    study = world.study("tatoeba")
    world.predict(study, lambda row, i: (i + 5) % ROWS)
    world.submit(study)
    english = [line.strip() for line in (world.root / "data/tatoeba/tatoeba.deu-eng.eng").read_text().splitlines()]
    expected = [(i + 5) % ROWS for _, i in sorted((text, i) for i, text in enumerate(english))]
    assert [int(line) for line in world.text("tatoeba/test-de.tsv").splitlines()] == expected != sorted(expected)


def test_what_xtreme_lacks_and_what_the_study_lacks_is_said(world: World) -> None:
    """A target that is none of the nine is left out and named; so is all that is missing for a complete submission."""
    folder = world.root / "data" / "msrp"
    folder.mkdir()
    head = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    for name in ("train", "test"):
        (folder / f"msr-para-{name}.tsv").write_text(head + f"1\t1\t2\ta {name}\tb\n")
    study = world.study("xnli", "msrp")
    world.predict(study)
    found = world.submit(study)
    assert found.notes == ["msrp left out: none of XTREME's nine tasks"]
    assert found.written == {"xnli": list(LANGUAGES)}
    assert found.missing["xnli"] == [code for code in PARTS["xnli"].languages if code not in LANGUAGES]
    assert set(found.missing) == set(PARTS)


def test_languages_beyond_xtremes_are_left_out(world: World) -> None:
    """Languages that XTREME-R added to a task are evaluated in a study, but are no part of a submission."""
    path = world.root / "data" / "panx" / "test-de.tsv"
    path.with_name("test-pl.tsv").write_text(path.read_text() + "Krak\tB-LOC\n")
    study = world.study("panx", languages=["de", "pl"])
    world.predict(study)
    found = world.submit(study)
    assert found.notes == ["panx: pl left out, not among XTREME's languages for it"]
    assert found.written == {"panx": ["de"]} and not (world.root / "out/panx/test-pl.tsv").exists()


def test_an_arm_and_a_seed_are_chosen(world: World) -> None:
    """Predictions are those of the arm and seed asked for; one of several seeds must be named, and must exist."""
    study = world.study("xnli", intermediates=["pawsx"], seeds=[1, 2])
    world.predict(study)
    steps = study.plan()
    cell = next(c for c in steps.cells if c.arm.name == "pawsx" and c.seed == 2)
    (key,) = steps.steps[cell.score].inputs()
    step = steps.steps[key]
    table = pq.read_table(world.store.of(step) / "predictions.parquet").to_pylist()
    world.put(step, [{**item, "prediction": '"neutral"'} for item in table])
    assert "a submission is of one; choose one, such as --seed 1" in world.refused(study)[0]
    assert "the study has no seed 3; it has 1, 2" in world.refused(study, seed=3)[0]
    assert "no intermediate 'pawsy'; did you mean 'pawsx'?" in world.refused(study, intermediate="pawsy")[0]
    found = world.submit(study, intermediate="pawsx", seed=2)
    assert (found.intermediate, found.seed) == ("pawsx", 2)
    assert world.text("xnli/test-de.tsv") == "neutral\n" * ROWS


def test_cells_that_are_not_run_are_named(world: World) -> None:
    """One line for each, with what to type, and the reason where it failed."""
    study = world.study("xnli", "udpos")
    steps = study.plan()
    failed = next(s for s in steps.steps.values() if isinstance(s, Predict) and s.task == "udpos")
    world.store.record_failure(failed, "no memory")
    assert world.refused(study) == [
        "xnli after none, seed 1 is not run; type: xstilts run sub.yaml",
        "udpos after none, seed 1 failed (no memory); type: xstilts run sub.yaml",
    ]


def test_a_sample_of_the_test_rows_is_refused(world: World) -> None:
    """test_rows below the size of a test set cannot make a submission; at its size it is no sample."""
    study = world.study("xnli", settings={"default": {"test_rows": ROWS - 1}})
    remedy = "write settings.xnli.test_rows: null, and run it"
    for _ in range(2):  # before the run and after it
        (message,) = world.refused(study)
        assert (
            message == f"xnli is evaluated on a sample ({ROWS - 1} rows); a submission needs every test row; {remedy}"
        )
        world.predict(study)
    whole = world.study("xnli", settings={"default": {"test_rows": 3}, "xnli": {"test_rows": None}})
    world.predict(whole)
    assert world.submit(whole).written == {"xnli": list(LANGUAGES)}
    (world.root / "out").rename(world.root / "first")
    same = world.study("xnli", settings={"default": {"test_rows": ROWS}})
    world.predict(same)
    assert world.submit(same).written == {"xnli": list(LANGUAGES)}


@pytest.mark.parametrize(
    ("stand_in", "name"), [("pawsx/other-{language}.tsv", "pawsx/other-{language}.tsv"), ("pawsx.dev", "pawsx.dev")]
)
def test_stand_ins_for_test_sets_are_refused(world: World, stand_in: str, name: str) -> None:
    """Rows that are not XTREME's test set make no submission, whether they are a file or another split."""
    for language in LANGUAGES:
        for other in ("other", "dev"):
            path = world.root / "data" / "pawsx" / f"test-{language}.tsv"
            path.with_name(f"{other}-{language}.tsv").write_text(path.read_text())
    study = world.study("pawsx", stand_ins={"pawsx.test": [stand_in]})
    (message,) = world.refused(study)
    assert f"pawsx de was evaluated on its stand-in {name}, which is not XTREME's test set" in message
    assert "drop stand_ins.pawsx.test" in message


def test_other_studies_are_refused(world: World) -> None:
    """A study evaluated on dev, and one without a task of XTREME's, have nothing to submit."""
    (message,) = world.refused(world.study("xnli", evaluate_on="dev"))
    assert "evaluated on dev" in message and "evaluate_on: test" in message
    micro = Study(name="m", model="microworld", source="microworld", intermediates=(), targets=("mw_pos",))
    assert "no target of the study is a task of XTREME's; they are xnli, pawsx" in world.refused(micro)[0]


def test_a_folder_in_use_is_left_alone(world: World) -> None:
    """Nothing is written over: a folder that is not empty, or a file; an empty folder is taken."""
    study = world.study("xnli")
    world.predict(study)
    out = world.root / "out"
    out.mkdir()
    world.submit(study)
    with pytest.raises(UserError, match="is there already and not empty"):
        world.submit(study)
    with pytest.raises(UserError, match="is there already and not a folder"):
        write_submission(study, world.store, "none", out / "xnli" / "test-de.tsv")


@pytest.mark.parametrize(
    ("target", "wrong", "words"),
    [
        ("xnli", "maybe", "test-de.tsv:1: 'maybe' is no label of xnli"),
        ("xnli", "neutral\nneutral", "test-de.tsv:13: 24 predictions for 12 test rows"),
        ("udpos", ["NOUN"], "test-de.tsv:1: 1 tags for the 2 tokens of sentence 1"),
        ("panx", ["NOUN", "NOUN"], "test-de.tsv:1: 'NOUN' is no tag of panx"),
        ("xquad", "elsewhere", "the answer to question 'q0' is not in its passage"),
        ("tatoeba", ROWS, "test-de.tsv:1: '12' is not the index of one of 12 sentences"),
        ("tatoeba", -1, "'-1' is not the index"),
    ],
)
def test_a_written_file_that_does_not_answer_its_rows_is_refused(
    world: World, target: str, wrong: Any, words: str
) -> None:
    """What was written is read back; where it is not valid, one line says where and nothing is left behind."""
    study = world.study(target)
    world.predict(study, lambda row, i: wrong)
    (message,) = world.refused(study)
    assert words in message


def test_predictions_in_another_order_are_refused(world: World) -> None:
    """Ids of predictions and of rows must agree one by one."""
    study = world.study("xnli")
    world.predict(study)
    step = next(s for s in study.plan().steps.values() if isinstance(s, Predict))
    table = pq.read_table(world.store.of(step) / "predictions.parquet").to_pylist()
    world.put(step, [table[1], table[0], *table[2:]])
    assert "xnli de are not in the order of its test rows" in world.refused(study)[0]


MINED = [
    {"id": "de-1", "text": "eins", "english_id": "en-1", "english": "one", "gold": ["en-1"]},
    {"id": "en-2", "text": None, "english_id": "en-2", "english": "two", "gold": []},
    {"id": "de-3", "text": "drei", "english_id": None, "english": None, "gold": []},
    {"id": "de-4", "text": "vier", "english_id": "en-4", "english": "four", "gold": ["en-4"]},
]


def test_mined_pairs_are_written_one_a_line(tmp_path: Path) -> None:
    """BUCC: source id, tab, English id, for each pair; sentences without a partner are in no line."""
    write_files([File(PARTS["bucc2018"], "de", MINED, [["en-1"], [], [], ["en-4", "en-2"]])], tmp_path / "out")
    assert (tmp_path / "out/bucc2018/test-de.tsv").read_text() == "de-1\ten-1\nde-4\ten-4\nde-4\ten-2\n"


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        ([["en-1"], [], ["de-4"], []], "test-de.tsv:2: 'de-4' is no sentence of the test set"),
        ([["en-1"], ["en-2"], [], []], "test-de.tsv:2: 'en-2' is no sentence of the test set"),
        ([["en-1", "en-1"], [], [], []], "test-de.tsv:2: pair de-1 en-1 is given twice"),
    ],
)
def test_pairs_of_unknown_sentences_are_refused(tmp_path: Path, predictions: list[list[str]], words: str) -> None:
    """Both ids of a pair must be of the right side of the test set, and a pair is given once."""
    with pytest.raises(UserError) as caught:
        write_files([File(PARTS["bucc2018"], "de", MINED, predictions)], tmp_path / "out")
    assert words in str(caught.value) and not list(tmp_path.iterdir())
