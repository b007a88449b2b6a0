"""Rows of translated and running text: retrieval pairs and what the encoder is pretrained on."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from xstilts.sources.microworld.edits import move, reword
from xstilts.sources.microworld.languages import BASE, CODES, LANGUAGES
from xstilts.sources.microworld.lexicon import QUESTIONS
from xstilts.sources.microworld.meaning import Clause, Phrase, Sentence
from xstilts.sources.microworld.realise import join, realise, say
from xstilts.sources.microworld.sampling import MIXED, clause
from xstilts.tasks.rows import Row


def parallel_meanings(random: Random, count: int) -> list[Sentence]:
    """Sentences of one clause, all different."""
    found: dict[Sentence, None] = {}
    while len(found) < count:
        found[Sentence((clause(random, MIXED),))] = None
    return list(found)


def parallel_row(number: str, sentence: Sentence, code: str) -> Row:
    """The sentence in a language and in the base language, a row of shape `retrieve`."""
    return {"id": number, "text": say(sentence, code), "english": say(sentence, BASE)}


def _question(random: Random, said: Clause) -> Clause:
    slot = random.choice(("agent", "place", "time"))
    if slot == "time":
        return replace(said, time=QUESTIONS["time"])
    if slot == "place":
        return replace(said, relation="in", place=Phrase((QUESTIONS["place"],)))
    return replace(said, agent=Phrase((QUESTIONS["person" if random.random() < 0.5 else "other"],)))


def _sentence(random: Random) -> Sentence:
    said = clause(random, MIXED)
    said = move(random, said) if random.random() < 0.25 else said
    draw = random.random()
    if draw < 0.1:
        return Sentence((_question(random, said),), question=True)
    return Sentence((said, clause(random, MIXED))) if draw < 0.2 else Sentence((said,))


def _reworded(random: Random, sentence: Sentence) -> Sentence:
    return replace(sentence, clauses=tuple(reword(random, c, 0.3) for c in sentence.clauses))


def _code_switched(random: Random, sentence: Sentence, code: str) -> str:
    others = [other for other in CODES if other != code]
    guest = random.choices(others, [LANGUAGES[other].share for other in others])[0]

    def switch(concept: str) -> str:
        return guest if random.random() < 0.35 else code

    return join(realise(sentence, code, switch), code)


def text_rows(code: str, count: int) -> list[Row]:
    """Pretraining text of a language: alone, code-switched, or with a free translation beside it.

    Half of the rows are pairs (two thirds of them with the base language, a tenth with a rewording in the same
    language), three in ten are code-switched with one other language, the rest stand alone.
    """
    random = Random(f"microworld mw_text train {code}")
    others = [other for other in CODES if other != code]
    rows: list[Row] = []
    for index in range(count):
        sentence, draw = _sentence(random), random.random()
        text_a, text_b = say(sentence, code), None
        if draw < 0.05:
            text_b = say(_reworded(random, sentence), code)
        elif draw < 0.5:
            other = BASE if code != BASE and random.random() < 0.6 else random.choice(others)
            text_b = say(_reworded(random, sentence), other)
        elif draw < 0.8:
            text_a = _code_switched(random, sentence, code)
        rows.append({"id": str(index), "text_a": text_a, "text_b": text_b})
    return rows
