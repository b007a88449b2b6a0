"""Chunk F1 as XTREME scores PAN-X and UDPOS, that is by the rules of seqeval 0.0.12.

Under those rules every tag is a prefix, its first character, and a type, the text after its last hyphen. For
BIO tags that is the usual reading of CoNLL's `conlleval`. Plain part-of-speech tags get an unusual one:
`NOUN` is prefix `N` and type `NOUN`, so a run of equal tags is one chunk and a single wrong tag inside costs
the whole run, while tags that begin with S (`SYM`, `SCONJ`) are chunks of one token each. Later seqeval
releases read the type from the second character on, which confuses `SCONJ` with `CCONJ`; the numbers in the
literature follow 0.0.12.
"""

from __future__ import annotations

from collections.abc import Sequence

Chunk = tuple[str, int, int]
"""Type, first token, last token (both 0-based, inclusive)."""

_NO_CHUNK = ("O", ".")
_OPENS = frozenset("BS")  # prefixes that always open a chunk
_CLOSES = frozenset("ES")  # prefixes that always close one
_INSIDE = frozenset("IE")  # prefixes that go on with a chunk, and open one where none is open:
_AFTER = _CLOSES | {"O"}  # ... after these


def chunks(tags: Sequence[str]) -> set[Chunk]:
    """The chunks of one sentence. A chunk that nothing opened (`I-PER` after `O`) opens itself."""
    found: set[Chunk] = set()
    before, before_type, first = "O", "", 0
    for i, tag in enumerate([*tags, "O"]):
        prefix, kind = tag[:1], tag.rsplit("-", 1)[-1]
        if _ends(before, before_type, prefix, kind):
            found.add((before_type, first, i - 1))
        if _starts(before, before_type, prefix, kind):
            first = i
        before, before_type = prefix, kind
    return found


def _starts(before: str, before_type: str, prefix: str, kind: str) -> bool:
    """Whether a chunk starts at a token, from its own and the previous token's prefix and type."""
    if prefix in _OPENS:
        return True
    if prefix in _INSIDE and before in _AFTER:
        return True
    return prefix not in _NO_CHUNK and before_type != kind


def _ends(before: str, before_type: str, prefix: str, kind: str) -> bool:
    """Whether a chunk ended at the previous token."""
    if before in _CLOSES:
        return True
    if before in ("B", "I") and (prefix in _OPENS or prefix == "O"):
        return True
    return before not in _NO_CHUNK and before_type != kind


def chunk_f1(gold: Sequence[str], prediction: Sequence[str], language: str = "") -> tuple[float, float]:
    """(2 * chunks found exactly, gold chunks + predicted chunks) of one sentence.

    The ratio of their sums is the micro-averaged F1 = 2PR / (P + R).
    """
    if len(gold) != len(prediction):
        raise ValueError(f"{len(prediction)} predicted tags for {len(gold)} tokens")
    true, found = chunks(gold), chunks(prediction)
    return 2.0 * len(true & found), float(len(true) + len(found))
