"""Runs that went wrong without breaking: found by the stated rule, restarted with another seed, never in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import mini

from xstilts.api import run_study
from xstilts.plan import plan
from xstilts.step import Work
from xstilts.steps.train import RESTART, Train
from xstilts.store import Store
from xstilts.training.degenerate import RISE, ROWS, RULE, STEPS, collapsed, diverged

FIELDS: dict[str, Any] = {"train_rows": 24, "test_rows": 16, "epochs": 1, "batch_size": 8, "max_length": 96}


@pytest.mark.parametrize(
    ("answers", "golds", "says"),
    [
        (["a"] * 5, ["a", "b", "a", "a", "a"], "collapsed: 'a' for all 5"),
        (["a", "a", "b"], ["a", "b", "b"], ""),
        (["a"] * 3, ["a"] * 3, ""),
        ([["O", "O"], ["O"]], [["O", "B"], ["O"]], "collapsed: 'O' for all 3"),
        ([["O", "B"], ["O"]], [["O", "B"], ["O"]], ""),
        (["", "", ""], [["x"], ["y", "z"], []], "collapsed: '' for all 3"),
        (["x", "y"], [["x"], ["y"]], ""),
        ([0, 0, 0], [0, 1, 2], "collapsed: 0 for all 3"),
        ([], [], ""),
    ],
)
def test_one_answer_for_everything_is_a_collapse_where_the_gold_has_several(
    answers: list[Any], golds: list[Any], says: str
) -> None:
    """Labels, tags, answers and choices alike; where the gold is of one kind, one answer is right."""
    assert collapsed(answers, golds).startswith(says) and bool(collapsed(answers, golds)) == bool(says)


@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=50))
def test_a_loss_that_falls_has_not_diverged(losses: list[float]) -> None:
    """No sequence whose losses never rise is called divergent; turned round it is, if it rises by the stated factor and
    is long enough to tell."""
    falling = sorted(losses, reverse=True)
    count = max(STEPS, len(losses) // 10)
    assert diverged(falling) == ""
    rose = sum(falling[:count]) >= RISE * sum(falling[-count:])
    assert bool(diverged(falling[::-1])) == (rose and len(losses) >= 2 * count)


def test_the_rule_says_what_is_checked() -> None:
    """The sentence that the report prints names the numbers that the code goes by."""
    assert f"{RISE:g} times" in RULE and f"up to {ROWS} rows" in RULE


def training(rate: float, restarts: int | None = None) -> Train:
    settings = {"default": {**FIELDS, "learning_rate": rate, **({"restarts": restarts} if restarts else {})}}
    graph = plan(mini(intermediates=[], settings=settings))
    return next(step for step in graph.steps.values() if isinstance(step, Train))


def run(step: Train, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """(notes of the manifest, folder) of a training with its rows prepared."""
    store = Store(tmp_path / "store").open()
    graph = plan(mini(intermediates=[], settings={"default": {**FIELDS, "learning_rate": 1e-3}}))
    for key in step.data:
        store.publish(graph.steps[key], "rows")
    out = tmp_path / "out"
    out.mkdir()
    work = Work(store, out)
    step.run(work)
    return work.notes, out


def test_a_collapsed_training_is_marked_and_restarted_with_other_seeds(tmp_path: Path) -> None:
    """At a rate that destroys the encoder all three attempts are in the manifest with their seeds and reasons,
    and the log of each is kept; the last one stands."""
    notes, out = run(training(0.03, restarts=2), tmp_path)
    assert [attempt["seed"] for attempt in notes["attempts"]] == [1, 1 + RESTART, 1 + 2 * RESTART]
    assert all(attempt["degenerate"].startswith(("collapsed", "diverged")) for attempt in notes["attempts"])
    assert notes["degenerate"] == notes["attempts"][-1]["degenerate"]
    logs = [
        json.loads((out / name).read_text().splitlines()[0])["loss"]
        for name in ("log-1.jsonl", "log-2.jsonl", "log.jsonl")
    ]
    assert len(set(logs)) == 3


def test_a_healthy_training_is_not_restarted(tmp_path: Path) -> None:
    """Allowed restarts cost nothing where the first attempt is sound, and the manifest says nothing of them."""
    settings = {"default": {**FIELDS, "learning_rate": 3e-3, "epochs": 6, "restarts": 2}}
    graph = plan(mini(intermediates=[], targets=["mw_pos"], settings=settings))
    step = next(step for step in graph.steps.values() if isinstance(step, Train))
    store = Store(tmp_path / "store").open()
    for key in step.data:
        store.publish(graph.steps[key], "rows")
    (tmp_path / "out").mkdir()
    work = Work(store, tmp_path / "out")
    step.run(work)
    assert "degenerate" not in work.notes and not list((tmp_path / "out").glob("log-*.jsonl"))


def test_restarts_are_neutral_where_not_asked_for() -> None:
    """Without the setting the key of a training is what it was; with it, it is another."""
    assert "restarts" not in training(1e-3).recipe
    assert training(1e-3).key != training(1e-3, restarts=2).key


def test_a_restart_never_repeats_another_seed_of_the_study(tmp_path: Path) -> None:
    """Seeds 1 to 3 and their restarts are nine different seeds."""
    assert len({seed + RESTART * attempt for seed in (1, 2, 3) for attempt in range(3)}) == 9


def test_the_report_says_which_runs_are_degenerate(tmp_path: Path) -> None:
    """A study whose only training collapses says so first, gives the rule, and marks nothing as cured."""
    settings = {"default": {**FIELDS, "learning_rate": 0.03, "restarts": 1}}
    outcome = run_study(mini(settings=settings), tmp_path / "store", tmp_path / "report", "inline")
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert outcome.ok and "trainings are degenerate" in text and "Degenerate runs" in text
    assert "cured by a restart" not in text and RULE.split("(")[0] in text.replace("\\", "")
