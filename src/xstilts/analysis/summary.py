"""What the gains amount to: means per intermediate and category, and what the controls say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from xstilts.analysis.bootstrap import pooled
from xstilts.analysis.gains import ZERO_SHOT
from xstilts.analysis.multiple import holm
from xstilts.analysis.perturbations import CLEAN

RETRIEVAL = "retrieval"
RETRIEVAL_SHAPES = ("retrieve", "mine")
"""Shapes of the targets that are reported apart (`headline`): Tatoeba's, and mining for BUCC."""


def headline(gains: pd.DataFrame, perturbation: str = CLEAN) -> pd.DataFrame:
    """The rows that the report's answer rests on: zero-shot mean, primary metric, one perturbation.

    Adds the column `group`: the target's level, but `retrieval` for retrieval targets, which are reported
    apart because their gains are so much larger that they would carry every average.
    """
    rows = gains[
        (gains["language"] == ZERO_SHOT) & gains["primary"].astype(bool) & (gains["perturbation"] == perturbation)
    ]
    return rows.assign(group=groups_of(rows))


def groups_of(rows: pd.DataFrame) -> pd.Series[Any]:
    """The group of each row's target, from `level` and `shape`: the level, but retrieval is a group of its own."""
    return rows["level"].astype(object).mask(rows["shape"].isin(RETRIEVAL_SHAPES), RETRIEVAL)


def by_intermediate(gains: pd.DataFrame, level: float = 0.95, perturbation: str = CLEAN) -> pd.DataFrame:
    """Mean zero-shot gain of each intermediate over the targets that are not retrieval, controls included.

    Columns: intermediate, category, control, gain, se, df, low, high, n (targets). Targets count as independent.
    """
    rows = headline(gains, perturbation)
    return _pool(rows, ["intermediate", "category", "control"], level, lambda f: f["group"] != RETRIEVAL)


def significant(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` (gain, se, df, control) with `p`, two-sided, of no gain, and `p_holm`, corrected over the rows that are
    not of controls."""
    p = 2 * stats.t.sf((rows["gain"] / rows["se"]).abs().to_numpy(float), rows["df"].to_numpy(float))
    family = np.where(rows["control"].to_numpy() == "", p, np.nan)
    return rows.assign(p=p, p_holm=holm(family))


def _pool(
    rows: pd.DataFrame, keys: list[str], level: float, keep: Callable[[pd.DataFrame], pd.Series[bool]]
) -> pd.DataFrame:
    found = []
    for key, part in rows[keep(rows)].groupby(keys, sort=True, observed=True):
        per_target = part.groupby("target")[["gain", "se", "df"]].agg({"gain": "mean", "se": "mean", "df": "min"})
        gain, se, df = (per_target[name].to_numpy(float) for name in ("gain", "se", "df"))
        found.append(dict(zip(keys, key, strict=True)) | pooled(gain, se, df, level))
    return pd.DataFrame(found, columns=[*keys, "gain", "se", "df", "low", "high", "n"])


CONTROL_COLUMNS = ["control", "target", "gain", "low", "high", "ok", "verdict"]


def controls(gains: pd.DataFrame) -> pd.DataFrame:
    """What the controls say about the study: one row per control over all targets (`target` empty), then per
    target.

    `shuffled`, an intermediate whose labels are permuted, passes unless its interval lies above zero.
    `oracle`, an intermediate that teaches the target's own skill, passes if its interval lies above zero.
    `ok` is None where a control was not run. With many targets about one interval in twenty misses by chance
    alone, so the row over all targets decides.
    """
    rows, means = headline(gains), by_intermediate(gains)
    found: list[dict[str, Any]] = []
    for control in ("shuffled", "oracle"):
        mine = rows[rows["control"] == control]
        overall = means[means["control"] == control]
        if overall["gain"].notna().any():
            found += [_verdict(control, "", row) for _, row in overall.iterrows()]
        elif mine["gain"].isna().all():
            found.append({"control": control, "target": "", "ok": None, "verdict": _ABSENT[control]})
        found += list(_per_target(control, mine))
    frame = pd.DataFrame(found, columns=CONTROL_COLUMNS)
    return frame.astype({"ok": object, "gain": float, "low": float, "high": float})


_ABSENT = {
    "shuffled": "There is no result for a shuffled control, so a gain could come from further training as "
    "such rather than from what an intermediate task teaches.",
    "oracle": "There is no result for an oracle control, so where no gain is seen it is not known whether "
    "this study could have seen one.",
}
_PASSED = {
    "shuffled": "As it should, training on shuffled labels gives no gain.",
    "oracle": "As it should, training on the target's own skill gives a gain: the study can see one.",
}
_MISSED = {
    "shuffled": "Training on shuffled labels gives a gain. It teaches nothing, so the gains of the other "
    "intermediates cannot be put down to what they teach either.",
    "oracle": "Training on the target's own skill gives no gain that can be seen. The study is too small, or "
    "its training too short or too strong, to see what intermediates can do; no gain elsewhere says little.",
}


def _per_target(control: str, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for _, row in rows[rows["gain"].notna()].sort_values("target").iterrows():
        yield _verdict(control, str(row["target"]), row)


def _verdict(control: str, target: str, row: pd.Series[Any]) -> dict[str, Any]:
    low, high = float(row["low"]), float(row["high"])
    if np.isnan(low):
        ok, words = None, "Too few examples or seeds for an interval, so this control decides nothing."
    else:
        ok = low <= 0 if control == "shuffled" else low > 0
        words = (_PASSED if ok else _MISSED)[control]
        if control == "shuffled" and high < 0:
            words = "Training on shuffled labels does harm. It gives no gain, which is what the control asks."
    gain = float(row["gain"])
    return {"control": control, "target": target, "gain": gain, "low": low, "high": high, "ok": ok,
            "verdict": words}  # fmt: skip
