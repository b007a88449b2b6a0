"""Attachment scores of dependency trees, as the CoNLL 2017 and 2018 shared tasks define them (Zeman et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

Arc = Sequence[int | str]
"""Head (1-based, 0 for the root) and relation of one token."""


def uas(gold: Sequence[Arc], prediction: Sequence[Arc], language: str = "") -> tuple[float, float]:
    """(tokens with the right head, tokens) of one sentence on gold words; punctuation counts."""
    return float(sum(g[0] == p[0] for g, p in _paired(gold, prediction))), float(len(gold))


def las(gold: Sequence[Arc], prediction: Sequence[Arc], language: str = "") -> tuple[float, float]:
    """(tokens with the right head and relation, tokens). Subtypes of relations (`nsubj:pass`) do not count."""
    right = sum(g[0] == p[0] and _universal(g) == _universal(p) for g, p in _paired(gold, prediction))
    return float(right), float(len(gold))


def _universal(arc: Arc) -> str:
    return str(arc[1]).partition(":")[0]


def _paired(gold: Sequence[Arc], prediction: Sequence[Arc]) -> list[tuple[Arc, Arc]]:
    if len(gold) != len(prediction):
        raise ValueError(f"{len(prediction)} predicted heads for {len(gold)} tokens")
    return list(zip(gold, prediction, strict=True))
