"""On a GPU: the passes of an encoder as CUDA graphs, so that its many small kernels need not be launched one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xstilts.tasks.shapes import Reads
from xstilts.training.hidden import PLAIN, hidden_states

MULTIPLE = 8
"""Lengths are padded to a multiple of it, so that there are few sizes of batches, and two graphs for each."""


def can_capture(encoder: Any, where: torch.device) -> bool:
    """Whether an encoder's passes can be captured: on a GPU, where nothing in them depends on the numbers, and there is
    room for the padding (others than BERT give it no position)."""
    config = encoder.config
    room = config.model_type != "bert" or config.max_position_embeddings % MULTIPLE == 0
    return where.type == "cuda" and config.model_type in PLAIN and room


class Graphs:
    """`hidden_states` of an encoder in training: captured once for each size of batch, and replayed.

    All is as without graphs: parameters get the same gradients (one set of buffers holds them, whatever the size), and
    dropout goes on from where the generator stands, which capturing leaves alone. The graphs share one pool of memory,
    since no two run at a time; what a pass gives is valid until the next one.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()
        self._captured: dict[tuple[Any, ...], _Captured] = {}
        self._gradients: dict[nn.Parameter, Tensor] = {}
        # autograd calls a backward pass for an input that wants a gradient, and pieces are whole numbers
        self._hook = torch.zeros((), device="cuda", requires_grad=True)

    def __len__(self) -> int:
        """How many sizes have been captured."""
        return len(self._captured)

    def __call__(self, encoder: Any, batch: dict[str, Tensor], reads: Reads, layer: int) -> Tensor:
        """What `hidden_states` gives."""
        size = (reads, layer, *((name, tuple(tensor.shape)) for name, tensor in batch.items()))
        if size not in self._captured:
            drawn = torch.cuda.get_rng_state()
            self._captured[size] = self._capture(encoder, batch, reads, layer)
            torch.cuda.set_rng_state(drawn)
        hidden: Tensor = _Replayed.apply(self._hook, self._captured[size], batch)  # type: ignore[no-untyped-call]
        return hidden

    def _capture(self, encoder: Any, batch: dict[str, Tensor], reads: Reads, layer: int) -> _Captured:
        inputs = {name: tensor.clone() for name, tensor in batch.items()}
        inputs["attention_mask"][:, -1] = 0  # transformers leaves out a mask of ones alone
        trained = [p for p in encoder.parameters() if p.requires_grad]
        before = [p.grad for p in trained]
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            # once without a graph: libraries set themselves up at their first call, and that cannot be captured
            for parameter in trained:
                parameter.grad = None
            hidden = _read(encoder, inputs, reads, layer)
            wanted = torch.zeros_like(hidden)
            hidden.backward(wanted)
            del hidden
            reached = [p for p in trained if p.grad is not None]
            for parameter in reached:
                parameter.grad = self._gradients.setdefault(parameter, torch.zeros_like(parameter))
        torch.cuda.current_stream().wait_stream(self._stream)
        there, back = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(there, pool=self._pool, stream=self._stream):
            hidden = _read(encoder, inputs, reads, layer)
        with torch.cuda.graph(back, pool=self._pool, stream=self._stream):
            torch._foreach_zero_([self._gradients[p] for p in reached])
            hidden.backward(wanted)
        for parameter, gradient in zip(trained, before, strict=True):
            parameter.grad = gradient
        return _Captured(there, back, inputs, hidden.detach(), wanted, [(p, self._gradients[p]) for p in reached])


def _read(encoder: Any, inputs: dict[str, Tensor], reads: Reads, layer: int) -> Tensor:
    """Without autocast's memory of weights: a graph must convert them anew, since they change between replays."""
    kind, enabled = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
    with torch.autocast("cuda", dtype=kind, enabled=enabled, cache_enabled=False):
        return hidden_states(encoder, inputs, reads, layer)


@dataclass(frozen=True)
class _Captured:
    """The two passes of one size of batch, and the tensors that they read and write."""

    there: torch.cuda.CUDAGraph
    back: torch.cuda.CUDAGraph
    inputs: dict[str, Tensor]
    hidden: Tensor
    wanted: Tensor
    """The gradient of `hidden`."""
    gradients: Sequence[tuple[nn.Parameter, Tensor]]
    """Of the parameters that it reaches."""


class _Replayed(torch.autograd.Function):
    """A captured pass as autograd sees it."""

    @staticmethod
    def forward(ctx: Any, hook: Tensor, captured: _Captured, batch: dict[str, Tensor]) -> Tensor:
        """The hidden states of a batch."""
        ctx.captured = captured
        for name, tensor in batch.items():
            captured.inputs[name].copy_(tensor)
        captured.there.replay()
        return captured.hidden.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, None]:
        """Add the gradients of the encoder's parameters to what they have, which a head that shares them may have."""
        captured: _Captured = ctx.captured
        captured.wanted.copy_(gradients[0])
        captured.back.replay()
        for parameter, gradient in captured.gradients:
            if parameter.grad is not None:
                gradient.add_(parameter.grad)
            parameter.grad = gradient
        return None, None, None
