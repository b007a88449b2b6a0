"""The score of an answer that ignores the text: what a score must be above before it says anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from xstilts.errors import UserError
from xstilts.metrics import get_metric, score
from xstilts.tasks import get_task
from xstilts.tasks.metadata import Task

UNKNOWN = float("nan")


def guessed(task: Task, metric: str, n: int, choices: int | None = None) -> float:
    """The expected score, in percent, of guessing on `n` examples, from what is known without gold; NaN if unknown.

    | shape and metric | score | why |
    |---|---|---|
    | classify, accuracy | 100 / labels | any guess, if labels are balanced (XNLI); a lower bound if not (PAWS-X) |
    | classify, binary_f1 | 66.7 | `1` for everything, if half are: 2p / (1 + p) |
    | tag, token_accuracy | 100 / labels | a lower bound; the most frequent tag needs gold |
    | choice, accuracy | 100 / `choices` | any guess; NaN where the number of choices is not given |
    | retrieve, accuracy | 100 / n | one of n candidates |
    | chunks, spans, pairs, features, trees | 0 | nothing that ignores the text finds any worth counting |
    | mlm | NaN | a vocabulary is no label set |

    Open label sets count as unknown for accuracy. `guessed_from_gold` is better where gold is at hand.
    """
    if task.shape == "classify":
        return 100 / len(task.labels) if metric == "accuracy" and task.labels else 200 / 3 * (metric == "binary_f1")
    if task.shape == "tag" and metric == "token_accuracy":
        return 100 / len(task.labels) if task.labels else UNKNOWN
    if task.shape == "choice":
        return 100 / choices if choices else UNKNOWN
    if task.shape == "retrieve":
        return 100 / n if n else UNKNOWN
    return UNKNOWN if task.shape == "mlm" else 0.0


def guessed_from_gold(task: Task, metric: str, golds: Sequence[Any], language: str = "") -> float:
    """The score, in percent, of the best answer that is the same for all examples, by the metric itself.

    `golds` are those of one language, as `Predict` stores them. For `classify` and `choice` each answer that occurs is
    tried; for `tag` and `features` the most frequent one stands on every token. Other shapes have no constant answer
    and get `guessed`.
    """
    contribution = get_metric(metric).contribution
    if not len(golds) or task.shape not in ("classify", "choice", "tag", "features"):
        return guessed(task, metric, len(golds))
    if task.shape in ("classify", "choice"):
        answers = [[answer] * len(golds) for answer in Counter(golds)]
    else:
        ((most, _),) = Counter(unit for gold in golds for unit in gold).most_common(1)
        answers = [[[most] * len(gold) for gold in golds]]
    return max(score(contribution(gold, given, language) for gold, given in zip(golds, answer, strict=True))
               for answer in answers)  # fmt: skip


def guesses(contributions: pd.DataFrame, golds: pd.DataFrame | None = None) -> pd.DataFrame:
    """Per target, metric and language of `contributions`: the score of guessing. Columns: target, metric, language,
    n (examples), `chance` (percent, NaN where unknown).

    `golds`, where given, has one row per example: target, language, gold. A target that is no known task has NaN.
    """
    cells = contributions.drop_duplicates(["target", "metric", "language", "id"])
    counts = cells.groupby(["target", "metric", "language"], observed=True).size().rename("n").reset_index()
    known = {} if golds is None else {
        key: list(part["gold"]) for key, part in golds.groupby(["target", "language"], observed=True)
    }  # fmt: skip
    counts["chance"] = [_chance(cell, known) for cell in counts.to_dict("records")]
    return counts


def _chance(cell: dict[Any, Any], golds: dict[Any, list[Any]]) -> float:
    try:
        task = get_task(cell["target"])
    except UserError:
        return UNKNOWN
    gold = golds.get((cell["target"], cell["language"]))
    if gold:
        return guessed_from_gold(task, cell["metric"], gold, cell["language"])
    return guessed(task, cell["metric"], cell["n"])
