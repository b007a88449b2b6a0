"""Exact match and token F1 of extractive question answering, in the two normalisations of the field.

`qa_*`: SQuAD v1.1's English rules for every language (Rajpurkar et al. 2016), as XTREME scores XQuAD and
TyDiQA; Chinese, Thai and the like are then split at white space only. `mlqa_*`: MLQA's rules, with articles
and word segmentation per language (Lewis et al. 2020).
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

from xstilts.errors import UserError, did_you_mean

Normalise = Callable[[str], str]

_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ENGLISH_ARTICLES = r"\b(a|an|the)\b"
# The Arabic pattern's first alternative can never match; the second removes the article's letters anywhere
# in a word. Kept because the published numbers were computed with it. Hindi and Chinese have no articles.
_MLQA_ARTICLES = {
    "en": _ENGLISH_ARTICLES,
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "ar": r"\sال^|ال",
    "hi": r"(?!)",
    "zh": r"(?!)",
}
_HAN = re.compile(r"([\u4e00-\u9fa5])")


def squad_normal(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and superfluous white space."""
    bare = text.lower().translate(_ASCII_PUNCTUATION)
    return " ".join(re.sub(_ENGLISH_ARTICLES, " ", bare).split())


def mlqa_normal(text: str, language: str) -> str:
    """Lower case, without Unicode punctuation and the language's articles; Chinese split into characters."""
    if language not in _MLQA_ARTICLES:
        remedy = did_you_mean(language, _MLQA_ARTICLES) + " or score with qa_f1 and qa_em"
        raise UserError(f"MLQA's metrics are not defined for language {language!r}", remedy=remedy)
    bare = re.sub(_MLQA_ARTICLES[language], " ", text.lower().translate(_unicode_punctuation()))
    return " ".join((_HAN.sub(r" \1 ", bare) if language == "zh" else bare).split())


@cache
def _unicode_punctuation() -> dict[int, None]:
    """Table for `str.translate` that deletes every Unicode P category and all ASCII punctuation."""
    categories = {c for c in range(sys.maxunicode) if unicodedata.category(chr(c)).startswith("P")}
    return dict.fromkeys(categories | {ord(c) for c in string.punctuation})


def _f1(gold: str, prediction: str) -> float:
    """Harmonic mean of token precision and recall; 0 when both are empty, as in the official scripts."""
    true, found = gold.split(), prediction.split()
    common = sum((Counter(true) & Counter(found)).values())
    return 2.0 * common / (len(true) + len(found)) if common else 0.0


def _exact(gold: str, prediction: str) -> float:
    return float(gold == prediction)


def _best(
    agreement: Callable[[str, str], float], golds: Sequence[str], prediction: str | None, normal: Normalise
) -> tuple[float, float]:
    """The best agreement with any gold answer, out of 1.

    No prediction at all is wrong. A question without an answer is right if and only if the prediction is
    empty (the rule of SQuAD 2.0; v1.1 has no such questions).
    """
    if prediction is None:
        return 0.0, 1.0
    found = normal(prediction)
    if not golds:
        return float(not found), 1.0
    return max(agreement(normal(gold), found) for gold in golds), 1.0


def qa_f1(golds: Sequence[str], prediction: str | None, language: str = "") -> tuple[float, float]:
    """(best token F1 over the gold answers in 0..1, 1) under SQuAD v1.1's normalisation."""
    return _best(_f1, golds, prediction, squad_normal)


def qa_em(golds: Sequence[str], prediction: str | None, language: str = "") -> tuple[float, float]:
    """(1 if the prediction equals a gold answer else 0, 1) under SQuAD v1.1's normalisation."""
    return _best(_exact, golds, prediction, squad_normal)


def mlqa_f1(golds: Sequence[str], prediction: str | None, language: str) -> tuple[float, float]:
    """(best token F1 over the gold answers in 0..1, 1) under MLQA's normalisation for `language`."""
    return _best(_f1, golds, prediction, lambda text: mlqa_normal(text, language))


def mlqa_em(golds: Sequence[str], prediction: str | None, language: str) -> tuple[float, float]:
    """(1 if the prediction equals a gold answer else 0, 1) under MLQA's normalisation for `language`."""
    return _best(_exact, golds, prediction, lambda text: mlqa_normal(text, language))
