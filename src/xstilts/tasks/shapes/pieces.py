"""Special pieces around a body: an encoder's own `<s> A </s>` and `<s> A </s></s> B </s>`, whatever its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xstilts.tasks.shapes import Pieces


@dataclass(frozen=True)
class Frame:
    """Where an encoder puts special pieces; read off the tokenizer once, since chunks are assembled from ids."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    """Between the two bodies of a pair."""
    after: tuple[int, ...]
    """After the last body (the same for one body and for a pair)."""
    typed: bool
    """Whether the encoder has segment ids: 0 up to the first separator's end, 1 for the second body."""
    first_separator: int
    """How many of `between` belong to segment 0."""

    @classmethod
    def of(cls, tokenizer: Any) -> Frame:
        """Read the frame off a tokenizer by encoding a probe."""
        first = tokenizer("a", add_special_tokens=False)["input_ids"]
        encoded = tokenizer("a", "a")
        ids, types = encoded["input_ids"], encoded.get("token_type_ids")
        start = _find(ids, first, 0)
        second = _find(ids, first, start + len(first))
        between = ids[start + len(first) : second]
        zeros = len(ids) if types is None else types.count(0)
        return cls(
            before=tuple(ids[:start]),
            between=tuple(between),
            after=tuple(ids[second + len(first) :]),
            typed=types is not None,
            first_separator=max(0, min(len(between), zeros - start - len(first))),
        )

    def single(self, body: Sequence[int]) -> Pieces:
        """`<s> body </s>`."""
        ids = [*self.before, *body, *self.after]
        return Pieces(ids, [0] * len(ids) if self.typed else None)

    def pair(self, first: Sequence[int], second: Sequence[int]) -> Pieces:
        """`<s> first </s></s> second </s>`."""
        ids = [*self.before, *first, *self.between, *second, *self.after]
        zeros = len(self.before) + len(first) + self.first_separator
        return Pieces(ids, [0] * zeros + [1] * (len(ids) - zeros) if self.typed else None)

    def room(self, max_length: int, first: int | None = None) -> int:
        """Pieces left for the body, or for the second body after one of `first` pieces."""
        special = len(self.before) + len(self.after)
        return max_length - special - (0 if first is None else first + len(self.between))


def _find(ids: list[int], body: list[int], start: int) -> int:
    for i in range(start, len(ids) - len(body) + 1):
        if ids[i : i + len(body)] == body:
            return i
    raise ValueError("the tokenizer changes text in pairs: its special pieces cannot be read off")
