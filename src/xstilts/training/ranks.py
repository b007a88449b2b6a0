"""Several processes that do one training together, as torchrun starts them: each takes its share of every batch.

All run the same code from the same seed, so each has the same weights, optimiser and generators at every step, and
looks at dev rows by itself. One alone has rank 0 and size 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch import distributed as dist

from xstilts.errors import UserError


def rank() -> int:
    """Which of the processes this is, from 0. Rank 0 alone writes what is kept."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def initialise() -> None:
    """Join the processes that torchrun started beside this one; alone, do nothing. Each has a GPU of its own where the
    machine has some. Raises `UserError` where it has fewer than processes."""
    if "LOCAL_RANK" not in os.environ or size() > 1:
        return
    if not torch.cuda.is_available():
        dist.init_process_group("gloo")
        return
    gpus, here = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
    if gpus < here:
        raise UserError(f"{here} processes for a training, and {gpus} GPUs", remedy=f"processes: {{Train: {gpus}}}")
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl", device_id=torch.device("cuda", torch.cuda.current_device()))


def close() -> None:
    """Leave them."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def add(tensor: Tensor) -> Tensor:
    """Make a tensor the sum of those of all ranks, in place; the same bits in each."""
    if size() > 1:
        dist.all_reduce(tensor)
    return tensor


def add_gradients(parameters: Iterable[nn.Parameter], loss: float) -> float:
    """Make every gradient the sum of those of all ranks, and return the sum of their losses.

    What no rank has a gradient for is left without one: an optimiser passes it over.
    """
    if size() == 1:
        return loss
    found = [p for p in parameters if p.requires_grad]
    facts = [loss, *(float(p.grad is not None) for p in found)]
    total, *ranks_with = add(torch.tensor(facts, dtype=torch.float64, device=found[0].device)).tolist()
    running = []
    for parameter, count in zip(found, ranks_with, strict=True):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            running.append(dist.all_reduce(parameter.grad, async_op=True))
    for work in running:
        work.wait()
    return float(total)


def agree(here: bool) -> bool:
    """What rank 0 says, for what each would find out for itself and might find otherwise."""
    if size() == 1:
        return here
    where = "cuda" if dist.get_backend() == "nccl" else "cpu"
    return bool(add(torch.tensor(float(here and rank() == 0), device=where)).item())
