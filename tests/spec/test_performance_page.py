"""The page on speed says what was measured, and what was not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import performance
from performance import GOALS, Goal, figures, page, show

RESULTS: dict[str, Any] = json.loads((REPOSITORY / "docs" / "performance.json").read_text("utf-8"))


def spread(median: float) -> dict[str, float]:
    return {"median": median, "low": median / 2, "high": median * 2, "n": 3}


def test_the_page_is_what_the_results_say() -> None:
    """docs/performance.md and its figures are made from docs/performance.json and nothing else."""
    assert (REPOSITORY / "docs" / "performance.md").read_text("utf-8") == page(RESULTS)
    for stem, svg in figures(RESULTS).items():
        assert (REPOSITORY / "docs" / f"{stem}.svg").read_text("utf-8") == svg


def test_what_was_not_measured_is_said() -> None:
    """Without any results every section is there, and none has a figure."""
    empty = page({})
    assert empty.count("ot measured yet") == len(GOALS) + 14
    assert not figures({}) and ".svg" not in empty


@pytest.mark.parametrize(
    ("value", "most", "reached"), [(2.0, False, "yes"), (1.9, False, "no"), (2.0, True, "yes"), (2.1, True, "no")]
)
def test_a_goal_is_reached_or_not(value: float, most: bool, reached: str) -> None:
    """By the median, at the goal itself too; a plain number counts like a spread."""
    goal = Goal("work", "against", ("a", "b"), 2, most)
    for found in (value, spread(value)):
        assert goal.row({"a": {"b": found}})["reached"] == reached
    assert goal.row({"a": {}}) == {"work": "work", "against": "against", "measured": "not measured yet", "reached": "",
                                   "goal": f"at {'most' if most else 'least'} 2 times faster"}  # fmt: skip


def test_a_spread_is_shown_with_its_ends() -> None:
    """One measurement is a number, several are a median with lowest and highest."""
    assert show(spread(8.0)) == "8.00 (4.00 to 16.0)" and show({**spread(8.0), "n": 1}) == "8.00"
    assert show(1234.5) == "1,234" and show(0.1234, 3) == "0.123"


def test_every_benchmark_is_a_command_or_says_that_it_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be run is left out with its reason; the rest is started with the file of results."""
    started: list[list[str]] = []
    monkeypatch.setattr(performance.subprocess, "run", lambda command, check: started.append(command))
    monkeypatch.setattr(performance, "_has_gpu", lambda: False)
    for name in performance.BENCHMARKS:
        performance.run(name, tmp_path / "results.json", 2)
    said = capsys.readouterr().out
    assert "gpu: left out, there is no GPU" in said
    assert len(started) + said.count("left out") == len(performance.BENCHMARKS)
    assert all(Path(command[1]).is_file() and command[-1] == str(tmp_path / "results.json") for command in started)
