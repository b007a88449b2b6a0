"""From texts and words to pieces: special pieces around a body, sentences in chunks, the vectors of their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xstilts.tasks.shapes import Feature, Pieces


@dataclass(frozen=True)
class Frame:
    """Where an encoder puts special pieces, `<s> A </s>` and `<s> A </s></s> B </s>`, whatever its tokenizer; read off
    it once, since chunks are assembled from ids."""

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


class Chunk(NamedTuple):
    """A run of a sentence's tokens, as one sequence."""

    start: int
    """The first token."""
    stop: int
    """The token after the last."""
    pieces: Pieces
    firsts: list[int]
    """Where in `pieces` the first piece of each token is."""


def chunks(sentences: Sequence[Sequence[str]], tokenizer: Any, max_length: int) -> list[list[Chunk]]:
    """Each sentence in chunks of at most `max_length` pieces, broken between tokens; every token is in one of them.

    A token that the tokenizer turns into nothing, or that alone does not fit, becomes the unknown piece, so the
    number of tokens never changes (XTREME's convention).
    """
    frame = Frame.of(tokenizer)
    room = frame.room(max_length)
    flat = iter(tokenizer([token for tokens in sentences for token in tokens], add_special_tokens=False)["input_ids"])
    found = []
    for tokens in sentences:
        words = [next(flat) for _ in tokens]
        words = [ids if 0 < len(ids) <= room else [tokenizer.unk_token_id] for ids in words]
        parts = []
        for start, stop in _runs([len(ids) for ids in words], room):
            firsts = [len(frame.before) + sum(map(len, words[start:k])) for k in range(start, stop)]
            parts.append(Chunk(start, stop, frame.single([i for ids in words[start:stop] for i in ids]), firsts))
        found.append(parts)
    return found


def _runs(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Runs (start, stop) of tokens that fill at most `room` pieces each and cover all tokens."""
    runs, start, used = [], 0, 0
    for position, length in enumerate(lengths):
        if used + length > room:
            runs.append((start, position))
            start, used = position, 0
        used += length
    return [*runs, (start, len(lengths))]


def whole(sentences: Sequence[Sequence[str]], tokenizer: Any, max_length: int) -> list[Feature]:
    """One feature per sentence, with its chunks as sequences and their `firsts` (a list per chunk) in `extra`."""
    return [
        Feature(i, [chunk.pieces for chunk in parts], extra={"firsts": [chunk.firsts for chunk in parts]})
        for i, parts in enumerate(chunks(sentences, tokenizer, max_length))
    ]


def words_of(feature: Feature) -> int:
    """How many words a feature of `whole` has."""
    return sum(map(len, feature.extra["firsts"]))


def word_vectors(hidden: Tensor, features: Sequence[Feature]) -> Tensor:
    """The vectors of the first pieces of all words of a batch of `whole`, in order: [n, length, H] to [words, H]."""
    firsts = [firsts for feature in features for firsts in feature.extra["firsts"]]
    sequences = torch.tensor([i for i, part in enumerate(firsts) for _ in part], device=hidden.device)
    positions = torch.tensor([position for part in firsts for position in part], device=hidden.device)
    return hidden[sequences, positions]
