"""Variants are compared with what they vary, not only with no intermediate phase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from xstilts.analysis.gains import gains
from xstilts.analysis.variants import OTHERS, over_bases
from xstilts.report.frames import Results
from xstilts.report.html import write_report


def frame(arms: dict[str, float], shape: str = "tag", target: str = "pos", seed: int = 0) -> pd.DataFrame:
    """Accuracies of arms on 200 examples of two languages and three seeds: `arms` maps a name to the share right."""
    draw = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for run in (1, 2, 3):
        for language in ("en", "de"):
            easy = draw.random(200)
            for name, share in arms.items():
                rows += [
                    {"intermediate": name, "category": "NLI", "control": "", "target": target, "level": "syntactic",
                     "shape": shape, "metric": "accuracy", "primary": True, "perturbation": "clean", "seed": run,
                     "language": language, "seen": True, "id": str(i), "numerator": float(value < share),
                     "denominator": 1.0}
                    for i, value in enumerate(easy)
                ]  # fmt: skip
    return pd.DataFrame(rows)


ARMS = {"none": 0.3, "nli": 0.5, "nli-text": 0.4}


def test_a_variant_is_compared_with_its_own_arm_on_the_same_pairs() -> None:
    """Its gain over the arm is the difference of both gains over none, seed by seed, and takes their sign."""
    data = frame(ARMS)
    (row,) = over_bases(data, {"nli-text": "nli"}).to_dict("records")
    plain = gains(data).query("language == 'zero-shot'").set_index("intermediate")["gain"]
    assert row["group"] == OTHERS and row["gain"] == pytest.approx(plain["nli-text"] - plain["nli"])
    assert row["gain"] < 0 and row["high"] < 0


def test_retrieval_stands_apart_and_what_did_not_run_is_left_out() -> None:
    """Two groups where there is retrieval; a variant or arm without results has no row."""
    data = pd.concat([frame(ARMS), frame(ARMS, shape="retrieve", target="tatoeba", seed=1)])
    found = over_bases(data, {"nli-text": "nli", "nli-lora": "nli", "nli": "absent"})
    assert list(found["group"]) == [OTHERS, "retrieval"] and set(found["variant"]) == {"nli-text"}
    assert over_bases(pd.DataFrame(), {"a": "b"}).empty


def test_the_report_has_the_table_where_a_study_has_variants(tmp_path: Path) -> None:
    """The table and variants.csv are there for a study that varies an arm, and nothing of them for another."""
    for folder, varies in (("with", {"nli-text": "nli"}), ("without", {})):
        steps = pd.DataFrame(columns=["key", "kind", "label", "seconds", "created", "state", "error"])
        write_report(Results({"name": "x", "varies": varies}, frame(ARMS), steps), tmp_path / folder)
        text = (tmp_path / folder / "report.html").read_text("utf-8")
        assert ("Variants over what they vary" in text) == bool(varies)
        assert (tmp_path / folder / "variants.csv").exists() == bool(varies)
