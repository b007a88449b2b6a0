"""Peak memory of a training step: python benchmarks/speed/memory.py [--layers 24] [--threads 1]

Trains an encoder of the shape of XLM-R large with random weights on two batches of 32 real texts that all fill 128
pieces: each contestant in a process of its own, whose peak is that of the resident set of the whole process (VmHWM of
/proc/self/status; on a GPU, of the device's memory). The Trainer is that of transformers, in float32 (its default) and
in bfloat16; ours reads a batch in 1, 2 or 4 slices. Seconds are of the second step. Linux only.
"""

from __future__ import annotations

from typing import Any

from common import (
    XLMR_VOCABULARY,
    alone,
    arguments,
    in_turns,
    merge,
    random_encoder,
    ratio,
    read_arguments,
    shape_of,
    show,
    spread,
    spread_tokenizer,
    xnli_rows,
)
from step import pieces_of_all
from trainings import BATCH, full_rows, ours, trainer

CONTESTANTS: dict[str, dict[str, Any]] = {
    "trainer": {},
    "trainer_bf16": {"bf16": True},
    "ours": {"halvings": 0},
    "ours_2_slices": {"halvings": 1},
    "ours_4_slices": {"halvings": 2},
}


def main() -> None:
    """Measure in turns, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=XLMR_VOCABULARY)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    asked = read_arguments(parser, measure)

    def one(name: str, _: int) -> dict[str, Any]:
        what = {name: getattr(asked, name) for name in ("layers", "width", "vocabulary", "length")}
        return alone(__file__, {"name": name, **what}, asked.threads)

    found = in_turns([name for name in CONTESTANTS if name in asked.only], asked.repetitions, one)
    peaks = {name: [run["peak_mb"] for run in runs] for name, runs in found.items()}
    results: dict[str, Any] = {
        "layers": asked.layers, "width": asked.width, "vocabulary": asked.vocabulary, "length": asked.length,
        "threads": asked.threads,
        "peak_mb": {name: spread(values) for name, values in peaks.items()},
        "seconds_per_step": {name: spread([run["seconds"] for run in runs]) for name, runs in found.items()},
        "share_of_trainer": {
            name: ratio(values, peaks["trainer"]) for name, values in peaks.items() if "trainer" in peaks
        },
    }  # fmt: skip
    report(results)
    merge(asked.results, "memory", results)


def measure(name: str, layers: int, width: int, vocabulary: int, length: int, threads: int) -> dict[str, Any]:
    """One contestant's figures, once."""
    shape = shape_of("xlm-roberta-large", vocabulary, num_hidden_layers=layers, hidden_size=width,
                     intermediate_size=4 * width)  # fmt: skip
    tokenizer = spread_tokenizer(vocabulary)
    rows = full_rows(xnli_rows(), 2 * BATCH, length)  # no word is less than a piece
    options = {"threads": threads, "length": length, **CONTESTANTS[name]}
    if name.startswith("ours"):
        return ours(random_encoder(shape), tokenizer, rows, 1, also_used=pieces_of_all(tokenizer), **options)
    return trainer(random_encoder(shape), tokenizer, rows, 1, **options)


def report(results: dict[str, Any]) -> None:
    """The table."""
    print("| | peak, MB | share of Trainer's | seconds a step |\n|---|---|---|---|")
    for name, peak in results["peak_mb"].items():
        share = results["share_of_trainer"].get(name)
        seconds = results["seconds_per_step"][name]
        print(f"| {name} | {show(peak, 0)} | {show(share) if share else ''} | {show(seconds, 1)} |")


if __name__ == "__main__":
    main()
