"""A vocabulary of the pieces that a training learns from: the others get no gradient, so they need neither the time nor
the memory of it. Language modelling gives one to all, and is trimmed only where that is asked for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from xstilts.errors import UserError


class TrimmedEmbedding(nn.Module):
    """Stands in for an encoder's embedding while it is trained on some pieces, which keep their numbers elsewhere.

    The rows of these pieces are trained. All others can be looked at in evaluation, as they would be by then: AdamW
    leaves a row without gradient alone but for its weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101,
    algorithm 2). In training they are an `IndexError`, never another piece's row.
    """

    def __init__(self, whole: nn.Embedding, used: Collection[int]) -> None:
        super().__init__()
        size, pad = whole.num_embeddings, whole.padding_idx
        self.whole = (whole,)  # not as a part: what it holds is neither moved nor trained nor saved
        self.kept = torch.tensor(sorted({*used, *([] if pad is None else [pad])}))
        places = torch.full((size,), size)
        places[self.kept] = torch.arange(len(self.kept))
        self.places: Tensor
        self.register_buffer("places", places, persistent=False)
        self.pad = None if pad is None else int(places[pad])
        self.weight = nn.Parameter(whole.weight.detach()[self.kept])
        self.decay = 1.0
        """What weight decay has left of the rows that are not trained."""

    def forward(self, ids: Tensor) -> Tensor:
        """[n, length] of the whole vocabulary to [n, length, H]."""
        places = self.places[ids]
        if self.training:
            return embedding(places, self.weight, self.pad)
        other = places >= len(self.weight)
        vectors = embedding(places.masked_fill(other, 0), self.weight, self.pad)
        rest = self.whole[0].weight.detach()
        vectors[other] = rest[ids[other].to(rest.device)].to(vectors.device) * self.decay
        return vectors

    @torch.no_grad()
    def restored(self) -> nn.Embedding:
        """The whole embedding, with what was learned in it."""
        (whole,) = self.whole
        if self.decay != 1:
            whole.weight.mul_(self.decay)
        whole.weight[self.kept] = self.weight.detach().to(whole.weight.device)
        return whole


class TrimmedDecoder(nn.Module):
    """Stands in for the last layer of a language model's head: it scores the pieces in use alone."""

    def __init__(self, whole: nn.Linear, trimmed: TrimmedEmbedding) -> None:
        super().__init__()
        tied = whole.weight is trimmed.whole[0].weight
        self.weight = trimmed.weight if tied else nn.Parameter(whole.weight.detach()[trimmed.kept])
        self.bias = None if whole.bias is None else nn.Parameter(whole.bias.detach()[trimmed.kept])

    def forward(self, hidden: Tensor) -> Tensor:
        """[n, H] to [n, pieces in use]."""
        return linear(hidden, self.weight, self.bias)


def trim_head(head: nn.Module, trimmed: TrimmedEmbedding) -> None:
    """Let a language model's head score no pieces but those of `trimmed`, in their order. What it learns is not put
    back: no checkpoint has it. Raises `UserError` for a head of unknown make."""
    for name, module in head.named_modules():
        if isinstance(module, nn.Linear) and module.out_features == trimmed.whole[0].num_embeddings:
            parent, _, last = name.rpartition(".")
            setattr(head.get_submodule(parent), last, TrimmedDecoder(module, trimmed))
            return
    raise UserError("the language model's head of this encoder cannot be trimmed", remedy="leave out mlm.trim")


def trim(encoder: Any, used: Collection[int]) -> TrimmedEmbedding:
    """Let `encoder` train on no pieces but those `used`, and the padding."""
    trimmed = TrimmedEmbedding(encoder.get_input_embeddings(), used)
    encoder.set_input_embeddings(trimmed)
    return trimmed
