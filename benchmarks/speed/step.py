"""How long one training step takes, against what people run today: python benchmarks/speed/step.py [--small]

Trains on real XNLI pairs in batches of 32, every contestant on the same rows with as many threads, in turns and each
time in a process of its own:

  padded        every sequence padded to 128, float32, AdamW one parameter at a time (how jiant and XTREME's scripts do)
  trainer       Hugging Face Trainer, defaults: batches padded to their longest, float32, fused AdamW
  trainer_best  Hugging Face Trainer, bfloat16, batches of like length
  ours          the training loop of studies
  products      nothing but bfloat16 matrix products: square ones, those of the layers, forward and backward; beside
                them square ones in float32

Seconds are per 32 examples, over an epoch of the rows after a warm-up step (padded: two steps, which are all alike).
Useful operations are 6 per weight of the layers and real piece (2 forward, 4 backward; Kaplan et al. 2020, arXiv
2001.08361). The encoder has the shape of XLM-R base and random weights, with the small encoder's pieces spread over its
vocabulary; --small takes the small one as it is. Our trained vocabulary is that of all 2,490 rows of XNLI's dev set.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from common import (
    alone,
    arguments,
    big_encoder,
    in_turns,
    merge,
    ratio,
    read_arguments,
    shape_of,
    show,
    small_encoder,
    spread,
    started,
    waited,
    xnli_rows,
)
from trainings import BATCH, WAYS

CONTESTANTS = ("padded", "trainer", "trainer_best", "ours")


def main() -> None:
    """Measure in turns, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--small", action="store_true", help="the small encoder with real weights")
    parser.add_argument("--rows", type=int, default=256, help="rows of an epoch, a multiple of 32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--only", nargs="*", choices=CONTESTANTS, default=CONTESTANTS, help="leave out other contestants"
    )
    parser.add_argument(
        "--machine", action="store_true", help="also fill two processors: Trainer with 2 threads, 2 of ours"
    )
    asked = read_arguments(parser, measure)
    names = ["products", *(name for name in CONTESTANTS if name in asked.only)]
    names += ["trainer_best_2_threads", "two_of_ours"] if asked.machine else []

    def one(name: str, repetition: int) -> dict[str, Any]:
        what = {"name": name, "small": asked.small, "rows": asked.rows, "seed": repetition}
        if name == "two_of_ours":
            both = [waited(p) for p in [started(__file__, {**what, "name": "ours"}) for _ in range(2)]]
            # of the pair: so many examples in less time
            return {"seconds": 1 / sum(1 / found["seconds"] for found in both)}
        if name == "trainer_best_2_threads":
            return alone(__file__, {**what, "name": "trainer_best"}, 2)
        return alone(__file__, what, asked.threads)

    found = in_turns(names, asked.repetitions, one)
    results = summary(found, asked.threads, asked.rows)
    report(results)
    merge(
        asked.results, ("step_small" if asked.small else "step") + ("_2_threads" if asked.threads == 2 else ""), results
    )


def measure(name: str, small: bool, rows: int, seed: int, threads: int) -> dict[str, Any]:
    """One contestant's figures, once."""
    if name == "products":
        return products(small, rows, threads)
    encoder, tokenizer = small_encoder() if small else big_encoder()
    steps = 2 if name == "padded" else rows // BATCH
    options: dict[str, Any] = {"also_used": pieces_of_all(tokenizer)} if name == "ours" else {}
    return WAYS[name](encoder, tokenizer, some(rows, tokenizer), steps, seed=seed, threads=threads, **options)


def some(n: int, tokenizer: Any) -> list[dict[str, Any]]:
    """`n` rows of XNLI's English dev set: whole batches, evenly chosen from those that all rows make when they are
    sorted by length. Batches of like length so have about as little padding (1 %) as in an epoch of all rows (3 %), and
    not as much as few rows would have (18 %)."""
    rows = xnli_rows()
    if n % BATCH or not 0 < n <= len(rows):
        raise SystemExit(f"--rows is {n}: give a multiple of {BATCH} up to {len(rows)}")
    by_length = sorted(range(len(rows)), key=[len(ids) for ids in pieces(tokenizer, rows)].__getitem__)
    wanted, there = n // BATCH, len(rows) // BATCH
    starts = [BATCH * ((2 * i + 1) * there // (2 * wanted)) for i in range(wanted)]
    return [rows[k] for k in sorted(k for start in starts for k in by_length[start : start + BATCH])]


def pieces(tokenizer: Any, rows: Sequence[Any]) -> list[list[int]]:
    """The pieces of each row, at most 128."""
    texts = [row["text_a"] for row in rows], [row["text_b"] for row in rows]
    found: list[list[int]] = tokenizer(*texts, truncation="longest_first", max_length=128)["input_ids"]
    return found


def pieces_of_all(tokenizer: Any) -> set[int]:
    """The pieces of all rows: a training on no more than an epoch's would have a vocabulary that is too small."""
    return set[int]().union(*pieces(tokenizer, xnli_rows()))


def products(small: bool, rows: int, threads: int) -> dict[str, Any]:
    """FLOP/s of bfloat16 products, real pieces per 32 examples and the encoder's weights of layers."""
    import torch
    from common import SMALL, spread_tokenizer
    from transformers import AutoConfig

    from xstilts.models.encoder import load_tokenizer
    from xstilts.models.size import body_parameters

    torch.set_num_threads(threads)
    shape = AutoConfig.from_pretrained(SMALL).to_dict() if small else shape_of("xlm-roberta-base")
    tokenizer = load_tokenizer(str(SMALL)) if small else spread_tokenizer()
    count = sum(map(len, pieces(tokenizer, some(rows, tokenizer)))) * BATCH / rows
    width, inner, n = shape["hidden_size"], shape["intermediate_size"], round(count)
    # forward, gradient of inputs, gradient of weights of one layer: attention's four and the two inner ones
    kinds = [(width, width)] * 4 + [(width, inner), (inner, width)]
    sizes = [size for i, o in kinds for size in ((n, i, o), (n, o, i), (i, n, o))]
    square = max(rate([(size, size, size)]) for size in (2048, 4096))
    single = rate([(2048, 2048, 2048)], torch.float32)
    return {
        "square": square,
        "square_float32": single,
        "layers": rate(sizes),
        "pieces": count,
        "body": body_parameters(shape),
    }


def rate(sizes: list[tuple[int, int, int]], dtype: Any = None, seconds: float = 2.0) -> float:
    """Floating-point operations a second of products [m, k] by [k, n] one after the other, in bfloat16 unless `dtype`
    says otherwise."""
    import torch

    where = "cuda" if torch.cuda.is_available() else "cpu"
    kind = {"device": where, "dtype": dtype or torch.bfloat16}
    pairs = [(torch.randn(m, k).to(**kind), torch.randn(n, k).to(**kind).T) for m, k, n in sizes]
    rates: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(rates) < 3:
        turn = time.perf_counter()
        for a, b in pairs:
            a @ b
        if where == "cuda":
            torch.cuda.synchronize()
        rates.append(sum(2 * m * k * n for m, k, n in sizes) / (time.perf_counter() - turn))
    return max(rates)


def summary(found: dict[str, list[dict[str, Any]]], threads: int, rows: int) -> dict[str, Any]:
    """All figures by name, with their units in it."""
    products = found.pop("products")
    seconds = {name: [run["seconds"] for run in runs] for name, runs in found.items()}
    busy = {name: [run["processor_seconds"] for run in runs] for name, runs in found.items() if name in CONTESTANTS}
    results: dict[str, Any] = {
        "threads": threads, "rows": rows, "pieces_per_32_examples": products[0]["pieces"],
        "body_parameters": products[0]["body"],
        "precision": {name: runs[0]["precision"] for name, runs in found.items() if "precision" in runs[0]},
        "seconds_per_32_examples": {name: spread(values) for name, values in seconds.items()},
        "processor_seconds_per_32_examples": {name: spread(values) for name, values in busy.items()},
        "product_tflops": {
            kind: spread([p[kind] / 1e12 for p in products]) for kind in ("square", "layers", "square_float32")
        },
    }  # fmt: skip
    if "ours" in seconds:
        results["times_faster_than"] = {
            name: ratio(seconds[name], seconds["ours"]) for name in CONTESTANTS if name in seconds and name != "ours"
        }
        results["times_less_processor_time_than"] = {
            name: ratio(busy[name], busy["ours"]) for name in results["times_faster_than"]
        }
        useful = [6 * products[0]["body"] * products[0]["pieces"] / value for value in seconds["ours"]]
        results["useful_tflops"] = spread([value / 1e12 for value in useful])
        results["share_of_products_percent"] = {
            kind: {name: 100 * value if name != "n" else value for name, value in
                   ratio(useful, [p[kind] for p in products]).items()}
            for kind in ("square", "layers")
        }  # fmt: skip
    if "two_of_ours" in seconds:
        results["times_faster_than_on_two_processors"] = {
            "trainer_best_2_threads": ratio(seconds["trainer_best_2_threads"], seconds["two_of_ours"])
        }
    return results


def report(results: dict[str, Any]) -> None:
    """The table."""
    times = {**results.get("times_faster_than", {}), **results.get("times_faster_than_on_two_processors", {})}
    less = results.get("times_less_processor_time_than", {})
    print("| | seconds per 32 examples | ours is faster, times | in processor time, times |\n|---|---|---|---|")
    for name, found in results["seconds_per_32_examples"].items():
        print(
            f"| {name} | {show(found, 3)} | {show(times[name]) if name in times else ''} "
            f"| {show(less[name]) if name in less else ''} |"
        )
    rates = results["product_tflops"]
    print(f"\nbfloat16 products, TFLOP/s: square {show(rates['square'], 3)}, of the layers {show(rates['layers'], 3)}")
    if "useful_tflops" in results:
        share = results["share_of_products_percent"]
        print(
            f"ours, useful TFLOP/s: {show(results['useful_tflops'], 3)}, {show(share['square'], 0)} % of square ones, "
            f"{show(share['layers'], 0)} % of those of the layers"
        )


if __name__ == "__main__":
    main()
