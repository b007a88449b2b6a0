"""Units of work as a study does them, in one process: a matrix product, an optimiser step, a batch of predictions."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from xstilts.bench.subject import ALIKE, PREDICTED, Sort, Subject
from xstilts.errors import UserError
from xstilts.plan.options import recipe
from xstilts.settings import resolve
from xstilts.tasks.shapes import SHAPES, Feature, Pieces, Spec
from xstilts.training.features import pack
from xstilts.training.forward import arithmetic, device, settle
from xstilts.training.gradient import gradient
from xstilts.training.graphs import Graphs, can_capture
from xstilts.training.hidden import PLAIN
from xstilts.training.inference import read
from xstilts.training.optimiser import parameter_groups

Unit = Callable[[], float]
"""Does one unit of work; returns how much that was."""

_LABELS = {"classify": ("contradiction", "entailment", "neutral"), "tag": tuple(map(str, range(17))), "span": ()}
"""As many as XNLI, Universal Dependencies and SQuAD have."""
_BATCHES = 4
"""Different ones that training takes in turns."""


def facts(precision: str) -> dict[str, Any]:
    """The device, the arithmetic that `precision` comes to, and the bytes of memory: in all, and free."""
    settle()
    where = device()
    if where.type == "cuda":
        free, memory = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name(where)
    else:
        free, memory = (getattr(psutil.virtual_memory(), which) for which in ("available", "total"))
        name = f"one thread of {_processor()} ({os.cpu_count()} processors)"
    return {"device": name, "accelerator": where.type == "cuda", "precision": arithmetic(precision)[1],
            "memory": memory, "free": free}  # fmt: skip


def _processor() -> str:
    """By its maker's name where the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def rate(unit: Unit, seconds: float) -> float:
    """Work per second, of units done for so many seconds, one at least."""
    began, done = time.perf_counter(), 0.0
    while not done or time.perf_counter() - began < seconds:
        done += unit()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return done / (time.perf_counter() - began)


def products(subject: Subject) -> dict[str, Unit]:
    """Products of the matrices of the encoder's feed-forward part, for a batch of the first sort, in floating-point
    operations: what the machine does at most."""
    width, inner = int(subject.config["hidden_size"]), int(subject.config["intermediate_size"])
    rows = subject.sorts[0].batch * subject.sorts[0].pieces

    def product(dtype: torch.dtype) -> Unit:
        states = torch.ones(rows, width, dtype=dtype, device=device())
        weights = torch.ones(width, inner, dtype=dtype, device=device())

        def unit() -> float:
            states @ weights
            return 2.0 * rows * width * inner

        return unit

    return {f"matrix {name}": product(getattr(torch, name)) for name in ("float32", "bfloat16")}


def passes(subject: Subject) -> dict[str, Unit]:
    """Optimiser steps and predictions of each sort, in pieces, padding not counted. Raises `UserError` for an
    architecture that cannot be made."""
    torch.manual_seed(0)
    where, (context, _) = device(), arithmetic(subject.precision)
    encoder = _encoder(subject).to(where).train()
    width, depth = encoder.config.hidden_size, encoder.config.num_hidden_layers
    options = recipe(resolve({}, ()))
    tokenizer = SimpleNamespace(pad_token_id=encoder.config.pad_token_id or 0)
    shapes = {sort: SHAPES.get(sort.shape) for sort in subject.sorts}
    specs = {sort: Spec.of({}, _LABELS[sort.shape], depth) for sort in subject.sorts}
    heads = {sort.shape: shapes[sort].head(width, specs[sort]).to(where) for sort in subject.sorts}
    optimiser = torch.optim.AdamW(
        parameter_groups(encoder, heads, options), lr=options["learning_rate"], weight_decay=options["weight_decay"],
        fused=True,
    )  # fmt: skip
    parameters = [p for p in nn.ModuleList([encoder, *heads.values()]).parameters() if p.requires_grad]
    graphs = Graphs() if can_capture(encoder, where) else None

    def training(sort: Sort) -> Unit:
        batches = cycle([_features(sort, encoder.config.vocab_size, sort.batch, i) for i in range(_BATCHES)])

        def unit() -> float:
            encoder.train()
            heads[sort.shape].train()
            batch = next(batches)
            gradient(encoder, heads[sort.shape], shapes[sort], specs[sort], batch, tokenizer.pad_token_id, where,
                     context, graphs=graphs)  # fmt: skip
            nn.utils.clip_grad_norm_(parameters, options["clip"])
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            return _pieces(batch)

        return unit

    def prediction(sort: Sort) -> Unit:
        found = _features(sort, encoder.config.vocab_size, max(1, PREDICTED // sort.pieces), _BATCHES)
        features, pieces = pack(found), _pieces(found)

        def unit() -> float:
            read(encoder, tokenizer, heads[sort.shape], shapes[sort], specs[sort], [], subject.precision,
                 features=features)  # fmt: skip
            return pieces

        return unit

    return {f"training {sort.shape}": training(sort) for sort in subject.sorts} | {
        f"prediction {sort.shape}": prediction(sort) for sort in subject.sorts
    }


def scale(subject: Subject, shape: str) -> float:
    """How many times as long a row takes in the whole encoder as in what is measured. Where first pieces alone are
    read, the last layer has little more to do for the others than their keys and values (`training.hidden`)."""
    last = 1.0
    if SHAPES.get(shape).reads == "first" and subject.config["model_type"] in PLAIN:
        width, inner = subject.config["hidden_size"], subject.config["intermediate_size"]
        last = 2 * width / (4 * width + 2 * inner)
    return (subject.depth - 1 + last) / (subject.layers - 1 + last)


def _encoder(subject: Subject) -> Any:
    """With random weights."""
    apart = ("model_type", "architectures", "dtype", "torch_dtype")
    fields = {name: value for name, value in subject.measured.items() if name not in apart}
    try:
        encoder = AutoModel.from_config(AutoConfig.for_model(subject.config.get("model_type", ""), **fields))
    except (ValueError, KeyError, TypeError) as error:
        first = str(error).strip().split("\n")[0][:200]
        remedy = "check its config.json, or name another with --model"
        raise UserError(f"no encoder can be made as {subject.name} is: {first}", remedy=remedy) from None
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


def _features(sort: Sort, vocabulary: int, count: int, seed: int) -> list[Feature]:
    """Rows of random pieces, with targets."""
    chance = random.Random(seed)
    least, most = (max(3, round(sort.pieces * (1 + side))) for side in (-ALIKE, ALIKE))
    labels = len(_LABELS[sort.shape])
    found = []
    for row in range(count):
        # one row of the greatest length: so all batches are of one size, and one graph captures it
        length = most if not row else chance.randint(least, most)
        ids = [chance.randrange(vocabulary) for _ in range(length)]
        extra: dict[str, Any] = {}
        target: Any = (chance.randrange(length), length - 1)
        if sort.shape == "classify":
            target = chance.randrange(labels)
        elif sort.shape == "tag":
            extra = {"firsts": list(range(1, length - 1))}
            target = [chance.randrange(labels) for _ in extra["firsts"]]
        found.append(Feature(row, [Pieces(ids, None)], target, extra))
    return found


def _pieces(features: list[Feature]) -> float:
    return float(sum(len(sequence.ids) for feature in features for sequence in feature.sequences))
