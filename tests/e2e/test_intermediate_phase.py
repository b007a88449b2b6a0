"""Each variant of the intermediate phase, from study to report, in the microworld."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.conftest import mini

from xstilts.api import find_store, run_study
from xstilts.graph import Plan
from xstilts.plan import plan
from xstilts.steps.train import Train
from xstilts.steps.translate import Translate
from xstilts.store import Store

LANGUAGES = ["en", "qaa"]
VARIANTS: dict[str, dict[str, Any]] = {
    "mixture": {"tasks": "mw_nli+mw_squad+mw_supertags"},
    "sampler": {"tasks": "mw_nli+mw_squad", "sampler": {"cap": 20, "temperature": 2}},
    "mlm": {"tasks": "mw_nli", "mlm": {"languages": LANGUAGES, "weight": 0.5, "rows": 200}},
    "text alone": {"mlm": {"languages": LANGUAGES, "rows": 200}, "settings": {"steps": 4}},
    "translated": {"tasks": "mw_nli", "translate": {"to": ["qaa", "qaf"], "backend": "table"}},
    "translated spans": {"tasks": "mw_squad", "translate": {"to": ["qaa"], "backend": "table", "keep_english": True}},
    "lora": {"tasks": "mw_nli", "settings": {"lora": {"rank": 2}}},
    "frozen": {"tasks": "mw_nli", "settings": {"freeze": 2}},
    "interpolated": {"tasks": "mw_nli", "alpha": 0.5},
    "head": {"tasks": "mw_nli", "reuse_head": True},
    "best checkpoint of a mixture": {"tasks": "mw_nli+mw_squad", "settings": {"select": "best", "evaluate_every": 2}},
    "fixed checkpoint": {"tasks": "mw_nli", "settings": {"select": 2}},
}
TARGETS = ["mw_entailment", "mw_retrieval"]


def run(arm: dict[str, Any], folder: Path) -> tuple[Plan, Store, dict[str, Any]]:
    """The plan, its store after the run, and the manifest of the arm's intermediate training."""
    study = mini(intermediates=[{"name": "arm", **arm}], targets=TARGETS)
    outcome = run_study(study, folder / "store", folder / "report", "inline")
    assert outcome.ok, outcome.steps.failed
    graph, store = plan(study), find_store(folder / "store")
    base = next(cell.base for cell in graph.cells if cell.arm.name == "arm")
    return graph, store, store.manifest(graph.steps[base or ""])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_runs_from_study_to_report_in_under_a_minute(name: str, tmp_path: Path) -> None:
    """Each gives scores for both targets in every language, and the report says in words what it is. The minute is
    processor time, which other work on the machine does not change."""
    began = time.process_time()
    run(VARIANTS[name], tmp_path)
    assert time.process_time() - began < 60
    scores = pd.read_csv(tmp_path / "report" / "scores.csv").query("intermediate == 'arm'")
    assert set(scores["target"]) == set(TARGETS) and scores["score"].notna().all()
    assert "arm is trained on" in (tmp_path / "report" / "report.md").read_text("utf-8")


def test_steps_of_a_mixture_with_text_are_counted_by_task(tmp_path: Path) -> None:
    """24 rows of each of two tasks in batches of 8 are 6 steps; text at weight 0.5 adds 3; the manifest has them."""
    arm = {"tasks": "mw_nli+mw_squad", "mlm": {"languages": LANGUAGES, "weight": 0.5, "rows": 100}}
    _, _, manifest = run(arm, tmp_path)
    counts = manifest["steps_by_task"]
    texts = sum(n for name, n in counts.items() if name.startswith("text "))
    assert texts == 3 and counts.get("mw_nli", 0) + counts.get("mw_squad", 0) == 6


def test_translated_rows_are_learned_from_and_counted(tmp_path: Path) -> None:
    """The arm's training sees the rows in the other languages, and the manifest of their translation counts them."""
    graph, store, manifest = run(VARIANTS["translated"], tmp_path)
    made = [store.manifest(step) for step in graph.steps.values() if isinstance(step, Translate)]
    assert [(m["translated"], m["of"], m["dropped"]) for m in made] == [(24, 24, {})] * 2
    assert manifest["examples"] == 48


def test_a_fixed_checkpoint_is_that_of_the_longer_run(tmp_path: Path) -> None:
    """Stopping after step 2 gives the losses of the first two steps of the whole training, at its rates."""
    logs = {}
    for name, arm in (("whole", {"tasks": "mw_nli"}), ("fixed", VARIANTS["fixed checkpoint"])):
        graph, store, _ = run(arm, tmp_path / name)
        base = next(step for step in graph.steps.values() if isinstance(step, Train) and step.base is None
                    and step.key in {cell.base for cell in graph.cells})  # fmt: skip
        lines = (store.path("Train", base.key) / "log.jsonl").read_text().splitlines()
        logs[name] = [json.loads(line) for line in lines]
    assert len(logs["whole"]) == 3 and logs["fixed"] == logs["whole"][:2]


def test_a_checkpoint_beyond_the_end_is_refused(tmp_path: Path) -> None:
    """A study that asks for step 99 of 3 fails in one line that says how many there are."""
    from xstilts.schedule import InputErrors

    study = mini(intermediates=[{"name": "arm", "tasks": "mw_nli", "settings": {"select": 99}}])
    with pytest.raises(InputErrors, match="after step 99 is asked for, and the training has 3 steps"):
        run_study(study, tmp_path / "store", tmp_path / "report", "inline")


def test_the_best_intermediate_is_chosen_on_dev_rows_where_the_study_says_so(tmp_path: Path) -> None:
    """best_on: dev predicts English dev rows and the report's table says that they chose."""
    study = mini(intermediates=["mw_nli", "mw_squad"], targets=["mw_entailment"], best_on="dev", seeds=[1, 2])
    assert run_study(study, tmp_path / "store", tmp_path / "report", "inline").ok
    best = pd.read_csv(tmp_path / "report" / "best.csv")
    assert "dev" in set(best["how"].dropna())
