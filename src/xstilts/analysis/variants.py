"""What a variant adds to the intermediate that it varies: the same trainings but for one thing, compared with each
other rather than with no intermediate phase."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pandas as pd

from xstilts.analysis.bootstrap import pooled
from xstilts.analysis.gains import BASELINE, gains
from xstilts.analysis.perturbations import CLEAN, ROBUST
from xstilts.analysis.summary import RETRIEVAL, headline

COLUMNS = ["variant", "over", "group", "measure", "gain", "se", "df", "low", "high", "n"]
OTHERS = "all but retrieval"


def over_bases(contributions: pd.DataFrame, bases: Mapping[str, str], level: float = 0.95) -> pd.DataFrame:
    """Zero-shot gain of each variant over the arm it varies, in points: pairs of the same target, language, seed and
    examples (`gains`, with that arm as the baseline), targets as independent.

    `bases` maps a variant to its arm; pairs that did not both run are left out. Columns: variant, over, `group`
    (`all but retrieval` or `retrieval`), measure (`clean`; `robust`, where rows were perturbed), gain, se, df, low,
    high, n (targets).
    """
    ran = set(contributions["intermediate"].unique()) if len(contributions) else set()
    found: list[dict[str, Any]] = []
    for variant, base in bases.items():
        if not {variant, base} <= ran:
            continue
        part = contributions[contributions["intermediate"].isin([variant, base])]
        part = part.assign(intermediate=part["intermediate"].map({base: BASELINE, variant: variant}))
        each = gains(part, level)
        for measure, (group, apart) in product((CLEAN, ROBUST), ((OTHERS, False), (RETRIEVAL, True))):
            rows = headline(each, measure)
            mine = rows[(rows["group"] == RETRIEVAL) == apart]
            if mine["gain"].notna().any():
                gain, se, df = (mine[name].to_numpy(float) for name in ("gain", "se", "df"))
                about = {"variant": variant, "over": base, "group": group, "measure": measure}
                found.append(about | pooled(gain, se, df, level))
    return pd.DataFrame(found, columns=COLUMNS)
