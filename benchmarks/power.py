"""Whether the intervals and tests of the answer do what they say, and how many seeds a study needs.

python benchmarks/power.py [--replications 1000] [--spreads 8000] [--powers 2000] [--processes 1] [--only NAME]

Simulates studies with known effects (`xstilts.analysis.simulate`), ranks each from its examples up, and counts. Prints
the tables of docs/power.md; with --figure PATH draws its plot. Every replication has its own seed, so the numbers do
not depend on the number of processes.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: replications run side by side

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from xstilts.analysis.bootstrap import Floats
from xstilts.analysis.components import Pool, estimate
from xstilts.analysis.hierarchy import resample
from xstilts.analysis.multiple import holm
from xstilts.analysis.perturbations import ROBUST
from xstilts.analysis.ranking import Languages, Ranking, rank
from xstilts.analysis.simulate import World
from xstilts.report.canvas import INK, QUIET, Canvas
from xstilts.report.svg_files import standalone

FRAMES = ("categories", "contrasts", "levels")
DRAWS = 200
LOUD = {"sd_run": 2.5, "sd_run_language": 1.5, "sd_checkpoint": 1.5}
SILENT = {"sd_run": 0.0, "sd_run_language": 0.0, "sd_checkpoint": 0.0}


@dataclass(frozen=True)
class Case:
    """A world and what its studies' intervals are asked to speak of."""

    name: str
    world: World
    languages: Languages = "these"


TARGETS = {"s1": "syntactic", "s2": "syntactic", "m1": "semantic", "m2": "semantic", "m3": "semantic",
           "r1": "retrieval"}  # fmt: skip
USUAL = World(
    targets=TARGETS, languages=4, examples=300, settings=1, sd_run=1.0, sd_run_language=1.0, sd_checkpoint=0.7
)
CASES = (
    Case("3 seeds", replace(USUAL, seeds=3)),
    Case("2 seeds", replace(USUAL, seeds=2)),
    Case("3 seeds, loud", replace(USUAL, seeds=3, **LOUD)),
    Case("2 seeds, loud", replace(USUAL, seeds=2, **LOUD)),
    Case("5 seeds", replace(USUAL, seeds=5)),
    Case("3 seeds, effects", replace(USUAL, seeds=3, gains={"a": 1.0, "b": 2.0, "c": 5.0})),
    Case("3 seeds, such languages", replace(USUAL, seeds=3, languages=10, examples=120, sd_language=3.0,
                                            random_languages=True), "such"),
    Case("3 seeds, silent", replace(USUAL, seeds=3, **SILENT)),
    Case("3 seeds, examples apart", replace(USUAL, seeds=3, parallel=False)),
    Case("2 seeds, few examples", replace(USUAL, seeds=2, languages=3, examples=80)),
    Case("5 seeds, loud", replace(USUAL, seeds=5, **LOUD)),
)  # fmt: skip
EXAMPLES = 1000
SEEDS = (2, 3, 4, 5, 7, 10)


def main() -> None:
    """Simulate, count, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=1000, help="studies per row of the first table; 0: none")
    parser.add_argument("--powers", type=int, default=2000, help="studies per number of seeds; 0: none")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--spreads", type=int, default=8000, help="studies per row of the second table; 0: none")
    parser.add_argument("--only", nargs="*", help="names of cases of the first table")
    parser.add_argument("--figure", type=Path, help="where the plot is written (SVG)")
    asked = parser.parse_args()
    agrees()
    if asked.spreads:
        print_spreads(asked.spreads)
    if asked.powers:
        found = power(asked.powers)
        print_power(found)
        if asked.figure:
            asked.figure.write_text(figure(found), "utf-8")
    if asked.replications:
        with ProcessPoolExecutor(asked.processes) as workers:
            print_calibration(workers, asked)


def study(case: Case, random_state: list[int], only: tuple[str, ...] = FRAMES) -> Ranking:
    """One simulated study, ranked."""
    generator = np.random.default_rng(random_state)
    found = [
        resample(one, DRAWS, random_state[-1], by_language=case.languages == "such")
        for one in case.world.run(generator)
    ]
    arms = {arm: (category, "") for arm, category in case.world.arms.items()}
    return rank(found, arms, languages=case.languages, chance_draws=10, only=only)


def truth(frame: pd.DataFrame, name: str, gains: Mapping[str, float]) -> pd.Series[float]:
    """The true value of each row."""
    true = frame["category"].map(lambda c: gains.get(c, 0.0))
    if name == "contrasts":
        return true - frame["other"].map(lambda c: gains.get(c, 0.0))
    return true * 0.0 if name == "levels" else true  # the gain is the same on all targets


def counts(case: Case, random_state: list[int]) -> dict[str, float]:
    """Per frame the share of intervals that hold the truth, and whether any row is called significant."""
    found = study(case, random_state)
    row: dict[str, float] = {}
    for name in FRAMES:
        frame = getattr(found, name)
        true = truth(frame, name, case.world.gains)
        row[name] = float(((frame["low"] <= true) & (frame["high"] >= true)).mean())
        asked = frame["measure"] == ROBUST  # what the answer speaks of
        row[f"{name}, any"] = float((frame.loc[asked, "p_holm"] <= 0.05).any())
    table = found.categories
    row["width"] = float((table["high"] - table["low"]).mean())
    row["p"] = float((table["p"] <= 0.05).mean())
    row["flips"] = float((table["p_permutation"] <= 0.05).mean())
    row["examples only"] = float((table["gain"].abs() > 1.96 * table["se_examples"]).mean())
    for group, part in table.groupby("group"):
        true = truth(part, "categories", case.world.gains)
        row[str(group)] = float(((part["low"] <= true) & (part["high"] >= true)).mean())
    return row


def print_calibration(workers: ProcessPoolExecutor, asked: argparse.Namespace) -> None:
    """The first table."""
    columns = [*FRAMES, "syntactic", "semantic", "retrieval", "width", *(f"{f}, any" for f in FRAMES), "p", "flips",
               "examples only"]  # fmt: skip
    print("| case | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1), flush=True)
    for k, case in enumerate(CASES):
        if asked.only and case.name not in asked.only:
            continue
        states = [[k, i] for i in range(asked.replications)]
        rows = pd.DataFrame(workers.map(partial(counts, case), states, chunksize=10))
        mean = rows.mean()
        cells = [f"{mean[c]:.2f}" if c == "width" else f"{100 * mean[c]:.1f}" for c in columns]
        print(f"| {case.name} | " + " | ".join(cells) + " |", flush=True)


@dataclass(frozen=True)
class Spreads:
    """Variances of one kind of study, for tables that draw gains per seed as normal numbers (square points)."""

    seeds: int
    run: float
    """Of one fine-tuning of an intermediate, on one target."""
    baseline: float
    """Of one fine-tuning of the baseline, on one target; 0 for retrieval, which has none."""
    checkpoint: float = 0.0
    """Of one intermediate training, over all targets."""
    luck: float = 0.0
    """Of the examples' luck that all seeds share, per intermediate and target."""
    noise: float = 0.0
    """Of the luck of one run, per target."""
    targets: tuple[int, int, int] = (1, 1, 1)
    """Of the three groups; the last is retrieval."""
    effects: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """True gain of each category, in points."""


CATEGORIES = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]], dtype=float)
WEIGHTS = CATEGORIES / CATEGORIES.sum(axis=1, keepdims=True)
"""Six intermediates in four categories."""


def formulae(x: Floats, v: Floats, noise: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Gain, half width, `p` and `p_cautious` [studies, categories] of x [studies, intermediates, seeds], vectorised.

    `v` [categories] is the variance over examples, `noise` that of one run's luck. `agrees` holds it against
    `components.estimate`.
    """
    arms, n = x.shape[1:]
    nu = n - 1
    means = x.mean(axis=2)
    residuals = x - means[:, :, None]
    b = arms * (residuals.mean(axis=1) ** 2).sum(axis=1) / nu
    e = ((residuals**2).sum(axis=(1, 2)) - b * nu) / ((arms - 1) * nu)
    b = np.maximum(b, e)[:, None]
    e = e[:, None]
    squares = (WEIGHTS**2).sum(axis=1)
    of_b, of_e = 1 / arms, squares - 1 / arms
    square = of_b * b + of_e * e
    df = square**2 / ((of_b * b) ** 2 / nu + (of_e * e) ** 2 / (nu * (arms - 1)))
    own = (np.einsum("ci,kis->kcs", WEIGHTS, residuals) ** 2).sum(axis=2) / nu
    unstable = own > square * special.fdtri(nu, df, 0.99)
    square, df = np.where(unstable, own, square), np.where(unstable, nu, df)
    luck = np.minimum(noise * squares, n * v)
    total = v + np.maximum(square - luck, 0) / n
    df = total**2 / ((square / n) ** 2 / df + (v - luck / n) ** 2 / (EXAMPLES - 1))
    few = (df**nu * np.minimum(df, nu)) ** (1 / (nu + 1))
    gain, se = means @ WEIGHTS.T, np.sqrt(total)
    p, cautious = (2 * special.stdtr(nu, -abs(gain) / se) for nu in (df, few))
    return gain, special.stdtrit(df, 0.975) * se, p, cautious


def agrees() -> None:
    """Stops where `formulae` and `components.estimate` differ."""
    generator = np.random.default_rng(0)
    names = tuple("abcdef")
    for seeds, noise in ((2, 0.0), (3, 0.3), (5, 0.3)):
        x = generator.normal(size=(1, 6, seeds)) * 2 ** generator.normal(size=(1, 6, 1))
        draws = generator.normal(size=(6, 300))
        v = (WEIGHTS @ draws).var(axis=1, ddof=1)
        vectorised = formulae(x, v, noise)
        mean = x[0].mean(axis=1)
        pool = Pool(names, mean, x[0] - mean[:, None], draws, (noise, noise), noise * np.eye(6), x[0],
                    np.zeros((0, 6)), np.zeros((0, 6, 0)), seeds, seeds, EXAMPLES)  # fmt: skip
        for k, weights in enumerate(WEIGHTS):
            one = estimate(pool, dict(zip(names, weights, strict=True)))
            expected = (one.gain, one.high - one.gain, one.p, one.p_cautious)
            np.testing.assert_allclose([part[0, k] for part in vectorised], expected, rtol=1e-6)


def many(kind: Spreads, studies: int) -> tuple[Floats, Floats, Floats, Floats]:
    """`formulae` for many studies [studies, rows]: 3 groups x 2 measures that correlate by 0.95 x 4 categories."""
    generator = np.random.default_rng([kind.seeds, int(100 * kind.baseline), int(100 * kind.luck)])
    true = (np.array(kind.effects) @ CATEGORIES)[:, None]
    parts = []
    for group, targets in enumerate(kind.targets):
        trained = float(group < 2)
        sds = [
            (kind.checkpoint + trained * kind.run / targets) ** 0.5, (trained * kind.baseline / targets) ** 0.5,
            (kind.luck / targets) ** 0.5, (kind.noise / targets) ** 0.5,
        ]  # fmt: skip
        sizes = [(studies, 6, kind.seeds), (studies, 1, kind.seeds), (studies, 6, 1), (studies, 6, kind.seeds)]
        common = [generator.normal(size=size) for size in sizes]
        for _ in range(2):
            drawn = [0.95**0.5 * c + 0.05**0.5 * generator.normal(size=c.shape) for c in common]
            x = true + sum(sd * one for sd, one in zip(sds, drawn, strict=True))
            squares = (WEIGHTS**2).sum(axis=1)
            v = squares * (kind.luck + kind.noise / kind.seeds) / targets
            parts.append(formulae(np.asarray(x), v, kind.noise / targets))
    gain, half, p, cautious = (np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True))
    return gain, half, p, cautious


def adjusted(p: Floats) -> Floats:
    """Holm's correction of each row of p values."""
    return np.apply_along_axis(holm, 1, p)


def print_spreads(studies: int) -> None:
    """The second table."""
    print("| seeds | baseline's variance | examples' variance | coverage | any by `p_holm` | any by Holm on `p` |")
    print("|---|---|---|---|---|---|", flush=True)
    for seeds in (2, 3, 5):
        for baseline in (0.3, 1.0, 3.0):
            for luck in (0.1, 0.3, 1.0):
                gain, half, p, cautious = many(Spreads(seeds, 0.5, baseline, checkpoint=0.5, luck=luck), studies)
                rows = p.shape[1]  # Holm rejects any where the smallest p times their number is small
                shares = [(abs(gain) <= half).mean(), *((q.min(axis=1) * rows <= 0.05).mean() for q in (cautious, p))]
                cells = " | ".join(f"{100 * share:.1f}" for share in shares)
                print(f"| {seeds} | {baseline:g} | {luck:g} | {cells} |", flush=True)


KINDS = {"usual": {"run": 0.5, "baseline": 0.5, "checkpoint": 0.25, "luck": 0.3, "noise": 0.3},
         "loud": {"run": 4.0, "baseline": 4.0, "checkpoint": 1.0, "luck": 0.3, "noise": 0.3}}  # fmt: skip
"""Runs that differ by 0.7 points and intermediate trainings by 0.5, or by 2 and 1; examples' luck 0.55 per target and
intermediate, as with some thousand examples in several languages."""


def power(studies: int) -> pd.DataFrame:
    """Share of studies that see an effect, per kind of study, group of targets, effect and number of seeds."""
    effects, found = (1.0, 2.0, 5.0, 0.0), []
    for (spread, kind), seeds in product(KINDS.items(), SEEDS):
        gain, half, _, cautious = many(Spreads(seeds, targets=(4, 1, 1), effects=effects, **kind), studies)
        corrected = (adjusted(cautious) <= 0.05) & (gain > 0)
        for group, name in enumerate(("4 targets", "1 target", "retrieval")):
            for k, effect in enumerate(effects[:3]):
                at = 8 * group + k
                found.append((spread, name, effect, seeds, (gain[:, at] > half[:, at]).mean(), corrected[:, at].mean()))
    return pd.DataFrame(found, columns=["spread", "group", "effect", "seeds", "interval", "corrected"])


def print_power(found: pd.DataFrame) -> None:
    """The third table."""
    print("| spread | group | effect | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |")
    print("|" + "---|" * (len(SEEDS) + 3))
    for (spread, group, effect), part in found.groupby(["spread", "group", "effect"]):
        cells = [f"{100 * row.interval:.0f} / {100 * row.corrected:.0f}" for row in part.itertuples()]
        print(f"| {spread} | {group} | {effect:g} | " + " | ".join(cells) + " |")


def figure(found: pd.DataFrame) -> str:
    """The third table as a plot: power over seeds, a panel per spread and group of targets, a line per effect."""
    panels = list(found.groupby(["spread", "group"]))
    width, height, left, top = 190, 150, 44, 50
    sheet = Canvas(left + (width + 24) * 3, top + (height + 62) * (len(panels) // 3) + 20)
    for k, ((spread, group), part) in enumerate(panels):
        x0, y0 = left + (k % 3) * (width + 24), top + (k // 3) * (height + 62)
        sheet.text(x0, y0 - 14, f"{group}, spread {spread}", size=11, bold=True)
        for share in (0, 50, 80, 100):
            y = y0 + height * (1 - share / 100)
            sheet.line(x0, y, x0 + width, y, width=1.4 if share == 80 else 0.6)
            if k % 3 == 0:
                sheet.text(x0 - 6, y, f"{share} %", size=10, colour=QUIET, anchor="right")
        at = {n: x0 + 8 + (width - 16) * i / (len(SEEDS) - 1) for i, n in enumerate(SEEDS)}
        for n, x in at.items():
            sheet.text(x, y0 + height + 12, str(n), size=10, colour=QUIET, anchor="center")
        for effect, line in part.groupby("effect"):
            for column, filled in (("interval", False), ("corrected", True)):
                points = [(at[row.seeds], y0 + height * (1 - getattr(row, column))) for row in line.itertuples()]
                for (x1, y1), (x2, y2) in pairwise(points):
                    sheet.line(x1, y1, x2, y2, colour=INK if filled else QUIET, width=1.5)
                for x, y in points:
                    sheet.mark(x, y, 2.6, INK if filled else QUIET, shape="o" if effect != 2 else "D", filled=filled)
        end = y0 + height + 12.0
        for row in part[part["seeds"] == SEEDS[-1]].sort_values("corrected").itertuples():
            end = min(y0 + height * (1 - row.corrected), end - 12)  # lines that end together have labels apart
            sheet.text(x0 + width + 2, end, f"{row.effect:g}", size=10)
    sheet.text(left, 14, "Share of studies that see a gain, over the number of seeds. Filled: after Holm's correction; "
               "open: the single interval. At the right: points.", size=10.5, colour=QUIET)  # fmt: skip
    return standalone(sheet.svg("power", "Power over seeds", "The numbers are in the table of docs/power.md."))


if __name__ == "__main__":
    main()
