"""What a study varies in the intermediate phase: neutral where it varies nothing, shared where it can be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import mini

from xstilts.arms import Intermediate, Options, takes_turns
from xstilts.errors import UserError
from xstilts.graph import Plan
from xstilts.plan import plan
from xstilts.steps.predict import Predict
from xstilts.steps.train import Train
from xstilts.steps.translate import Translate
from xstilts.study import Study

NEUTRAL: dict[str, Any] = {
    "sampler": None,
    "mlm": None,
    "translate": None,
    "alpha": 1.0,
    "reuse_head": False,
    "settings": {},
    "perturb": None,
}
TRANSLATED = {"to": ["qaa"], "backend": "table"}


def arm(**fields: Any) -> dict[str, Any]:
    return {"name": "mw_nli", "tasks": "mw_nli", **fields}


def planned(*arms: Any, **changes: Any) -> Plan:
    return plan(mini(intermediates=list(arms), **changes))


def base(graph: Plan, name: str = "mw_nli", target: str = "mw_entailment") -> Train:
    (cell,) = [c for c in graph.cells if c.arm.name == name and c.target == target]
    step = graph.steps[cell.base or ""]
    assert isinstance(step, Train)
    return step


def target(graph: Plan, name: str = "mw_nli") -> Train:
    (cell,) = [c for c in graph.cells if c.arm.name == name and c.target == "mw_entailment"]
    step = graph.steps[cell.training or ""]
    assert isinstance(step, Train)
    return step


def test_neutral_values_leave_every_key_as_it_was() -> None:
    """An intermediate with all options spelt out at their defaults plans to the very steps of the bare name."""
    assert set(NEUTRAL) == set(Options.model_fields)
    assert planned(arm(**NEUTRAL)).steps.keys() == planned("mw_nli").steps.keys()


def test_the_keys_of_variants_do_not_move() -> None:
    """Keys of trainings with each option are what they were when it was made: a refactoring must not throw a person's
    results away. If a step's meaning changed, raise its `version` and write the new keys here."""
    found = {
        "plain": base(planned("mw_nli")),
        "mixture": base(planned(arm(tasks="mw_nli+mw_squad"))),
        "sampler": base(planned(arm(tasks="mw_nli+mw_squad", sampler={"cap": 10, "temperature": 2}))),
        "mlm": base(planned(arm(mlm={"languages": ["qaa"]}))),
        "translate": base(planned(arm(translate=TRANSLATED))),
        "perturb": base(planned(arm(perturb={"kind": "swap", "rate": 0.1}))),
        "lora": base(planned(arm(settings={"lora": {"rank": 4}}))),
        "alpha": target(planned(arm(alpha=0.5))),
        "reuse_head": target(planned(arm(reuse_head=True))),
    }
    assert {name: step.key[:12] for name, step in found.items()} == GOLDEN


GOLDEN = {
    "plain": "89c32a101181",
    "mixture": "2cdd331a5fa3",
    "sampler": "86828104789b",
    "mlm": "30119174a801",
    "translate": "ef298af6992b",
    "perturb": "b02679671038",
    "lora": "668917dbe83b",
    "alpha": "2d983f142dcb",
    "reuse_head": "ef60adc3c841",
}


def test_all_is_every_plain_intermediate_once() -> None:
    """`all` mixes the tasks of the study's plain intermediates, each once; arms that vary something give nothing."""
    arms = ["mw_nli", {"both": "mw_nli+mw_squad"}, arm(name="es", tasks="mw_choice", alpha=0.5), "all"]
    study = mini(intermediates=arms)
    assert study.arms[-1].tasks == ("mw_nli", "mw_squad")
    assert [part.task for part in base(plan(study), "all").parts] == ["mw_nli", "mw_squad"]


def test_tasks_of_one_head_are_one_part_unless_they_are_sampled() -> None:
    """ANLI+ is one set of rows on one head; with a sampler each of its tasks is drawn by itself, on the same head."""
    arms = ["anli_plus", {"name": "sampled", "tasks": "anli_plus", "sampler": "uniform"}]
    fields = {"name": "x", "model": "microworld", "data": ".", "intermediates": arms, "targets": ["xnli"]}
    study = Study.model_validate(fields)
    plain, sampled = study.arms
    assert plain.tasks == sampled.tasks == ("anli", "mnli", "snli")
    assert not takes_turns(plain.tasks, plain) and takes_turns(sampled.tasks, sampled)
    assert plain.category == sampled.category == "NLI"


def test_variants_are_arms_of_their_own_over_the_plain_intermediates() -> None:
    """A variant makes one arm for each plain intermediate, or for those it names; settings may go by their names."""
    study = mini(intermediates=["mw_nli", "mw_squad"], variants={"half": {"alpha": 0.5}, "lora": {"of": ["mw_nli"]}},
                 settings={"lora": {"epochs": 7}, "half": {"epochs": 5}, "default": {"train_rows": 8}})  # fmt: skip
    names = [a.name for a in study.arms]
    assert names == ["mw_nli", "mw_squad", "mw_nli-half", "mw_squad-half", "mw_nli-lora"]
    graph = plan(study)
    assert base(graph, "mw_squad-half").recipe["epochs"] == 5 and base(graph, "mw_nli-lora").recipe["epochs"] == 7
    assert {c.arm.category for c in graph.cells if c.arm.name == "mw_nli-half"} == {"variant"}


def test_interpolation_and_head_reuse_share_the_intermediate_training() -> None:
    """Arms that differ in alpha or in the head differ in what targets start from, not in the intermediate phase."""
    graph = planned("mw_nli", arm(name="half", alpha=0.5), arm(name="head", reuse_head=True))
    assert base(graph).key == base(graph, "half").key == base(graph, "head").key
    assert (target(graph, "half").alpha, target(graph, "head").reuse_head) == (0.5, True)
    assert (target(graph).alpha, target(graph).reuse_head) == (1.0, False)


def test_a_head_is_reused_only_where_shape_and_labels_agree() -> None:
    """mw_nli's head fits entailment and not span questions, whose trainings are those of the plain arm."""
    graph = planned("mw_nli", arm(name="head", reuse_head=True), targets=["mw_entailment", "mw_questions"])
    score = {(c.arm.name, c.target): c.score for c in graph.cells}
    assert score["head", "mw_questions"] == score["mw_nli", "mw_questions"]
    assert score["head", "mw_entailment"] != score["mw_nli", "mw_entailment"]


def test_retrieval_reads_the_interpolated_encoder() -> None:
    """Where a target trains nothing its predictions carry alpha."""
    graph = planned(arm(alpha=0.25), targets=["mw_retrieval"], languages=["qaa"])
    alphas = {step.alpha for step in graph.steps.values() if isinstance(step, Predict)}
    assert alphas == {0.25, 1.0}


def test_language_modelling_adds_parts_and_leaves_the_tasks_theirs() -> None:
    """The part of the task has the same rows as without; each language's text is a part on the head `mlm`."""
    plain, beside = (
        base(planned("mw_nli")),
        base(planned(arm(mlm={"languages": ["en", "qaa"], "rows": 9, "weight": 2}))),
    )
    assert [part.head for part in beside.parts] == ["mw_nli", "mlm", "mlm"]
    assert (beside.parts[0].data, beside.parts[0].stop) == (plain.parts[0].data, plain.parts[0].stop)
    assert {part.stop for part in beside.parts[1:]} == {9} and beside.mlm == {"weight": 2.0, "exponent": 0.3}


def test_text_alone_needs_to_be_told_how_long() -> None:
    """An arm without tasks trains for the steps it is given, and is refused without."""
    with pytest.raises(UserError, match="nothing says how long; set settings.text.steps"):
        planned({"name": "text", "mlm": {"languages": ["en"]}})
    graph = planned({"name": "text", "mlm": {"languages": ["en"]}, "settings": {"steps": 5}})
    assert base(graph, "text").recipe["steps"] == 5


def test_language_modelling_without_languages_is_refused() -> None:
    """The remedy names the field."""
    with pytest.raises(UserError, match="encoder_languages"):
        planned(arm(mlm={}))


def test_translated_rows_replace_the_english_ones_or_stand_beside_them() -> None:
    """The rows that English would have given are translated, once for all targets; keep_english keeps both."""
    both_ways = arm(name="y", translate={**TRANSLATED, "keep_english": True})
    graph = planned(
        "mw_nli", arm(name="x", translate=TRANSLATED), both_ways, targets=["mw_entailment", "mw_pos"]
    )  # fmt: skip
    (step,) = [s for s in graph.steps.values() if isinstance(s, Translate)]
    english = base(graph).parts[0]
    assert (step.data, step.start, step.stop) == (english.data, english.start, english.stop)
    alone, both = base(graph, "x").parts[0], base(graph, "y").parts[0]
    assert (alone.data, alone.more) == ((), (step.key,)) and (both.data, both.more) == (english.data, (step.key,))


def test_a_task_whose_labels_no_translation_keeps_is_refused() -> None:
    """Trees do not survive translation, and the study says so before anything runs."""
    study = mini(intermediates=[arm(name="s", tasks="mw_supertags", translate=TRANSLATED)])
    with pytest.raises(UserError, match="mw_supertags"):
        plan(study)


def test_a_fixed_step_is_a_checkpoint_like_any_other() -> None:
    """`select: 2` stops after step 2 of the same schedule and reads no dev rows."""
    found = target(plan(mini(select=2)))
    assert found.recipe["stop_after"] == 2 and found.dev == ()
    assert "stop_after" not in target(plan(mini())).recipe


def test_dev_rows_are_predicted_only_where_the_best_is_chosen_on_them() -> None:
    """best_on: dev adds English dev scores of every trained checkpoint, no training, and never changes a key."""
    plain, chosen = plan(mini(targets=["mw_entailment", "mw_retrieval"], languages=["en", "qaa"])), plan(
        mini(targets=["mw_entailment", "mw_retrieval"], languages=["en", "qaa"], best_on="dev"))  # fmt: skip
    assert {c.dev for c in plain.cells} == {None}
    assert all((c.dev is not None) == (c.target == "mw_entailment") for c in chosen.cells)
    assert plain.steps.keys() <= chosen.steps.keys()
    added = [chosen.steps[key] for key in chosen.steps.keys() - plain.steps.keys()]
    assert {step.kind for step in added} == {"Prepare", "Predict", "Score"}


def test_the_fields_of_an_arm_are_described() -> None:
    """Every option of an intermediate says in words what it is."""
    import inspect

    source = inspect.getsource(Options) + inspect.getsource(Intermediate)
    for name in Options.model_fields:
        assert f"{name}: " in source and source.split(f"    {name}: ")[1].split("\n")[1].strip().startswith('"""')
