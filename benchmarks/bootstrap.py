"""How fast whole targets are resampled: python benchmarks/bootstrap.py [--draws 10000] [--languages 50] [--threads 2]

Resamples one target of 50 languages x 5,000 examples x 5 seeds x 12 intermediates and a baseline, in a process of its
own: accuracy (every example counts one) and F1 (every example its own denominator), with examples of each language
its own or the same in all (parallel data). Prints seconds, processor seconds and peak memory (VmHWM of
/proc/self/status, arrays of the scores included), and how many times longer a plain loop over draws, languages and
runs would take, projected from a few draws. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from xstilts.analysis.gains import BASELINE
from xstilts.analysis.hierarchy import resample
from xstilts.analysis.perturbations import CLEAN
from xstilts.analysis.runs import Language, Runs

_FEW = 3


def main() -> None:
    """Measure each kind of data in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--languages", type=int, default=50)
    parser.add_argument("--examples", type=int, default=5_000, help="per language")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--intermediates", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2, help="of each matrix product")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked, *asked.measure)))
        return
    print(
        f"{asked.draws:,} draws, {asked.languages} languages x {asked.examples:,} examples x {asked.seeds} seeds x "
        f"{asked.intermediates} intermediates and a baseline"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads)}
    for metric in ("accuracy", "f1"):
        for ids in ("own", "parallel"):
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", metric, ids]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
            found = json.loads(done.stdout)
            print(
                f"{metric}, {ids} examples: {found['seconds']:.1f} s ({found['used']:.0f} s of processors), "
                f"{found['peak'] / 2**30:.2f} GiB at most; "
                f"a plain loop {found['loop'] / 3600:.1f} h, {found['loop'] / found['seconds']:,.0f} times as long"
            )


def made_up(asked: argparse.Namespace, metric: str, ids: str) -> Runs:
    """One target with random scores."""
    generator = np.random.default_rng(0)
    shape = (1, asked.intermediates + 1, asked.seeds, asked.examples)
    languages = []
    for k in range(asked.languages):
        numerators = (generator.random(shape, dtype=np.float32) < 0.7).astype(float)
        denominators = np.ones(shape) if metric == "accuracy" else generator.integers(1, 20, shape).astype(float)
        names = tuple(f"{k if ids == 'own' else ''}-{i}" for i in range(asked.examples))
        languages.append(Language(f"q{k}", names, numerators, denominators, (True,)))
    arms = (BASELINE, *(f"i{k}" for k in range(asked.intermediates)))
    return Runs("target", "semantic", (CLEAN,), arms, tuple(range(asked.seeds)), tuple(languages))


def measure(asked: argparse.Namespace, metric: str, ids: str) -> dict[str, float]:
    """Seconds and peak memory of this process, and the seconds of a loop."""
    one = made_up(asked, metric, ids)
    start, used = time.perf_counter(), time.process_time()
    found = resample(one, asked.draws, 0).measures[CLEAN]
    seconds, used = time.perf_counter() - start, time.process_time() - used
    status = Path("/proc/self/status").read_text("utf-8").split("VmHWM:")[1]
    peak = float(status.split()[0]) * 1024
    looped, each = loop(one, asked.examples)
    # the loop is another random sample of the same distribution
    spread = found.resampled.std(axis=2).mean()
    assert np.abs(looped - found.resampled.mean(axis=2)).max() < 6 * spread, "the loop finds other gains"
    return {"seconds": seconds, "used": used, "peak": peak, "loop": each * asked.draws}


def loop(one: Runs, examples: int) -> tuple[np.ndarray, float]:
    """The mean over languages of a few resampled gains [intermediates, seeds] by plain loops; seconds per draw."""
    generator = np.random.default_rng(1)
    start = time.perf_counter()
    for _ in range(_FEW):
        scores = np.zeros((len(one.arms), len(one.seeds)))
        for language in one.languages:
            drawn = generator.integers(0, examples, examples)
            for a in range(len(one.arms)):
                for s in range(len(one.seeds)):
                    right = language.numerators[0, a, s][drawn].sum() / language.denominators[0, a, s][drawn].sum()
                    scores[a, s] += 100 * right / len(one.languages)
    return scores[1:] - scores[0], (time.perf_counter() - start) / _FEW


if __name__ == "__main__":
    main()
