"""One training on pairs of sentences in each of the ways that the benchmarks compare, as the same figures.

Each function trains an encoder in place for a step that does not count and `steps` that do, on rows of XNLI in batches
of 32, and gives `seconds` and `processor_seconds` (of all threads, which other processes hardly change) per 32 examples
over the steps that count, and `peak_mb`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from common import memory_mb

BATCH = 32
RECIPE: dict[str, Any] = {"batch_size": BATCH, "learning_rate": 2e-5, "weight_decay": 0.01, "warmup": 0.1, "clip": 1.0}
LABELS = ("entailment", "neutral", "contradiction")

Ways = Callable[..., dict[str, Any]]


class Clock:
    """When a training had seen how many examples."""

    def __init__(self) -> None:
        self.marks = list[tuple[float, float, int]]()

    def __call__(self, done: int, total: int = 0) -> None:
        """`done` examples are learned from: called once a step."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.marks.append((time.perf_counter(), time.process_time(), done))

    def found(self, first: int) -> dict[str, Any]:
        """The figures of a training from mark number `first` to the last."""
        spent, busy, seen = (after - before for before, after in zip(self.marks[first], self.marks[-1], strict=True))
        scale = BATCH / seen
        return {"seconds": spent * scale, "processor_seconds": busy * scale, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this process ever had, or the accelerator had for it, in MB of 1024 KB.

    Not `ru_maxrss`: it starts with that of the process this one was started by.
    """
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return memory_mb("VmHWM")


def ours(
    encoder: Any, tokenizer: Any, rows: Sequence[Any], steps: int, *, seed: int = 0, threads: int = 1,
    length: int = 128, precision: str = "auto", halvings: int = 0, also_used: Collection[int] = (),
) -> dict[str, Any]:  # fmt: skip
    """The training loop of studies, called for one step and then for those that count. `also_used` are pieces that the
    trained vocabulary holds beside those of the rows, as it would if the rows were some of many. Also gives its
    `precision`, `trained_parameters` and the seconds of the `whole` of it, tokenising included."""
    import torch

    from xstilts.models.trim import trim
    from xstilts.tasks.shapes import SHAPES, Spec
    from xstilts.training import loop
    from xstilts.training.drawing import Learner
    from xstilts.training.forward import arithmetic, settle

    settle()
    torch.set_num_threads(threads)  # after it, which says one
    spec = Spec.of({"max_length": length}, LABELS, encoder.config.num_hidden_layers)
    learner = Learner("xnli", "xnli", SHAPES.get("classify"), spec, rows)

    def begin(wanted: str) -> Any:
        """The last that the loop does before its first step."""
        found = arithmetic(wanted)
        clock(0)
        return found

    for count in (1, steps):
        clock, called = Clock(), time.perf_counter()
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(loop, "trim", lambda whole, used: trim(whole, {*used, *also_used})),
            mock.patch.object(loop, "arithmetic", begin),
        ):
            trained = loop.train(encoder, tokenizer, [learner], {**RECIPE, "steps": count}, seed, precision,
                                 Path(folder) / "log", clock, halvings=halvings)  # fmt: skip
    whole = time.perf_counter() - called
    return {**clock.found(0), "whole": whole, **{n: trained.notes[n] for n in ("precision", "trained_parameters")}}


def trainer(
    encoder: Any, tokenizer: Any, rows: Sequence[Any], steps: int, *, seed: int = 0, threads: int = 1,
    length: int = 128, best: bool = False, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """The Trainer of transformers with its defaults: float32, fused AdamW, batches in random order padded to their
    longest. At its `best`: bfloat16, batches of like length; all rows are sorted in one pool, as it does with 50
    batches of a real training's rows and we do with 32."""
    import torch
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments, trainer_pt_utils

    class Marks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            clock(state.global_step * BATCH)

    torch.set_num_threads(threads)
    clock, gpu = Clock(), torch.cuda.is_available()
    grouped = partial(trainer_pt_utils.get_length_grouped_indices, mega_batch_mult=50)
    options = {"bf16": True, "train_sampling_strategy": "group_by_length"} if best else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(trainer_pt_utils, "get_length_grouped_indices", grouped),
    ):
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=BATCH, max_steps=1 + steps, seed=seed, use_cpu=not gpu,
            learning_rate=RECIPE["learning_rate"], weight_decay=RECIPE["weight_decay"], report_to="none",
            save_strategy="no", disable_tqdm=True, **options, **more,
        )  # fmt: skip
        Trainer(
            classifier(encoder), arguments, train_dataset=encoded(tokenizer, rows, length), callbacks=[Marks()],
            data_collator=DataCollatorWithPadding(tokenizer),
        ).train()  # fmt: skip
    return {**clock.found(0), "precision": "bfloat16" if arguments.bf16 else "float32"}


def padded(
    encoder: Any, tokenizer: Any, rows: Sequence[Any], steps: int, *, seed: int = 0, threads: int = 1,
    length: int = 128,
) -> dict[str, Any]:  # fmt: skip
    """The loop of jiant and of the XTREME scripts: every sequence padded to `length`, float32, an AdamW that goes from
    parameter to parameter. Attention is torch's fused kernel, which theirs was not."""
    import torch
    from torch.utils.data import DataLoader

    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, clock = classifier(encoder).to(where).train(), Clock()
    examples = encoded(tokenizer, rows, length)
    collate = partial(tokenizer.pad, padding="max_length", max_length=length, return_tensors="pt")
    optimiser = torch.optim.AdamW(model.parameters(), RECIPE["learning_rate"], weight_decay=0.01, foreach=False)
    done = 0
    while done < (1 + steps) * BATCH:
        for batch in DataLoader(examples, BATCH, shuffle=True, collate_fn=collate, drop_last=True):  # type: ignore[arg-type]
            model(**batch.to(where)).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE["clip"])
            optimiser.step()
            optimiser.zero_grad()
            clock(done := done + BATCH)
            if done == (1 + steps) * BATCH:
                break
    return {**clock.found(0), "precision": "float32"}


def classifier(encoder: Any) -> Any:
    """The encoder with the classification head of transformers."""
    from transformers import AutoModelForSequenceClassification

    config = encoder.config
    config.num_labels = len(LABELS)
    whole = AutoModelForSequenceClassification.from_config(config)
    setattr(whole, whole.base_model_prefix, encoder)
    return whole


def encoded(tokenizer: Any, rows: Sequence[Any], length: int) -> list[dict[str, Any]]:
    """What transformers learns from: `input_ids`, `attention_mask`, `labels` of each row."""
    texts = [row["text_a"] for row in rows], [row["text_b"] for row in rows]
    batch = tokenizer(*texts, truncation="longest_first", max_length=length)
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": LABELS.index(row["label"])}
        for ids, row in zip(batch["input_ids"], rows, strict=True)
    ]


def full_rows(rows: Sequence[Any], n: int, words: int) -> list[Any]:
    """`n` rows of real text that each have `words` words a side at least, however short the texts they are put
    together of: cut to a length, each is full."""
    texts = " ".join(row["text_a"] for row in rows).split()
    sides = [" ".join(texts[i * words : (i + 1) * words]) for i in range(len(texts) // words)]
    if len(sides) < 2:
        raise SystemExit(f"{len(rows)} rows have too few words for sides of {words}")
    pairs = [(sides[2 * i % len(sides)], sides[(2 * i + 1) % len(sides)]) for i in range(n)]
    return [{"text_a": a, "text_b": b, "label": LABELS[i % 3]} for i, (a, b) in enumerate(pairs)]


WAYS: dict[str, Ways] = {
    "padded": padded,
    "trainer": trainer,
    "trainer_best": partial(trainer, best=True),
    "ours": ours,
}
"""By name. What `Trainer` prints goes to standard output before a measurement's last line."""
