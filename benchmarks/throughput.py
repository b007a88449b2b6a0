"""How fast this machine trains an encoder: python benchmarks/throughput.py [--model NAME | --layers N --width N ...]

Trains an encoder of the shape of a known one (or of --layers, --width, --inner, --heads) with random weights on random
pieces, just as a step of a study does: the same arithmetic, one thread on a processor, AdamW, clipped gradients. Prints
pieces and floating-point operations per second, the median of --repetitions with the lowest and the highest, and writes
them as `throughput.json` into the store, where `xstilts plan` reads them.

Convention: 6 operations per parameter of the layers' matrices and piece (2 forward, 4 backward; Kaplan et al. 2020,
arXiv 2001.08361), embeddings and attention between pieces not counted. The figure is therefore lower than what the
machine does, and right for what it is used for: turning pieces into hours. Sequences are full; padding costs besides.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from xstilts.api import find_store
from xstilts.cost.estimate import THROUGHPUT
from xstilts.cost.workload import TRAINING
from xstilts.models.size import KNOWN, body_parameters, known, parameters
from xstilts.training.forward import arithmetic, device, settle


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help=f"a model folder, or one of {', '.join(KNOWN)}")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--inner", type=int, help="inner width of the feed-forward part (default: 4 times the width)")
    parser.add_argument("--heads", type=int, help="attention heads (default: one per 64 of the width)")
    parser.add_argument("--vocabulary", type=int, help="pieces (default: the model's; 250,002 for a shape)")
    parser.add_argument("--batch", type=int, default=32, help="sequences per optimiser step")
    parser.add_argument("--length", type=int, default=128, help="pieces per sequence")
    parser.add_argument("--seconds", type=float, default=10.0, help="least time of a repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--store", type=Path, help="the store (default: $XSTILTS_STORE or .xstilts/store)")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    found = measure(config_of(asked), asked)
    print(
        f"{found['device']}, {found['precision']}: {found['pieces_per_second']:,.0f} pieces/s, "
        f"{found['flops'] / 1e12:.4g} TFLOP/s (lowest {found['lowest'] / 1e12:.4g}, highest "
        f"{found['highest'] / 1e12:.4g} of {asked.repetitions} repetitions)"
    )
    if not asked.dry:
        path = find_store(asked.store).open().root / THROUGHPUT
        path.write_text(json.dumps(found, indent=1), "utf-8")
        print(f"written to {path}")


def config_of(asked: argparse.Namespace) -> dict[str, Any]:
    """The `config.json` of what is measured."""
    if asked.model and (Path(asked.model) / "config.json").is_file():
        config: dict[str, Any] = json.loads((Path(asked.model) / "config.json").read_text("utf-8"))
    elif asked.model:
        name = known(asked.model)
        if name is None:
            raise SystemExit(f"no folder and none of {', '.join(KNOWN)}: {asked.model}; give --layers and --width")
        config = dict(KNOWN[name])
    else:
        config = {**KNOWN["xlm-roberta-large"], "num_hidden_layers": asked.layers, "hidden_size": asked.width,
                  "intermediate_size": asked.inner or 4 * asked.width}  # fmt: skip
    config.setdefault("num_attention_heads", asked.heads or max(1, config["hidden_size"] // 64))
    return {**config, "vocab_size": asked.vocabulary or config["vocab_size"]}


def measure(config: dict[str, Any], asked: argparse.Namespace) -> dict[str, Any]:
    """What `throughput.json` holds: `flops` and `pieces_per_second` are medians over repetitions."""
    settle()
    torch.manual_seed(0)
    where = device()
    fields = {name: value for name, value in config.items() if name not in ("model_type", "architectures", "dtype")}
    encoder = AutoModel.from_config(AutoConfig.for_model(config["model_type"], **fields)).to(where).train()
    head = nn.Linear(config["hidden_size"], 3).to(where)
    weights = [p for p in (*encoder.parameters(), *head.parameters()) if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-5, fused=True)
    context, precision = arithmetic(asked.precision)
    ids = torch.randint(5, config["vocab_size"], (asked.batch, asked.length), device=where)
    mask, labels = torch.ones_like(ids), torch.zeros(asked.batch, dtype=torch.long, device=where)

    def step() -> None:
        with context:
            hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
            loss = nn.functional.cross_entropy(head(hidden).float(), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        loss.item()  # waits for the accelerator, as the training loop does

    step()  # allocates
    rates = []
    for _ in range(asked.repetitions):
        began, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - began < asked.seconds:
            step()
            steps += 1
        rates.append(steps * asked.batch * asked.length / (time.perf_counter() - began))
    scale = TRAINING * body_parameters(config)
    pieces = statistics.median(rates)
    shape = {name: config[name] for name in ("model_type", "num_hidden_layers", "hidden_size", "intermediate_size",
                                             "vocab_size")}  # fmt: skip
    return {
        "flops": scale * pieces, "lowest": scale * min(rates), "highest": scale * max(rates),
        "pieces_per_second": pieces, "device": name_of(where), "precision": precision, "encoder": shape,
        "body_parameters": body_parameters(config), "parameters": parameters(config), "batch": asked.batch,
        "length": asked.length, "repetitions": asked.repetitions, "seconds": asked.seconds,
        "torch": torch.__version__, "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def name_of(where: torch.device) -> str:
    """The accelerator, or one thread of the processor, by its maker's name where the system tells it."""
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"one thread of {model} ({os.cpu_count()} processors)"


if __name__ == "__main__":
    main()
