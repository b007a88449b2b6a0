"""The answer on top of the report says what the numbers say, and no more."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.spec.report_fixture import NATURAL, PLANTED, contributions, results

from xstilts.report.answer import answer_data, answer_words, ranked
from xstilts.report.frames import Frames
from xstilts.report.html import write_report

TARGETS = tuple(dataclasses.replace(target, languages=target.languages[:4]) for target in NATURAL)
NOTHING: dict[str, tuple[str, str, dict[str, float]]] = {
    "nli": ("NLI", "", {}), "squad": ("span QA", "", {}), "tags": ("syntax", "", {}),
}  # fmt: skip
STRONG = {
    **PLANTED,
    "nli": ("NLI", "", {"xnli": 12, "xquad": 12, "tatoeba": 12}),
    "ud-tags": ("syntax", "", {"udpos": 12, "panx": 12}),
}


def frames(planted: dict[str, Any], **changes: Any) -> Frames:
    data = contributions(planted, TARGETS, examples=150, seed_sd=0.2)
    return Frames(results(TARGETS, contributions=data, **changes))


@pytest.fixture(scope="module")
def strong() -> Frames:
    return frames(STRONG)


def test_a_planted_effect_is_named_with_its_category(strong: Frames) -> None:
    """Each group's sentence names the category that was given the largest gain, and calls it the highest."""
    words = answer_words(strong)
    assert any(line.startswith("For syntactic targets syntax gives the highest gain") for line in words)
    assert any(line.startswith("For semantic targets NLI gives the highest gain") for line in words)
    assert any("gain of syntax is higher on syntactic than on semantic targets" in line for line in words)


def test_without_an_effect_no_difference_is_claimed() -> None:
    """Where nothing was planted every group says so, and no category is called the highest or harmful."""
    words = answer_words(frames(NOTHING))
    groups = [line for line in words if line.startswith("For ")]
    assert len(groups) == 3 and all("no category gives a gain that can be told from zero" in line for line in groups)
    assert not any("gives the highest" in line or " harm" in line for line in words)


def test_controls_and_variants_do_not_compete(strong: Frames) -> None:
    """Neither controls nor arms of the category `variant` are among the ranked categories."""
    data = strong.contributions
    more = data[data["intermediate"] == "nli"].assign(intermediate="nli-noisy", category="variant")
    frame = Frames(dataclasses.replace(strong.results, contributions=pd.concat([data, more], ignore_index=True)))
    names = {row["category"] for group in ("syntactic", "semantic") for row in ranked(frame, group, "clean")}
    assert "variant" not in names and "" not in names and {"NLI", "syntax"} <= names


def test_a_target_does_not_count_for_an_intermediate_that_learns_its_task(strong: Frames) -> None:
    """Pairs in `own_tasks` are left out of the ranking, and counted as missing."""
    own = Frames(dataclasses.replace(strong.results, study={**strong.results.study, "own_tasks": [["nli", "xnli"]]}))
    rows = {row["category"]: row for row in ranked(own, "semantic", "clean")}
    assert (rows["NLI"]["n_targets"], rows["NLI"]["missing"]) == (1, 1)
    assert rows["span QA"]["n_targets"] == 2


def test_the_answer_is_data_too(strong: Frames, tmp_path: Path) -> None:
    """answer.json is plain JSON without NaN, with the sentences of the page and the rows they rest on."""
    write_report(strong.results, tmp_path)
    found = json.loads((tmp_path / "answer.json").read_text(), parse_constant=pytest.fail)
    assert found["answer"][: len(answer_words(strong))] == answer_words(strong)
    assert {row["category"] for row in found["categories"]} == {"NLI", "span QA", "paraphrase", "commonsense choice",
                                                                "syntax"}  # fmt: skip
    assert found["measure"] == "clean" and {control["name"] for control in found["controls"]} == {"shuffled", "oracle"}
    assert set(answer_data(strong)) <= set(found)


def test_with_perturbations_the_answer_is_about_robust_gains(strong: Frames) -> None:
    """Where rows were perturbed the ranking is by the gain under perturbation."""
    data = strong.contributions
    noisy = data.assign(perturbation="swap@0.1")
    frame = Frames(dataclasses.replace(strong.results, contributions=pd.concat([data, noisy], ignore_index=True)))
    assert any("gives the highest robust gain" in line for line in answer_words(frame))
