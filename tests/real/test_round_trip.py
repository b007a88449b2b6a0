"""Every task whose files are there, in every language: gold scores 100, and a perfect head's outputs decode to gold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.conftest import DATA

from xstilts.metrics import METRICS, score
from xstilts.metrics.qa import mlqa_normal, squad_normal
from xstilts.metrics.sets import universal
from xstilts.sources.files import FilesSource
from xstilts.tasks import TASKS, get_task
from xstilts.tasks.metadata import Split, Task
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import SHAPES, Feature, Spec

SPLITS: tuple[Split, ...] = ("test", "dev", "train")
WITHOUT_GOLD = {("tydiqa", "test")}
"""Splits at hand whose answers were removed: that they are refused is tested in `test_data`."""
MOST = 1_000
"""Rows per language that are scored, spread over the file."""


def files_of(task: Task) -> list[tuple[str, Split]]:
    """(language, split) of what is there to evaluate on: the test set of each language, or else its dev or train."""
    source = FilesSource(DATA)
    found = []
    for language in task.all_languages if task.files and task.shape != "mlm" else ():  # running text has no gold
        splits = [s for s in SPLITS if (task.name, s) not in WITHOUT_GOLD and source.has(task, s, language)]
        found += [(language, split) for split in splits[:1]]
    return found


THERE = {name: files_of(task) for name, task in TASKS.items()} if DATA.is_dir() else {}
NAMES = [name for name, files in THERE.items() if files]
pytestmark = pytest.mark.skipif(not NAMES, reason=f"no data folder {DATA}; set XSTILTS_DATA to run this on real data")


@pytest.fixture(scope="module", params=NAMES)
def read(request: pytest.FixtureRequest) -> tuple[Task, dict[str, list[Row]]]:
    """A task and its evaluation rows by language, read once for all tests."""
    task = get_task(request.param)
    return task, {language: FilesSource(DATA).rows(task, split, language) for language, split in THERE[task.name]}


def spread(rows: list[Row], most: int) -> list[Row]:
    """At most so many rows, from all over."""
    return rows[:: -(-len(rows) // most)]


def test_no_task_is_left_out() -> None:
    """The data at hand holds all targets and every shape that files have."""
    shapes = {get_task(name).shape for name in NAMES}
    assert shapes == {"classify", "tag", "features", "parse", "span", "choice", "retrieve", "mine"}
    targets = {"udpos", "panx", "xnli", "pawsx", "xquad", "mlqa", "tatoeba", "bucc2018", "xcopa", "udparse", "udfeats"}
    assert targets <= set(NAMES)
    assert sum(map(len, THERE.values())) > 300


def test_gold_scores_100_in_every_language(read: tuple[Task, dict[str, list[Row]]]) -> None:
    """Predicting gold scores 100 by all metrics of a task; of several gold answers, the first is predicted."""
    task, languages = read
    for language, rows in languages.items():
        golds = SHAPES.get(task.shape).golds(spread(rows, MOST))
        if task.shape == "span":  # an answer of articles alone (`una`) has F1 0 in the official scripts
            normal = mlqa_normal if "mlqa_f1" in task.metrics else lambda text, _: squad_normal(text)
            golds = [gold for gold in golds if normal(gold[0], language)]
        answers = [gold[0] for gold in golds] if task.shape == "span" else golds
        for metric in task.metrics:
            pairs = zip(golds, answers, strict=True)
            found = score(METRICS[metric].contribution(gold, answer, language) for gold, answer in pairs)
            assert found == 100, (language, metric)


def perfect(task: Task, features: list[Feature], rows: list[Row], spec: Spec) -> list[Any]:
    """Outputs of a head that is always right and always sure."""
    outputs: list[Any] = []
    for i, (feature, row) in enumerate(zip(features, (rows[f.row] for f in features), strict=True)):
        length = len(feature.sequences[0].ids)
        if task.shape == "tag":
            output = np.zeros((1, length, len(spec.labels)))
            output[0, feature.extra["firsts"], feature.target] = 1
        elif task.shape == "features":
            output = np.array([[2.0 * (label in tag.split("|")) - 1 for label in spec.labels] for tag in row["tags"]])
        elif task.shape == "parse":
            heads, relations = feature.target
            output = np.zeros((len(heads), len(heads) + 1, 2))
            output[range(len(heads)), heads] = [(1, max(0, relation)) for relation in relations]
        elif task.shape == "span":
            output = np.zeros((1, length, 2))
            output[0, feature.target[0], 0] = output[0, feature.target[1], 1] = 9 if feature.target[0] else 0
        elif task.shape == "choice":
            output = np.eye(len(feature.sequences))[:, row["label"], None]
        elif task.shape == "classify":
            output = np.eye(len(spec.labels))[feature.target][None]
        else:  # retrieve, mine: translations have one vector, that no other sentence has
            output = np.eye(len(rows), dtype=np.float32)[[i, i]]
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("max_length", [40, 128])
def test_a_perfect_head_answers_gold_in_every_language(
    read: tuple[Task, dict[str, list[Row]]], max_length: int, real: Any
) -> None:
    """Encoded with a real tokenizer and decoded, a sample of rows of each language comes back as gold: sentences in
    any number of chunks, answers in the exact characters of their context."""
    (task, languages), tokenizer = read, real[1]
    shape = SHAPES.get(task.shape)
    span = {"max_length": 3 * max_length, "max_query": 32, "max_answer": 40} if task.shape == "span" else {}
    for language, rows in languages.items():
        if task.shape == "mine":  # only translations can be found
            rows = [row for row in rows if row["gold"] and row["english"]]
        if task.shape == "span":  # only answers of at most max_answer pieces can be
            rows = [row for row in rows if len(row["answers"][0]) < 30]
        rows = spread(rows, 20)
        labels = task.labels or shape.inventory(rows)
        spec = Spec(**{"max_length": max_length, "labels": labels, "stride": max_length, **span})
        features = shape.encode(rows, tokenizer, spec, training=True)
        assert max(len(s.ids) for f in features for s in f.sequences) <= spec.max_length
        outputs = perfect(task, features, rows, spec)
        if task.shape == "mine":
            spec = shape.tune(rows, features, outputs, spec)
        answers, golds = shape.decode(rows, features, outputs, spec), shape.golds(rows)
        if task.shape == "span":
            answers, golds = spans(answers, rows), [True] * len(rows)
        if task.shape == "features":  # others are not learned
            golds = [["|".join(sorted(universal(tag), key=str.lower)) or "_" for tag in tags] for tags in golds]
        assert answers == golds, language


def spans(answers: list[str], rows: list[Row]) -> list[bool]:
    """Whether each answer is the context's own text around the first gold one; at its ends a piece may go on."""
    return [
        row["answers"][0].strip() in answer and answer in row["context"] and len(answer) <= len(row["answers"][0]) + 12
        for answer, row in zip(answers, rows, strict=True)
    ]
