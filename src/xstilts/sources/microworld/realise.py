"""From a meaning to words: the grammar that all languages share, steered by each one's typological features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xstilts.sources.microworld.languages import Language, get_language
from xstilts.sources.microworld.lexicon import AND, NEGATION, PRONOUNS, QUESTIONS, THE, UPOS, WITH
from xstilts.sources.microworld.meaning import Clause, Phrase, Sentence
from xstilts.sources.microworld.words import OBJECTS, PLURALS, stems, suffix

ROLES = ("AGENT", "PATIENT", "PLACE", "TOOL", "TIME", "PRED", "QUALITY", "ATTR", "COUNT", "DET", "CASE", "NEG",
         "LINK", "PUNCT")  # fmt: skip
_BARE = frozenset((*PRONOUNS, *QUESTIONS.values()))
Switch = Callable[[str], str]
"""Concept -> code of the language whose word is used for it: how code-switched text is made."""


@dataclass(frozen=True)
class Token:
    """One word of a realised sentence with everything that is true of it."""

    form: str
    upos: str
    role: str
    entity: str = "O"
    """BIO tag."""


@dataclass(frozen=True)
class _Voice:
    """Which words are used: a language's own, or for some concepts another language's."""

    language: Language
    switch: Switch | None = None

    def word(self, concept: str) -> str:
        code = self.switch(concept) if self.switch else self.language.code
        return stems(code)[concept]

    def token(self, concept: str, role: str) -> Token:
        return Token(self.word(concept), UPOS[concept], role)


def _head(phrase: Phrase, role: str, voice: _Voice) -> list[Token]:
    language = voice.language
    plural = language.plural and phrase.count not in ("", "one")
    ending = suffix(language.code, PLURALS) if plural else ""
    marked = role == "PATIENT" and language.case == "suffix" and phrase.noun not in _BARE
    ending += suffix(language.code, OBJECTS) if marked else ""
    tokens = []
    for position, word in enumerate(phrase.head):
        last = position == len(phrase.head) - 1
        tag = f"{'I' if position else 'B'}-{phrase.entity}" if phrase.entity else "O"
        upos = "PROPN" if phrase.entity else UPOS[word]
        tokens.append(Token(voice.word(word) + (ending if last else ""), upos, role, tag))
    return tokens


def phrase_tokens(phrase: Phrase, role: str, voice: _Voice) -> list[Token]:
    """The words of a noun phrase without its adposition or case particle."""
    language = voice.language
    adjective = [voice.token(phrase.adjective, "ATTR")] if phrase.adjective else []
    head = _head(phrase, role, voice)
    tokens = adjective + head if language.adjective == "before" else head + adjective
    if phrase.count:
        return [voice.token(phrase.count, "COUNT"), *tokens]
    if language.article and not phrase.entity and phrase.noun not in _BARE:
        return [voice.token(THE, "DET"), *tokens]
    return tokens


def _adpositional(phrase: Phrase | None, adposition: str, role: str, voice: _Voice) -> list[Token]:
    if phrase is None:
        return []
    tokens = phrase_tokens(phrase, role, voice)
    if not adposition or phrase.noun == QUESTIONS["place"]:
        return tokens
    mark = voice.token(adposition, "CASE")
    return [mark, *tokens] if voice.language.adposition == "before" else [*tokens, mark]


def _object(clause: Clause, voice: _Voice) -> list[Token]:
    if clause.quality:
        return [voice.token(clause.quality, "QUALITY")]
    if clause.patient is None:
        return []
    tokens = phrase_tokens(clause.patient, "PATIENT", voice)
    if voice.language.case == "particle":
        tokens.append(Token(suffix(voice.language.code, OBJECTS), "ADP", "CASE"))
    return tokens


def clause_tokens(clause: Clause, voice: _Voice) -> list[Token]:
    """The words of a clause in the language's order, without punctuation."""
    parts = {
        "S": phrase_tokens(clause.agent, "AGENT", voice),
        "O": _object(clause, voice),
        "V": [voice.token(clause.verb, "PRED")],
        "X": _adpositional(clause.tool, WITH, "TOOL", voice),
        "P": _adpositional(clause.place, clause.relation, "PLACE", voice),
        "T": [voice.token(clause.time, "TIME")] if clause.time else [],
    }
    if clause.negated:
        never = voice.token(NEGATION, "NEG")
        parts["V"] = [*parts["V"], never] if voice.language.order == "VSO" else [never, *parts["V"]]
    order = {"SVO": "SVOXPT", "SOV": "STPXOV", "VSO": "VSOXPT"}[voice.language.order]
    if clause.front:
        first = "T" if clause.front == "time" else "P"
        order = first + order.replace(first, "")
    return [token for slot in order for token in parts[slot]]


def realise(sentence: Sentence, code: str, switch: Switch | None = None) -> list[Token]:
    """The words of a sentence in a language, with its final punctuation mark as the last token."""
    voice = _Voice(get_language(code), switch)
    tokens: list[Token] = []
    for index, clause in enumerate(sentence.clauses):
        tokens += [voice.token(AND, "LINK")] if index else []
        tokens += clause_tokens(clause, voice)
    return [*tokens, Token("?" if sentence.question else ".", "PUNCT", "PUNCT")]


def join(tokens: list[Token], code: str) -> str:
    """Running text: words joined as the language's script does, punctuation closed up."""
    gap = " " if get_language(code).spaces else ""
    text = ""
    for token in tokens:
        text += token.form if not text or token.role == "PUNCT" else gap + token.form
    return text


def say(sentence: Sentence, code: str) -> str:
    """The sentence as running text."""
    return join(realise(sentence, code), code)


def say_phrase(phrase: Phrase, role: str, code: str) -> str:
    """A noun phrase as it stands inside a sentence of that language, as running text."""
    return join(phrase_tokens(phrase, role, _Voice(get_language(code))), code)
