"""Heads: what sits on the encoder for one task. Width H in, logits out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_STD = 0.02  # of the normal initialisation in BERT and XLM-R (`initializer_range`)


def _linear(width_in: int, width_out: int) -> nn.Linear:
    layer = nn.Linear(width_in, width_out)
    nn.init.normal_(layer.weight, std=_STD)
    nn.init.zeros_(layer.bias)
    return layer


class PooledHead(nn.Module):
    """Dropout, dense, tanh, dropout, linear over the first piece: [n, length, H] to [n, outputs].

    The head of RobertaForSequenceClassification; its layers are fresh, since masked language models carry no
    pooler.
    """

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense, self.out = _linear(width, width), _linear(width, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """[n, length, H] to [n, outputs]."""
        pooled = self.dropout(hidden[:, 0])
        output: Tensor = self.out(self.dropout(self.dense(pooled).tanh()))
        return output


class TokenHead(nn.Module):
    """Dropout and a linear layer over every piece: [n, length, H] to [n, length, outputs]."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.out, self.dropout = _linear(width, outputs), nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """[n, length, H] to [n, length, outputs]."""
        output: Tensor = self.out(self.dropout(hidden))
        return output


class BiaffineHead(nn.Module):
    """Scores of arcs between words and of the relations they could carry (Dozat and Manning 2017, arXiv 1611.01734).

    Each word is seen twice, as dependent and as head, through a layer with ReLU for arcs and one for relations.
    Arcs have the encoder's width and relations a third of it, the proportions of UDify (arXiv 1904.02099: 768 and
    256 on a base-size encoder); the paper has 500 and 100 over a width of 800.
    """

    def __init__(self, width: int, relations: int, dropout: float) -> None:
        super().__init__()
        narrow = max(1, width // 3)
        self.arc_dependent, self.arc_head = _linear(width, width), _linear(width, width)
        self.relation_dependent, self.relation_head = _linear(width, narrow), _linear(width, narrow)
        # the rows and columns added are biases: of a head as such, of a relation given one side of it or neither
        self.arc = nn.Parameter(torch.empty(width + 1, width).normal_(std=_STD))
        self.relation = nn.Parameter(torch.empty(relations, narrow + 1, narrow + 1).normal_(std=_STD))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[words, H] to how words are seen as dependents and as heads of arcs [words, H], and as dependents and as
        heads of relations [words, H // 3]."""
        hidden = self.dropout(hidden)
        layers = (self.arc_dependent, self.arc_head, self.relation_dependent, self.relation_head)
        dependents, heads, related, relating = (self.dropout(layer(hidden).relu()) for layer in layers)
        return dependents, heads, related, relating

    def arcs(self, dependents: Tensor, heads: Tensor) -> Tensor:
        """[n, H] and [m, H] to the scores [n, m] of every dependent with every head."""
        return _with_one(dependents) @ self.arc @ heads.T

    def relations(self, dependents: Tensor, heads: Tensor, paired: bool) -> Tensor:
        """[n, H // 3] and [m, H // 3] to the scores [n, m, relations] of every dependent with every head, or, paired,
        to those [n, relations] of each dependent with the head beside it (n = m)."""
        factors = torch.einsum("nd,rde->nre", _with_one(dependents), self.relation)
        return torch.einsum("nre,ne->nr" if paired else "nre,me->nmr", factors, _with_one(heads))


def _with_one(vectors: Tensor) -> Tensor:
    return nn.functional.pad(vectors, (0, 1), value=1.0)
