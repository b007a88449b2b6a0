"""Changes of a clause whose effect on its truth is known: what labels of sentence pairs follow from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from xstilts.sources.microworld.lexicon import (
    ADJECTIVES,
    ANTONYMS,
    HYPERNYMS,
    KINDS,
    SYNONYMS,
    TIMES,
    TRANSITIVE,
    VERBS,
    kind_of,
)
from xstilts.sources.microworld.meaning import Clause, Phrase
from xstilts.sources.microworld.sampling import REPORTS, named, place_of

Edit = Callable[[Random, Clause], Clause | None]
"""A changed clause, or None where the change does not apply."""


def _phrases(clause: Clause) -> list[str]:
    return [slot for slot in ("agent", "patient") if getattr(clause, slot) is not None]


def _swap_phrase(clause: Clause, slot: str, **changes: str | tuple[str, ...]) -> Clause:
    phrase: Phrase = getattr(clause, slot)
    return replace(clause, **{slot: replace(phrase, **changes)})  # type: ignore[arg-type]


def forget(random: Random, clause: Clause, share: float = 0.4) -> Clause:
    """Leave out modifiers, each with probability `share`; a true affirmative clause stays true."""
    for slot in _phrases(clause):
        if random.random() < share:
            clause = _swap_phrase(clause, slot, adjective="")
    if clause.place and random.random() < share:
        clause = replace(clause, relation="", place=None)
    if clause.tool and random.random() < share:
        clause = replace(clause, tool=None)
    return replace(clause, time="") if random.random() < share else clause


def generalise(random: Random, clause: Clause) -> Clause | None:
    """A participant's noun becomes its hypernym (affirmative clauses stay true)."""
    slots = [s for s in _phrases(clause) if getattr(clause, s).noun in HYPERNYMS and not getattr(clause, s).entity]
    if not slots:
        return None
    slot = random.choice(slots)
    return _swap_phrase(clause, slot, head=(HYPERNYMS[getattr(clause, slot).noun],))


def reword(random: Random, clause: Clause, share: float = 1.0) -> Clause:
    """Every word that has a synonym becomes it with probability `share`; the meaning stays."""

    def other(word: str) -> str:
        return SYNONYMS[word] if word in SYNONYMS and random.random() < share else word

    for slot in _phrases(clause):
        phrase: Phrase = getattr(clause, slot)
        clause = _swap_phrase(clause, slot, head=tuple(map(other, phrase.head)), adjective=other(phrase.adjective))
    return replace(clause, verb=other(clause.verb), quality=other(clause.quality))


def move(random: Random, clause: Clause) -> Clause:
    """Another adjunct stands first; the meaning stays."""
    fronts = [""] + ["time"] * bool(clause.time) + ["place"] * bool(clause.place)
    options = [front for front in fronts if front != clause.front] or [clause.front]
    return replace(clause, front=random.choice(options))  # type: ignore[arg-type]


def oppose(random: Random, clause: Clause) -> Clause | None:
    """One word becomes its opposite: the verb, an adjective, the quality or the adposition."""
    slots = [slot for slot in _phrases(clause) if getattr(clause, slot).adjective in ANTONYMS]
    fields = [field for field in ("verb", "quality", "relation") if getattr(clause, field) in ANTONYMS]
    if not slots + fields:
        return None
    chosen = random.choice(slots + fields)
    if chosen in fields:
        return replace(clause, **{chosen: ANTONYMS[getattr(clause, chosen)]})  # type: ignore[arg-type]
    return _swap_phrase(clause, chosen, adjective=ANTONYMS[getattr(clause, chosen).adjective])


def negate(random: Random, clause: Clause) -> Clause | None:
    """The clause with `never` if it had none, and without if it had."""
    return replace(clause, negated=not clause.negated)


def retime(random: Random, clause: Clause) -> Clause | None:
    """Another time."""
    return replace(clause, time=random.choice([t for t in TIMES if t != clause.time])) if clause.time else None


def relocate(random: Random, clause: Clause) -> Clause | None:
    """Another place."""
    if clause.place is None:
        return None
    if clause.place.entity:
        new = named(random, clause.place.entity)
    else:
        new = replace(clause.place, head=(random.choice(KINDS["place"]),))
    return replace(clause, place=new) if new.head != clause.place.head else None


def add(random: Random, clause: Clause) -> Clause | None:
    """A modifier that was not said: a time, a place or an adjective."""
    options = ["time"] * (not clause.time) + ["place"] * (clause.place is None)
    nouns = [slot for slot in _phrases(clause) if getattr(clause, slot).noun in HYPERNYMS]
    options += [slot for slot in nouns if not getattr(clause, slot).adjective]
    if not options:
        return None
    chosen = random.choice(options)
    if chosen == "time":
        return replace(clause, time=random.choice(TIMES))
    if chosen == "place":
        relation, place = place_of(random, clause.verb, REPORTS)
        return replace(clause, relation=relation, place=place)
    return _swap_phrase(clause, chosen, adjective=random.choice(ADJECTIVES))


def specialise(random: Random, clause: Clause) -> Clause | None:
    """A participant's hypernym becomes one of its hyponyms: may be true or not."""
    slots = [slot for slot in _phrases(clause) if getattr(clause, slot).noun in KINDS]
    if not slots:
        return None
    slot = random.choice(slots)
    return _swap_phrase(clause, slot, head=(random.choice(KINDS[getattr(clause, slot).noun]),))


def other_noun(random: Random, clause: Clause) -> Clause | None:
    """A participant becomes another of its kind that is no synonym."""
    slot = random.choice(_phrases(clause))
    phrase: Phrase = getattr(clause, slot)
    if phrase.entity:
        new = named(random, phrase.entity).head
    elif phrase.noun in HYPERNYMS:
        new = (random.choice(KINDS[kind_of(phrase.noun)]),)
    else:
        return None
    if new == phrase.head or new[0] == SYNONYMS.get(phrase.noun):
        return None
    return _swap_phrase(clause, slot, head=new)


def other_verb(random: Random, clause: Clause) -> Clause | None:
    """The event becomes another that can happen to the same participant."""
    if clause.patient is None or clause.verb not in VERBS:
        return None
    verb = random.choice(TRANSITIVE)
    return None if verb in (clause.verb, SYNONYMS.get(clause.verb)) else replace(clause, verb=verb)


def swap_roles(random: Random, clause: Clause) -> Clause | None:
    """Agent and patient change places."""
    if clause.patient is None:
        return None
    return replace(clause, agent=clause.patient, patient=clause.agent)


def first_that_applies(random: Random, edits: list[Edit], clause: Clause) -> Clause | None:
    """The clause changed by one of the edits, tried in random order; None when none applies."""
    for edit in random.sample(edits, len(edits)):
        changed = edit(random, clause)
        if changed is not None:
            return changed
    return None
