"""Scores of a submission equal those of XTREME's official evaluator on its own mock data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.submission import Scores, score_submission

DATA = Path(os.environ.get("XSTILTS_DATA") or Path(__file__).parents[3] / "shared" / "data") / "xtreme-mock"
OFFICIAL = DATA / "official_scores.json"
TASKS = ("xnli", "pawsx", "panx", "udpos", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
pytestmark = pytest.mark.skipif(not OFFICIAL.is_file(), reason=f"XTREME's mock data is not at {DATA}; set XSTILTS_DATA")


@pytest.fixture(scope="module")
def official() -> Any:
    return json.loads(OFFICIAL.read_text())


@pytest.fixture(scope="module")
def ours() -> Scores:
    return score_submission(DATA / "predictions", DATA / "labels")


@pytest.mark.parametrize("task", TASKS)
def test_every_language_and_average_equals_the_official_score(task: str, official: Any, ours: Scores) -> None:
    """Every metric of every language, precision and recall too, and every mean over languages."""
    expected, found = official["tasks"][task], ours.tasks[task]
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_groups_and_the_overall_score_equal_the_official_ones(official: Any, ours: Scores) -> None:
    """Four groups and the mean of all nine tasks; nothing is missing."""
    assert ours.groups == pytest.approx(official["groups"], abs=1e-9)
    assert not ours.missing


def test_a_task_that_is_not_one_of_the_nine_is_said(ours: Scores) -> None:
    """XTREME-R's Mewsli-X lies in the folder and is no part of XTREME."""
    assert ours.notes == ["mewslix (in both folders): none of XTREME's nine tasks, not scored"]


def crlf(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def blank_ends(path: Path) -> None:
    path.write_text(path.read_text("utf-8") + "\n \n\n", "utf-8")


def padded(path: Path) -> None:
    if path.suffix == ".tsv":
        path.write_text("".join(f" {line} \n" for line in path.read_text("utf-8").splitlines()), "utf-8")


def no_last_line_end(path: Path) -> None:
    path.write_text(path.read_text("utf-8").rstrip("\n"), "utf-8")


def brackets(path: Path) -> None:
    if path.parent.name == "tatoeba":
        path.write_text("".join(f"[{line}]\n" for line in path.read_text().splitlines()))


def tokens_before_tags(path: Path) -> None:
    if path.parent.name in ("panx", "udpos"):
        lines = path.read_text().splitlines()
        path.write_text("".join(f"I-token\t{line}\n" if line else "\n" for line in lines))


@pytest.mark.parametrize("change", [crlf, blank_ends, padded, no_last_line_end, brackets, tokens_before_tags])
def test_how_a_file_is_written_does_not_change_a_score(
    change: Callable[[Path], None], tmp_path: Path, ours: Scores
) -> None:
    """Line ends, white space, blank lines at the end, Tatoeba's `[12]`, tokens before tags: the same scores."""
    shutil.copytree(DATA / "predictions", tmp_path / "predictions", copy_function=shutil.copyfile)
    for path in (tmp_path / "predictions").glob("*/*"):
        change(path)
    found = score_submission(tmp_path / "predictions", DATA / "labels")
    assert (found.tasks, found.groups, found.missing) == (ours.tasks, ours.groups, ours.missing)
