"""F1 over things that are either found or not: the positive class, pairs of translations, morphological features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from xstilts.languages import codes

_UNIVERSAL_FEATURES = codes(
    "PronType NumType Poss Reflex Foreign Abbr Gender Animacy Number Case Definite Degree VerbForm Mood Tense Aspect "
    "Voice Evident Polarity Person Polite"
)
"""The features that the CoNLL 2018 shared task scores (`UNIVERSAL_FEATURES` of its evaluation script)."""


def binary_f1(gold: str, prediction: str | None, language: str = "") -> tuple[float, float]:
    """(2 if both are the label `1`, how many of the two are): F1 of the positive class, as GLUE scores QQP."""
    true, found = gold.strip() == "1", (prediction or "").strip() == "1"
    return 2.0 * (true and found), float(true + found)


def set_f1(gold: Sequence[str], prediction: Sequence[str], language: str = "") -> tuple[float, float]:
    """(2 * common, gold + predicted) of the things one example should name: BUCC's F1 over translation pairs."""
    true, found = set(gold), set(prediction)
    return 2.0 * len(true & found), float(len(true) + len(found))


def features_f1(gold: Sequence[str], prediction: Sequence[str], language: str = "") -> tuple[float, float]:
    """(2 * common, gold + predicted) over the (token, feature=value) pairs of one sentence.

    Gold and prediction have one string per token in CoNLL-U's form, `Case=Nom|Number=Sing` or `_`. Only the
    universal features count, as in the CoNLL 2018 shared task (Zeman et al. 2018); unlike its `UFeats`, one wrong
    feature of a token does not cost the others, so features that English lacks do not hide those it has.
    """
    _same_length(gold, prediction)
    common = total = 0
    for true, found in zip(map(universal, gold), map(universal, prediction), strict=True):
        common += len(true & found)
        total += len(true) + len(found)
    return 2.0 * common, float(total)


def features_accuracy(gold: Sequence[str], prediction: Sequence[str], language: str = "") -> tuple[float, float]:
    """(tokens whose universal features are all right, tokens): `UFeats` of the CoNLL 2018 shared task on gold words."""
    _same_length(gold, prediction)
    right = sum(universal(g) == universal(p) for g, p in zip(gold, prediction, strict=True))
    return float(right), float(len(gold))


@lru_cache(1 << 16)  # a treebank has thousands of tokens and hundreds of such strings
def universal(features: str) -> frozenset[str]:
    """The universal features of one token as a set of `name=value`; empty for `_`."""
    return frozenset(pair for pair in features.split("|") if pair.partition("=")[0] in _UNIVERSAL_FEATURES)


def _same_length(gold: Sequence[str], prediction: Sequence[str]) -> None:
    if len(gold) != len(prediction):
        raise ValueError(f"{len(prediction)} predictions for {len(gold)} tokens")
