"""What a sentence says, independent of language: the meaning that every realisation and label comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Entity = Literal["", "PER", "LOC", "ORG"]


@dataclass(frozen=True)
class Phrase:
    """A noun phrase. `head` is a noun, a pronoun or a question word, or one or two words of a name."""

    head: tuple[str, ...]
    adjective: str = ""
    count: str = ""
    """A numeral or quantifier."""
    entity: Entity = ""
    """Type of the name; empty for all that is no name."""

    @property
    def noun(self) -> str:
        """The first word of the head."""
        return self.head[0]


@dataclass(frozen=True)
class Clause:
    """One event or state: who did what to whom, where, with what, when."""

    verb: str
    agent: Phrase
    patient: Phrase | None = None
    quality: str = ""
    """The adjective that a copular clause ascribes to its agent."""
    relation: str = ""
    """The adposition of `place`."""
    place: Phrase | None = None
    tool: Phrase | None = None
    time: str = ""
    negated: bool = False
    front: Literal["", "time", "place"] = ""
    """The adjunct that stands first, in every language; it changes nothing in the meaning."""


@dataclass(frozen=True)
class Sentence:
    """One or two clauses, joined by the conjunction, or a question whose asked phrase is a question word."""

    clauses: tuple[Clause, ...]
    question: bool = False
