"""What each lever of evaluation contributes: python benchmarks/speed/evaluation_levers.py [--only LEVER ...]

Evaluates as `evaluation.py` does, our way and our way with one lever taken away, in turns and each time in a process of
its own; the factor says how many times slower that is. Then where the time of our process goes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from common import alone, arguments, in_turns, merge, ratio, read_arguments, show, spread
from evaluation import BATCH, LENGTH, SETTINGS, export, ours, prepare, seconds, spread_over

_BEGAN = time.perf_counter()


def main() -> None:
    """Make a checkpoint, measure in turns, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=50, help="sentences per language")
    parser.add_argument("--languages", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--processes", type=int, default=4, help="how many of 200 processes a repetition runs")
    parser.add_argument("--only", nargs="*", choices=[APART, *LEVERS], default=[APART, *LEVERS])
    asked = read_arguments(parser, measure)
    with tempfile.TemporaryDirectory() as folder:
        file = prepare(Path(folder) / "study", asked.rows, asked.languages, SETTINGS)
        results = levers(file, asked)
    merge(asked.results, "evaluation_levers", results)


def levers(file: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Each lever off, and the parts of our time."""
    parts = export(file)
    some = spread_over(parts, asked.processes)

    def one(name: str, _: int) -> dict[str, Any]:
        if name != APART:
            return {"seconds": seconds(__file__, name=name, file=str(file))}
        each = [seconds(__file__, name=name, file=str(part)) for part in some]
        return {"seconds": len(parts) * sum(each) / len(each)}

    found = in_turns(["ours", *asked.only], asked.repetitions, one)
    spent = {name: [run["seconds"] for run in runs] for name, runs in found.items()}
    results = {
        "rows": asked.rows, "languages": asked.languages, "settings": 5, "processes_run": asked.processes,
        "seconds": {name: spread(values) for name, values in spent.items()},
        "times_slower_than_ours": {name: ratio(spent[name], spent["ours"]) for name in asked.only},
        **alone(__file__, {"name": "profile", "file": str(file)}),
    }  # fmt: skip
    print(f"| ours, but | seconds | times slower |\n|---|---|---|\n| – | {show(results['seconds']['ours'], 1)} | |")
    for name, times in results["times_slower_than_ours"].items():
        print(f"| {name} | {show(results['seconds'][name], 1)} | {show(times)} |")
    shares = [f"{name} {value:.0f}" for name, value in results["profile_percent"].items()]
    print(f"\n% of the time of our process: {', '.join(shares)}")
    return results


def measure(name: str, file: str, threads: int) -> dict[str, Any]:
    """One variant, once, or the `profile`; with one thread, as every step has."""
    if name == "profile":
        return profile(file)
    if name == APART:
        return {"seconds": apart(Path(file))}
    with LEVERS[name]() if name in LEVERS else mock.MagicMock() as changes:
        return {"seconds": ours({"file": file}, **changes if isinstance(changes, dict) else {})}


@contextmanager
def in_float32() -> Iterator[dict[str, Any]]:
    """Arithmetic in float32."""
    yield {"precision": "float32"}


@contextmanager
def padded() -> Iterator[None]:
    """Every sequence padded to as many pieces as there may be, in batches of as many padded pieces."""
    from xstilts.training.features import Features
    from xstilts.training.forward import collate

    with (
        mock.patch("xstilts.training.inference.collate", partial(collate, multiple=LENGTH)),
        mock.patch.object(Features, "sizes", property(lambda features: LENGTH * features.counts)),
    ):
        yield


@contextmanager
def in_given_order() -> Iterator[None]:
    """Batches of 32 as the rows come, each padded to its longest."""

    def batches(lengths: Any, *_: int) -> Iterator[Sequence[int]]:
        yield from (range(i, min(i + BATCH, len(lengths))) for i in range(0, len(lengths), BATCH))

    with mock.patch("xstilts.training.inference.evaluation_batches", batches):
        yield


@contextmanager
def reading_all_again() -> Iterator[None]:
    """Rows that a perturbation left as they were read like the others: a mark makes them differ."""
    from xstilts.steps.perturb import read_perturbed

    def marked(*of: Any) -> dict[str, list[Any]]:
        return {code: [{**row, "read": True} for row in rows] for code, rows in read_perturbed(*of).items()}

    with mock.patch("xstilts.steps.predict.read_perturbed", marked):
        yield


@contextmanager
def settings_apart() -> Iterator[None]:
    """A pass for each setting of a language."""
    from xstilts.steps.predict import _Reader

    whole = _Reader.answers

    def answers(self: Any, rows: list[Any], settings: dict[str, list[Any]]) -> Any:
        read, known = self._read, self._read(rows)
        self._read = lambda wanted: known if wanted is rows else read(wanted)
        each = [whole(self, rows, {name: noisy}) for name, noisy in settings.items()] or [whole(self, rows, {})]
        return each[0][0], {name: found for _, others in each for name, found in others.items()}

    with mock.patch.object(_Reader, "answers", answers):
        yield


APART = "a process for each language and setting"
LEVERS: dict[str, Callable[[], Any]] = {
    "padded to 128": padded,
    "batches of 32 in the order of rows": in_given_order,
    "float32": in_float32,
    "rows left as they were read again": reading_all_again,
    "a pass for each setting": settings_apart,
}
"""What ours is changed by, by name."""


def apart(file: Path) -> float:
    """Seconds of our prediction for a file of `export` alone, imports not counted."""
    from xstilts.models.encoder import load_encoder, load_head
    from xstilts.tasks.shapes import SHAPES, Spec
    from xstilts.training.inference import predict

    began = time.perf_counter()
    rows, folder = json.loads(file.read_text("utf-8")), file.with_name("checkpoint")
    encoder, tokenizer = load_encoder("", "", folder)
    head, labels = load_head(folder, SHAPES.get("tag"), encoder.config.hidden_size)
    predict(encoder, tokenizer, head, SHAPES.get("tag"), Spec(LENGTH, labels), rows, "auto")
    return time.perf_counter() - began


def profile(file: str) -> dict[str, Any]:
    """Percent of the time of our process by what it does; what it imports first is among the rest."""
    from xstilts.steps import predict
    from xstilts.tasks.shapes import SHAPES
    from xstilts.training import inference

    spent: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*of: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*of, **named)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - began

        return call

    tag = SHAPES.get("tag")
    places = {"loading": (predict, "load_start"), "tokenising": (inference, "tokenise"),
              "encoder and head": (inference, "forward"), "decoding": (tag, "decode")}  # fmt: skip
    for name, (owner, attribute) in places.items():
        setattr(owner, attribute, timed(name, getattr(owner, attribute)))
    ours({"file": file})
    total = time.perf_counter() - _BEGAN
    spent["imports and the rest"] = total - sum(spent.values())
    return {"profile_percent": {name: 100 * value / total for name, value in spent.items()}}


if __name__ == "__main__":
    main()
