"""The metrics: each is a ratio of sums over examples, so that scores can be resampled and paired exactly.

score = 100 * sum of numerators / sum of denominators, in percent; greater is better for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from xstilts.errors import UserError, did_you_mean
from xstilts.metrics.accuracy import accuracy, token_accuracy
from xstilts.metrics.attachment import las, uas
from xstilts.metrics.chunk_f1 import chunk_f1
from xstilts.metrics.qa import mlqa_em, mlqa_f1, qa_em, qa_f1
from xstilts.metrics.sets import binary_f1, features_accuracy, features_f1, set_f1

__all__ = ["METRICS", "Metric", "get_metric", "score"]


@dataclass(frozen=True)
class Metric:
    """A score that is a ratio of sums of per-example numbers."""

    name: str
    title: str
    """What a report's table calls it."""
    contribution: Callable[[Any, Any, str], tuple[float, float]]
    """(gold, prediction, language) of one example -> (numerator, denominator), 0 <= n <= d."""
    greater_is_better: bool = True
    """Always so here: an error rate would be stated as its complement, so that every gain has the same sign."""


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "accuracy", accuracy),
        Metric("token_accuracy", "token accuracy", token_accuracy),
        Metric("chunk_f1", "chunk F1", chunk_f1),
        Metric("qa_f1", "F1", qa_f1),
        Metric("qa_em", "exact match", qa_em),
        Metric("mlqa_f1", "F1 (MLQA)", mlqa_f1),
        Metric("mlqa_em", "exact match (MLQA)", mlqa_em),
        Metric("binary_f1", "F1 (positive class)", binary_f1),
        Metric("set_f1", "F1 (pairs)", set_f1),
        Metric("las", "LAS", las),
        Metric("uas", "UAS", uas),
        Metric("features_f1", "F1 (features)", features_f1),
        Metric("features_accuracy", "UFeats", features_accuracy),
    )
}


def get_metric(name: str) -> Metric:
    """The metric of that name; UserError with the nearest names if there is none."""
    try:
        return METRICS[name]
    except KeyError:
        raise UserError(f"unknown metric {name!r}", remedy=did_you_mean(name, METRICS)) from None


def score(contributions: Iterable[tuple[float, float]]) -> float:
    """The score in percent, 0..100, of (numerator, denominator) pairs; 0 when the denominators sum to 0.

    The sums are exact (`math.fsum`), so the order of the examples does not matter to the last bit.
    """
    numerators, denominators = [], []
    for numerator, denominator in contributions:
        numerators.append(numerator)
        denominators.append(denominator)
    whole = math.fsum(denominators)
    return 100.0 * math.fsum(numerators) / whole if whole else 0.0
