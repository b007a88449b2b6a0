"""A tiny data folder in the official layouts of XTREME's tasks, and its gold as a folder of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LANGUAGES = ("de", "en")
ROWS = 12
NLI = ("contradiction", "entailment", "neutral")
_WORDS = {"de": "der kleine Hund sieht heute einen alten Baum", "en": "the small dog sees an old tree today"}


def write_data(folder: Path) -> None:
    """Train files in English, test files in two languages, of seven tasks."""
    for split, languages in (("train", ("en",)), ("test", LANGUAGES)):
        for language in languages:
            first = 100 if split == "train" else 0  # no text is trained and tested on
            texts = [_text(language, first + i) for i in range(ROWS)]
            for task, labels in (("xnli", NLI), ("pawsx", ("0", "1"))):
                _write(folder, f"{task}/{split}-{language}.tsv", [
                    f"{text}\t{texts[i - 1]}\t{labels[i % len(labels)]}" for i, text in enumerate(texts)
                ])  # fmt: skip
            for task, tags in (("udpos", ("DET", "NOUN", "VERB")), ("panx", ("B-LOC", "I-LOC", "O"))):
                sentences = [
                    "".join(f"{word}\t{tags[(i + k) % 3]}\n" for k, word in enumerate(text.split()[: 2 + i % 3]))
                    for i, text in enumerate(texts)
                ]
                _write(folder, f"{task}/{split}-{language}.tsv", sentences)
            name = "squad/train-v1.1.json" if split == "train" else f"xquad/xquad.{language}.json"
            _write(folder, name, [json.dumps(_questions(texts))])
    for split in ("sample", "training"):  # every second sentence is without a translation
        for language in LANGUAGES:
            half = [f"{language}-{i}\t{split} {_text(language, i)}" for i in range(ROWS)]
            _write(folder, f"bucc2018/de-en/de-en.{split}.{language}", half)
        _write(folder, f"bucc2018/de-en/de-en.{split}.gold", [f"de-{i}\ten-{i}" for i in range(0, ROWS, 2)])
    _write(folder, "tatoeba/tatoeba.deu-eng.deu", [_text("de", i) for i in range(ROWS)])
    # the English side is not in sorted order, has a sentence twice, and sorts otherwise without its blank
    english = [_text("en", ROWS - i) for i in range(ROWS - 3)]
    _write(folder, "tatoeba/tatoeba.deu-eng.eng", [*english, " zebras", "Zebras", english[0]])


def _text(language: str, number: int) -> str:
    words = _WORDS[language].split()
    return " ".join((words * 2)[number % len(words) :][: 5 + number % 3]) + f" {number}"


def _questions(texts: list[str]) -> dict[str, Any]:
    return {"data": [{"paragraphs": [
        {"context": text, "qas": [{"id": f"q{i}", "question": "who?", "answers": [
            {"text": " ".join(text.split()[:2]), "answer_start": 0}]}]}
        for i, text in enumerate(texts)
    ]}]}  # fmt: skip


def _write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")


def write_labels(data: Path, folder: Path) -> None:
    """The gold of `data`'s test files as XTREME's evaluator takes it, made without any code of xstilts."""
    for language in LANGUAGES:
        for task in ("xnli", "pawsx", "udpos", "panx"):
            lines = (data / task / f"test-{language}.tsv").read_text("utf-8").splitlines()
            _write(folder, f"{task}/test-{language}.tsv", [line.split("\t")[-1] for line in lines])
        _write(folder, f"xquad/test-{language}.json", [(data / f"xquad/xquad.{language}.json").read_text("utf-8")])
    pairs = (data / "bucc2018/de-en/de-en.training.gold").read_text("utf-8").splitlines()
    _write(folder, "bucc2018/test-de.tsv", pairs)
    english = [line.strip() for line in (data / "tatoeba/tatoeba.deu-eng.eng").read_text("utf-8").splitlines()]
    order = [index for _, index in sorted((text, index) for index, text in enumerate(english))]
    _write(folder, "tatoeba/test-de.tsv", [str(index) for index in order])
