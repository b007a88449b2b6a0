"""All measurements of speed, and the page about them: python benchmarks/performance.py [--only NAME ...] [--page]

Runs every benchmark of benchmarks/speed one after the other, an hour or two in all, and writes docs/performance.md and
its figures from what they found. Figures are kept in docs/performance.json: a benchmark that is run again replaces its
own, and `--page` writes the page from what is there. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
BENCHMARKS = {
    "step": ("step.py", "--machine"),
    "step_small": ("step.py", "--small"),
    "levers": ("levers.py",),
    "levers_small": ("levers.py", "--small"),
    "language_modelling": ("language_modelling.py",),
    "memory": ("memory.py",),
    "growth": ("growth.py",),
    "evaluation": ("evaluation.py", "--growth"),
    "evaluation_levers": ("evaluation_levers.py",),
    "evaluation_batches": ("evaluation_batches.py",),
    "tokens": ("tokens.py",),
    "neighbours": ("neighbours.py",),
    "sharing": ("sharing.py",),
    "gpu": ("gpu.py",),
}
"""Commands by key of the results; where their file is not there, or the machine has no GPU, they are left out, and the
page says that they are not measured."""


@dataclass(frozen=True)
class Goal:
    """A row of the table of goals."""

    work: str
    against: str
    path: tuple[str, ...]
    """Where its spread is in the results."""
    least: float
    """What is asked for: at least so much, or at most where `most`."""
    most: bool = False
    unit: str = "times faster"

    def row(self, results: Mapping[str, Any]) -> dict[str, str]:
        """The cells: `work`, `against`, `goal`, `measured`, `reached` (yes, no, or empty where not measured)."""
        cells = {"work": self.work, "against": self.against, "measured": "not measured yet", "reached": ""}
        cells["goal"] = f"at {'most' if self.most else 'least'} {self.least:.3g} {self.unit}"
        found: Any = results
        for name in self.path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is not None:
            median = found["median"] if isinstance(found, Mapping) else found
            cells["measured"] = show(found)
            cells["reached"] = "yes" if (median <= self.least if self.most else median >= self.least) else "no"
        return cells


_STEP = "one training step, XNLI pairs, batch 32"
GOALS = (
    Goal(_STEP, "padded to 128, float32, AdamW not fused", ("step", "times_faster_than", "padded"), 20),
    Goal("the same", "Hugging Face Trainer, defaults", ("step", "times_faster_than", "trainer"), 6),
    Goal("the same", "Hugging Face Trainer at its best", ("step", "times_faster_than", "trainer_best"), 1.5),
    Goal("the same", "bfloat16 products of square matrices", ("step", "share_of_products_percent", "square"), 50,
         unit="% of their rate"),
    Goal("evaluation in 40 languages x 5 settings", "a process for each, padded", ("evaluation", "times_faster"), 10),
    Goal("tokenising and batching, cache warm", "the training step", ("tokens", "share_percent"), 1, True, "% of it"),
    Goal("retrieval, Tatoeba, 1,000 x 1,000", "faiss IndexFlatIP",
         ("neighbours", "threads_1", "tatoeba_768", "times_faster", "_both"), 1),
    Goal("the same, of BUCC's scale, 20,000 x 20,000", "faiss IndexFlatIP",
         ("neighbours", "threads_1", "bucc", "times_faster", "_both"), 1),
    Goal("the paper's table, 10 x 9 x 3", "every cell on its own", ("sharing", "table", "share_percent"), 100 / 3, True,
         "% of the training pieces"),
    Goal("peak memory, large encoder, 32 x 128", "Hugging Face Trainer", ("memory", "share_of_trainer", "ours"), 0.5,
         True, "of it"),
    Goal("the same in two slices", "the same", ("memory", "share_of_trainer", "ours_2_slices"), 0.5, True, "of it"),
)  # fmt: skip


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="leave out the others")
    parser.add_argument("--repetitions", type=int, help="fewer or more than each benchmark's own number")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, default=DOCS / "performance.json")
    parser.add_argument("--out", type=Path, default=DOCS / "performance.md")
    asked = parser.parse_args()
    for name in () if asked.page else asked.only:
        run(name, asked.results, asked.repetitions)
    if not asked.results.is_file():
        raise SystemExit(f"nothing was measured yet: there is no {asked.results}; leave out --page")
    results = json.loads(asked.results.read_text("utf-8"))
    asked.out.write_text(page(results), "utf-8")
    for stem, svg in figures(results).items():
        (asked.out.parent / f"{stem}.svg").write_text(svg, "utf-8")
    print(f"page: {asked.out}")


def run(name: str, results: Path, repetitions: int | None) -> None:
    """One benchmark; its figures go into `results`. Says what it leaves out, and why."""
    script, *options = BENCHMARKS[name]
    path = REPOSITORY / "benchmarks" / "speed" / script
    if not path.is_file():
        print(f"{name}: left out, there is no {path}")
        return
    if name == "gpu" and not _has_gpu():
        print(f"{name}: left out, there is no GPU")
        return
    if repetitions is not None and name not in ("sharing", "neighbours"):
        options += ["--repetitions", str(repetitions)]
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, str(path), *options, "--results", str(results)], check=True)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def page(results: Mapping[str, Any]) -> str:
    """docs/performance.md."""
    # a page of Markdown, not of HTML: nothing is escaped
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["show"] = show
    return environment.get_template("performance.md.jinja").render(
        results=results, goals=[goal.row(results) for goal in GOALS], figures=sorted(figures(results))
    )


def show(found: Any, digits: int | None = None) -> str:
    """A spread, or a number, as one cell of a table: three significant digits where no `digits` are asked for."""

    def number(value: float) -> str:
        places = digits if digits is not None else 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        return f"{value:,.{places}f}"

    if not isinstance(found, Mapping):
        return number(found)
    if found["n"] == 1:
        return number(found["median"])
    return f"{number(found['median'])} ({number(found['low'])} to {number(found['high'])})"


# -- plots --------------------------------------------------------------------------------------------------------


def figures(results: Mapping[str, Any]) -> dict[str, str]:
    """Plots by the stem of their file: what each lever contributes, and how cost grows."""
    found = {}
    for key, title in (("levers", "an encoder of base size"), ("levers_small", "the small encoder")):
        if key in results:
            bars = {name: spread["median"] for name, spread in results[key]["times_slower_than_ours"].items()}
            found[f"performance-{key.replace('_', '-')}"] = bar_plot(key, bars, f"Times slower without it, {title}")
    if "evaluation_levers" in results:
        # processes and loads apart are so much slower that beside them nothing else would be seen
        levers = results["evaluation_levers"]["times_slower_than_ours"]
        bars = {name: one["median"] for name, one in levers.items() if not name.startswith("a process")}
        found["performance-evaluation"] = bar_plot("evaluation", bars, "Times slower without it, evaluation")
    panels = [(f"training: seconds over {axis}", [(float(n), one["median"]) for n, one in points.items()])
              for axis, points in results.get("growth", {}).get("seconds", {}).items()]  # fmt: skip
    panels += [(f"evaluation: seconds over {kind}", [(one["n"], one["seconds"]["median"]) for one in points])
               for kind, points in results.get("evaluation", {}).get("growth", {}).items()]  # fmt: skip
    if panels:
        found["performance-growth"] = growth_plot(panels)
    return found


def bar_plot(name: str, bars: Mapping[str, float], title: str) -> str:
    """One horizontal bar for each lever, from 1 on."""
    from xstilts.report.canvas import GAIN, LOSS, QUIET, Canvas
    from xstilts.report.svg_files import standalone

    left, width, step = 250, 360, 24
    sheet = Canvas(left + width + 60, 56 + step * len(bars))
    sheet.text(12, 20, title, size=13, bold=True)
    low, high = min(1.0, *bars.values()), max(1.1, *bars.values())
    scale = width / (high - low)
    one = left + (1 - low) * scale
    for i, (label, value) in enumerate(sorted(bars.items(), key=lambda item: -item[1])):
        y, end = 54 + step * i, left + (value - low) * scale
        sheet.text(left - 10, y, label, size=11, anchor="right")
        sheet.box(min(one, end), y - 6, abs(end - one), 12, GAIN if value >= 1 else LOSS)
        sheet.text(max(end, one) + 8, y, f"{value:.2f}", size=11)
    sheet.line(one, 40, one, 46 + step * len(bars), QUIET)
    return standalone(sheet.svg(name, title, "The numbers are in docs/performance.md."))


def growth_plot(panels: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    """Small panels, both axes in powers of ten's logarithms; the dashed line grows in proportion."""
    import math

    from xstilts.report.canvas import INK, QUIET, Canvas
    from xstilts.report.svg_files import standalone

    size, gap, columns = 180, 70, 3
    rows = math.ceil(len(panels) / columns)
    sheet = Canvas(columns * (size + gap) + 20, rows * (size + gap) + 20)
    for k, (title, points) in enumerate(panels):
        x0, y0 = 50 + (k % columns) * (size + gap), 40 + (k // columns) * (size + gap)
        xs, ys = ([math.log10(point[i]) for point in points] for i in (0, 1))
        span = max(max(xs) - min(xs), max(ys) - min(ys), 0.1)
        at = [(x0 + (x - min(xs)) / span * size, y0 + size - (y - min(ys)) / span * size)
              for x, y in zip(xs, ys, strict=True)]  # fmt: skip
        sheet.text(x0, y0 - 16, title, size=11, bold=True)
        sheet.line(x0, y0 + size, x0 + size, y0 + size, QUIET)
        sheet.line(x0, y0, x0, y0 + size, QUIET)
        reach = (max(xs) - min(xs)) / span * size
        (x, y), corner = at[0], at[0][0] + reach
        sheet.path([x, corner], [y, y - reach], QUIET, 1, (4, 3))
        sheet.path([x for x, _ in at], [y for _, y in at], INK)
        for (x, y), (n, seconds) in zip(at, points, strict=True):
            sheet.mark(x, y, 3, INK, filled=True)
            sheet.text(x, y0 + size + 22, f"{n:g}", size=9, anchor="center")
            sheet.text(x + 6, y + 8, f"{seconds:.3g}", size=9)
    return standalone(sheet.svg("growth", "How cost grows", "The numbers are in docs/performance.md."))


if __name__ == "__main__":
    main()
