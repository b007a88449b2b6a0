"""Random meanings: sentences that obey the world's facts, in the style of one genre or another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from xstilts.sources.microworld.lexicon import (
    ADJECTIVES,
    COLOURS,
    COPULA,
    COUNTS,
    FAMILY,
    GIVEN,
    INTRANSITIVE,
    KINDS,
    ORG_HEADS,
    ORGS,
    PLACE_ADPOSITIONS,
    PLACES,
    PRONOUNS,
    QUANTIFIERS,
    TIMES,
    TRANSITIVE,
    VERBS,
    members,
)
from xstilts.sources.microworld.meaning import Clause, Phrase


@dataclass(frozen=True)
class Genre:
    """How often a kind of thing is said, each a probability."""

    names: float = 0.0
    """A person is called by a name (and a place or an organisation now and then)."""
    pronouns: float = 0.0
    adjectives: float = 0.4
    counts: float = 0.0
    intransitive: float = 0.1
    copular: float = 0.0
    place: float = 0.6
    time: float = 0.4
    tool: float = 0.3


REPORTS = Genre(names=0.4, pronouns=0.04, adjectives=0.35)
"""What targets are made of: named people do things to things, somewhere, at some time."""
CAPTIONS = Genre(counts=0.35, adjectives=0.4, intransitive=0.25, copular=0.15, place=0.7, time=0.2)
"""What intermediates are made of: anonymous, counted, often intransitive or copular."""
MIXED = Genre(names=0.25, pronouns=0.05, adjectives=0.35, counts=0.15, intransitive=0.2, copular=0.1, tool=0.4)
"""What running text is made of."""


def named(random: Random, entity: str) -> Phrase:
    """A name of type PER, LOC or ORG, of one or two words."""
    if entity == "PER":
        given, family = random.choice(GIVEN), random.choice(FAMILY)
        return Phrase(random.choice(((given,), (given, family), (family,))), entity="PER")
    if entity == "LOC":
        return Phrase((random.choice(PLACES),), entity="LOC")
    name = random.choice(ORGS)
    return Phrase((name, random.choice(ORG_HEADS)) if random.random() < 0.4 else (name,), entity="ORG")


def described(random: Random, noun: str, genre: Genre) -> Phrase:
    """The noun with or without an adjective and a count."""
    adjective = random.choice(ADJECTIVES) if random.random() < genre.adjectives else ""
    count = random.choice(COUNTS + QUANTIFIERS) if random.random() < genre.counts else ""
    return Phrase((noun,), adjective, count)


def _participant(random: Random, kinds: tuple[str, ...], genre: Genre) -> Phrase:
    noun = random.choice(members(kinds))
    if noun in KINDS["person"]:
        draw = random.random()
        if draw < genre.names:
            return named(random, random.choices(("PER", "ORG"), (3, 2))[0])
        if draw < genre.names + genre.pronouns:
            return Phrase((random.choice(PRONOUNS),))
    return described(random, noun, genre)


def place_of(random: Random, verb: str, genre: Genre) -> tuple[str, Phrase]:
    """An adposition and a place, one where the verb's event happens if it has such places."""
    if random.random() < 0.7 * genre.names:
        if random.random() < 0.25:
            return random.choice(("near", "behind")), named(random, "PER")
        return random.choice(("in", "near", "outside")), named(random, "LOC")
    usual = VERBS[verb].places if verb in VERBS else ()
    if usual and random.random() < 0.8:
        return "in", Phrase((random.choice(usual),))
    relation = random.choice(PLACE_ADPOSITIONS)
    return relation, described(random, random.choice(KINDS["place"]), genre)


def clause(random: Random, genre: Genre, verb: str = "") -> Clause:
    """A clause that obeys the world's facts; `verb` fixes its verb."""
    draw = random.random()
    if not verb and draw < genre.copular:
        kind = random.choice(("person", "animal", "vehicle", "thing"))
        agent = _participant(random, (kind,), replace(genre, counts=0.0, pronouns=0.0))  # `was` is singular
        qualities = ADJECTIVES if kind in ("person", "animal") else COLOURS + ("big", "small", "old", "clean", "dirty")
        relation, place = place_of(random, "", genre) if random.random() < genre.place else ("", None)
        return Clause(COPULA, agent, quality=random.choice(qualities), relation=relation, place=place)
    if not verb:
        verb = random.choice(INTRANSITIVE if draw < genre.copular + genre.intransitive else TRANSITIVE)
    facts = VERBS[verb]
    agent = _participant(random, facts.agents, genre)
    patient = None
    while facts.patients and (patient is None or patient.head == agent.head):
        patient = _participant(random, facts.patients, genre)
    tool = None
    if facts.tools and random.random() < genre.tool:
        tool = Phrase((random.choice(facts.tools),))
    relation, place = place_of(random, verb, genre) if random.random() < genre.place else ("", None)
    time = random.choice(TIMES) if random.random() < genre.time else ""
    return Clause(verb, agent, patient, "", relation, place, tool, time, negated=random.random() < 0.04)
