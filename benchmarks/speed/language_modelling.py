"""A step of masked language modelling with its vocabulary trimmed: python benchmarks/speed/language_modelling.py

Trains an encoder of XLM-R-base shape with random weights, and the head it would be pretrained with, on real sentences
of XNLI in batches of 32, over all pieces of the vocabulary and with `mlm: {trim: true}`, in turns and each time in a
process of its own with one thread.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from common import (
    alone,
    arguments,
    in_turns,
    merge,
    ratio,
    read_arguments,
    shape_of,
    show,
    spread,
    spread_tokenizer,
    xnli_rows,
)
from trainings import RECIPE, Clock

WAYS = {"whole": False, "trimmed": True}


def main() -> None:
    """Measure in turns, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=3)
    asked = read_arguments(parser, measure)
    found = in_turns(
        list(WAYS), asked.repetitions, lambda name, _: alone(__file__, {"name": name, "steps": asked.steps})
    )
    seconds, busy, peak = (
        {name: [run[which] for run in runs] for name, runs in found.items()}
        for which in ("seconds", "processor_seconds", "peak_mb")
    )
    results = {
        "steps": asked.steps, "pieces_scored": {name: runs[0]["pieces_scored"] for name, runs in found.items()},
        "seconds_per_32_examples": {name: spread(values) for name, values in seconds.items()},
        "peak_mb": {name: spread(values) for name, values in peak.items()},
        "times_faster": ratio(seconds["whole"], seconds["trimmed"]),
        "times_less_processor_time": ratio(busy["whole"], busy["trimmed"]),
    }  # fmt: skip
    print("| | pieces scored | seconds per 32 sentences | peak, MB |\n|---|---|---|---|")
    for name in WAYS:
        cells = show(results["seconds_per_32_examples"][name], 3), show(results["peak_mb"][name], 0)
        print(f"| {name} | {results['pieces_scored'][name]:,} | {' | '.join(cells)} |")
    print(f"\ntrimmed is {show(results['times_faster'])} times faster")
    merge(asked.results, "language_modelling", results)


def measure(name: str, steps: int, threads: int) -> dict[str, Any]:
    """One variant's figures, once."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    from xstilts.tasks.shapes import SHAPES, Spec
    from xstilts.training.drawing import Learner
    from xstilts.training.loop import train

    torch.manual_seed(0)
    shape = shape_of("xlm-roberta-base")
    config = AutoConfig.for_model(shape.pop("model_type"), **shape)
    whole = AutoModelForMaskedLM.from_config(config)
    texts = [{"id": row["id"], "text_a": row["text_a"], "text_b": None} for row in xnli_rows()]
    learner = Learner("text en", "mlm", SHAPES.get("mlm"), Spec(max_length=128), texts)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trained = train(
            whole.base_model, spread_tokenizer(), [learner], {**RECIPE, "steps": 1 + steps}, 0, "auto",
            Path(folder) / "log", clock, mlm={"weight": 1.0, "exponent": 0.3, "trim": WAYS[name]},
            language_head=whole.lm_head,
        )  # fmt: skip
    scored = dict(trained.heads["mlm"].named_parameters())["decoder.weight"].shape[0]
    return {**clock.found(0), "pieces_scored": scored}


if __name__ == "__main__":
    main()
