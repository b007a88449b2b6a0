"""Dropout that is fast on a processor, and of a part of a batch as the whole batch would have it, so that a result does
not depend on how batches are cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint


class Share(NamedTuple):
    """A run of what a batch has `total` of: its sequences, or the vectors that its head is given."""

    start: int
    stop: int
    total: int


class PartOfDropout(TorchFunctionMode):
    """While it is entered every dropout draws the mask of the whole batch and applies the part's rows of it.

    torch's generator so takes the same course as in one pass of the whole batch, however small the part. It costs the
    memory of one mask at a time, four bytes an element. On a processor the masks are those of a pass without it, bit
    for bit. On a GPU those of hidden states are; fused attention kernels draw inside and in an order of their own, so
    there dropout of attention is another draw than in a pass without it, the same for every way to cut the batch.

    Without `sequences` the part is the whole batch. A pass on a processor is faster with it than without, and keeps
    less: torch draws a mask in four to eight times as long, and its attention with dropout is not fused there, computes
    in float32 whatever it is given, and keeps the weights of all pairs of pieces.
    """

    def __init__(self, sequences: Share | None = None) -> None:
        super().__init__()
        self._sequences = sequences
        self._inputs: Share | None = None

    @contextmanager
    def within(self, head: nn.Module, inputs: Share) -> Iterator[None]:
        """Inside `head` the first dimension counts `inputs`, not sequences."""

        def begin(*_: Any) -> None:
            self._inputs = inputs

        def end(*_: Any) -> None:
            self._inputs = None

        hooks = head.register_forward_pre_hook(begin), head.register_forward_hook(end, always_call=True)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What torch calls in place of each of its functions."""
        if func is dropout:
            return self._dropout(*args, **(kwargs or {}))
        if func is scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        # what is no sequence's (relative positions, of DeBERTa) is no part of anything
        alone = self._inputs is None and input.dim() < 3
        if not training or not 0 < p < 1 or (alone and input.device.type != "cpu"):
            return dropout(input, p, training, inplace)
        kept = _draw(input.shape, p) if alone else self._kept(input.shape, p, input)
        # one byte an element is kept for the backward pass, as torch's own would keep two or four
        return (input * kept).mul_(1 / (1 - p))

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        if not 0 < dropout_p < 1:
            return scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
        kind = query.device.type
        if torch.is_autocast_enabled(kind):
            low = torch.get_autocast_dtype(kind)
            query, key, value = query.to(low), key.to(low), value.to(low)
            if attn_mask is not None and attn_mask.is_floating_point():
                attn_mask = attn_mask.to(low)
        kept = self._kept((*query.shape[:-1], key.shape[-2]), dropout_p, query)
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        if enable_gqa:
            key, value = (each.repeat_interleave(query.shape[-3] // each.shape[-3], -3) for each in (key, value))
        if is_causal:
            attn_mask = torch.ones(kept.shape[-2:], dtype=torch.bool, device=query.device).tril()

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            with torch.autocast(kind, enabled=False):
                weights = query * scale @ key.transpose(-2, -1)
                if attn_mask is not None and attn_mask.dtype == torch.bool:
                    weights = weights.masked_fill(~attn_mask, torch.finfo(weights.dtype).min)
                elif attn_mask is not None:
                    weights = weights + attn_mask
                return (weights.softmax(-1) * kept) @ (value / (1 - dropout_p))

        # the weights of all pairs of pieces are computed again in the backward pass, as fused kernels do, not kept
        attended: Tensor = checkpoint(attend, query, key, value, use_reentrant=False, preserve_rng_state=False)
        return attended

    def _kept(self, shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
        """The mask of the part's rows: True where something stays."""
        share = self._inputs or self._sequences
        if share is None:
            return _draw(shape, p)
        own = share.stop - share.start
        times, rest = divmod(shape[0], own)  # several rows a sequence: its heads
        if rest or (self._inputs is not None and times != 1):
            raise RuntimeError(f"dropout over {shape[0]} rows cannot be cut into the parts of a batch")
        whole = (share.total * times, *shape[1:])
        if like.device.type == "cpu":
            drawn = _draw(whole, p)
        else:
            drawn = dropout(torch.ones(whole, dtype=like.dtype, device=like.device), p) != 0
        return drawn[share.start * times : share.stop * times]


def _draw(shape: tuple[int, ...], p: float) -> Tensor:
    """True in all but a share `p` of the places, to within 1 in 131,072: four places a number of torch's generator."""
    count = math.prod(shape)
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    return (drawn.view(torch.int16)[:count] >= round(p * 2**16) - 2**15).view(shape)
