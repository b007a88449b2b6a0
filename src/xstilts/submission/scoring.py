"""Score a folder of predictions against a folder of labels, as XTREME's evaluator does.

The numbers are those of `evaluate.py` in google-research/xtreme with seqeval 0.0.12; what it skips or scores in
silence is refused or said here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from xstilts.errors import UserError
from xstilts.metrics import get_metric, score
from xstilts.metrics.chunk_f1 import chunks
from xstilts.schedule import InputErrors
from xstilts.submission.layout import GROUPS, PARTS, Part, missing
from xstilts.submission.reading import read_answers, read_column, read_pairs, read_questions, read_sentences


@dataclass(frozen=True)
class Scores:
    """The scores of a submission, in percent."""

    tasks: dict[str, dict[str, Any]]
    """Task to `{metric: {language: score}, "avg_" + metric: mean over languages, "avg_metric": the task's score}`.
    The metrics are accuracy, f1 with precision and recall, or f1 and exact_match, as in XTREME's evaluator."""
    groups: dict[str, float]
    """Mean of the tasks of each group, and of all nine as `all_task`; only of what is complete."""
    missing: dict[str, list[str]]
    """Task to its languages that were not scored; empty when all nine tasks are complete."""
    notes: list[str]
    """What a reader must know: files that were not read, predictions that are missing."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"tasks": self.tasks, "groups": self.groups, "missing": self.missing, "notes": self.notes}


class _Found(NamedTuple):
    scores: dict[str, float]
    remarks: list[str]


def score_submission(predictions: Path, labels: Path) -> Scores:
    """Score every task and language that both folders have.

    A task's score is the unweighted mean over its languages, English included; for questions that of the means of
    F1 and exact match. Raises `UserError` (one for each wrong file) when there is nothing to score, or when
    predictions are not aligned with their labels.
    """
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise UserError("no such folder", file=folder, remedy="give a folder that holds one folder for each task")
    notes = _all_strangers(predictions, labels)
    tasks: dict[str, dict[str, Any]] = {}
    errors: list[UserError] = []
    for part in PARTS.values():
        found, remarks = _languages(part, predictions, labels, errors)
        notes += remarks
        if found:
            tasks[part.name] = _with_averages(found)
    if errors:
        raise InputErrors(errors)
    if not tasks:
        what = f"no task and language is both here and in {labels}"
        raise UserError(what, file=predictions, remedy="the layout is TASK/test-LANGUAGE.tsv (questions: .json)")
    lacking_languages = missing({name: list(_first(task)) for name, task in tasks.items()})
    return Scores(tasks, _groups(tasks, lacking_languages), lacking_languages, notes)


def _languages(
    part: Part, predictions: Path, labels: Path, errors: list[UserError]
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Language to metric to score of one task, and remarks; adds to `errors` for each file that is wrong."""
    scores: dict[str, dict[str, float]] = {}
    remarks: list[str] = []
    alone: dict[str, list[str]] = {"labels but no predictions": [], "predictions but no labels": []}
    for language in part.languages:
        files = part.file(labels, language), part.file(predictions, language)
        has_labels, has_predictions = (file.is_file() for file in files)
        if has_labels and has_predictions:
            try:
                found = _SCORERS[part.kind](*files, part, language)
            except UserError as error:
                errors.append(error)
                continue
            scores[language] = found.scores
            remarks += (f"{part.name} {language}: {remark}" for remark in found.remarks)
        elif has_labels or has_predictions:
            alone["labels but no predictions" if has_labels else "predictions but no labels"].append(language)
    for what, languages in alone.items():
        if languages:
            which = "(all)" if len(languages) == len(part.languages) else ", ".join(languages)
            remarks.append(f"{part.name} {which}: {what}, not scored")
    return scores, remarks


def _all_strangers(predictions: Path, labels: Path) -> list[str]:
    """A note for each file and folder that is no part of a submission or of its labels."""
    ours, theirs = _strangers(predictions), _strangers(labels)
    return [
        f"{name} ({'in both folders' if name in ours and name in theirs else folder}): {what}"
        for folder, found in ((predictions, ours), (labels, {n: w for n, w in theirs.items() if n not in ours}))
        for name, what in found.items()
    ]


def _strangers(folder: Path) -> dict[str, str]:
    """Name within the folder, and why it is not scored. Hidden files are nobody's predictions."""
    found = {}
    for entry in _visible(folder):
        part = PARTS.get(entry.name)
        if part is None:
            found[entry.name] = "none of XTREME's nine tasks, not scored"
        elif not entry.is_dir():
            found[entry.name] = "not a folder, not read"
        else:
            for file in _visible(entry):
                language = part.language_of(file.name)
                if language is None:
                    found[f"{entry.name}/{file.name}"] = f"not called test-LANGUAGE.{part.ending}, not read"
                elif language not in part.languages:
                    found[f"{entry.name}/{file.name}"] = "not one of XTREME's languages for this task, not scored"
    return found


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _with_averages(found: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Language to metric turned into metric to language, with the means."""
    names = list(next(iter(found.values())))
    task: dict[str, Any] = {name: {language: scores[name] for language, scores in found.items()} for name in names}
    for name in names:
        task[f"avg_{name}"] = _mean(task[name].values())
    main = [f"avg_{name}" for name in names if name not in ("precision", "recall")]
    task["avg_metric"] = _mean(task[name] for name in main)
    return task


def _first(task: dict[str, Any]) -> dict[str, float]:
    by_language: dict[str, float] = next(iter(task.values()))
    return by_language


def _groups(tasks: dict[str, dict[str, Any]], lacking: dict[str, list[str]]) -> dict[str, float]:
    wholes = {**GROUPS, "all_task": tuple(PARTS)}
    return {
        name: _mean(tasks[task]["avg_metric"] for task in members)
        for name, members in wholes.items()
        if not set(members) & set(lacking)
    }


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values)


# -- one file ---------------------------------------------------------------------------------------------------


def _labels(labels: Path, predictions: Path, part: Part, language: str) -> _Found:
    """Accuracy over lines."""
    gold = read_column(labels)
    guesses = read_column(predictions, len(gold))
    if part.kind == "index":
        gold, guesses = ([_number(value) for value in side] for side in (gold, guesses))
    _refuse_empty(gold, labels)
    if len(gold) != len(guesses):
        what = f"{len(guesses)} predictions, but {len(gold)} labels in {labels}"
        raise UserError(what, file=predictions, line=min(len(gold), len(guesses)) + 1)
    for number, value in enumerate(gold, start=1):
        if not _known(value, part):
            what = f"gold label {value!r} is not {_expected(part)}"
            raise UserError(what, file=labels, line=number, remedy="give the labelled file, predictions first")
    contribution = get_metric("accuracy").contribution
    accuracy = score(contribution(true, guess, language) for true, guess in zip(gold, guesses, strict=True))
    return _Found({"accuracy": accuracy}, _unknown(enumerate(guesses, start=1), part))


def _tags(labels: Path, predictions: Path, part: Part, language: str) -> _Found:
    """Chunk F1, precision and recall over all sentences."""
    gold, guesses = read_sentences(labels), read_sentences(predictions)
    _refuse_empty(gold, labels)
    for number, (true, guess) in enumerate(zip(gold, guesses, strict=False), start=1):
        if len(true.tags) != len(guess.tags):
            what = f"sentence {number} has {len(guess.tags)} tags, but {len(true.tags)} in {labels}:{true.line}"
            raise UserError(what, file=predictions, line=guess.line)
    if len(gold) != len(guesses):
        # the first sentence that has no counterpart, where it is, or the end
        line = guesses[len(gold)].line if len(guesses) > len(gold) else len(read_column(predictions)) + 1
        raise UserError(f"{len(guesses)} sentences, but {len(gold)} in {labels}", file=predictions, line=line)
    scores = _f1(*({(i, chunk) for i, s in enumerate(side) for chunk in chunks(s.tags)} for side in (gold, guesses)))
    remarks = _unknown(((s.line + i, tag) for s in guesses for i, tag in enumerate(s.tags)), part)
    return _Found(scores, remarks)


def _pairs(labels: Path, predictions: Path, part: Part, language: str) -> _Found:
    """F1, precision and recall over the set of pairs; no pair at all scores 0."""
    gold, guesses = set(read_pairs(labels)), set(read_pairs(predictions))
    _refuse_empty(gold, labels)
    return _Found(_f1(gold, guesses), [] if guesses else ["no pair is predicted"])


def _answers(labels: Path, predictions: Path, part: Part, language: str) -> _Found:
    """F1 and exact match over the questions; a question without a prediction is wrong."""
    questions, answers = read_questions(labels), read_answers(predictions)
    _refuse_empty(questions, labels)
    prefix = "mlqa" if part.name == "mlqa" else "qa"
    scores = {}
    for name, metric in (("exact_match", f"{prefix}_em"), ("f1", f"{prefix}_f1")):
        contribution = get_metric(metric).contribution
        scores[name] = score(contribution(q.answers, answers.get(q.id), language) for q in questions)
    ids = {question.id for question in questions}
    without, unknown = len(ids - set(answers)), len(set(answers) - ids)
    remarks = [f"{without} of {len(ids)} questions have no prediction: they count as wrong"] if without else []
    remarks += [f"{unknown} predictions are for questions that the labels do not have"] if unknown else []
    return _Found(scores, remarks)


_SCORERS: dict[str, Callable[[Path, Path, Part, str], _Found]] = {
    "label": _labels, "index": _labels, "tags": _tags, "pairs": _pairs, "answers": _answers,
}  # fmt: skip


def _f1(gold: set[Any], found: set[Any]) -> dict[str, float]:
    """F1, precision and recall of two sets in percent; each is 0 where it is 0/0."""
    common = len(gold & found)
    f1 = score([get_metric("set_f1").contribution(gold, found, "")])
    return {"f1": f1, "precision": score([(common, len(found))]), "recall": score([(common, len(gold))])}


def _refuse_empty(gold: Sequence[Any] | set[Any], labels: Path) -> None:
    if not gold:
        raise UserError("no labels", file=labels, remedy="is the file complete?")


def _number(value: str) -> str:
    """XTREME's own script writes the indices of Tatoeba as `[12]`."""
    return value[1:-1].strip() if value.startswith("[") and value.endswith("]") else value


def _known(value: str, part: Part) -> bool:
    return bool(re.fullmatch("[0-9]+", value)) if part.kind == "index" else value in part.labels


def _expected(part: Part) -> str:
    return "a whole number" if part.kind == "index" else "one of " + ", ".join(part.labels)


def _unknown(values: Iterable[tuple[int, str]], part: Part) -> list[str]:
    """A remark on predictions that cannot be right, if there are any; `values` are (line, prediction)."""
    odd = [(line, value) for line, value in values if not _known(value, part)]
    if not odd:
        return []
    line, value = odd[0]
    return [f"{len(odd)} predictions are not {_expected(part)}, first {value!r} in line {line}: they count as wrong"]
