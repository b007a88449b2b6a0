"""Rows of the tagging tasks: parts of speech, entities, grammatical roles."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from xstilts.sources.microworld.meaning import Sentence
from xstilts.sources.microworld.realise import realise
from xstilts.sources.microworld.sampling import CAPTIONS, REPORTS, clause
from xstilts.tasks.rows import Row

_FIELD = {"mw_pos": "upos", "mw_entities": "entity", "mw_supertags": "role"}


def _has_name(sentence: Sentence) -> bool:
    return any(p is not None and p.entity for c in sentence.clauses for p in (c.agent, c.patient, c.place))


def tag_meanings(name: str, random: Random, count: int) -> list[Sentence]:
    """Sentences to tag; those of the entity task hold a name three times out of four at least."""
    genre = CAPTIONS if name == "mw_supertags" else REPORTS
    if name == "mw_pos":  # every part of speech occurs
        genre = replace(genre, counts=0.15, copular=0.1, intransitive=0.2)
    sentences: list[Sentence] = []
    while len(sentences) < count:
        clauses = tuple(clause(random, genre) for _ in range(random.choice((1, 1, 2))))
        sentence = Sentence(clauses)
        if name != "mw_entities" or _has_name(sentence) or random.random() < 0.3:
            sentences.append(sentence)
    return sentences


def tag_row(name: str, number: str, sentence: Sentence, code: str) -> Row:
    """The sentence as a row of shape `tag` in a language."""
    tokens = realise(sentence, code)
    tags = [getattr(token, _FIELD[name]) for token in tokens]
    return {"id": number, "tokens": [token.form for token in tokens], "tags": tags}
