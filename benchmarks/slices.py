"""What reading a batch in slices saves: python benchmarks/slices.py [--layers 6 --width 384] [--batch 32 --length 128]

Trains two optimiser steps of an encoder with random weights in a process of its own for each number of slices, and
prints the memory of a step beside what weights and optimiser hold, the seconds of the faster one and the loss.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import nullcontext

VOCABULARY = 24_000


def main() -> None:
    """Measure each number of slices in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--slices", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.layers, asked.width, asked.batch, asked.length, asked.measure)))
        return
    print("| slices | memory of a step, MB | seconds | loss |\n|---|---|---|---|")
    for slices in asked.slices:
        command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(slices)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"| {slices} | {found['megabytes']} | {found['seconds']:.1f} | {found['loss']:.6f} |", flush=True)


def measure(layers: int, width: int, batch: int, length: int, slices: int) -> dict[str, float]:
    """One number of slices."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    from xstilts.tasks.shapes import SHAPES, Feature, Pieces, Spec
    from xstilts.training.forward import settle
    from xstilts.training.gradient import gradient

    settle()
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
        intermediate_size=4 * width, max_position_embeddings=length + 2,
    )  # fmt: skip
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    shape, spec = SHAPES.get("classify"), Spec(length, ("a", "b", "c"))
    head = shape.head(width, spec)
    both = torch.nn.ModuleList([encoder, head]).train()
    rows = [Pieces(torch.randint(5, VOCABULARY, (length,)).tolist(), None) for _ in range(batch)]
    features = [Feature(i, [row], i % 3) for i, row in enumerate(rows)]
    optimiser = torch.optim.AdamW(both.parameters(), lr=1e-5, fused=True)
    for parameter in both.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    held, seconds = peak(), []
    for _ in range(2):
        optimiser.zero_grad()
        began = time.perf_counter()
        where = torch.device("cpu")
        loss = gradient(encoder, head, shape, spec, features, 1, where, nullcontext(), slices=slices)
        seconds.append(time.perf_counter() - began)
        optimiser.step()
    return {"megabytes": peak() - held, "seconds": min(seconds), "loss": loss}


def peak() -> int:
    """The most memory this process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
