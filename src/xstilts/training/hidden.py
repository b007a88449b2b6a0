"""What a head reads of an encoder, and no layer or position of it that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from xstilts.tasks.shapes import Reads

PLAIN = ("bert", "roberta", "xlm-roberta", "camembert")
"""Model types whose last layer is taken apart here: self-attention, its output, a feed-forward part, nothing else."""


def hidden_states(encoder: Any, batch: dict[str, Tensor], reads: Reads, layer: int) -> Tensor:
    """The hidden states that a head `reads`: [n, length, H], or [n, 1, H] where it reads the first piece alone.

    For "layer" they are those after layer number `layer` (0: the embeddings), else those after the last. For "first"
    the last layer is computed at the first piece alone, which sees all pieces as before: the same numbers but for
    rounding, for a twelfth less work in an encoder of 12 layers. Encoders of other kinds are run whole.
    """
    layers = _layers(encoder)
    if reads == "layer" and (layer < 1 or layers is None):
        states: tuple[Tensor, ...] = encoder(**batch, output_hidden_states=True).hidden_states
        return states[layer]
    config = encoder.config
    with ExitStack() as stack:
        if layers is not None and reads == "layer":
            stack.enter_context(_with(encoder, [*layers[:layer]]))
        elif layers and reads == "first" and config.model_type in PLAIN and config._attn_implementation == "sdpa":
            stack.enter_context(_with(encoder, [*layers[:-1], _AtFirstPiece(layers[-1])]))
        # not `hidden_states`: transformers collects them by hooks that it sets once, on the layers it finds then
        hidden: Tensor = encoder(**batch).last_hidden_state
    return hidden[:, :1] if reads == "first" else hidden


def _layers(encoder: Any) -> nn.ModuleList | None:
    """The layers of an encoder that keeps them where BERT and XLM-R do, and nothing beside them."""
    stack = getattr(encoder, "encoder", nn.Module())
    layers = getattr(stack, "layer", None)
    return layers if isinstance(layers, nn.ModuleList) and list(stack.children()) == [layers] else None


@contextmanager
def _with(encoder: Any, layers: Sequence[nn.Module]) -> Iterator[None]:
    """The encoder with other layers, for the time of a pass."""
    own = encoder.encoder.layer
    encoder.encoder.layer = nn.ModuleList(layers)
    try:
        yield
    finally:
        encoder.encoder.layer = own


class _AtFirstPiece(nn.Module):
    """A layer of BERT or XLM-R whose only query is the first piece: [n, length, H] to [n, 1, H]."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor, mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        own, output = self.layer.attention.self, self.layer.attention.output
        first = hidden[:, :1]
        query, key, value = (
            linear(states).unflatten(-1, (-1, own.attention_head_size)).transpose(1, 2)
            for linear, states in ((own.query, first), (own.key, hidden), (own.value, hidden))
        )
        seen = scaled_dot_product_attention(
            query, key, value, None if mask is None else mask[:, :, :1],
            dropout_p=own.dropout.p if own.training else 0.0, scale=own.scaling,
        )  # fmt: skip
        vectors: Tensor = self.layer.feed_forward_chunk(output(seen.transpose(1, 2).flatten(2), first))
        return vectors
