"""The languages of the microworld and how far each is from the base language, by construction."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from xstilts.errors import UserError, did_you_mean

BASE = "en"


@dataclass(frozen=True)
class Language:
    """One language: the typological features that its sentences are built by."""

    code: str
    order: Literal["SVO", "SOV", "VSO"]
    """Order of subject, verb and object; the adjuncts follow the verb phrase (SOV: stand before the object)."""
    adjective: Literal["before", "after"]
    """Side of the noun on which its adjective stands."""
    adposition: Literal["before", "after"]
    """Side of the noun phrase on which its adposition stands."""
    case: Literal["none", "suffix", "particle"]
    """How a direct object is marked."""
    article: bool
    """Whether definite noun phrases carry an article."""
    plural: bool
    """Whether counted nouns carry a plural suffix."""
    script: Literal["Latn", "Cyrl", "Geor", "Grek", "Hira"]
    spaces: bool
    """Whether running text separates words with spaces."""
    cognates: float
    """Share of the concepts whose word is the base language's word (after sound laws and script), 0 to 1."""
    share: float
    """Weight of the language in the pretraining text, relative to the base language's 1."""


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("en", "SVO", "before", "before", "none", True, True, "Latn", True, 1.0, 1.0),
        Language("qaa", "SVO", "after", "before", "none", True, True, "Latn", True, 0.6, 0.8),
        Language("qab", "SVO", "before", "before", "suffix", False, True, "Cyrl", True, 0.3, 0.7),
        Language("qac", "SOV", "before", "after", "particle", False, False, "Latn", True, 0.6, 0.6),
        Language("qad", "VSO", "after", "before", "none", True, True, "Latn", True, 0.3, 0.6),
        Language("qae", "SOV", "before", "after", "suffix", False, True, "Geor", True, 0.0, 0.4),
        Language("qaf", "SVO", "before", "after", "particle", False, False, "Hira", False, 0.0, 0.5),
        Language("qag", "VSO", "after", "before", "suffix", True, True, "Grek", True, 0.1, 0.4),
    )
}
CODES = tuple(LANGUAGES)


def get_language(code: str) -> Language:
    """The language of a code; UserError for one that the microworld does not have."""
    if code not in LANGUAGES:
        raise UserError(f"the microworld has no language {code!r}", remedy=did_you_mean(code, LANGUAGES))
    return LANGUAGES[code]


def distance(code: str) -> float:
    """Typological distance of a language from the base, 0 (the base itself) to 1.

    The mean over all features of the table but `share`: 1 where the feature differs from the base language's,
    else 0; for cognates one minus their share.
    """
    language, base = get_language(code), LANGUAGES[BASE]
    names = [field.name for field in fields(Language) if field.name not in ("code", "share", "cognates")]
    differing: int = sum(getattr(language, name) != getattr(base, name) for name in names)
    return (differing + 1.0 - language.cognates) / (len(names) + 1)
