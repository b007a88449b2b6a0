"""A vocabulary of the pieces that a training learns from: the others get no gradient, so they need neither the time nor
the memory of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding


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


def trim(encoder: Any, used: Collection[int]) -> TrimmedEmbedding:
    """Let `encoder` train on no pieces but those `used`, and the padding."""
    trimmed = TrimmedEmbedding(encoder.get_input_embeddings(), used)
    encoder.set_input_embeddings(trimmed)
    return trimmed
