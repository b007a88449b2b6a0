"""Absolute times on a GPU: python benchmarks/speed/gpu.py [--models NAME ...] [--results FILE]

One training step on 32 real XNLI pairs, and prediction, for encoders of known shapes with random weights. Contestants
learn from the same rows for two epochs, of which the second is timed: a plain loop in float32, padded to 128 pieces,
with an AdamW that is not fused (how jiant and the XTREME scripts do it); the Trainer of transformers with its defaults
and at its best (bfloat16, batches of like length, fused AdamW); and xstilts without and with CUDA graphs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from common import merge, random_encoder, ratio, shape_of, show, spread, spread_tokenizer, xnli_rows
from torch import nn

from xstilts.training import loop
from xstilts.training.batches import PADDING, TOKENS
from xstilts.training.drawing import Learner
from xstilts.training.forward import settle
from xstilts.training.inference import predict
from xstilts.training.tokens import tokenise

BATCH, LENGTH, EPOCHS = 32, 128, 2
RECIPE: dict[str, Any] = {"batch_size": BATCH, "epochs": EPOCHS, "learning_rate": 1e-5, "weight_decay": 0.01,
                          "warmup": 0.1, "clip": 1.0, "max_length": LENGTH}  # fmt: skip


def main() -> None:
    """Measure in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["xlm-roberta-base", "xlm-roberta-large"])
    parser.add_argument("--rows", type=int, default=640)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--results", type=Path)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("there is no GPU here; benchmarks/speed/step.py measures a processor")
    settle()
    rows, tokenizer = xnli_rows(asked.rows), spread_tokenizer()
    found: dict[str, Any] = {"matrix_tflops": spread(matrix_rate()), "models": {}}
    print(f"{torch.cuda.get_device_name()}: {show(found['matrix_tflops'], 0)} TFLOP/s in products of bfloat16 matrices")
    for name in asked.models:
        found["models"][name] = of_model(name, rows, tokenizer, asked.repetitions)
        merge(asked.results, "gpu", found)


def matrix_rate(n: int = 8192) -> list[float]:
    """TFLOP/s of products of bfloat16 matrices n x n, five times."""
    a = torch.randn(n, n, device="cuda", dtype=torch.bfloat16)
    rates = []
    for _ in range(6):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(5):
            a @ a
        torch.cuda.synchronize()
        rates.append(5 * 2 * n**3 / (time.perf_counter() - began) / 1e12)
    return rates[1:]


def of_model(name: str, rows: list[dict[str, Any]], tokenizer: Any, repetitions: int) -> dict[str, Any]:
    """Milliseconds of a step by contestant, memory, and pieces per second in prediction."""
    contestants: dict[str, Callable[[], list[float]]] = {
        "padded float32 loop": lambda: padded(name, rows, tokenizer),
        "Trainer, defaults": lambda: trainer(name, rows, tokenizer),
        "Trainer, best": lambda: trainer(name, rows, tokenizer, bf16=True, train_sampling_strategy="group_by_length"),
        "xstilts without graphs": lambda: ours(name, rows, tokenizer, graphs=False),
        "xstilts": lambda: ours(name, rows, tokenizer),
    }
    times: dict[str, list[float]] = {contestant: [] for contestant in contestants}
    memory: dict[str, float] = {}
    for _ in range(repetitions):
        for contestant, run in contestants.items():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            steps = run()
            times[contestant].append(1e3 * statistics.fmean(steps[len(steps) // EPOCHS :]))
            memory[contestant] = torch.cuda.max_memory_reserved() / 2**30
    found: dict[str, Any] = {}
    print(f"\n{name}, a step of {BATCH} pairs: ms, times xstilts, GiB")
    for contestant, spent in times.items():
        against = ratio(spent, times["xstilts"])
        found[contestant] = {"milliseconds": spread(spent), "ratio": against, "gib": memory[contestant]}
        print(f"  {contestant:26}{show(spread(spent)):>28}{show(against):>24}{memory[contestant]:8.1f}", flush=True)
    found["pieces_per_second"] = prediction(name, rows, tokenizer)
    for tokens, rate in found["pieces_per_second"].items():
        print(f"  prediction in batches of {tokens:>7} pieces: {show(rate, 0)} pieces/s", flush=True)
    return found


def encoded(rows: Sequence[dict[str, Any]], tokenizer: Any) -> list[dict[str, Any]]:
    """Pieces and labels as the Trainer takes them."""
    labels = sorted({row["label"] for row in rows})
    texts = [[row[side] for row in rows] for side in ("text_a", "text_b")]
    ids = tokenizer(*texts, truncation=True, max_length=LENGTH)["input_ids"]
    return [{"input_ids": i, "labels": labels.index(row["label"])} for i, row in zip(ids, rows, strict=True)]


def classifier(name: str) -> Any:
    """A classification model of transformers with three labels and random weights, on the GPU."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    shape = shape_of(name)
    torch.manual_seed(0)
    fields = {field: value for field, value in shape.items() if field != "model_type"}
    config = AutoConfig.for_model(shape["model_type"], num_labels=3, **fields)
    with torch.device("cuda"):  # where it is drawn faster
        return AutoModelForSequenceClassification.from_config(config).train()


def padded(name: str, rows: list[dict[str, Any]], tokenizer: Any) -> list[float]:
    """Seconds of each step of the plain loop."""
    model, data = classifier(name), encoded(rows, tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, foreach=False, fused=False)
    times = []
    for _ in range(EPOCHS):
        for start in range(0, len(data), BATCH):
            torch.cuda.synchronize()
            began = time.perf_counter()
            part = data[start : start + BATCH]
            batch = tokenizer.pad(
                {"input_ids": [row["input_ids"] for row in part]}, padding="max_length", max_length=LENGTH,
                return_tensors="pt",
            )  # fmt: skip
            labels = torch.tensor([row["labels"] for row in part], device="cuda")
            loss = model(**{name: tensor.cuda() for name, tensor in batch.items()}, labels=labels).loss
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            loss.item()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    return times


def trainer(name: str, rows: list[dict[str, Any]], tokenizer: Any, **options: Any) -> list[float]:
    """Seconds of each step of transformers' Trainer."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=BATCH, num_train_epochs=EPOCHS, save_strategy="no", report_to=[],
            disable_tqdm=True, **options,
        )  # fmt: skip
        data: Any = encoded(rows, tokenizer)
        Trainer(
            classifier(name), arguments, DataCollatorWithPadding(tokenizer), train_dataset=data, callbacks=[clock]
        ).train()
    # an epoch's end has work of its own between two steps
    return [b - a for a, b in zip([clock.times[0], *clock.times], clock.times, strict=False)]


def ours(name: str, rows: list[dict[str, Any]], tokenizer: Any, graphs: bool = True) -> list[float]:
    """Seconds of each step of a study's training."""
    from xstilts.tasks import get_task
    from xstilts.tasks.shapes import SHAPES, Spec

    task, times = get_task("xnli"), [time.perf_counter()]
    with torch.device("cuda"):
        encoder = random_encoder(shape_of(name))
    learner = Learner("", "", SHAPES.get(task.shape), Spec.of(RECIPE, task.labels, 12), rows)  # type: ignore[arg-type]

    def tick(done: int, total: int) -> None:
        torch.cuda.synchronize()
        times.append(time.perf_counter())

    whole = loop.can_capture
    try:
        if not graphs:
            loop.can_capture = lambda *_: False  # type: ignore[attr-defined]
        with tempfile.TemporaryDirectory() as folder:
            loop.train(encoder, tokenizer, [learner], RECIPE, 1, "bfloat16", Path(folder) / "log", tick)
    finally:
        loop.can_capture = whole  # type: ignore[attr-defined]
    return [b - a for a, b in zip(times, times[1:], strict=False)]


def prediction(name: str, rows: list[dict[str, Any]], tokenizer: Any) -> dict[str, dict[str, float]]:
    """Pieces per second by padded pieces in a batch, however many of them are padding."""
    from xstilts.tasks import get_task
    from xstilts.tasks.shapes import SHAPES, Spec

    task = get_task("xnli")
    shape, spec = SHAPES.get(task.shape), Spec.of(RECIPE, task.labels, 12)
    with torch.device("cuda"):
        encoder = random_encoder(shape_of(name))
    head = shape.head(encoder.config.hidden_size, spec)
    many: Any = [{**row, "id": f"{i}-{row['id']}"} for i in range(8) for row in rows]
    features = tokenise(None, shape, many, tokenizer, spec, training=False)
    pieces, found = int(features.sizes.sum()), {}
    for tokens in (8192, 32768, 131072):
        rates = []
        with mock.patch.dict(TOKENS, cuda=tokens), mock.patch.dict(PADDING, cuda=tokens):
            for _ in range(4):
                began = time.perf_counter()
                predict(encoder, tokenizer, head, shape, spec, many, "bfloat16", features=features)
                rates.append(pieces / (time.perf_counter() - began))
        found[str(tokens)] = spread(rates[1:])
    return found


if __name__ == "__main__":
    sys.exit(main())
