"""The microworld's truth is known: what the answer must find in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.conftest import mini

STUDY: dict[str, Any] = {
    "languages": ["en", "qaa", "qad"],
    "encoder_languages": ["en", "qaa", "qad"],
    "intermediates": ["mw_supertags", "mw_nli"],
    "variants": {"noisy": {"of": ["mw_supertags"], "perturb": {"kind": "insert", "rate": 0.15}}},
    "controls": {"shuffled": "mw_nli", "oracle": True},
    "targets": ["mw_pos", "mw_entailment", "mw_retrieval"],
    "perturbations": {"insert": [0.05, 0.15]},
    "seeds": [1, 2, 3],
    "settings": {
        "default": {"learning_rate": 1e-3, "batch_size": 32, "max_length": 96, "test_rows": 120},
        "target": {"train_rows": 200, "epochs": 5},
        "intermediate": {"train_rows": 1000, "epochs": 3},
        "mw_pos": {"train_rows": 60},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study with a perturbed evaluation, about two minutes of one processor."""
    root = tmp_path_factory.mktemp("planted")
    outcome = mini(**STUDY).run(root / "store", root / "out")
    assert outcome.ok
    return outcome.report.parent


@pytest.fixture(scope="module")
def ranked(folder: Path) -> pd.DataFrame:
    """All intermediates with their gains, by group and measure."""
    frame = pd.DataFrame(json.loads((folder / "answer.json").read_text())["intermediates"])
    return frame.set_index(["group", "measure", "intermediate"]).sort_index()


@pytest.mark.parametrize("measure", ["clean", "robust"])
@pytest.mark.parametrize("group", ["syntactic", "retrieval"])
def test_the_oracle_ranks_first(ranked: pd.DataFrame, group: str, measure: str) -> None:
    """More of the target's own skill gains more than any intermediate, clean and perturbed, surely above 0."""
    gains = ranked.loc[group, measure]
    assert gains["gain"].idxmax() == "oracle" and gains.loc["oracle", "low"] > 0


@pytest.mark.parametrize("measure", ["clean", "robust"])
def test_shuffled_labels_give_no_gain(ranked: pd.DataFrame, measure: str) -> None:
    """Where the intermediate itself helps, on entailment, its shuffled control's interval contains zero."""
    gains = ranked.loc["semantic", measure]
    assert gains.loc["shuffled", "low"] <= 0 <= gains.loc["shuffled", "high"]


def test_the_intermediate_that_teaches_the_skill_helps(ranked: pd.DataFrame) -> None:
    """mw_nli helps entailment and mw_supertags parts of speech, and each helps its own level more than the other's."""
    gains = ranked["gain"].unstack("intermediate")
    assert ranked.loc[("semantic", "clean", "mw_nli"), "low"] > 0
    assert gains.loc[("semantic", "clean"), "mw_nli"] > gains.loc[("semantic", "clean"), "mw_supertags"]
    assert gains.loc[("syntactic", "robust"), "mw_supertags"] > gains.loc[("syntactic", "robust"), "mw_nli"]


def test_training_on_noise_gives_robustness(ranked: pd.DataFrame, folder: Path) -> None:
    """An intermediate trained on perturbed rows gains under noise, more than the same without, and loses less."""
    robust = ranked.loc["syntactic", "robust"]
    assert robust.loc["mw_supertags-noisy", "low"] > 0
    assert robust.loc["mw_supertags-noisy", "gain"] > robust.loc["mw_supertags", "gain"]
    drops = pd.read_csv(folder / "robustness.csv").query("language == 'zero-shot' and perturbation == 'insert@0.15'")
    drop = drops[drops["target"] == "mw_pos"].set_index("intermediate")
    assert drop.loc["mw_supertags-noisy", "drop"] < drop.loc["mw_supertags", "drop"]


def test_the_answer_says_so(folder: Path) -> None:
    """The first lines of the report name what was found, and that the controls can be trusted."""
    said = " ".join(json.loads((folder / "answer.json").read_text())["answer"])
    assert "For syntactic targets" in said and "For semantic targets" in said and "For retrieval" in said
    assert "controls behave as they should" in said
