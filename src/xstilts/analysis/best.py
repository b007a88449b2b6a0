"""The best intermediate for each target, chosen on other rows and other seeds than its gain is reported on.

The highest of several noisy gains is too high even if no intermediate does anything. So a choice here never sees
what it is judged by (cross-fitting: Stone 1974, J. R. Stat. Soc. B 36; Varma & Simon 2006, BMC Bioinformatics 7:91):

- rows: by the target's English dev rows where the study has them (`dev`); else the test rows are cut into two halves
  and each half is reported with the intermediate that the other half chose (`held-out`);
- seeds: the runs of a seed are reported with the intermediate that the other seeds chose, for the luck of a training
  is the same on dev and test rows. With one seed this cannot be, and a gain speaks of these checkpoints only.

Rows and runs so chosen are put together to one arm, whose gain and interval are those of `gains`, with the choices
taken as given. In the terms of `bootstrap.interval`, with w_h the share of half h of the examples and d_hs its gain
in seed s, d_s = w_0 d_0s + w_1 d_1s. Its variance s^2 over seeds holds the covariance of the halves, for both have
the same trainings. The bootstrap's V is w_0^2 V_0 + w_1^2 V_1, for their examples are independent, and beside it
w_0 w_1 (d_0 - d_1)^2 / N, as the draws do not fix the halves' sizes: a little on the safe side. In simulations
without any effect (3 or 9 targets, 1 to 7 intermediates, 3 or 5 seeds that differ by 0 to 2 points, 200 examples) 1
to 3 % of the nominal 95 % intervals of the average lie above zero and up to 2 % below, while the naive average is
0.9 to 2.1 points.

The unit is that of XTREME (arXiv 2003.11080): the mean over a target's languages, English among them; F1 and exact
match of question answering count half each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from xstilts.analysis.bootstrap import pooled
from xstilts.analysis.gains import BASELINE, MEAN, ZERO_SHOT, gains, scores
from xstilts.analysis.summary import RETRIEVAL_SHAPES

DEV, HELD_OUT = "dev", "held-out"
BEST, NAIVE, SINGLE = "best", "naive", "single"
ALL, WITHOUT_RETRIEVAL = "all targets", "without retrieval"
PAPER_GAIN = 5.4
"""Points over XLM-R large on XTREME with the best model for each target (Phang et al. 2020, arXiv 2005.13013,
abstract)."""

_EXACT_MATCH = ("qa_em", "mlqa_em")
_ARM = "(best)"  # no study can name an intermediate so
CHOICES = ["target", "how", "half", "seed", "intermediate"]
FIGURES = ["figure", "intermediate", "target", "scope", "language", "how", "gain", "low", "high", "se", "df",
           "n_targets", "n_seeds"]  # fmt: skip


@dataclass(frozen=True)
class Best:
    """What was chosen, and what it gives."""

    choices: pd.DataFrame
    """One row per choice: `target`, `how` (`dev` or `held-out`), `half` and `seed` that it is reported on (half 0
    holds all rows of a target that was chosen by dev rows), `intermediate` (`none`: better without)."""
    figures: pd.DataFrame
    """Gains in points. `figure` is `best` (chosen as above), `naive` (the highest on the very rows that are reported,
    no interval) or `single` (one intermediate, controls left out). Rows of one target have its name in `target`;
    averages over targets have "" there and `all targets` or `without retrieval` in `scope`. `language` is `mean` or
    `zero-shot` (without English). `intermediate` of `best` lists the choices with their counts."""


def half(identity: str) -> int:
    """0 or 1 by a hash of an example's id, so that the same id in parallel languages is in the same half."""
    return hashlib.sha256(identity.encode()).digest()[0] & 1


def best_per_target(
    contributions: pd.DataFrame, dev: pd.DataFrame | None = None, table: pd.DataFrame | None = None, *,
    level: float = 0.95, draws: int = 1000, seed: int = 0,
) -> Best:  # fmt: skip
    """The best intermediate for each target and what it gives on rows and seeds that took no part in choosing.

    `contributions` and `dev` have the columns of `gains`; of both, only clean text counts. A target with rows in
    `dev` is chosen by them. `table` is `gains(contributions)` where it is there already.
    """
    rows = _counted(contributions)
    if rows.empty:
        return Best(pd.DataFrame(columns=CHOICES), pd.DataFrame(columns=FIGURES))
    dev = _counted(dev) if dev is not None and len(dev) else rows.iloc[:0]
    by_dev = set(dev["target"].unique())
    halves = {i: half(str(i)) for i in rows["id"].unique()}
    rows = rows.assign(half=np.where(rows["target"].isin(by_dev), 0, rows["id"].map(halves)))
    chosen = _choices(rows, dev.assign(half=0))
    mine = chosen[["target", "half", "seed", "intermediate"]]
    put_together = rows.merge(mine, on=list(mine)).assign(intermediate=_ARM, category="", control="")
    # The intermediates themselves take part for what they say about the spread over seeds.
    found = _in_xtreme_units(gains(pd.concat([rows, put_together]), level, draws, seed), level)
    singles = _in_xtreme_units(gains(contributions, level, draws, seed) if table is None else table, level)
    return Best(chosen, _figures(found[found["intermediate"] == _ARM], singles, chosen, level))


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of clean text and of the metrics that count: the primary one, and exact match beside F1."""
    if frame.empty:
        return frame
    metric = frame["primary"].astype(bool) | frame["metric"].isin(_EXACT_MATCH)
    return frame[metric & (frame["perturbation"] == "clean")]


def _choices(rows: pd.DataFrame, dev: pd.DataFrame) -> pd.DataFrame:
    """See `Best.choices`; a seed or half without any pair of runs to choose from has no row."""
    tested, developed = _run_gains(rows), _run_gains(dev)
    found = []
    for (target, own), runs in tested.items():
        selection = developed.get((target, 0), tested.get((target, 1 - own)))
        how = DEV if (target, 0) in developed else HELD_OUT
        if selection is None:
            continue
        for seed in runs.columns:
            ran = runs.index[runs[seed].notna()]
            choice = _choice(selection.reindex(ran), seed)
            found += [] if choice is None else [(target, how, own, seed, choice)]
    return pd.DataFrame(found, columns=CHOICES)


def _run_gains(rows: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """Gain of each run over the baseline of its seed, [intermediates, seeds], by target and half; no controls."""
    if rows.empty:
        return {}
    found = scores(rows.assign(perturbation=rows["half"].astype(str)))  # scores apart what is perturbed otherwise
    found = found[(found["language"] == MEAN) & (found["control"] == "")]
    runs = found.groupby(["target", "perturbation", "intermediate", "seed"])["score"].mean().unstack("seed")
    tables = {}
    for (target, own), table in runs.groupby(["target", "perturbation"]):
        table = table.droplevel(["target", "perturbation"])
        baseline = table.reindex([BASELINE]).iloc[0]
        tables[str(target), int(str(own))] = table.drop(index=BASELINE, errors="ignore") - baseline
    return tables


def _choice(runs: pd.DataFrame, seed: Any) -> str | None:
    """The highest mean gain over the seeds other than `seed`, `none` if no gain is above 0, None without a pair."""
    usable = runs.columns[runs.notna().any()]
    others = [s for s in usable if s != seed] or list(usable)
    means = runs[others].mean(axis=1).dropna()
    if means.empty:
        return None
    return str(means.idxmax()) if means.max() > 0 else BASELINE


def _in_xtreme_units(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Gains per intermediate, target and unit. F1 and exact match of one answer go together, so their mean has the
    mean of their standard errors (fully correlated, an upper bound)."""
    rows = _counted(table)
    rows = rows[rows["language"].isin([MEAN, ZERO_SHOT])]
    keys = ["intermediate", "control", "target", "shape", "language"]
    how = {"gain": "mean", "se": "mean", "df": "min", "n_seeds": "min"}
    found = rows.groupby(keys, as_index=False, observed=True)[list(how)].agg(how)
    reach = found["se"] * stats.t.ppf(0.5 + level / 2, found["df"].astype(float))
    return found.assign(low=found["gain"] - reach, high=found["gain"] + reach)


def _figures(best: pd.DataFrame, singles: pd.DataFrame, chosen: pd.DataFrame, level: float) -> pd.DataFrame:
    """See `Best.figures`."""
    singles = singles[singles["control"] == ""]
    texts = {str(t): listed(part) for t, part in chosen.groupby("target")["intermediate"]}
    how = dict(zip(chosen["target"], chosen["how"], strict=True))
    best = best.assign(
        figure=BEST,
        intermediate=[texts.get(target, "") for target in best["target"]],
        how=[how.get(target, "") for target in best["target"]],
    )
    # Without an intermediate there is no difference, and of that there is no doubt.
    never = best["target"].isin([t for t, part in chosen.groupby("target") if set(part["intermediate"]) == {BASELINE}])
    best.loc[never, ["gain", "low", "high", "se"]] = 0.0
    highest = singles[singles["gain"].notna()].sort_values("gain", kind="stable")
    highest = highest.drop_duplicates(["target", "language"], keep="last").sort_values(["target", "language"])
    naive = highest.assign(
        figure=NAIVE,
        intermediate=highest["intermediate"].where(highest["gain"] > 0, BASELINE),
        gain=highest["gain"].clip(lower=0), low=np.nan, high=np.nan, se=np.nan, df=np.nan,
    )  # fmt: skip
    parts = pd.concat([best, naive.assign(how=""), singles.assign(figure=SINGLE, how="")])
    parts = parts.assign(scope="").reindex(columns=[*FIGURES, "shape"])
    return pd.concat([parts, averages(parts, level)], ignore_index=True)[FIGURES]


def listed(choices: pd.Series[str], titles: Mapping[str, str] | None = None) -> str:
    """`squad`, or `squad (4 of 6), nli (2 of 6)` where the choices differ, by their titles; empty without a choice."""
    counts = sorted(choices.value_counts().items(), key=lambda item: (-item[1], str(item[0])))
    named = [((titles or {}).get(str(name), str(name)), count) for name, count in counts]
    return named[0][0] if len(named) == 1 else ", ".join(f"{name} ({n} of {len(choices)})" for name, n in named)


def averages(figures: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Rows of averages over targets, with the columns of `Best.figures`, from its rows of single targets and a
    column `shape`.

    Targets count as independent (`bootstrap.pooled`). A naive average has no interval, and covers the targets that
    the honest one covers. Retrieval is left out in a second average, for it carries most of the first.
    """
    covered = figures[(figures["figure"] == BEST) & figures["se"].notna()]
    use = figures[(figures["figure"] != NAIVE) | figures["target"].isin(covered["target"])]
    use = use.assign(who=use["intermediate"].where(use["figure"] == SINGLE, ""))
    found: list[dict[str, Any]] = []
    for scope, left_out in ((ALL, ()), (WITHOUT_RETRIEVAL, RETRIEVAL_SHAPES)):
        rows = use[~use["shape"].isin(left_out)]
        for (figure, who, language), part in rows.groupby(["figure", "who", "language"]):
            row = {"figure": figure, "intermediate": who, "target": "", "scope": scope, "language": language,
                   "how": ""}  # fmt: skip
            if figure == NAIVE:
                found.append(row | {"gain": part["gain"].mean(), "n_targets": len(part)})
            else:
                gain, se, df = (part[name].to_numpy(float) for name in ("gain", "se", "df"))
                mean = pooled(gain, se, df, level)
                found.append(row | {"n_targets": mean.pop("n")} | mean)
    return pd.DataFrame(found, columns=FIGURES)
