"""The metrics equal XTREME's official evaluator on its own mock data, for every task and language."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from xstilts.metrics import METRICS, score

DATA = Path(os.environ.get("XSTILTS_DATA") or Path(__file__).parents[3] / "shared" / "data") / "xtreme-mock"
OFFICIAL = DATA / "official_scores.json"
pytestmark = pytest.mark.skipif(not OFFICIAL.is_file(), reason=f"XTREME's mock data is not at {DATA}; set XSTILTS_DATA")

# task -> official name of the number -> our metric
METRIC_OF = {
    "xnli": {"accuracy": "accuracy"},
    "pawsx": {"accuracy": "accuracy"},
    "tatoeba": {"accuracy": "accuracy"},
    "panx": {"f1": "chunk_f1"},
    "udpos": {"f1": "chunk_f1"},
    "xquad": {"f1": "qa_f1", "exact_match": "qa_em"},
    "tydiqa": {"f1": "qa_f1", "exact_match": "qa_em"},
    "mlqa": {"f1": "mlqa_f1", "exact_match": "mlqa_em"},
}


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def sentences(path: Path) -> list[list[str]]:
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [[line.split("\t")[-1].strip() for line in block.splitlines() if line.strip()] for block in blocks]


def questions(labels: Path, predictions: Path) -> list[tuple[list[str], str | None]]:
    found = json.loads(predictions.read_text(encoding="utf-8"))
    return [
        ([answer["text"] for answer in question["answers"]], found.get(question["id"]))
        for article in json.loads(labels.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def examples(task: str, language: str) -> list[tuple[Any, Any]]:
    ending = "json" if task in ("xquad", "tydiqa", "mlqa") else "tsv"
    labels, predictions = (DATA / side / task / f"test-{language}.{ending}" for side in ("labels", "predictions"))
    if ending == "json":
        return list(questions(labels, predictions))
    read = sentences if task in ("panx", "udpos") else lines
    return list(zip(read(labels), read(predictions), strict=True))


@pytest.mark.parametrize("task", METRIC_OF)
def test_every_language_equals_the_official_score(task: str) -> None:
    official = json.loads(OFFICIAL.read_text())["tasks"][task]
    for theirs, ours in METRIC_OF[task].items():
        contribution = METRICS[ours].contribution
        for language, expected in official[theirs].items():
            found = score(contribution(gold, guess, language) for gold, guess in examples(task, language))
            assert found == pytest.approx(expected, abs=1e-9), (task, theirs, language)
        mean = sum(official[theirs].values()) / len(official[theirs])
        assert official[f"avg_{theirs}"] == pytest.approx(mean, abs=1e-9)  # unweighted, English included
