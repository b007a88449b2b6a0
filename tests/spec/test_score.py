"""A submission is scored as XTREME's evaluator does, and what that one passes over in silence is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.submission import Scores, score_submission
from xstilts.submission.layout import GROUPS, PARTS
from xstilts.submission.reading import read_pairs, read_sentences

NLI = "neutral\nentailment\ncontradiction\n"
QUESTIONS = {
    "data": [{"paragraphs": [{"context": "a b c", "qas": [
        {"id": "q1", "question": "?", "answers": [{"text": "a b", "answer_start": 0}]},
        {"id": "q2", "question": "?", "answers": [{"text": "c", "answer_start": 4}]},
    ]}]}]
}  # fmt: skip


class Folders:
    """Predictions and labels that a test fills."""

    def __init__(self, root: Path) -> None:
        self.predictions, self.labels = root / "predictions", root / "labels"

    def put(self, name: str, predictions: Any = None, labels: Any = None) -> Folders:
        for folder, content in ((self.predictions, predictions), (self.labels, labels)):
            folder.mkdir(exist_ok=True)
            if content is not None:
                (folder / name).parent.mkdir(exist_ok=True)
                text = content if isinstance(content, str) else json.dumps(content)
                (folder / name).write_text(text, "utf-8", newline="")
        return self

    def score(self) -> Scores:
        return score_submission(self.predictions, self.labels)

    def refused(self) -> list[str]:
        with pytest.raises(UserError) as caught:
            self.score()
        return [str(single) for single in getattr(caught.value, "errors", [caught.value])]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_the_nine_tasks_have_the_languages_of_xtreme() -> None:
    """Nine tasks in four groups, with as many languages as the paper's Table 1 has test sets."""
    counts = {"xnli": 15, "pawsx": 7, "panx": 40, "udpos": 33, "xquad": 11, "mlqa": 7, "tydiqa": 9, "bucc2018": 4,
              "tatoeba": 36}  # fmt: skip
    assert {name: len(set(part.languages)) for name, part in PARTS.items()} == counts
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(PARTS)


def test_the_overall_score_needs_all_nine_tasks_and_all_languages(folders: Folders) -> None:
    """What is there is scored; what is missing is named, and neither its group nor the overall score is given."""
    for language in PARTS["xnli"].languages:
        folders.put(f"xnli/test-{language}.tsv", NLI, NLI)
    for language in PARTS["pawsx"].languages[1:]:
        folders.put(f"pawsx/test-{language}.tsv", "0\n", "1\n")
    found = folders.score()
    assert found.tasks["xnli"]["avg_metric"] == 100 and found.tasks["pawsx"]["avg_metric"] == 0
    assert found.groups == {}
    assert found.missing["pawsx"] == [PARTS["pawsx"].languages[0]] and "xnli" not in found.missing
    assert found.missing["udpos"] == list(PARTS["udpos"].languages)
    folders.put(f"pawsx/test-{PARTS['pawsx'].languages[0]}.tsv", "0\n", "1\n")
    assert folders.score().groups == {"classification": 50.0}


def test_what_is_not_scored_is_said(folders: Folders) -> None:
    """Unknown folders, names and languages, and languages that only one side has, are notes."""
    folders.put("xnli/test-en.tsv", NLI, NLI).put("xnli/test-de.tsv", NLI).put("xnli/test-fr.tsv", None, NLI)
    folders.put("xnli/test_es_predictions.txt", NLI).put("xnli/test-xx.tsv", NLI).put("lareqa/test-en.tsv", "", "")
    folders.put("xnli/.DS_Store", "").put("README.md", "mine")
    found = folders.score()
    assert list(found.tasks) == ["xnli"] and found.tasks["xnli"]["accuracy"] == {"en": 100.0}
    where = f"({folders.predictions})"
    assert found.notes == [
        f"README.md {where}: none of XTREME's nine tasks, not scored",
        "lareqa (in both folders): none of XTREME's nine tasks, not scored",
        f"xnli/test-xx.tsv {where}: not one of XTREME's languages for this task, not scored",
        f"xnli/test_es_predictions.txt {where}: not called test-LANGUAGE.tsv, not read",
        "xnli fr: labels but no predictions, not scored",
        "xnli de: predictions but no labels, not scored",
    ]


@pytest.mark.parametrize(
    ("name", "predictions", "labels", "line", "words"),
    [
        ("xnli/test-de.tsv", "neutral\nneutral\n", NLI, 3, "2 predictions, but 3 labels in"),
        ("xnli/test-de.tsv", NLI + NLI, NLI, 4, "6 predictions, but 3 labels in"),
        ("tatoeba/test-de.tsv", "1\n", "1\n2\n", 2, "1 predictions, but 2 labels"),
        ("panx/test-de.tsv", "O\nO\n\nO\n", "O\nO\n\nO\nO\n", 4, "sentence 2 has 1 tags, but 2 in"),
        ("udpos/test-de.tsv", "X\n\nX\n\nX\n", "X\n\nX\n", 5, "3 sentences, but 2 in"),
        ("udpos/test-de.tsv", "X\n", "X\n\nX\n", 2, "1 sentences, but 2 in"),
        ("bucc2018/test-de.tsv", "de-1\ten-1\nde-2 en-2\n", "de-1\ten-1\n", 2, "1 columns, expected source id"),
        ("bucc2018/test-de.tsv", "de-1\ten-1\n\nde-2\ten-2\n", "de-1\ten-1\n", 2, "blank, expected source id"),
        ("xquad/test-de.json", '{"q1": "a",\n"q2" "c"}', QUESTIONS, 2, "not JSON"),
        ("xquad/test-de.json", {"q1": ["a"]}, QUESTIONS, None, "the answer to question 'q1' is not text"),
        ("mlqa/test-de.json", [], QUESTIONS, None, "not an object of question ids"),
    ],
)
def test_predictions_that_are_not_aligned_are_refused(
    folders: Folders, name: str, predictions: Any, labels: Any, line: int | None, words: str
) -> None:
    """Another number of lines, sentences, tokens or columns is an error with file and line, never a score."""
    folders.put(name, predictions, labels)
    where = folders.predictions / name
    (message,) = folders.refused()
    assert message.startswith(f"{where}: " if line is None else f"{where}:{line}: ") and words in message


@pytest.mark.parametrize(
    ("name", "predictions", "labels", "words"),
    [
        ("xnli/test-de.tsv", NLI, "", "no labels"),
        ("xnli/test-de.tsv", NLI, NLI.replace("entailment", ""), "test-de.tsv:2: gold label '' is not one of"),
        ("pawsx/test-de.tsv", "1\n", "paraphrase\n", "test-de.tsv:1: gold label 'paraphrase' is not one of 0, 1"),
        ("tydiqa/test-ko.json", {}, {"data": []}, "no labels"),
        ("tydiqa/test-ko.json", {}, {"data": [{"paragraphs": [{"context": "a", "qas": [
            {"id": "1", "answers": [{"text": ""}]}]}]}]}, "every gold answer is blank"),
        ("tydiqa/test-ko.json", {}, {"data": [{"paragraphs": [{"context": "a", "qas": [
            {"id": "1", "answers": []}]}]}]}, "question '1': no gold answer"),
    ],
)  # fmt: skip
def test_files_without_gold_are_refused(folders: Folders, name: str, predictions: Any, labels: Any, words: str) -> None:
    """Labels that were removed are an error in the labels file, never a score of zero."""
    (message,) = folders.put(name, predictions, labels).refused()
    assert message.startswith(str(folders.labels / name)) and words in message


def test_every_wrong_file_is_named(folders: Folders) -> None:
    """One run names all files that are wrong."""
    folders.put("xnli/test-de.tsv", "neutral\n", NLI).put("pawsx/test-de.tsv", "0\n", "0\n1\n")
    names = [Path(message.split(":")[0]).relative_to(folders.predictions) for message in folders.refused()]
    assert [str(name) for name in names] == ["xnli/test-de.tsv", "pawsx/test-de.tsv"]


def test_nothing_in_common_is_refused(folders: Folders, tmp_path: Path) -> None:
    """Folders that share no task and language, or do not exist, are an error and not an empty table."""
    folders.put("xnli/test-de.tsv", NLI).put("xnli/test-fr.tsv", None, NLI)
    assert "no task and language is both here and in" in folders.refused()[0]
    with pytest.raises(UserError, match="no such folder"):
        score_submission(tmp_path / "none", folders.labels)


def test_questions_without_a_prediction_count_as_wrong_and_are_said(folders: Folders) -> None:
    """As in the official evaluator a missing id scores 0; ids that the labels do not have change nothing."""
    found = folders.put("xquad/test-de.json", {"q1": "a b", "qx": "c"}, QUESTIONS).score()
    assert found.tasks["xquad"]["f1"] == {"de": 50.0} and found.tasks["xquad"]["avg_metric"] == 50.0
    assert found.notes == [
        "xquad de: 1 of 2 questions have no prediction: they count as wrong",
        "xquad de: 1 predictions are for questions that the labels do not have",
    ]


def test_labels_that_the_task_does_not_have_count_as_wrong_and_are_said(folders: Folders) -> None:
    """A misspelt prediction is wrong, as in the official evaluator, and a note names the first with its line."""
    folders.put("xnli/test-de.tsv", "neutral\nentails\n\n", NLI)
    folders.put("tatoeba/test-de.tsv", "[3]\nx\n", "3\n4\n").put("panx/test-de.tsv", "O\n\nB-LOC\nPER\n", "O\n\nO\nO\n")
    found = folders.score()
    assert found.tasks["xnli"]["accuracy"]["de"] == pytest.approx(100 / 3)
    assert found.tasks["tatoeba"]["accuracy"]["de"] == 50.0
    assert [note.split(": they")[0] for note in found.notes] == [
        "xnli de: 2 predictions are not one of contradiction, entailment, neutral, first 'entails' in line 2",
        "panx de: 1 predictions are not one of B-LOC, B-ORG, B-PER, I-LOC, I-ORG, I-PER, O, first 'PER' in line 4",
        "tatoeba de: 1 predictions are not a whole number, first 'x' in line 2",
    ]


def test_no_mined_pair_scores_zero(folders: Folders) -> None:
    """An empty file of pairs is an answer: nothing was found."""
    found = folders.put("bucc2018/test-de.tsv", "", "de-1\ten-1\n").score()
    assert found.tasks["bucc2018"]["f1"] == {"de": 0.0} and found.notes == ["bucc2018 de: no pair is predicted"]


def test_a_pair_counts_once(folders: Folders) -> None:
    """BUCC is scored over sets: a pair that is given twice is one pair."""
    gold = "de-1\ten-1\nde-2\ten-2\n"
    task = folders.put("bucc2018/test-de.tsv", "de-1\ten-1\nde-1\ten-1\nde-3\ten-2\nde-4\ten-2\n", gold).score().tasks
    found = {name: task["bucc2018"][name]["de"] for name in ("precision", "recall", "f1")}
    assert found == pytest.approx({"precision": 100 / 3, "recall": 50.0, "f1": 40.0})


_TAGS = st.lists(st.lists(st.sampled_from(["B-LOC", "I-LOC", "O", "NOUN"]), min_size=1), min_size=1)


@given(_TAGS, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["", " ", "wort\t"]), st.integers(0, 3))
def test_sentences_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, tags: list[list[str]], end: str, before: str, blanks: int
) -> None:
    """Whatever ends the lines, stands before the tags and follows the last, the sentences are those written."""
    path = tmp_path_factory.getbasetemp() / "sentences.tsv"
    text = (end * 2).join(end.join(before + tag for tag in sentence) for sentence in tags) + end * blanks
    path.write_text(text, "utf-8", newline="")
    found = read_sentences(path)
    assert [sentence.tags for sentence in found] == tags
    lines = path.read_bytes().decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert [lines[s.line - 1].split("\t")[-1].strip() for s in found] == [sentence[0] for sentence in tags]


_ID = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=5)


@given(st.lists(st.tuples(_ID, _ID)))
def test_pairs_are_read_back(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    """Pairs are what was written, in that order."""
    path = tmp_path_factory.getbasetemp() / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), "utf-8")
    assert read_pairs(path) == pairs
