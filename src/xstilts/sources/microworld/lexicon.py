"""The words of the microworld: concepts named by their base-language form, and what is true of them.

A concept is a string, its form in the base language. Everything that tasks may ask about a concept (its class,
kind, opposite, synonym, what a verb goes with) is a table here, so that every label follows from a table.
"""

from __future__ import annotations

from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((pair.partition("=")[0], pair.partition("=")[2]) for pair in text.split())


KINDS: dict[str, tuple[str, ...]] = {
    "person": _words("uncle aunt boy lad girl teacher doctor farmer singer baker guard painter"),
    "animal": _words("dog cat horse bird lion bear cow rat"),
    "food": _words("bread apple cheese soup rice cake"),
    "tool": _words("blade hammer spoon rope broom net axe roller"),
    "vehicle": _words("car boat ship train cart"),
    "thing": _words("book letter ball lamp chest crate chair door"),
    "place": _words("house garden river forest school market kitchen field bridge chapel"),
}
"""Noun concepts by kind. The kind's own name is a noun too, and the hypernym of its members."""

HYPERNYMS: dict[str, str] = {noun: kind for kind, nouns in KINDS.items() for noun in nouns}


@dataclass(frozen=True)
class Verb:
    """What a verb goes with: the world knowledge that sentences obey and `mw_choice` asks for."""

    agents: tuple[str, ...]
    """Kinds of noun that do it."""
    patients: tuple[str, ...] = ()
    """Kinds (or single nouns) it is done to; empty: intransitive."""
    tools: tuple[str, ...] = ()
    """Nouns it is done with; empty: none."""
    places: tuple[str, ...] = ()
    """Nouns where it happens; empty: anywhere."""


_P, _A, _PA = ("person",), ("animal",), ("person", "animal")
VERBS: dict[str, Verb] = {
    "saw": Verb(_PA, ("person", "animal", "vehicle", "thing")),
    "spotted": Verb(_PA, ("person", "animal", "vehicle", "thing")),
    "helped": Verb(_P, _PA),
    "aided": Verb(_P, _PA),
    "followed": Verb(_PA, ("person", "animal", "vehicle")),
    "led": Verb(_PA, _PA),
    "loved": Verb(_P, ("person", "animal", "food")),
    "hated": Verb(_P, ("person", "animal", "food")),
    "chased": Verb(_A, _PA, (), ("field", "forest", "garden")),
    "caught": Verb(_PA, _A, ("net", "rope"), ("forest", "river", "field")),
    "bought": Verb(_P, ("food", "tool", "thing", "vehicle"), (), ("market",)),
    "purchased": Verb(_P, ("food", "tool", "thing", "vehicle"), (), ("market",)),
    "sold": Verb(_P, ("food", "tool", "thing", "vehicle"), (), ("market",)),
    "pushed": Verb(_P, ("vehicle", "chest", "crate", "door", "chair")),
    "shoved": Verb(_P, ("vehicle", "chest", "crate", "door", "chair")),
    "pulled": Verb(_PA, ("vehicle", "chest", "crate"), ("rope",)),
    "opened": Verb(_P, ("door", "chest", "letter", "book")),
    "closed": Verb(_P, ("door", "chest", "letter", "book")),
    "found": Verb(_PA, ("tool", "thing", "food")),
    "lost": Verb(_P, ("tool", "thing")),
    "cut": Verb(_P, ("food", "rope"), ("blade", "axe"), ("kitchen",)),
    "cooked": Verb(_P, ("soup", "rice", "cake"), ("spoon",), ("kitchen",)),
    "ate": Verb(_PA, ("food",), ("spoon",), ("kitchen", "house")),
    "painted": Verb(_P, ("door", "chair", "boat", "cart"), ("roller",), ("garden", "house")),
    "cleaned": Verb(_P, ("vehicle", "chair", "lamp", "tool"), ("broom", "roller"), ("house", "kitchen")),
    "broke": Verb(_P, ("lamp", "chair", "chest", "door"), ("hammer", "axe"), ("house",)),
    "read": Verb(_P, ("book", "letter"), (), ("school", "chapel")),
    "slept": Verb(_PA, (), (), ("house", "garden", "field")),
    "ran": Verb(_PA, (), (), ("field", "forest", "bridge")),
    "swam": Verb(_PA, (), (), ("river",)),
    "sang": Verb(_P + ("bird",), (), (), ("chapel", "school", "garden")),
    "waited": Verb(_P, (), (), ("bridge", "market", "school")),
}
TRANSITIVE = tuple(verb for verb, facts in VERBS.items() if facts.patients)
INTRANSITIVE = tuple(verb for verb, facts in VERBS.items() if not facts.patients)

ADJECTIVES = _words(
    "big large small little old young happy glad sad hot cold fast quick slow rich poor clean dirty strong "
    "weak good bad red blue green white black"
)
COLOURS = ADJECTIVES[-5:]
COUNTS = ("one", "two", "three", "four", "five")
QUANTIFIERS = ("many", "few", "some", "all")
PLACE_ADPOSITIONS = ("in", "near", "behind", "under", "above", "outside")
TIMES = _words("yesterday today tonight monday tuesday thursday friday sunday")
PRONOUNS = ("he", "she", "they", "we")
QUESTIONS = {"person": "who", "other": "what", "place": "where", "time": "when"}
COPULA, NEGATION, AND, THE, WITH = "was", "never", "and", "the", "with"

SYNONYMS: dict[str, str] = {}
ANTONYMS: dict[str, str] = {}
for _a, _b in _pairs(
    "boy=lad boat=ship chest=crate saw=spotted helped=aided bought=purchased pushed=shoved big=large "
    "small=little happy=glad fast=quick"
):
    SYNONYMS |= {_a: _b, _b: _a}
for _a, _b in _pairs(
    "big=small old=young happy=sad hot=cold fast=slow rich=poor clean=dirty strong=weak good=bad "
    "bought=sold pushed=pulled loved=hated opened=closed found=lost followed=led in=outside "
    "above=under"
):
    ANTONYMS |= {_a: _b, _b: _a}
for _a, _b in (("large", "small"), ("little", "big"), ("glad", "sad"), ("quick", "slow"),
               ("purchased", "sold"), ("shoved", "pulled")):  # fmt: skip
    ANTONYMS[_a] = _b

GIVEN = _words("anna boris clara daniel elena felix greta hugo irina jonas karla leon")
FAMILY = _words("abend belak corda dumar ferin golvan jordan verona")
PLACES = _words("mirda tolan sorvik pelagon quista ravel ustra brena jordan verona")
ORGS = _words("zentra omnix halvor tellmar vexa norlin ravel ustra")
ORG_HEADS = ("bank", "club", "union")
"""Nouns that a two-word organisation name ends in; names in two of the lists above need their context."""
NAMES = tuple(dict.fromkeys(GIVEN + FAMILY + PLACES + ORGS))


def _classes() -> dict[str, str]:
    """UPOS tag of every concept that is not a name."""
    classes = {noun: "NOUN" for kind, nouns in KINDS.items() for noun in (kind, *nouns)}
    classes |= dict.fromkeys(VERBS, "VERB") | dict.fromkeys(ADJECTIVES, "ADJ") | dict.fromkeys(COUNTS, "NUM")
    classes |= dict.fromkeys(QUANTIFIERS, "DET") | dict.fromkeys(PLACE_ADPOSITIONS + (WITH,), "ADP")
    classes |= dict.fromkeys(TIMES, "ADV") | dict.fromkeys(PRONOUNS, "PRON")
    classes |= {"who": "PRON", "what": "PRON", "where": "ADV", "when": "ADV"}
    classes |= {COPULA: "AUX", NEGATION: "PART", AND: "CCONJ", THE: "DET"}
    return classes | dict.fromkeys(ORG_HEADS, "PROPN")


UPOS: dict[str, str] = _classes()
CONCEPTS = tuple(UPOS)


def members(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The nouns that a list of kinds and single nouns stands for."""
    return tuple(noun for kind in kinds for noun in KINDS.get(kind, (kind,)))


def kind_of(noun: str) -> str:
    """The kind of a noun (`person`, `place`, ...); a kind's own name is of that kind."""
    return HYPERNYMS.get(noun, noun)
