"""How long exact nearest neighbours take, against faiss: python benchmarks/speed/neighbours.py [--threads 1 2]

Compares `topk` and `topk_both` (both directions from one pass) with faiss's IndexFlatIP, `add` and `search` (both
directions: once each way), with as many threads, in turns in one process:

  tatoeba    1,000 by 1,000, the nearest one; width 384 are real sentences under the small encoder, the others random
  bucc       20,000 by 20,000, width 768, the nearest 4
  bucc_long  the same, 50,000 by 50,000, where asked for (--only)

Faster is how many times as long faiss takes, repetition by repetition. Neighbours count as different where the indices
differ; `gap` is then the greatest difference of the two neighbours' cosines in float64, `rounding` the greatest of two
scores at the same place. Memory is what a process's peak rises by during a search, beside vectors and results.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import DATA, alone, arguments, memory_mb, merge, ratio, read_arguments, show, small_encoder, spread
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


class Size(NamedTuple):
    """n by n vectors of a width, k neighbours, measured so often."""

    n: int
    width: int
    k: int
    repetitions: int


SIZES = {
    "tatoeba_384": Size(1_000, 384, 1, 60),
    "tatoeba_768": Size(1_000, 768, 1, 60),
    "tatoeba_1024": Size(1_000, 1024, 1, 60),
    "bucc": Size(20_000, 768, 4, 3),
    "bucc_long": Size(50_000, 768, 4, 1),
}
MEMORY = {"20,000 by 20,000": (20_000, 20_000), "2,000 by 100,000": (2_000, 100_000)}


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    usual = [name for name in SIZES if name != "bucc_long"]
    parser.add_argument("--only", nargs="+", choices=SIZES, default=usual, help="leave out other sizes")
    asked = read_arguments(parser, measure)
    results: dict[str, Any] = {"peak_mb": {}}
    for threads in asked.threads:
        found = {name: alone(__file__, {"size": name}, threads) for name in asked.only}
        results[f"threads_{threads}"] = {name: summary(found[name]) for name in asked.only}
    for name, (n, m) in MEMORY.items():
        results["peak_mb"][name] = {
            way: alone(__file__, {"n": n, "m": m, "way": way})["peak_mb"] for way in ("ours", "ours_both", "faiss")
        }
    report(results)
    merge(asked.results, "neighbours", results)


def measure(**what: Any) -> dict[str, Any]:
    """The memory of one way, or the times of all."""
    return memory(**what) if "way" in what else times(**what)


def times(size: str, threads: int) -> dict[str, Any]:
    """Seconds of every repetition by contestant, and how the neighbours agree."""
    _prepare(threads)
    n, width, k, repetitions = SIZES[size]
    left, right = real_vectors() if size == "tatoeba_384" else (unit(n, width, seed) for seed in (0, 1))
    ways = contestants(left, right, k)
    found = {name: search() for name, search in ways.items()}  # warms up, too
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, search in ways.items():
            began = time.perf_counter()
            search()
            seconds[name].append(time.perf_counter() - began)
    agreements = [
        agreement(found["ours"][0], found["faiss"][0], left, right),
        *(agreement(*pair, *sides) for pair, sides in
          zip(zip(found["ours_both"], found["faiss_both"], strict=True), ((left, right), (right, left)), strict=True)),
    ]  # fmt: skip
    joined = {name: max(a[name] for a in agreements) for name in ("gap", "rounding")}
    return {
        "seconds": seconds, "neighbours": sum(a["neighbours"] for a in agreements),
        "different": sum(a["different"] for a in agreements), **joined,
    }  # fmt: skip


def _prepare(threads: int) -> None:
    """As a step of a study settles its process, but for the number of threads."""
    import faiss
    import torch

    from xstilts.training.forward import settle

    settle()
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)


def contestants(left: Matrix, right: Matrix, k: int) -> dict[str, Callable[[], Any]]:
    """By name, the search of one direction or of both: a list of one or two (scores, indices)."""
    import faiss

    from xstilts.retrieval.topk import topk, topk_both

    def search(queries: Matrix, database: Matrix) -> Any:
        index = faiss.IndexFlatIP(database.shape[1])
        index.add(database)
        return index.search(queries, k)

    return {
        "ours": lambda: [topk(left, right, k)],
        "faiss": lambda: [search(left, right)],
        "ours_both": lambda: topk_both(left, right, k),
        "faiss_both": lambda: [search(left, right), search(right, left)],
    }


def agreement(ours: Any, theirs: Any, queries: Matrix, database: Matrix) -> dict[str, Any]:
    """How many neighbours there are and differ, and by how much at most (see above)."""
    different = np.nonzero(ours[1] != theirs[1])
    exact = [
        (queries[different[0]].astype(np.float64) * database[found[1][different]].astype(np.float64)).sum(1)
        for found in (ours, theirs)
    ]
    return {
        "neighbours": ours[1].size, "different": len(different[0]),
        "gap": float(np.abs(exact[0] - exact[1]).max(initial=0)),
        "rounding": float(np.abs(ours[0] - theirs[0]).max()),
    }  # fmt: skip


def memory(n: int, m: int, way: str, threads: int) -> dict[str, float]:
    """MB (of 1024 KB) that the peak of this process rises by in one search, width 768 and 4 neighbours."""
    _prepare(threads)
    left, right = unit(n, 768, 0), unit(m, 768, 1)
    search = contestants(left, right, 4)[way]
    contestants(left[:100], right[:100], 4)[way]()  # what a library loads and keeps is not the search's
    ctypes.CDLL(None).malloc_trim(0)  # free memory that this process kept would hide what the search needs
    before = memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (proc(5))
    kept = sum(part.nbytes for found in search() for part in found)
    return {"peak_mb": memory_mb("VmHWM") - before - kept / 2**20}


def unit(n: int, width: int, seed: int) -> Matrix:
    """Random unit vectors [n, width]."""
    drawn = np.random.default_rng(seed).standard_normal((n, width), dtype=np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def real_vectors() -> Iterator[Matrix]:
    """The English and the German sentences of Tatoeba under the small encoder, [1,000, 384] each."""
    from xstilts.retrieval.vectors import matrix_of
    from xstilts.sources import get_source
    from xstilts.tasks import get_task
    from xstilts.tasks.shapes import Spec
    from xstilts.tasks.shapes.retrieve import SHAPE
    from xstilts.training.inference import read

    encoder, tokenizer = small_encoder()
    spec = Spec.of({}, (), encoder.config.num_hidden_layers)
    rows = get_source("files", DATA).rows(get_task("tatoeba"), "test", "de")
    _, outputs, _ = read(encoder, tokenizer, SHAPE.head(encoder.config.hidden_size, spec), SHAPE, spec, rows, "float32")
    vectors = matrix_of(outputs)
    return (np.ascontiguousarray(vectors[side::2]) for side in (1, 0))


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Figures of one size, with their units in the names."""
    seconds = found.pop("seconds")
    return {
        "milliseconds": {name: spread([1e3 * value for value in values]) for name, values in seconds.items()},
        "times_faster": {way: ratio(seconds[f"faiss{way}"], seconds[f"ours{way}"]) for way in ("", "_both")},
        **found,
    }


def report(results: dict[str, Any]) -> None:
    """The tables."""
    print("| size | threads | ms, one direction | faiss | faster, times | ms, both | faiss | faster, times |")
    print("|---|---|---|---|---|---|---|---|")
    for threads, sizes in ((name, found) for name, found in results.items() if name.startswith("threads")):
        for name, found in sizes.items():
            cells = [
                cell for way in ("", "_both") for cell in
                (show(found["milliseconds"][f"ours{way}"], 1), show(found["milliseconds"][f"faiss{way}"], 1),
                 show(found["times_faster"][way]))
            ]  # fmt: skip
            print(f"| {name} | {threads.removeprefix('threads_')} | {' | '.join(cells)} |")
    print()
    for threads, sizes in ((name, found) for name, found in results.items() if name.startswith("threads")):
        for name, found in sizes.items():
            print(
                f"{name}, {threads}: {found['different']:,} of {found['neighbours']:,} neighbours differ, by "
                f"{found['gap']:.1e} at most; scores by {found['rounding']:.1e}"
            )
    for name, found in results["peak_mb"].items():
        print(f"memory, {name}, MB: " + ", ".join(f"{way} {value:.0f}" for way, value in found.items()))


if __name__ == "__main__":
    main()
