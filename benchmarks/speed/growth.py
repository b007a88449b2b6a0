"""How the cost of a training grows: python benchmarks/speed/growth.py [--only examples ...]

Trains small encoders with random weights on real text, our way, in a process of its own for each point. Of four axes
one varies and the others stay as they are: examples, pieces per sequence (all full), layers, width. Seconds are those
of the whole training, tokenising included. For each axis the exponent of the power law through its points is given
(least squares on logarithms): 1 is linear, 2 is quadratic.
"""

from __future__ import annotations

from typing import Any

from common import (
    alone,
    arguments,
    in_turns,
    merge,
    random_encoder,
    read_arguments,
    shape_of,
    show,
    small_encoder,
    spread,
    xnli_rows,
)
from trainings import BATCH, full_rows, ours

AXES: dict[str, tuple[int, ...]] = {
    "examples": (128, 256, 512, 1024),
    "length": (32, 64, 128, 256),
    "layers": (2, 4, 8, 16),
    "width": (256, 384, 512, 768),
}
BASE = {"examples": 256, "length": 64, "layers": 4, "width": 256}


def main() -> None:
    """Measure in turns, fit, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="*", choices=AXES, default=list(AXES))
    parser.add_argument("--repetitions", type=int, default=3)
    asked = read_arguments(parser, measure)
    points = {f"{axis} {value}": {**BASE, axis: value} for axis in asked.only for value in AXES[axis]}
    found = in_turns(list(points), asked.repetitions, lambda name, _: alone(__file__, points[name]))
    seconds = {name: [run["whole"] for run in runs] for name, runs in found.items()}
    results: dict[str, Any] = {
        "base": BASE,
        "seconds": {
            axis: {str(value): spread(seconds[f"{axis} {value}"]) for value in AXES[axis]} for axis in asked.only
        },
        "exponent": {
            axis: spread([
                exponent(AXES[axis], [seconds[f"{axis} {value}"][i] for value in AXES[axis]])
                for i in range(asked.repetitions)
            ])
            for axis in asked.only
        },
    }  # fmt: skip
    print("| | seconds of a training | exponent |\n|---|---|---|")
    for axis in asked.only:
        cells = ", ".join(f"{value}: {show(found)}" for value, found in results["seconds"][axis].items())
        print(f"| {axis} | {cells} | {show(results['exponent'][axis])} |")
    merge(asked.results, "growth", results)


def measure(examples: int, length: int, layers: int, width: int, threads: int) -> dict[str, Any]:
    """One training's figures, once."""
    _, tokenizer = small_encoder()
    shape = shape_of("xlm-roberta-base", len(tokenizer), num_hidden_layers=layers, hidden_size=width,
                     intermediate_size=4 * width)  # fmt: skip
    rows = full_rows(xnli_rows(), examples, length)  # no word is less than a piece
    return ours(random_encoder(shape), tokenizer, rows, examples // BATCH, threads=threads, length=length)


def exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """The slope of the straight line through the logarithms."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


if __name__ == "__main__":
    main()
