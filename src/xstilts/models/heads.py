"""Heads: what sits on the encoder for one task. Width H in, logits out."""

from __future__ import annotations

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
