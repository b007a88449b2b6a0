"""The small study on real data and a real encoder, as its user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from tests.conftest import DATA, MODELS, REPOSITORY

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA}; set XSTILTS_DATA to run this on real data"),
    pytest.mark.skipif(not MODELS.is_dir(), reason=f"no model folder {MODELS}; set XSTILTS_MODELS to run this"),
]


@pytest.mark.timeout(900)
def test_the_smoke_study_runs_and_a_second_run_does_nothing() -> None:
    """From files to a report on real data: every target scored in every language asked for, stand-ins said,
    and nothing done twice. It uses the repository's own store, so that `make smoke` and this share the work."""
    environment = {**os.environ, "XSTILTS_DATA": str(DATA), "XSTILTS_MODELS": str(MODELS)}
    command = [sys.executable, "-m", "xstilts", "run", "studies/natural-smoke.yaml", "--json"]
    for again in (False, True):
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert not facts["failed"] and (facts["done"] == 0 or not again)
    out = REPOSITORY / "reports" / "natural-smoke"
    scores = pd.read_csv(out / "scores.csv")
    languages = {target: set(part["language"]) - {"mean", "zero-shot"} for target, part in scores.groupby("target")}
    everywhere = {"en", "es", "hi", "zh"}
    assert languages == {
        **dict.fromkeys(("udpos", "udparse", "udfeats", "panx", "xnli", "xquad"), everywhere),
        "xcopa": {"zh"}, "absa": {"en", "es"}, "tatoeba": {"es", "hi", "zh"}, "bucc2018": {"zh"},
    }  # fmt: skip
    assert scores["score"].dropna().between(0, 100).all()
    english = scores.query("target == 'udpos' and metric == 'token_accuracy' and language == 'en'")["score"]
    assert english.min() > 30, "tagging is not learned"
    assert "stands in for" in (out / "report.md").read_text("utf-8")
