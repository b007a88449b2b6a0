"""How batches of evaluation should be cut: python benchmarks/speed/evaluation_batches.py [--encoders small base]

Passes real PAN-X sentences through the small encoder, and through one of XLM-R-base shape with random weights, a
language at a time as a prediction does, longest first. Batches are cut in several ways:

  N pieces     at N padded pieces
  N padding    at N pieces of padding, or at 8,192 padded pieces
  ours         as `training/batches.py` cuts them; and so with all languages in one pass

Pieces per second count no padding; tokenising is not timed. Ways take turns in one process with one thread. Seconds are
the processor's, which load beside it changes less than those of the clock.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from common import alone, arguments, big_encoder, merge, ratio, read_arguments, show, small_encoder, spread
from evaluation import LENGTH, prepare, step_of

ENCODERS: dict[str, Callable[[], tuple[Any, Any]]] = {"small": small_encoder, "base": big_encoder}
MOST = 8192
TOGETHER = "ours, all languages in one pass"


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=50, help="sentences per language")
    parser.add_argument("--languages", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=list(ENCODERS))
    asked = read_arguments(parser, measure)
    results: dict[str, Any] = {"rows": asked.rows, "languages": asked.languages, "encoders": {}}
    print("| encoder | batches | padding, % | pieces/s | times those of ours |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = prepare(Path(folder) / "study", asked.rows, asked.languages, {})
        for name in asked.encoders:
            found = alone(__file__, {"file": str(file), "encoder": name, "repetitions": asked.repetitions})
            rates, padding = found["rates"], found["padding"]
            results["encoders"][name] = {
                way: {
                    "pieces_per_second": spread(values), "times_ours": ratio(values, rates["ours"]),
                    "padding_percent": padding[way],
                }
                for way, values in rates.items()
            }  # fmt: skip
            for way, one in results["encoders"][name].items():
                cells = (f"{padding[way]:.1f}", show(one["pieces_per_second"], 0), show(one["times_ours"]))
                print(f"| {name} | {way} | {' | '.join(cells)} |", flush=True)
    merge(asked.results, "evaluation_batches", results)


WAYS: dict[str, tuple[int, int]] = {
    **{f"{most} pieces": (most, most) for most in (512, 1024, 2048, 4096, 8192, 16384)},
    **{f"{most} padding": (MOST, most) for most in (64, 128, 256, 512)},
}
"""At most so many padded pieces in a batch, and so many of them padding."""


def measure(file: str, encoder: str, repetitions: int, threads: int) -> dict[str, Any]:
    """Pieces per second of every repetition, and percent of padding, by the way batches are cut."""
    from xstilts.steps.prepare import read_rows
    from xstilts.tasks.shapes import SHAPES, Spec
    from xstilts.training.batches import PADDING, TOKENS, evaluation_batches
    from xstilts.training.inference import read
    from xstilts.training.tokens import tokenise

    model, tokenizer = ENCODERS[encoder]()
    tag, spec = SHAPES.get("tag"), Spec(LENGTH, ("a", "b", "c"))
    head = tag.head(model.config.hidden_size, spec)
    store, step = step_of(file)
    languages = [read_rows(store, (key,), 0, step.rows) for _, key in step.data]
    apart, together = (
        [tokenise(None, tag, rows, tokenizer, spec, training=False) for rows in parts]
        for parts in (languages, [[row for rows in languages for row in rows]])
    )

    usual = TOKENS["cpu"], PADDING["cpu"]
    ways = {**WAYS, "ours": usual, TOGETHER: usual}
    count = sum(int(features.lengths.sum()) for features in apart)  # of a tagger: a sequence each

    def rate(parts: list[Any], most: tuple[int, int]) -> float:
        with mock.patch.dict(TOKENS, cpu=most[0]), mock.patch.dict(PADDING, cpu=most[1]):
            began = time.process_time()
            for features in parts:
                read(model, tokenizer, head, tag, spec, (), "auto", features=features)
            return count / (time.process_time() - began)

    rates: dict[str, list[float]] = {way: [] for way in ways}
    rate(apart[:1], ways["ours"])  # warms up
    for _ in range(repetitions):
        for way, most in ways.items():
            rates[way].append(rate(together if way == TOGETHER else apart, most))
    padding = {}
    for way, most in ways.items():
        padded = 0
        for features in together if way == TOGETHER else apart:
            batches = evaluation_batches(features.lengths, *most)
            padded += sum(int(features.lengths[batch].max()) * len(batch) for batch in batches)
        padding[way] = 100 - 100 * count / padded
    return {"rates": rates, "padding": padding}


if __name__ == "__main__":
    main()
