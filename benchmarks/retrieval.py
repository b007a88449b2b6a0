"""How much time and memory bitext mining takes: python benchmarks/retrieval.py [--rows N] [--columns M] [--width 768]

Mines N x M random unit vectors from memory-mapped files, in a process of its own as a step of a study does it (one
thread), and says what a million a side takes. Anonymous memory (RssAnon of /proc/self/status, sampled) is what a
machine must have; pages of the mapped files count in the resident set too, but the kernel drops them when memory is
short. The process may not map more than --limit GiB of private memory (RLIMIT_DATA): beyond it, it fails. Linux only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MILLION = 1_000_000
_GIB = 2**30


def main() -> None:
    """Check, measure, project, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="vectors of one side")
    parser.add_argument("--columns", type=int, help="vectors of the other side (default: as many)")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--neighbours", type=int, default=4)
    parser.add_argument("--limit", type=float, default=4.0, help="GiB of private memory")
    parser.add_argument("--folder", type=Path, help="where the vectors are written (default: the system's)")
    parser.add_argument("--measure-mining", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure-matching", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure_mining:
        left, right = asked.measure_mining
        print(json.dumps(measure_mining(left, right, asked.width, asked.neighbours, asked.limit)))
        return
    if asked.measure_matching:
        print(json.dumps(measure_matching(asked.measure_matching, asked.neighbours, asked.limit)))
        return
    check(asked.width, asked.neighbours)
    print(f"700 x 500 vectors of width {asked.width}: neighbours and pairs equal those of the whole matrix")
    n, m = asked.rows, asked.columns or asked.rows
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        files = [write(Path(folder) / f"{i}", size, asked.width, seed=i) for i, size in enumerate((n, m))]
        run = alone(asked, "--measure-mining", *map(str, files))
    report(n, m, run)
    project(n, m, run, alone(asked, "--measure-matching", str(_MILLION)), asked)


def alone(asked: argparse.Namespace, *measurement: str) -> dict[str, float]:
    """A measurement in a process of its own."""
    options = [f"--width={asked.width}", f"--neighbours={asked.neighbours}", f"--limit={asked.limit}"]
    done = subprocess.run([sys.executable, __file__, *options, *measurement], check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def unit(n: int, width: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Random unit vectors [n, width]."""
    drawn = generator.standard_normal((n, width), dtype=np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def write(path: Path, n: int, width: int, seed: int) -> Path:
    """A file of n random unit vectors."""
    generator = np.random.default_rng(seed)
    with path.open("wb") as file:
        for start in range(0, n, 10_000):
            unit(min(10_000, n - start), width, generator).tofile(file)
    return path


def check(width: int, k: int) -> None:
    """Compare with the whole matrix, at a size at which there can be one. Raises `AssertionError`."""
    from xstilts.retrieval.mining import match
    from xstilts.retrieval.topk import Neighbours, topk_both

    generator = np.random.default_rng(0)
    left, right = unit(700, width, generator), unit(500, width, generator)
    similarity = left @ right.T
    whole = []
    for matrix in (similarity, similarity.T):
        order = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
        whole.append(Neighbours(np.take_along_axis(matrix, order, 1), order))
    found = topk_both(left, right, k, block=128)
    for blocked, full in zip(found, whole, strict=True):
        np.testing.assert_array_equal(blocked.indices, full.indices)
        np.testing.assert_allclose(blocked.scores, full.scores, rtol=0, atol=1e-6)
    # as sets: margins that differ by rounding alone may change places
    ours, expected = ({*zip(p.left.tolist(), p.right.tolist(), strict=True)} for p in (match(*found), match(*whole)))
    if ours != expected:
        raise AssertionError(f"{len(ours ^ expected)} pairs differ from those of the whole matrix")


def measure_mining(left: Path, right: Path, width: int, k: int, limit: float) -> dict[str, float]:
    """Mine the vectors of two files; seconds and bytes."""
    from xstilts.retrieval.mining import match
    from xstilts.retrieval.topk import topk_both
    from xstilts.training.forward import settle

    settle()
    sides = [np.memmap(path, dtype=np.float32, mode="r").reshape(-1, width) for path in (left, right)]
    with Watch(limit) as watch:
        began = time.perf_counter()
        neighbours = topk_both(sides[0], sides[1], k)
        searched = time.perf_counter()
        pairs = match(*neighbours)
        ended = time.perf_counter()
    return {**watch.found, "search": searched - began, "match": ended - searched, "pairs": len(pairs.left)}


def measure_matching(n: int, k: int, limit: float) -> dict[str, float]:
    """Match n x n sentences whose neighbours are drawn at random, the nearest first."""
    from xstilts.retrieval.mining import match
    from xstilts.retrieval.topk import Neighbours

    generator = np.random.default_rng(0)
    with Watch(limit) as watch:
        scores = [np.sort(generator.random((n, k), dtype=np.float32), axis=1)[:, ::-1] for _ in range(2)]
        sides = [Neighbours(drawn, generator.integers(0, n, size=(n, k))) for drawn in scores]
        began = time.perf_counter()
        pairs = match(*sides)
        ended = time.perf_counter()
    return {**watch.found, "match": ended - began, "pairs": len(pairs.left)}


class Watch:
    """Samples the anonymous memory of this process, which may not map more than `limit` GiB of it."""

    def __init__(self, limit: float) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit * _GIB), int(limit * _GIB)))
        self.found = {"before": float(anonymous()), "anonymous": 0.0}
        self._done, self._thread = threading.Event(), threading.Thread(target=self._sample)

    def _sample(self) -> None:
        while not self._done.wait(0.01):
            self.found["anonymous"] = max(self.found["anonymous"], anonymous())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.found["resident"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def anonymous() -> int:
    """Bytes of anonymous memory that are resident now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("this kernel does not report RssAnon")


def report(n: int, m: int, run: dict[str, float]) -> None:
    """One line for one run."""
    print(
        f"{n:,} x {m:,}: search {run['search']:.1f} s, matching {run['match']:.1f} s, {run['pairs']:,} pairs; "
        f"anonymous memory {run['anonymous'] / _GIB:.2f} GiB at its peak ({run['before'] / _GIB:.2f} before), "
        f"resident {run['resident'] / _GIB:.2f} GiB with pages of the files"
    )


def project(n: int, m: int, run: dict[str, float], matching: dict[str, float], asked: argparse.Namespace) -> None:
    """What a million a side takes, and how that is known."""
    seconds = run["search"] * _MILLION**2 / (n * m) + matching["match"]
    neighbours = 12 * asked.neighbours  # bytes per vector: float32 and int64
    search = run["anonymous"] + neighbours * max(0, 2 * _MILLION - n - m)
    memory = max(search, matching["anonymous"])
    files = 2 * _MILLION * asked.width * 4
    print(
        f"1,000,000 x 1,000,000, search projected: {seconds / 3600:.1f} h on one thread (grows with N * M), "
        f"{search / _GIB:.2f} GiB of anonymous memory (as above and {neighbours} bytes for each further vector), "
        f"{files / _GIB:.1f} GiB of vectors in files\n"
        f"1,000,000 x 1,000,000, matching measured: {matching['match']:.1f} s, "
        f"{matching['anonymous'] / _GIB:.2f} GiB of anonymous memory\n"
        f"1,000,000 x 1,000,000 of width {asked.width} in {asked.limit:g} GiB of memory: "
        f"{'yes' if memory < asked.limit * _GIB else 'no'}"
    )


if __name__ == "__main__":
    main()
