"""How the engine grows: python benchmarks/scale.py [plan] [steps] [status] [--most 1000000] [--figure docs/scale.svg]

plan    a study of 10^3 to 10^6 cells is planned, in two forms: `languages` counts a cell per language too (a `Predict`
        step answers all languages of a target), `cells` does not, so that it has as many `Cell` objects and 18 times as
        many results. Targets and languages are XTREME's; the data need not be there.
steps   10^3 to 10^5 steps that do nothing go through `inline` and are published: in a chain, and a thousand at a time
        after the one before (`fan`).
status  `xstilts status` as a process of its own on a store of 10^3 to 10^5 published steps of a microworld study with
        1 % to do; the store is made of manifests alone, by `describe` as a real one is.

Every size is measured in a process of its own: seconds of the clock, processor seconds and peak memory (ru_maxrss). The
clock of a busy machine counts the others too. Stores lie in --folder (the system's temporary folder where not given;
/dev/shm shows what the disk takes). Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from math import log10
from pathlib import Path
from typing import Any, ClassVar

from xstilts.graph import Plan
from xstilts.step import Step, Work
from xstilts.study import Study

TASKS = ("snli", "sick", "mnli", "anli", "rte", "qnli", "qqp", "msrp", "squad_v1", "squad_v2", "cosmosqa", "hellaswag",
         "csqa", "codah", "siqa", "copa")  # fmt: skip
TARGETS = ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
WORLD = ("mw_nli", "mw_pairs", "mw_squad", "mw_choice", "mw_supertags")
WORLDS_TARGETS = ("mw_pos", "mw_entities", "mw_entailment", "mw_paraphrase", "mw_questions", "mw_retrieval")
NOISE = {kind: [0.1, 0.2] for kind in ("insert", "delete", "swap", "repeat", "keyboard")}
SIZES = {"plan": 1_000_000, "steps": 100_000, "status": 100_000}
FORMS = {"plan": ("cells", "languages"), "steps": ("chain", "fan"), "status": ("status",)}


def main() -> None:
    """Measure what was asked for, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *SIZES], default=[], help="all where not given")
    parser.add_argument("--most", type=int, default=1_000_000, help="largest size")
    parser.add_argument("--folder", type=Path, help="where stores are made and removed")
    parser.add_argument("--repeat", type=int, default=1, help="the fastest of so many counts")
    parser.add_argument("--results", type=Path, help="file that the measurements are kept in and added to")
    parser.add_argument("--figure", type=Path, help="where the plot of all of them is written (SVG)")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        form, size, folder = asked.measure
        print(json.dumps(measure(form, int(size), Path(folder))))
        return
    known = asked.results is not None and asked.results.is_file()
    found: list[dict[str, Any]] = json.loads(asked.results.read_text("utf-8")) if known else []
    for what in asked.what or SIZES:
        sizes = [10**k for k in range(3, 7) if 10**k <= min(asked.most, SIZES[what])]
        for form in FORMS[what]:
            found = [one for one in found if one["form"] != form]
            for size in sizes:
                found.append(min((in_process(form, size, asked.folder) for _ in range(asked.repeat)), key=_seconds))
                print(words(found[-1]), flush=True)
    if asked.results:
        asked.results.write_text(json.dumps(found, indent=1), "utf-8")
    if asked.figure:
        asked.figure.write_text(figure(found), "utf-8")


def _seconds(found: dict[str, Any]) -> float:
    return float(found["seconds"])


def in_process(form: str, size: int, folder: Path | None) -> dict[str, Any]:
    """Measure in a process of its own; what it leaves is removed."""
    with tempfile.TemporaryDirectory(prefix="xstilts-scale-", dir=folder) as root:
        command = [sys.executable, __file__, "--measure", form, str(size), root]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return {"form": form, "size": size, **json.loads(done.stdout)}


def words(one: dict[str, Any]) -> str:
    """A measurement as a line."""
    per_step = one["form"] in FORMS["steps"]
    each = f", {1000 * one['seconds'] / one['n']:.3f} ms each ({1000 * one['used'] / one['n']:.3f} of the processor)"
    return (
        f"{one['form']:<10}{one['n']:>10,} {one['unit']}: {one['seconds']:.2f} s ({one['used']:.2f} of the processor), "
        f"{one['peak'] / 2**20:,.0f} MiB at most{each if per_step else ''}; {one['more']}"
    )


def measure(form: str, size: int, folder: Path) -> dict[str, Any]:
    """In the process itself."""
    if form in FORMS["plan"]:
        return planning(form, size)
    return publishing(form, size, folder) if form in FORMS["steps"] else looking(size, folder)


class Clock:
    """Seconds of the clock and of the processor, and the peak memory of this process so far."""

    def __init__(self) -> None:
        self.began, self.used = time.perf_counter(), time.process_time()

    def stop(self, n: int, unit: str, more: str) -> dict[str, Any]:
        """What was measured."""
        import resource

        seconds, used = time.perf_counter() - self.began, time.process_time() - self.used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"n": n, "unit": unit, "seconds": seconds, "used": used, "peak": peak, "more": more}


# -- plan ---------------------------------------------------------------------------------------------------------


def study(arms: int, seeds: int) -> Study:
    """Arms x nine targets x seeds x eleven settings."""
    names = [(TASKS[i % len(TASKS)], i // len(TASKS)) for i in range(arms - 1)]
    return Study.model_validate(
        {
            "name": "scale", "model": "FacebookAI/xlm-roberta-base", "data": "/nowhere", "targets": TARGETS,
            "intermediates": [{"name": f"{task}-{k}", "tasks": task, "settings": {"learning_rate": 1e-5 * (1 + k)}}
                              for task, k in names],
            "seeds": tuple(range(1, seeds + 1)), "perturbations": NOISE,
            "settings": {"default": {"train_rows": 10_000, "test_rows": 500}},
        }
    )  # fmt: skip


def planning(form: str, size: int) -> dict[str, Any]:
    """Plan a study of about `size` cells."""
    from xstilts.plan import plan

    each = 9 * 11 if form == "cells" else 162 * 11  # cells of an arm with one seed; XTREME has 162 test sets
    arms = next(arms for arms in (100, 27, 9, 3, 1) if size >= 3 * arms * each or arms == 1)
    asked = study(arms, -(-size // (each * arms)))
    clock = Clock()
    graph = plan(asked, assume=True)
    n = len(graph.cells) if form == "cells" else results(graph)
    return clock.stop(n, "cells", f"{arms} arms, {len(asked.seeds)} seeds, {len(graph.steps):,} steps, "
                                  f"{len(graph.cells):,} Cell objects")  # fmt: skip


def results(graph: Plan) -> int:
    """Cells with each language counted."""
    steps: dict[str, Any] = dict(graph.steps)
    counted: dict[tuple[str, str], int] = {}
    n = 0
    for cell in graph.cells:
        where = (cell.target, cell.perturbation)
        if where not in counted:
            predict = steps[steps[cell.score].predictions]
            key = dict(predict.perturbed).get(cell.perturbation)
            counted[where] = len(predict.data if key is None else steps[key].data)
        n += counted[where]
    return n


# -- steps --------------------------------------------------------------------------------------------------------


class Noop(Step):
    """Does nothing."""

    kind: ClassVar[str] = "Noop"

    number: int
    after: tuple[str, ...] = ()

    def inputs(self) -> tuple[str, ...]:
        """Whatever was made before."""
        return self.after

    def run(self, work: Work) -> None:
        """Writes nothing."""


def toys(form: str, size: int) -> Plan:
    """A plan of steps that do nothing: one after the other, or a thousand after one."""
    from xstilts.models.identity import find_model

    asked = Study.model_validate({"name": "toys", "model": "microworld", "source": "microworld",
                                  "intermediates": [], "targets": ["mw_pos"]})  # fmt: skip
    graph = Plan(asked, find_model("microworld", "main", Path()))
    last: tuple[str, ...] = ()
    for i in range(size):
        key = graph.add(Noop(number=i, after=last), f"step {i}")
        last = (key,) if form == "chain" or i % 1000 == 0 else last
    return graph


def publishing(form: str, size: int, folder: Path) -> dict[str, Any]:
    """Schedule and publish, by `inline`."""
    from xstilts.executors import get_executor
    from xstilts.schedule import schedule
    from xstilts.store import Store

    graph, store = toys(form, size), Store(folder / "store").open()
    engine = get_executor("inline", store)
    clock = Clock()
    outcome = schedule(graph, store, engine, wanted=list(graph.steps))
    found = clock.stop(size, "steps", f"in {folder.parent}")
    assert len(outcome.done) == size, outcome.failed
    return found


# -- status -------------------------------------------------------------------------------------------------------


def looking(size: int, folder: Path) -> dict[str, Any]:
    """Fill a store, then ask for the status of its study in a process of its own."""
    arms = max(2, round((size / 30) ** 0.5))
    names = [(WORLD[i % len(WORLD)], i // len(WORLD)) for i in range(arms - 1)]
    asked = {
        "name": "status", "model": "microworld", "source": "microworld", "targets": list(WORLDS_TARGETS),
        "intermediates": [{"name": f"{task}-{k}", "tasks": task, "settings": {"learning_rate": 1e-5 * (1 + k)}}
                          for task, k in names],
        # a baseline and a trained arm make three steps a target, retrieval two, and the arm's own training one
        "seeds": list(range(1, max(1, round(size / (18 * arms))) + 1)),
        "perturbations": {"insert": [0.1, 0.2]}, "settings": {"default": {"train_rows": 1000, "test_rows": 200}},
    }  # fmt: skip
    file, root = folder / "study.yaml", folder / "store"
    file.write_text(json.dumps(asked), "utf-8")
    n = fill(Study.load(file), root)
    command = [str(Path(sys.executable).with_name("xstilts")), "status", str(file), "--store", str(root)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    shown = process.stdout.read()
    _, code, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    assert code == 0 and "Score" in shown, shown
    shutil.rmtree(root)
    left = next((line for line in shown.splitlines() if "time left" in line), "").partition(" (")[0]
    return {"n": n, "unit": "steps", "seconds": seconds, "used": used.ru_utime + used.ru_stime,
            "peak": used.ru_maxrss * 1024, "more": left or "it said no time left"}  # fmt: skip


def fill(asked: Study, root: Path) -> int:
    """Publish all steps of a study but the last hundredth, without doing any; how many steps it has."""
    from xstilts.cost.workload import loads
    from xstilts.plan import plan
    from xstilts.store import Store
    from xstilts.store.manifest import MANIFEST, describe, render

    graph, store = plan(asked), Store(root).open()
    work, chance, nothing = loads(graph, store), random.Random(1), root / "nothing"
    nothing.mkdir()
    for key in list(graph.steps)[: len(graph.steps) * 99 // 100]:
        step, rows = graph.steps[key], work[key].rows
        notes = {"examples": rows, "pieces": round(work[key].pieces), "device": "cpu"}
        manifest = describe(step, graph.labels[key], nothing, rows * 0.01 * chance.uniform(0.8, 1.2), notes)
        folder = store.of(step)
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_bytes(render(manifest))
    return len(graph.steps)


# -- plot ---------------------------------------------------------------------------------------------------------


def figure(found: Sequence[dict[str, Any]]) -> str:
    """Seconds and memory over sizes, both in powers of ten; the dashed line is what the project promises."""
    from xstilts.report.canvas import INK, QUIET, Canvas
    from xstilts.report.svg_files import standalone

    panels = (
        ("Planning: seconds over cells", "plan", "seconds", 1, 20.0),
        ("Planning: memory in GB over cells", "plan", "peak", 1e-9, 2.0),
        ("Steps that do nothing, by inline: milliseconds each, over steps", "steps", "each", 1, 1.0),
        ("xstilts status: seconds over steps in the store", "status", "seconds", 1, 2.0),
    )
    width, height, left, top = 300, 170, 56, 50
    sheet = Canvas(2 * (left + width + 60), 2 * (top + height + 40))
    for k, (title, what, column, unit, promise) in enumerate(panels):
        x0, y0 = left + (k % 2) * (left + width + 60), top + (k // 2) * (height + 80)
        part = [one | {"each": 1000 * one["seconds"] / one["n"]} for one in found if one["form"] in FORMS[what]]
        values = [one[column] * unit for one in part] + [promise]
        low, high = int(log10(min(values)) // 1), int(-(-log10(max(values)) // 1))
        sheet.text(x0, y0 - 16, title, size=11, bold=True)

        def across(n: float, x0: float = x0) -> float:
            return x0 + width * (log10(n) - 2.9) / 3.2

        def up(value: float, y0: float = y0, low: int = low, high: int = high) -> float:
            return y0 + height * (1 - (log10(value) - low) / (high - low))

        for power in range(low, high + 1):
            sheet.line(x0, up(10**power), x0 + width, up(10**power), width=0.6)
            sheet.text(x0 - 6, up(10**power), f"{10**power:g}", size=10, colour=QUIET, anchor="right")
        for power in range(3, 7):
            sheet.text(across(10**power), y0 + height + 12, f"{10**power:,}", size=10, colour=QUIET, anchor="center")
        sheet.path([x0, x0 + width], [up(promise)] * 2, QUIET, 1.5, (4, 3))
        ends: list[tuple[float, float, str]] = []
        for shape, form in zip("oD", FORMS[what], strict=False):
            points = [(across(one["n"]), up(one[column] * unit)) for one in part if one["form"] == form]
            for (x1, y1), (x2, y2) in pairwise(points):
                sheet.line(x1, y1, x2, y2, colour=INK, width=1.5)
            for x, y in points:
                sheet.mark(x, y, 3, INK, shape=shape, filled=shape == "o")
            if len(FORMS[what]) > 1 and points:
                ends.append((points[-1][1], points[-1][0], form))
        for i, (y, x, form) in enumerate(sorted(ends)):
            sheet.text(x + 6, y + (i - 0.5) * 10, form, size=10)
    return standalone(sheet.svg("scale", "Growth over sizes", "The numbers are in docs/scale.md."))


if __name__ == "__main__":
    main()
