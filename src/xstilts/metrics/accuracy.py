"""Accuracy: the share of examples (or tokens) whose prediction equals the gold label."""

from __future__ import annotations

from collections.abc import Sequence


def accuracy(gold: str | int, prediction: str | int | None, language: str = "") -> tuple[float, float]:
    """(1, 1) when the prediction is the gold label, else (0, 1).

    Strings are compared without surrounding white space, as XTREME's evaluator reads its files. `None`, an
    example without a prediction, is wrong.
    """
    return float(_plain(gold) == _plain(prediction)), 1.0


def token_accuracy(gold: Sequence[str], prediction: Sequence[str], language: str = "") -> tuple[float, float]:
    """(tokens tagged right, tokens) of one sentence.

    This is not the number XTREME publishes for part-of-speech tagging; that one is `chunk_f1`.
    """
    if len(gold) != len(prediction):
        raise ValueError(f"{len(prediction)} predicted tags for {len(gold)} tokens")
    return float(sum(g == p for g, p in zip(gold, prediction, strict=True))), float(len(gold))


def _plain(label: str | int | None) -> str | int | None:
    return label.strip() if isinstance(label, str) else label
