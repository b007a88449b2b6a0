"""The same from Python."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from tests.conftest import mini

import xstilts


def test_a_study_runs_and_gives_data_frames(tmp_path: Path) -> None:
    """Plan, run, results and report of a study work from Python; results are data frames with every example."""
    study = mini(seeds=[1, 2])
    assert len(study.plan().cells) == 4
    outcome = study.run(store=tmp_path / "store", out=tmp_path / "out")
    assert outcome.ok and outcome.report.is_file()
    results = study.results(store=tmp_path / "store")
    assert isinstance(results, xstilts.Results)
    frame = results.contributions
    assert len(frame) == 2 * 2 * 2 * 16  # arms, seeds, languages, rows
    assert set(frame["intermediate"]) == {"none", "mw_nli"}
    assert frame["numerator"].between(0, 1).all()
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert len(predictions) == len(frame)
    assert study.report(store=tmp_path / "store", out=tmp_path / "again").read_bytes() == outcome.report.read_bytes()
