"""What large plans cost, and that nothing of it is bought with other numbers."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from tests.conftest import mini

from xstilts.cost.estimate import Rate, estimate, time_left
from xstilts.cost.measured import SAMPLE, group, measure
from xstilts.cost.spread import Spread, quantile
from xstilts.cost.workload import Load, loads
from xstilts.graph import Plan, asked, needed
from xstilts.plan import plan
from xstilts.screens import plan_facts
from xstilts.step import Step, series
from xstilts.steps.score import Score
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.study import Study

EVERYTHING: dict[str, Any] = {
    "languages": "all", "encoder_languages": ["en", "qaa"], "seeds": [1, 2], "best_on": "dev", "pretrain": {"steps": 5},
    "intermediates": ["mw_nli", {"name": "half", "tasks": "mw_nli", "alpha": 0.5, "reuse_head": True}, "mw_parallel",
                      {"name": "mixed", "tasks": "mw_nli+mw_squad", "mlm": {}}],
    "targets": ["mw_retrieval", "mw_entailment", "mw_pos"], "controls": {"shuffled": "mw_nli", "oracle": True},
    "perturbations": {"insert": [0.1, 0.2], "mlm": 0.1},
}  # fmt: skip
GUESS = Rate(1e9, False, "a guess")


def wide(seeds: int) -> Study:
    """Three arms, two targets and three settings for each seed."""
    return mini(intermediates=["mw_nli", "mw_squad"], targets=["mw_entailment", "mw_pos"],
                seeds=list(range(1, seeds + 1)), perturbations={"insert": [0.1, 0.2]})  # fmt: skip


def publish(store: Store, graph: Plan, step: Step, seconds: float, rows: int) -> None:
    """A step as if it had been done."""
    folder = store.of(step)
    folder.mkdir(parents=True)
    notes = {"seconds": seconds, "examples": rows, "pieces": 10 * rows}
    (folder / "manifest.json").write_text(json.dumps(notes))


def filled(root: Path, graph: Plan, keep: Callable[[Step], bool] = lambda step: True) -> Store:
    """A store with the steps of a plan that `keep` chooses; a row takes a hundredth of a second, more or less."""
    store, chance = Store(root), random.Random(1)
    for key, load in loads(graph, store).items():
        if keep(graph.steps[key]):
            publish(store, graph, graph.steps[key], load.rows * 0.01 * chance.uniform(0.8, 1.2), load.rows)
    return store


# -- plans --------------------------------------------------------------------------------------------------------


def test_steps_made_in_series_are_those_made_one_by_one() -> None:
    """In a study of every kind of arm each step equals the one that its fields make, validated, and has its key."""
    graph = plan(mini(**EVERYTHING))
    assert {step.kind for step in graph.steps.values()} >= {"Pretrain", "Train", "Predict", "Score", "Perturb"}
    for key, step in graph.steps.items():
        anew = type(step).model_validate({name: getattr(step, name) for name in type(step).model_fields})
        assert anew == step and anew.key == key == pickle.loads(pickle.dumps(step)).key  # noqa: S301


def test_a_copy_with_another_field_has_another_key() -> None:
    """What is changed by `model_copy` is not found under the key of what it was copied from."""
    step = Score(predictions="a", metrics=("f1",))
    assert step.model_copy(update={"predictions": "b"}).key == Score(predictions="b", metrics=("f1",)).key != step.key


def test_a_series_differs_in_what_its_key_says() -> None:
    """A field that is no part of the key cannot tell the steps of a series apart."""
    step = next(step for step in plan(mini()).steps.values() if isinstance(step, Train))
    with pytest.raises(ValueError, match="no part of the key of a Train: precision"):
        series(step, "seed", "precision")


def test_what_is_made_once_counts_for_all_who_ask() -> None:
    """Work without sharing is the same number whether a planner makes steps again or remembers that it did."""
    counts = []
    for remember in (False, True):
        graph = plan(mini())
        some = list(graph.steps.values())[:3]

        def make(graph: Plan = graph, some: list[Step] = some) -> list[str]:
            return [graph.add(step, "again", 7) for step in some]

        for _ in range(5):
            graph.once("some", make) if remember else make()
        counts.append((graph.unshared, graph.unshared_examples))
    assert counts[0] == counts[1]


def test_seeds_share_what_they_ask_for() -> None:
    """Three seeds without sharing are three times one."""
    one, three = plan(wide(1)), plan(wide(3))
    assert three.unshared == {kind: 3 * n for kind, n in one.unshared.items()}
    assert three.unshared_examples == {kind: 3 * n for kind, n in one.unshared_examples.items()}


def test_planning_grows_with_the_cells_and_no_faster() -> None:
    """Four times the cells take less than six times as long, planned and summed up (the fastest of five)."""
    seconds: dict[int, float] = {}
    for seeds in (25, 100):
        study = wide(seeds)

        def work(study: Study = study) -> float:
            began = time.process_time()
            plan_facts(plan(study), Store(Path("/nowhere")))
            return time.process_time() - began

        seconds[seeds] = min(work() for _ in range(5))
    assert len(plan(wide(100)).cells) == 4 * len(plan(wide(25)).cells)
    assert seconds[100] < 6 * seconds[25]


def test_status_waits_for_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    """`xstilts status` imports neither torch nor pandas, scipy, matplotlib or transformers."""
    (tmp_path / "study.yaml").write_text(json.dumps(mini().model_dump(mode="json", exclude_defaults=True)))
    code = (
        "import sys; sys.argv = ['xstilts', 'status', 'study.yaml']\n"
        "from xstilts.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'pandas', 'scipy', 'matplotlib', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "Score" in done.stdout and done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


# -- what is still to do ------------------------------------------------------------------------------------------


def test_what_is_needed_is_asked_of_the_scores_first() -> None:
    """In a study that is done the store is asked about its scores and about nothing else."""
    graph, heard = plan(mini()), list[Step]()

    def done(steps: Any) -> set[str]:
        heard.extend(steps)
        return set(graph.steps)

    assert needed(graph, done) == set()
    assert {step.key for step in heard} == set(asked(graph)) and len(heard) == len(set(asked(graph)))


def test_a_store_and_its_keys_need_the_same(tmp_path: Path) -> None:
    """Whatever is done, asking the store level by level and knowing all keys beforehand come to the same."""
    graph, chance = plan(mini(**EVERYTHING)), random.Random(3)
    for i, share in enumerate((0.0, 0.3, 0.6, 0.9, 1.0)):
        store = filled(tmp_path / str(i), graph, lambda step, share=share: chance.random() < share)  # type: ignore[misc]
        done = store.done(graph.steps.values())
        ahead = needed(graph, store.done)
        assert ahead == needed(graph, done) and not ahead & done
        readers = {i for key in ahead for i in graph.inputs(key)} | set(asked(graph))
        assert ahead <= readers  # nothing is done for nobody


def test_a_dropped_checkpoint_takes_no_time(tmp_path: Path) -> None:
    """A target's checkpoint that is gone once its predictions are stored is dropped, counts as done and as no time; it
    is work again when the predictions go too."""
    graph = plan(mini())
    target = next(cell.training for cell in graph.cells if cell.base)
    assert target is not None
    store = filled(tmp_path, graph)
    store.drop("Train", target)
    facts = plan_facts(graph, store)
    assert {step["key"]: step["state"] for step in facts["steps"]}[target] == "dropped"
    assert facts["kinds"]["Train"]["done"] == facts["kinds"]["Train"]["steps"] and facts["rest"]["seconds"] == 0
    for key, step in graph.steps.items():
        if target in step.inputs() or any(target in graph.inputs(i) for i in step.inputs()):
            (store.of(graph.steps[key]) / "manifest.json").unlink()
    facts = plan_facts(graph, store)
    assert {step["key"]: step["state"] for step in facts["steps"]}[target] == "to do"
    assert facts["rest"]["seconds"] > 0


# -- estimates ----------------------------------------------------------------------------------------------------


def test_few_manifests_are_read_and_none_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many steps are done: those of all data steps, and `SAMPLE` of each other group, each once."""
    graph = plan(wide(20))
    store = filled(tmp_path, graph)
    groups = Counter(map(group, graph.steps.values()))
    assert max(groups.values()) > 3 * SAMPLE
    read = Counter[Path]()
    original = Path.read_text

    def counted(self: Path, *args: Any, **kwargs: Any) -> str:
        read[self] += 1
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", counted)
    plan_facts(graph, store)
    manifests = {path: n for path, n in read.items() if path.name == "manifest.json"}
    assert set(manifests.values()) == {1}
    assert len(manifests) == sum(n if kind == "Prepare" else min(n, SAMPLE) for (kind, _), n in groups.items())


def test_a_sample_is_spread_over_the_plan(tmp_path: Path) -> None:
    """The first and the last done step of a group are in it, and no stretch of the plan is left out."""
    graph = plan(wide(20))
    known = measure(graph, filled(tmp_path, graph))
    for sort in set(map(group, graph.steps.values())):
        keys = [key for key, step in graph.steps.items() if group(step) == sort]
        places = [i for i, key in enumerate(keys) if key in known.manifests]
        assert known.counts[sort] == len(keys) and (places[0], places[-1]) == (0, len(keys) - 1)
        assert max(b - a for a, b in zip(places, [*places[1:], len(keys)], strict=True)) <= len(keys) / SAMPLE + 2


def test_a_sample_passes_over_what_left_no_record(tmp_path: Path) -> None:
    """Where most of a group is gone without a trace, what is left is found."""
    graph = plan(wide(20))
    chance = random.Random(2)
    store = filled(tmp_path, graph, lambda step: step.kind != "Train" or chance.random() < 0.2)
    left = Counter(group(graph.steps[key]) for key in store.done(graph.steps.values()))
    found = Counter(group(graph.steps[key]) for key in measure(graph, store, graph.steps.keys()).manifests)
    assert found == {sort: n if sort[0] == "Prepare" else min(n, SAMPLE) for sort, n in left.items()}


def test_time_left_is_rows_by_the_rate_of_their_kind(tmp_path: Path) -> None:
    """With all of few manifests read: seconds by rows of the done steps, times the rows ahead."""
    graph = plan(mini(seeds=[1, 2, 3]))
    store = filled(tmp_path, graph, lambda step: step.kind != "Score" and "seed 3" not in graph.labels[step.key])
    ahead, work = needed(graph, store.done), loads(graph, store)
    expected = 0.0
    for sort in set(map(group, graph.steps.values())):
        there = [store.manifest(s) for s in graph.steps.values() if group(s) == sort and store.has(s)]
        rows = sum(work[key].rows for key in ahead if group(graph.steps[key]) == sort)
        rate = sum(m["seconds"] for m in there) / sum(m["examples"] for m in there) if there else 2e-5
        expected += rows * rate
    found = time_left(graph, store)
    assert found.seconds == pytest.approx(expected) and found.measured
    assert found.low is not None and found.high is not None and found.low < found.seconds < found.high


def test_an_interval_needs_two_measurements(tmp_path: Path) -> None:
    """Where some encoder work was never measured, and no done training stands in for it, there is no interval."""
    graph = plan(mini())
    store = filled(tmp_path, graph, lambda step: step.kind == "Prepare")
    found = time_left(graph, store)
    assert not found.measured and found.low is None and found.high is None
    first = next(step for step in graph.steps.values() if isinstance(step, Train))
    publish(store, graph, first, 1.0, 24)
    assert time_left(graph, store).low is None


def test_work_that_other_trainings_stand_in_for_is_less_sure(tmp_path: Path) -> None:
    """Predictions that none were made of are estimated from trainings; all of them may be as slow as one training was
    by chance, so that their interval is wider than that of as much work of a sort that was measured."""
    graph = plan(mini(seeds=[1, 2, 3]))
    store = filled(tmp_path, graph, lambda step: step.kind in ("Prepare", "Train"))
    found = time_left(graph, store)
    assert found.measured and found.low is not None and found.high is not None
    assert found.low < found.seconds < found.high
    spread, chance = Spread(), random.Random(5)
    for _ in range(9):
        spread.add(chance.gauss(100, 10), 100)
    for ahead in (200, 1000, 10_000):
        alike, apart = spread.error(ahead), spread.error_of_one(ahead)
        assert alike is not None and apart is not None and apart[0] > alike[0]


def test_intervals_hold_what_they_say() -> None:
    """Of 600 plans whose steps take their rows' time by chance nine in ten end within the interval, from five done
    steps and from thirty."""
    graph, chance = plan(mini(seeds=[1])), random.Random(7)
    ahead = [key for key, step in graph.steps.items() if step.kind == "Train"]
    for done in (5, 30):
        inside = 0
        for _ in range(600):
            spread = Spread()
            for _ in range(done):
                rows = chance.randint(20, 200)
                spread.add(chance.gauss(rows, rows**0.5), rows)
            rows_ahead = [chance.randint(20, 200) for _ in ahead * 4]
            error = spread.error(sum(rows_ahead))
            assert error is not None
            half = quantile(error[1]) * error[0] ** 0.5
            took = sum(chance.gauss(rows, rows**0.5) for rows in rows_ahead)
            inside += abs(took - spread.rate * sum(rows_ahead)) <= half
        assert 0.86 <= inside / 600 <= 0.94, done


def test_quantiles_are_students() -> None:
    """Those of a table and an expansion are scipy's, to a hundredth from two degrees of freedom on."""
    for df in (1, 2, 3, 5, 9, 10, 11, 20, 100, 10_000):
        assert quantile(df) == pytest.approx(stats.t.ppf(0.95, df), abs=0.012)


def test_an_estimate_asks_only_for_what_is_ahead(tmp_path: Path) -> None:
    """The work of what is done need not be known to say how long the rest takes."""
    graph = plan(mini(seeds=[1, 2]))
    store = filled(tmp_path, graph, lambda step: step.kind != "Score")
    ahead = needed(graph, store.done)
    assert ahead and {graph.steps[key].kind for key in ahead} == {"Score"}
    work: dict[str, Load] = loads(graph, store, wanted=needed(graph, frozenset(), ahead))
    assert estimate(graph, store, work, GUESS).seconds == pytest.approx(time_left(graph, store).seconds)
