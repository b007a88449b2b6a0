"""What a plan says of its needs: rows, disk, hours, looks, sharing, and data that is not at hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import REPOSITORY, mini
from transformers import AutoConfig, AutoModel

from xstilts.api import plan_anywhere, run_study
from xstilts.cost.disk import disk, droppable
from xstilts.cost.estimate import THROUGHPUT, Rate, find_rate
from xstilts.cost.needs import needs, sentences
from xstilts.cost.workload import ROWS, Load, loads, unshared
from xstilts.errors import UserError
from xstilts.executors import get_executor
from xstilts.graph import Plan
from xstilts.models.identity import find_model
from xstilts.models.size import KNOWN, parameters
from xstilts.plan import plan
from xstilts.schedule import schedule
from xstilts.sources.assumed import ABSENT, assume
from xstilts.steps.prepare import Prepare
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.study import Study
from xstilts.tasks import TASKS, get_task
from xstilts.tasks.sizes import SIZES, official_rows

SELECTING = {"default": {"train_rows": 24, "test_rows": 16, "epochs": 2, "batch_size": 8, "max_length": 96,
                         "learning_rate": 1e-3, "select": "best", "evaluate_every": 4, "select_rows": 10}}  # fmt: skip
GUESS = Rate(1e9, False, "a guess")


def empty(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def run(graph: Plan, store: Store) -> Store:
    """The store once every step of a plan is done."""
    engine = get_executor("inline", store.open())
    assert schedule(graph, store, engine).failed == {}
    return store


def trainings(graph: Plan) -> list[Train]:
    return [step for step in graph.steps.values() if isinstance(step, Train)]


def facts(graph: Plan, store: Store, rate: Rate = GUESS) -> dict[str, Any]:
    return needs(graph, loads(graph, store), rate)


# -- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_the_size_of_a_known_encoder_is_that_of_its_architecture(name: str) -> None:
    """Parameters by the formula are those that transformers makes from the same config, pooler left out."""
    config = dict(KNOWN[name])
    heads = config["hidden_size"] // 64
    with torch.device("meta"):
        kind = config.pop("model_type")
        encoder = AutoModel.from_config(AutoConfig.for_model(kind, num_attention_heads=heads, **config))
    encoder.pooler = None
    assert parameters(KNOWN[name]) == sum(p.numel() for p in encoder.parameters())


def test_the_size_of_a_local_encoder_is_that_of_its_weights(loaded: tuple[Any, Any]) -> None:
    """The microworld's `config.json` gives the count of the parameters that are loaded."""
    model = find_model("microworld", "main", Path.cwd())
    assert model.parameters == sum(p.numel() for p in loaded[0].parameters())
    assert model.body_parameters == 3 * 12 * 128**2


def test_the_papers_encoder_is_known_without_the_hub() -> None:
    """XLM-R large, by any owner: 24 layers of 12 x 1024^2; an encoder nobody knows has no size."""
    model = find_model("FacebookAI/xlm-roberta-large", "main", Path.cwd())
    assert model.body_parameters == 24 * 12 * 1024**2 and model.parameters == 558_840_832
    assert find_model("someone/their-encoder", "main", Path.cwd()).parameters == 0


def test_every_official_size_is_of_a_declared_task_and_language() -> None:
    """The table names tasks, and languages that these tasks have; what it lacks is None."""
    for name, splits in SIZES.items():
        for sizes in splits.values():
            assert not isinstance(sizes, dict) or set(sizes) <= {"en", *TASKS[name].all_languages}, name
    assert official_rows("mnli", "train", "en") == 392_702
    assert official_rows("ccg", "train", "en") is None


# -- rows and looks ---------------------------------------------------------------------------------------------


def test_rows_go_by_the_store_then_the_official_size_then_an_assumption(tmp_path: Path) -> None:
    """What a `Prepare` counted wins; a size that nothing tells is assumed and said so."""
    graph = plan(mini(settings={}))
    key, step = next((k, s) for k, s in graph.steps.items() if isinstance(s, Prepare) and s.split == "train")
    store = empty(tmp_path)
    assert loads(graph, store)[key] == Load(4000)
    other = step.model_copy(update={"source": "files", "task": "ccg", "language": "en"})
    graph.steps = {other.key: other}
    assert loads(graph, store)[other.key] == Load(ROWS, guessed=True)
    store.of(other).mkdir(parents=True)
    (store.of(other) / "manifest.json").write_text(json.dumps({"examples": 77}))
    assert loads(graph, store)[other.key] == Load(77)


def test_looks_are_those_that_the_training_makes(tmp_path: Path) -> None:
    """24 rows in batches of 8 for two epochs are 6 steps: with a look every 4, one on the way and one at the end, as
    the manifests say; each at 10 dev rows."""
    graph = plan(mini(settings=SELECTING))
    work = loads(graph, empty(tmp_path))
    store = run(graph, empty(tmp_path))
    for step in trainings(graph):
        assert work[step.key].looks == store.manifest(step)["dev_looks"] == 2
        assert work[step.key].looked == 2 * 10
        assert work[step.key].rows == store.manifest(step)["examples"] == 48


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.floats(0.1, 5), st.integers(1, 50))
def test_looks_count_as_the_loop_looks(rows: int, batch: int, epochs: float, every: int) -> None:
    """For any sizes: the steps that are a multiple of `evaluate_every`, and the last."""
    own = {"train_rows": rows, "batch_size": batch, "epochs": epochs, "evaluate_every": every}
    graph = plan(mini(settings={"default": {**SELECTING["default"], **own}}))
    work = loads(graph, Store(Path("/nowhere")))
    steps = max(1, round(-(-rows // batch) * epochs))
    looks = sum(1 for step in range(1, steps + 1) if step % every == 0 or step == steps)
    assert {work[step.key].looks for step in trainings(graph)} == {looks}


def test_a_fixed_step_is_trained_to_and_no_further(tmp_path: Path) -> None:
    """`select: 3` of 6 steps is half the rows, and nothing is looked at."""
    chosen = {"default": {**SELECTING["default"], "select": 3}}
    graph = plan(mini(settings=chosen))
    work = loads(graph, empty(tmp_path))
    assert {(work[s.key].rows, work[s.key].looks) for s in trainings(graph)} == {(24, 0)}


def test_choosing_checkpoints_costs_a_third_per_row(tmp_path: Path) -> None:
    """A row that is looked at costs 2 operations where one that is learned from costs 6: 20 rows beside 48."""
    found = facts(plan(mini(settings=SELECTING)), empty(tmp_path))
    assert found["selection"]["looks"] == 2 * found["selection"]["trainings"]
    assert found["selection"]["share"] == pytest.approx(20 * 2 / (48 * 6))


# -- sharing ----------------------------------------------------------------------------------------------------


def test_sharing_is_counted_in_training_work(tmp_path: Path) -> None:
    """Two targets share the intermediate: 24 rows less of the 24 x 6 that cells on their own would train on."""
    graph = plan(mini(targets=["mw_entailment", "mw_paraphrase"]))
    shared = facts(graph, empty(tmp_path))["sharing"]
    assert (shared["trainings"], shared["trainings_unshared"]) == (5, 6)
    assert (shared["rows"], shared["rows_unshared"]) == (5 * 24, 6 * 24)
    assert shared["saved"] == pytest.approx(1 / 6)


def test_what_cells_need_on_their_own_is_what_the_planner_asked_for() -> None:
    """The closures of all cells hold as many trainings and predictions as the planner added."""
    graph = plan(mini(targets=["mw_entailment", "mw_pos", "mw_retrieval"], languages=["en", "qaa"], seeds=[1, 2],
                      controls={"shuffled": "mw_nli", "oracle": True}))  # fmt: skip
    asked = unshared(graph)
    for kind in ("Train", "Predict", "Score"):
        assert sum(n for key, n in asked.items() if graph.steps[key].kind == kind) == graph.unshared[kind]


# -- disk -------------------------------------------------------------------------------------------------------


def test_the_disk_of_a_small_plan_is_what_one_adds_up_by_hand(tmp_path: Path) -> None:
    """One arm, one target: the baseline, the intermediate and the target after it are three checkpoints of four bytes
    a parameter; the intermediate's stays. At the peak, two lie there."""
    graph = plan(mini())
    graph.model = replace(graph.model, parameters=1_000_000, tokenizer_bytes=500)
    found = disk(graph, dict.fromkeys(graph.steps, Load(0)))
    assert found is not None
    one = 4_000_500
    assert (found.checkpoint, found.checkpoints, found.kept) == (one, 3, 1)
    assert (found.everything, found.retained, found.peak) == (3 * one, one, 2 * one)


def test_a_training_that_others_go_on_from_is_never_dropped() -> None:
    """Dropped are trainings that predictions alone read. One that is at once a target's and an intermediate stays."""
    graph = plan(mini(intermediates=["mw_nli", "mw_entailment"], targets=["mw_entailment", "mw_pos"]))
    dropped = droppable(graph)
    bases = {step.base for step in trainings(graph) if step.base}
    both = {cell.training for cell in graph.cells} & bases
    assert len(both) == 1 and len(bases) == 2
    assert dropped == {step.key for step in trainings(graph)} - bases


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["mw_nli", "mw_supertags", "mw_squad"]), unique=True),
    st.lists(st.sampled_from(["mw_entailment", "mw_pos", "mw_retrieval"]), min_size=1, unique=True),
    st.integers(1, 3), st.booleans(),
)  # fmt: skip
def test_retention_never_needs_more(arms: list[str], targets: list[str], seeds: int, oracle: bool) -> None:
    """For any study: what remains with retention is at most its peak, and that at most everything kept."""
    graph = plan(mini(intermediates=arms, targets=targets, seeds=list(range(1, seeds + 1)), languages=["qaa"],
                      controls={"oracle": oracle}))  # fmt: skip
    found = disk(graph, loads(graph, Store(Path("/nowhere"))))
    assert found is not None
    assert found.retained <= found.peak <= found.everything


def test_checkpoints_take_the_bytes_that_were_foretold(tmp_path: Path) -> None:
    """What a run publishes is within a twentieth of what the plan said its checkpoints take."""
    graph = plan(mini())
    store = run(graph, empty(tmp_path))
    found = disk(graph, loads(graph, store))
    assert found is not None
    for step in trainings(graph):
        folder = store.of(step) / "checkpoint"
        assert sum(p.stat().st_size for p in folder.iterdir()) == pytest.approx(found.checkpoint, rel=0.05)


def test_an_encoder_of_unknown_size_has_no_disk(tmp_path: Path) -> None:
    """Nothing is made up: the sentence says that it is not known."""
    graph = plan(mini())
    graph.model = replace(graph.model, parameters=0)
    found = facts(graph, empty(tmp_path))
    assert found["disk"] is None and any(line.startswith("disk: not known") for line in sentences(found))


# -- hours ------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.floats(1e8, 1e15), st.floats(1.1, 100))
def test_hours_are_inverse_to_throughput(flops: float, times: float) -> None:
    """A machine that is so many times faster takes so many times less."""
    graph, store = plan(mini()), Store(Path("/nowhere"))
    slow, fast = (facts(graph, store, Rate(rate, True, "")) for rate in (flops, flops * times))
    assert slow["compute"]["total_hours"] == pytest.approx(times * fast["compute"]["total_hours"])


def test_hours_are_operations_by_rate(tmp_path: Path) -> None:
    """Three trainings on 24 rows of 50 pieces at 6 operations a parameter; predictions of 32 rows at 2."""
    compute = facts(plan(mini()), empty(tmp_path))["compute"]
    body = 3 * 12 * 128**2
    assert compute["operations"] == {
        "training": 3 * 24 * 50 * 6 * body, "looks": 0, "prediction": 2 * 2 * 16 * 50 * 2 * body,
    }  # fmt: skip
    assert compute["total_hours"] == pytest.approx(sum(compute["operations"].values()) / 1e9 / 3600)


def throughput(store: Store, **changes: Any) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    shape = {"num_hidden_layers": 3, "hidden_size": 128}
    found = {"flops": 38e12, "device": "a card", "precision": "bfloat16", "body_parameters": 3 * 12 * 128**2,
             "rates": {"training": [[50, 38e12]]}}  # fmt: skip
    (store.root / THROUGHPUT).write_text(json.dumps({**found, "encoder": shape, **changes}))


def test_a_figure_is_called_measured_only_where_it_is(tmp_path: Path) -> None:
    """Without a measurement it is a guess that names the command; one of another encoder's size is said to be that."""
    graph, store = plan(mini()), empty(tmp_path)
    rate = find_rate(graph, store)
    assert not rate.measured and "a guess" in rate.how and "xstilts bench --model" in rate.how
    throughput(store)
    rate = find_rate(graph, store)
    assert rate == Rate(38e12, True, "measured on a card in bfloat16 with xstilts bench", training=((50, 38e12),))
    throughput(store, body_parameters=7)
    rate = find_rate(graph, store)
    assert not rate.measured and "another size" in rate.how
    graph.model = replace(graph.model, body_parameters=0)
    assert not find_rate(graph, store).measured


def test_a_figure_of_another_arithmetic_is_not_the_studys(tmp_path: Path) -> None:
    """A study in float32 is not timed by what bfloat16 did; the command that times it is named."""
    graph, store = plan(mini(precision="float32")), empty(tmp_path)
    throughput(store)
    rate = find_rate(graph, store)
    assert not rate.measured and "the study computes in float32; measure it: xstilts bench" in rate.how
    throughput(store, precision="float32")
    assert find_rate(graph, store).measured


def test_what_the_former_script_measured_is_still_read(tmp_path: Path) -> None:
    """A file with one figure for all work, as versions before `xstilts bench` wrote it, is used and named as such."""
    graph, store = plan(mini()), empty(tmp_path)
    throughput(store, rates={})
    assert find_rate(graph, store) == Rate(
        38e12, True, "measured on a card in bfloat16 with the benchmark of an earlier version"
    )


def test_done_trainings_measure_the_machine(tmp_path: Path) -> None:
    """Without a measurement the rate is 6 operations per parameter and piece of the done trainings by their seconds."""
    graph = plan(mini())
    store = run(graph, empty(tmp_path))
    manifests = [store.manifest(step) for step in trainings(graph)]
    pieces, seconds = (sum(m[name] for m in manifests) for name in ("pieces", "seconds"))
    rate = find_rate(graph, store)
    assert rate.measured and rate.flops == pytest.approx(6 * 3 * 12 * 128**2 * pieces / seconds)


def test_a_broken_measurement_is_refused(tmp_path: Path) -> None:
    """A `throughput.json` that is none is one line, not a number."""
    graph, store = plan(mini()), empty(tmp_path)
    for text in ("{", "[]", '{"flops": 1}'):
        store.root.mkdir(parents=True, exist_ok=True)
        (store.root / THROUGHPUT).write_text(text)
        with pytest.raises(UserError, match="no measurement"):
            find_rate(graph, store)
    for changes in ({"flops": -1}, {"flops": float("nan")}, {"rates": {"training": [[50, 0]]}}, {"rates": [1]},
                    {"rates": {"prediction": [50]}}, {"encoder": None}, {"processes": "two"}):  # fmt: skip
        throughput(store, **changes)
        with pytest.raises(UserError, match="no measurement"):
            find_rate(graph, store)


# -- data that is not at hand -----------------------------------------------------------------------------------


def paper(folder: Path) -> Study:
    study = Study.load(REPOSITORY / "studies" / "paper.yaml")
    return study.model_copy(update={"data": str(folder)})


def test_a_study_is_planned_where_its_data_is_not_and_run_refuses(tmp_path: Path) -> None:
    """The whole table of the paper over an empty folder: every step is there, what is missing is named, and running
    it is refused."""
    study = paper(tmp_path)
    with pytest.raises(UserError, match="no test file of task 'xnli'|no train file|no dev file"):
        run_study(study, tmp_path / "store", tmp_path / "report")
    graph = plan_anywhere(study)
    data = [step for step in graph.steps.values() if isinstance(step, Prepare)]
    assert data and all(step.content.startswith(ABSENT) for step in data)
    found = facts(graph, empty(tmp_path))
    named = {(split["task"], split["split"], split["language"]) for split in found["missing"]}
    assert ("mnli", "train", "en") in named and len(named) == len(data)
    assert all(split["looked_for"] for split in found["missing"])
    assert sum("Not at hand" in note for note in graph.notes) == 1
    assert any("would refuse" in note for note in graph.notes)


def test_a_plan_over_all_of_its_data_is_the_one_that_runs() -> None:
    """Where nothing is missing nothing is assumed: the same steps, no note."""
    study = mini()
    assert list(plan_anywhere(study).steps) == list(plan(study).steps)
    assert plan_anywhere(study).notes == plan(study).notes


def test_a_mistake_other_than_missing_data_stays_one(tmp_path: Path) -> None:
    """A study that trains on what it evaluates on is not planned either way."""
    (tmp_path / "xnli").mkdir()
    study = paper(tmp_path).model_copy(
        update={"targets": ("xnli",), "stand_ins": {"mnli.train": ("xnli.test",)}, "languages": ("en",)}
    )
    with pytest.raises(UserError, match="rows that it evaluates on"):
        plan_anywhere(study)


def test_what_is_there_in_some_languages_lacks_the_others(tmp_path: Path) -> None:
    """A split of which one language is at hand is not assumed in the others; of which none is, it is in all."""
    source, task = assume("files", tmp_path / "none"), get_task("xnli")
    assert source.has(task, "test", "sw") and not source.has(task, "train", "en")
    (tmp_path / "xnli").mkdir()
    (tmp_path / "xnli" / "test-de.tsv").write_text("a\tb\tneutral\n")
    source = assume("files", tmp_path)
    assert source.has(task, "test", "de") and not source.has(task, "test", "sw")
    assert source.identity(task, "test", "sw") == f"{ABSENT}xnli/test/sw"
    assert not source.identity(task, "test", "de").startswith(ABSENT)
    with pytest.raises(UserError, match="no train split"):
        source.identity(task, "train", "en")
