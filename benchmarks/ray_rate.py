"""How many steps a second an executor gets through: python benchmarks/ray_rate.py [--steps 10000] [--executors ray ...]

Steps that do nothing (those of benchmarks/scale.py) go through the scheduler and the executor and are published, with
manifest, hash and rename, as in a study. Each repetition has a store, an executor and, for `ray`, a local Ray of its
own, or the cluster at --address. Start: until the executor and its workers have published the first 50. Rate: the rest,
by the clock; beside it the processor time that a step costs this process, which is what bounds a large cluster. Prints
the median of --repetitions with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from scale import toys

from xstilts.executors import get_executor
from xstilts.executors.engine import Engine
from xstilts.schedule import schedule
from xstilts.store import Store

WARM = 50
"""Steps before the clock starts."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--executors", nargs="+", default=["ray", "pool", "inline"])
    parser.add_argument("--workers", type=int, help="steps at a time (default: what suits the executor)")
    parser.add_argument("--address", help="of a Ray cluster (default: a local one)")
    parser.add_argument("--folder", type=Path, help="where the stores lie (default: the system's temporary folder)")
    asked = parser.parse_args()
    print(f"{asked.steps:,} steps, {len(os.sched_getaffinity(0))} processors, {platform.python_implementation()} "
          f"{platform.python_version()}; load before: {os.getloadavg()[0]:.1f}")  # fmt: skip
    for name in asked.executors:
        engine = Engine(executor=name, workers=asked.workers, address=asked.address)
        found = [measure(engine, asked.steps, asked.folder) for _ in range(asked.repetitions)]
        start, rate, cost = (sorted(figures) for figures in zip(*found, strict=True))
        print(f"{name:8} {statistics.median(rate):8,.0f} steps/s ({rate[0]:,.0f} to {rate[-1]:,.0f}), "
              f"{1000 * statistics.median(cost):.2f} ms of this process a step, "
              f"start {statistics.median(start):.1f} s", flush=True)  # fmt: skip


def measure(engine: Engine, steps: int, folder: Path | None) -> tuple[float, float, float]:
    """(seconds until the first steps are done, steps a second after that, processor seconds of this process a step)."""
    graph = toys("fan", steps + WARM)
    keys = list(graph.steps)
    root = Path(tempfile.mkdtemp(prefix="rate-", dir=folder))
    try:
        store = Store(root / "store").open()
        began = time.perf_counter()
        with closing(get_executor(engine, store)) as executor:
            schedule(graph, store, executor, wanted=keys[:WARM])
            warm, busy = time.perf_counter(), time.process_time()
            outcome = schedule(graph, store, executor, wanted=keys)
            seconds, used = time.perf_counter() - warm, time.process_time() - busy
        assert len(outcome.done) == steps, outcome.failed
        return warm - began, steps / seconds, used / steps
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
