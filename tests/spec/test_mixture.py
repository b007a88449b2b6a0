"""Which task an optimiser step learns from: in the proportions asked for, the same whenever it is asked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from xstilts.arms import Sampler
from xstilts.models.encoder import load_encoder, sha256_of_weights
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES, Spec
from xstilts.training.drawing import Learner
from xstilts.training.loop import Trained, train
from xstilts.training.mixture import language_probabilities, probabilities, turns

ROWS = {"mnli": 400, "squad": 100, "cosmos": 25}
RECIPE = {"learning_rate": 1e-3, "epochs": 1.0, "batch_size": 4, "warmup": 0.1, "weight_decay": 0.0, "clip": 1.0}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("proportional", [400 / 525, 100 / 525, 25 / 525]),
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
        ({"cap": 100}, [100 / 225, 100 / 225, 25 / 225]),
        ({"temperature": 2}, [20 / 35, 10 / 35, 5 / 35]),
        ({"cap": 100, "temperature": 2}, [10 / 25, 10 / 25, 5 / 25]),
        ({"weights": {"mnli": 1, "squad": 3, "cosmos": 0}}, [0.25, 0.75, 0]),
    ],
)
def test_a_sampler_gives_the_probabilities_of_its_formula(written: Any, expected: list[float]) -> None:
    """p_i is proportional to min(n_i, cap)^(1/T), or even, or as given."""
    sampler = Sampler.model_validate(written).model_dump(exclude_defaults=True)
    assert list(probabilities(ROWS, sampler).values()) == pytest.approx(expected)


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 10**6), min_size=1, max_size=9), st.floats(1, 50))
def test_a_higher_temperature_never_helps_the_largest_task(rows: dict[str, int], temperature: float) -> None:
    """Probabilities sum to 1, and the largest task's falls from proportional towards uniform as T rises."""
    one, flat = probabilities(rows, {}), probabilities(rows, {"temperature": temperature})
    largest = max(rows, key=rows.__getitem__)
    assert sum(flat.values()) == pytest.approx(1)
    assert 1 / len(rows) - 1e-9 <= flat[largest] <= one[largest] + 1e-9


@pytest.mark.parametrize("written", ["proportional", "uniform", {"temperature": 3}, {"cap": 50}])
def test_the_tasks_drawn_are_as_frequent_as_the_sampler_says(written: Any) -> None:
    """Over 20,000 steps the counts fit the probabilities (chi-square, p > 0.001)."""
    chances = list(probabilities(ROWS, Sampler.model_validate(written).model_dump(exclude_defaults=True)).values())
    counts = Counter(turns(chances, 20_000, [], 0, seed=3))
    assert chisquare([counts[i] for i in range(3)], np.array(chances) * 20_000).pvalue > 0.001


def test_text_takes_no_step_from_the_tasks_and_comes_all_along() -> None:
    """With weight 0.5, 1,000 steps of tasks get 500 of text beside them, about half of these in either half, languages
    as frequent as n^exponent says."""
    spoken = language_probabilities({"en": 10_000, "sw": 100}, 0.5)
    assert list(spoken.values()) == pytest.approx([100 / 110, 10 / 110])
    drawn = turns([0.7, 0.3], 1000, list(spoken.values()), 0.5, seed=1)
    counts = Counter(drawn)
    assert counts[0] + counts[1] == 1000 and counts[2] + counts[3] == 500
    assert abs(sum(i >= 2 for i in drawn[:750]) - 250) < 60
    assert chisquare([counts[2], counts[3]], np.array(list(spoken.values())) * 500).pvalue > 0.001


def test_turns_depend_on_nothing_but_their_arguments() -> None:
    """The same seed gives the same turns whatever was drawn elsewhere; another seed gives others."""
    first = turns([0.5, 0.5], 50, [1.0], 1.0, seed=1)
    np.random.default_rng().random(7)
    assert turns([0.5, 0.5], 50, [1.0], 1.0, seed=1) == first != turns([0.5, 0.5], 50, [1.0], 1.0, seed=2)


def learners(*names: str, rows: int = 16, head: str = "") -> list[Learner]:
    found = []
    for name in names:
        task = get_task(name)
        data = get_source("microworld").rows(task, "train", "en")[:rows]
        spec = Spec(max_length=96, labels=task.labels)
        found.append(Learner(name, head or name, SHAPES.get(task.shape), spec, data))
    return found


def run(parts: list[Learner], log: Path, seed: int = 1, **more: Any) -> Trained:
    encoder, tokenizer = load_encoder(str(ENCODER), "", None)
    return train(encoder, tokenizer, parts, RECIPE, seed, "float32", log, lambda d, t: None, **more)


def test_one_task_an_optimiser_step_and_the_same_twice(tmp_path: Path) -> None:
    """Every line of the log names one task, in the order that the seed gives; two runs have bit-equal weights."""
    hashes = []
    for name in ("a", "b"):
        trained = run(learners("mw_nli", "mw_squad", "mw_choice"), tmp_path / name, sampler={"uniform": True})
        hashes.append(sha256_of_weights(trained.encoder))
    lines = [json.loads(line) for line in (tmp_path / "a").read_text().splitlines()]
    order = turns([1 / 3] * 3, len(lines), [], 1.0, seed=1)
    assert [line["task"] for line in lines] == [("mw_nli", "mw_squad", "mw_choice")[i] for i in order]
    assert trained.notes["steps_by_task"] == dict(Counter(line["task"] for line in lines))
    assert set(trained.heads) == {"mw_nli", "mw_squad", "mw_choice"}
    assert hashes[0] == hashes[1]


def test_tasks_that_name_one_head_share_it(tmp_path: Path) -> None:
    """Two tasks on head `nli` train one module, and both change it."""
    together = run(learners("mw_nli", "mw_entailment", head="nli"), tmp_path / "log")
    alone = run(learners("mw_nli", head="nli"), tmp_path / "log")
    assert list(together.heads) == ["nli"]
    assert sha256_of_weights(together.heads["nli"]) != sha256_of_weights(alone.heads["nli"])


def test_a_cap_shortens_the_epoch_of_the_task_that_it_caps(tmp_path: Path) -> None:
    """An epoch holds min(n, cap) rows of each task: 16 + 16 rows in batches of 4 are 8 steps, with cap 4 they are 2."""
    steps = {}
    for cap in (16, 4):
        trained = run(learners("mw_nli", "mw_entailment"), tmp_path / "log", sampler={"cap": cap})
        steps[cap] = trained.notes["optimiser_steps"]
    assert steps == {16: 8, 4: 2}
