"""The intermediate phase on real data, a real encoder and a real translation system."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import DATA, MODELS

from xstilts.api import find_store, run_study
from xstilts.plan import plan
from xstilts.steps.translate import Translate
from xstilts.study import Study

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA}; set XSTILTS_DATA to run this on real data"),
    pytest.mark.skipif(not MODELS.is_dir(), reason=f"no model folder {MODELS}; set XSTILTS_MODELS to run this"),
    pytest.mark.skipif(
        shutil.which("apertium") is None, reason="no command apertium; install apertium and apertium-eng-spa"
    ),
]
ARMS = ["sick-turns", "sick-text", "sick-spanish", "squad-spanish", "sick-lora"]


@pytest.mark.timeout(900)
def test_variants_run_on_real_text(tmp_path: Path) -> None:
    """Turns of three shapes, language modelling in three scripts, pairs and passages in Spanish (apertium), low-rank
    adaptation each give scores; all rows survive their translation, and answers are substrings of their passages."""
    spanish = {"to": ["es"], "backend": "apertium"}
    study = Study.model_validate({
        "name": "variants", "model": str(MODELS / "natural-16"), "data": str(DATA), "languages": ["en", "es"],
        "intermediates": [
            {"name": "sick-turns", "tasks": "sick+squad_v1+udparse", "sampler": "uniform"},
            {"name": "sick-text", "tasks": "sick", "mlm": {"languages": ["en", "th", "ar"], "weight": 1, "rows": 50}},
            {"name": "sick-spanish", "tasks": "sick", "translate": spanish},
            {"name": "squad-spanish", "tasks": "squad_v1", "translate": spanish},
            {"name": "sick-lora", "tasks": "sick", "settings": {"lora": {"rank": 4}}},
        ],
        "targets": ["panx", "tatoeba"],
        "stand_ins": {"squad_v1.train": "squad/dev-v1.1.from-explorer.minus-xquad.json", "panx.test": "panx.dev"},
        "settings": {"default": {"train_rows": 16, "test_rows": 12, "epochs": 1, "batch_size": 8, "max_length": 96,
                                 "learning_rate": 1e-4}, "span": {"max_length": 192}},
    })  # fmt: skip
    outcome = run_study(study, tmp_path / "store", tmp_path / "report", "inline")
    assert outcome.ok, outcome.steps.failed
    scores = pd.read_csv(tmp_path / "report" / "scores.csv")
    assert {"none", *ARMS} == set(scores["intermediate"]) and scores["score"].between(0, 100).all()
    store, made = find_store(tmp_path / "store"), 0
    for step in plan(study).steps.values():
        if isinstance(step, Translate):
            manifest = store.manifest(step)
            assert manifest["translated"] == manifest["of"] == 16 and manifest["dropped"] == {}
            for row in pd.read_parquet(store.of(step) / "rows.parquet").to_dict("records"):
                for answer, start in zip(row.get("answers", ()), row.get("starts", ()), strict=True):
                    assert row["context"][start : start + len(answer)] == answer
            made += 1
    assert made == 2
