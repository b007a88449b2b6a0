"""A degenerate training is named, counted and marked in the report wherever a gain rests on it, and nowhere else."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_fixture import MICRO, PLANTED, contributions, results, steps

from xstilts.report.degenerate import DAGGER, degenerate_cautions, degenerate_runs, degenerate_table, doubtful
from xstilts.report.frames import DEGENERATE, Frames, Results
from xstilts.report.html import write_report
from xstilts.report.tables import gain_table

TARGETS = MICRO[2:4]
ARMS = {name: PLANTED[name] for name in ("nli", "squad")}
RULE = "A training is degenerate when it collapsed or diverged."


@pytest.fixture(scope="module")
def whole() -> Results:
    data = contributions(ARMS, TARGETS, examples=30, seeds=(1, 2))
    return results(TARGETS, contributions=data, intermediates=["none", *ARMS], degenerate_rule=RULE)


def run(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "intermediate": "nli", "target": "micro-nli", "seed": 2, "phase": "target",
        "reason": "the loss rose from 1.1 to 4.2", "restarts": 0, "remedied": False,
    }  # fmt: skip
    return {**fields, **changes}


def with_runs(whole: Results, *runs: dict[str, Any]) -> Frames:
    return Frames(dataclasses.replace(whole, degenerate=pd.DataFrame(runs)))


def test_a_gain_is_in_doubt_if_its_own_training_is_degenerate(whole: Results) -> None:
    """A degenerate training of a target casts doubt on that intermediate and target alone."""
    assert doubtful(with_runs(whole, run())) == {("nli", "micro-nli")}


def test_a_degenerate_baseline_puts_every_gain_of_its_target_in_doubt(whole: Results) -> None:
    """Every gain is over the baseline."""
    assert doubtful(with_runs(whole, run(intermediate="none"))) == {("nli", "micro-nli"), ("squad", "micro-nli")}


def test_a_degenerate_intermediate_puts_all_its_targets_in_doubt(whole: Results) -> None:
    """All targets start from the encoder of the intermediate phase."""
    found = doubtful(with_runs(whole, run(target="", phase="intermediate")))
    assert found == {("nli", "micro-nli"), ("nli", "micro-paraphrase")}


@pytest.mark.parametrize("changes", [{"remedied": True, "restarts": 1}, {"seed": 3}, {"target": "micro-pos"}])
def test_what_was_cured_or_is_part_of_no_gain_casts_no_doubt(whole: Results, changes: dict[str, Any]) -> None:
    """A cured run, a seed or a target without scores: no caution, no mark, but a row in the table."""
    frames = with_runs(whole, run(**changes))
    assert doubtful(frames) == frozenset() and degenerate_cautions(frames) == []
    assert len(degenerate_table(frames).rows) == 1


def test_the_caution_counts_trainings_not_targets(whole: Results) -> None:
    """Several targets that share a training are one training; cured ones are not counted."""
    shared = [run(key="a"), run(key="a", target="micro-paraphrase")]
    frames = with_runs(whole, *shared, run(intermediate="squad", key="b"), run(seed=1, key="c", remedied=True))
    (sentence,) = degenerate_cautions(frames)
    assert sentence.startswith("2 of 20 trainings are degenerate, see Degenerate runs")
    assert degenerate_cautions(with_runs(whole, *shared))[0].startswith("1 of 20 trainings is degenerate")
    rows = [[cell.text for cell in row] for row in degenerate_table(frames).rows]
    assert len(rows) == 3 and "every target" in [row[1] for row in rows]


def test_no_total_is_stated_that_is_not_known(whole: Results) -> None:
    """Without a table of steps the number of all trainings is unknown and left out."""
    unknown = dataclasses.replace(whole, steps=steps().iloc[:0])
    assert degenerate_cautions(with_runs(unknown, run()))[0].startswith("1 training is degenerate")


def test_the_mark_stands_at_the_gains_in_doubt_only(whole: Results) -> None:
    """The dagger follows the number of the gain; all other cells are those of the table without marks."""
    frames = with_runs(whole, run())
    plain, marked = gain_table(frames), gain_table(frames, doubtful(frames), DAGGER)
    changed = [
        (a[0].text, a[1].text, x.text, y.text)
        for a, b in zip(plain.rows, marked.rows, strict=True)
        for x, y in zip(a, b, strict=True)
        if x != y
    ]
    ((target, arm, before, after),) = changed
    assert (target, arm, after) == ("entailment", "nli", before + DAGGER)


def test_page_and_markdown_say_it_in_all_three_places(whole: Results, tmp_path: Path) -> None:
    """The caution on top, the mark with its footnote, and the table with the rule and the reason."""
    frames = with_runs(whole, run(), run(seed=1, remedied=True, restarts=2))
    page = write_report(frames.results, tmp_path)
    for text in (page.read_text(), (tmp_path / "report.md").read_text()):
        assert re.search(r"1 of 20 trainings is degenerate, see Degenerate runs.*Controls", text, re.DOTALL)
        for said in (
            RULE,
            "the loss rose from 1.1 to 4.2",
            "cured by a restart",
            "stands",
            DAGGER + " A degenerate run",
        ):
            assert said in text, said
    # in the table of gains, and where gains can be filtered
    assert len(re.findall(rf"\d{DAGGER}</td>", page.read_text())) == 2


def test_a_study_without_degenerate_runs_does_not_speak_of_them(whole: Results, tmp_path: Path) -> None:
    """No caution, no mark, no empty table."""
    page = write_report(whole, tmp_path).read_text()
    assert "degenerate" not in page.lower() and DAGGER not in page
    assert list(degenerate_runs(Frames(whole)).columns) == list(DEGENERATE)


def test_hostile_text_of_a_run_stays_inert(whole: Results, tmp_path: Path) -> None:
    """Names and reasons are other people's text."""
    bad = "<script>x</script>|`\u202e"
    frames = with_runs(whole, run(), run(intermediate=bad, target=bad, phase=bad, reason=bad))
    page = write_report(frames.results, tmp_path)
    for text in (page.read_text(), (tmp_path / "report.md").read_text()):
        assert "<script>x" not in text and "\u202e" not in text
