"""Rows of the sentence-pair tasks: entailment and paraphrase, as targets and as intermediates."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from xstilts.sources.microworld import edits
from xstilts.sources.microworld.meaning import Clause, Sentence
from xstilts.sources.microworld.realise import say
from xstilts.sources.microworld.sampling import CAPTIONS, REPORTS, Genre, clause
from xstilts.tasks.rows import Row

Pair = tuple[Clause, Clause, str]

ENTAILMENT = ("contradiction", "entailment", "neutral")
PARAPHRASE = ("0", "1")


def _hypothesis(random: Random, premise: Clause, label: str) -> tuple[Clause, Clause] | None:
    """A premise (perhaps made more general first) and a hypothesis that stands in the relation to it."""
    if label == "entailment":
        general = edits.generalise(random, premise) if random.random() < 0.5 else None
        return premise, edits.reword(random, edits.forget(random, general or premise), 0.4)
    if label == "contradiction":
        kinds: list[edits.Edit] = [edits.oppose, edits.oppose, edits.retime, edits.relocate, edits.negate]
        changed = edits.first_that_applies(random, kinds, premise)
        if changed is None:
            return None
        if random.random() < 0.5:  # `never` stands as often in the premise as in the hypothesis
            premise, changed = changed, premise
        return premise, changed
    if random.random() < 0.3:
        general = edits.generalise(random, premise)
        return None if general is None else (general, premise)
    bare = edits.forget(random, premise)
    added = edits.add(random, bare if random.random() < 0.8 else premise)
    # what is added must not have been said, nor contradict what was said
    return None if added is None else _without_added(premise, bare, added)


def _without_added(premise: Clause, bare: Clause, added: Clause) -> tuple[Clause, Clause]:
    """The premise with the added modifier's slot emptied, so that the hypothesis says something new."""
    for slot in ("agent", "patient"):
        before, after = getattr(bare, slot), getattr(added, slot)
        if before is not None and before.adjective != after.adjective:
            premise = replace(premise, **{slot: replace(getattr(premise, slot), adjective="")})
    if bare.time != added.time:
        premise = replace(premise, time="")
    if bare.place != added.place:
        premise = replace(premise, relation="", place=None)
    return premise, added


def _entailment(random: Random, genre: Genre, label: str) -> Pair:
    while True:
        premise = replace(clause(random, genre), negated=False)
        found = _hypothesis(random, premise, label)
        if found is not None and found[0] != found[1]:
            return found[0], edits.move(random, found[1]) if random.random() < 0.3 else found[1], label


def _paraphrase(random: Random, genre: Genre, label: str, changes: list[edits.Edit]) -> Pair:
    while True:
        first = clause(random, genre)
        second = first if label == "1" else edits.first_that_applies(random, changes, first)
        if second is None:
            continue
        second = edits.reword(random, second, 0.6)
        if random.random() < 0.6:
            second = edits.move(random, second)
        if second != first:
            return first, second, label


def pair_meanings(name: str, random: Random, count: int) -> list[Pair]:
    """The pairs of a task as meanings, labels balanced to within one row and in random order."""
    labels = ENTAILMENT if name in ("mw_entailment", "mw_nli") else PARAPHRASE
    order = [labels[index % len(labels)] for index in range(count)]
    random.shuffle(order)
    genre = REPORTS if name in ("mw_entailment", "mw_paraphrase") else CAPTIONS
    if labels == ENTAILMENT:
        return [_entailment(random, genre, label) for label in order]
    changes: list[edits.Edit] = [edits.other_noun, edits.other_verb, edits.oppose, edits.relocate, edits.retime]
    if name == "mw_paraphrase":  # the target alone also swaps roles: same words, another meaning
        changes.append(edits.swap_roles)
    return [_paraphrase(random, genre, label, changes) for label in order]


def pair_row(number: str, pair: Pair, code: str) -> Row:
    """The pair as a row of shape `classify` in a language."""
    first, second, label = pair
    return {"id": number, "text_a": say(Sentence((first,)), code), "text_b": say(Sentence((second,)), code),
            "label": label}  # fmt: skip
