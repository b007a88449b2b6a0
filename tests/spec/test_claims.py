"""Claims: a verdict is what the intervals say, no data give no verdict, and what a person writes wrong is named."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_fixture import Target, contributions
from scipy import stats
from tests.conftest import REPOSITORY, mini

from xstilts.analysis.best import Best, best_per_target
from xstilts.analysis.claims import Judged, conjunction, judge
from xstilts.analysis.hierarchy import evidence
from xstilts.analysis.ranking import GROUPS as RANKED
from xstilts.claims import Claims, facts, load_claims
from xstilts.errors import UserError
from xstilts.report.claims import claim_evidence, claim_lines, claim_table, claim_words, claims_frame
from xstilts.selections import GROUPS
from xstilts.study import Study

LANGUAGES = ("en", "de", "fr")
TARGETS = (
    Target("udpos", "POS", "syntactic", "tag", ("chunk_f1",), LANGUAGES, 0.6),
    Target("xnli", "XNLI", "semantic", "classify", ("accuracy",), LANGUAGES, 0.6),
    Target("xquad", "XQuAD", "semantic", "span", ("qa_f1", "qa_em"), LANGUAGES, 0.6),
    Target("tatoeba", "Tatoeba", "semantic", "retrieve", ("accuracy",), LANGUAGES[1:], 0.5),
)
TITLES = {target.name: target.title for target in TARGETS}
ARMS: dict[str, tuple[str, str, dict[str, float]]] = {
    "nli": ("NLI", "", {"xnli": 15, "tatoeba": 25}),
    "qa": ("span QA", "", {"xquad": 15, "tatoeba": 25, "udpos": -15}),
    "all": ("multi-task", "", {"xnli": 15, "xquad": 15, "udpos": 15, "tatoeba": 40}),
    "nli-mlm": ("variant", "", {"tatoeba": 25}),
    "oracle": ("control", "oracle", {"udpos": 30, "xnli": 30, "xquad": 30, "tatoeba": 30}),
}
PERTURBED = {name: (*about[:2], {"xnli": -15.0}) for name, about in ARMS.items()}
STUDY: dict[str, Any] = {
    "arms": [
        {"name": "nli", "tasks": ["snli", "sick"], "category": "NLI"},
        {"name": "qa", "tasks": ["squad_v1"], "category": "span QA"},
        {"name": "all", "tasks": ["snli", "sick", "squad_v1"], "category": "multi-task", "mixture": "all"},
        {"name": "nli-mlm", "tasks": ["snli", "sick"], "category": "NLI", "varies": ["mlm"], "base": "nli"},
    ],
    "replaced": ["squad_v1.train"],
    "design": {"model": "XLM-Roberta-Large", "public": True, "phases": ["pretrained", "intermediate", "target"],
               "single_tasks": ["nli", "qa"], "language": "English"},
}  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Planted gains on clean text; under inserted characters at two rates everything loses 15 points on XNLI."""
    clean = contributions(ARMS, TARGETS, examples=240)
    noisy = [
        contributions(PERTURBED, TARGETS[1:2], examples=240, random_state=i).assign(perturbation=name)
        for i, name in enumerate(("insert@0.1", "insert@0.3"), 1)
    ]
    return pd.concat([clean, *noisy], ignore_index=True)


@pytest.fixture(scope="module")
def best(rows: pd.DataFrame) -> Best:
    return best_per_target(rows, draws=100)


def of(*parts: dict[str, Any], **fields: Any) -> Claims:
    claim = {"id": "c", "claim": "words", "parts": list(parts), **fields}
    return Claims.model_validate({"name": "test", "claims": [claim]})


def judged(claims: Claims, rows: pd.DataFrame, best: Best | None = None, study: dict[str, Any] = STUDY) -> Judged:
    return judge(claims, rows, study, best, draws=200)


NLI = {"intermediates": "snli+sick", "targets": "xnli"}
FORMS: list[tuple[str, dict[str, Any], str]] = [
    ("mean", {**NLI, "at_least": 5}, "supported"),
    ("mean", {**NLI, "at_least": 30}, "contradicted"),
    ("mean", {**NLI, "at_least": 15}, "undecided"),
    ("mean", {"intermediates": "hellaswag", "targets": "xnli", "at_least": 5}, "no data"),
    ("mean", {**NLI, "targets": "mlqa", "at_least": 5}, "no data"),
    ("at most", {**NLI, "at_most": 30}, "supported"),
    ("at most", {**NLI, "at_most": 5}, "contradicted"),
    ("at most", {**NLI, "at_most": 15}, "undecided"),
    ("near", {**NLI, "near": {"value": 15, "within": 12}}, "supported"),
    ("near", {**NLI, "near": {"value": 40, "within": 10}}, "contradicted"),
    ("near", {**NLI, "near": {"value": 0, "within": 5}}, "contradicted"),
    ("near", {**NLI, "near": {"value": 15, "within": 1}}, "undecided"),
    ("groups", {"intermediates": "squad_v1", "targets": "syntactic", "below": -5}, "supported"),
    ("groups", {"intermediates": "squad_v1", "targets": ["syntactic", "semantic"], "above": 12}, "contradicted"),
    ("shapes", {"intermediates": "squad_v1", "targets": {"shapes": "span"}, "above": 5}, "supported"),
    ("shapes", {"intermediates": "squad_v1", "targets": {"shapes": "choice"}, "above": 5}, "no data"),
    ("category", {"intermediates": {"categories": "NLI"}, "targets": "xnli", "above": 5}, "supported"),
    ("category", {"intermediates": {"categories": "paraphrase"}, "targets": "xnli", "above": 5}, "no data"),
    ("mixture", {"intermediates": {"mixture": "all"}, "targets": "udpos", "above": 5}, "supported"),
    ("control by name", {"intermediates": {"names": "oracle"}, "targets": "udpos", "above": 20}, "supported"),
    ("languages", {**NLI, "languages": "all", "above": 5}, "supported"),
    ("robust", {**NLI, "measure": "robust", "below": -5}, "supported"),
    ("robust", {**NLI, "measure": "robust", "above": -5}, "contradicted"),
    ("robust", {**NLI, "measure": "robust", "below": -15}, "undecided"),
    ("robust", {**NLI, "targets": "xquad", "measure": "robust", "below": 0}, "no data"),
    ("one setting", {**NLI, "measure": "insert@0.3", "below": -5}, "supported"),
    ("one setting", {**NLI, "measure": "insert@0.2", "below": -5}, "no data"),
    ("one kind", {**NLI, "measure": "insert", "below": -5}, "supported"),
    ("one kind", {**NLI, "measure": "typos", "below": -5}, "no data"),
    ("higher than", {**NLI, "over": {"intermediates": "squad_v1"}, "above": 5}, "supported"),
    ("higher than", {**NLI, "over": {"intermediates": "squad_v1"}, "below": 0}, "contradicted"),
    ("higher than", {**NLI, "over": {"intermediates": {"mixture": "all"}}, "above": 0}, "undecided"),
    ("higher than", {**NLI, "over": {"intermediates": "mnli"}, "above": 0}, "no data"),
    ("highest", {"intermediates": {"mixture": "all"}, "targets": "udpos",
                 "over": {"intermediates": {"mixture": False}, "each": True}, "above": 0}, "supported"),
    ("highest", {"intermediates": "squad_v1", "targets": "xnli",
                 "over": {"intermediates": {}, "each": True}, "above": 0}, "contradicted"),
    ("highest", {**NLI, "over": {"intermediates": {}, "each": True}, "above": 0}, "undecided"),
    ("highest target", {"intermediates": {}, "targets": "retrieval",
                        "over": {"targets": ["syntactic", "semantic"], "each": True}, "above": 0}, "supported"),
    ("target over targets", {"intermediates": {}, "targets": "udpos", "over": {"targets": "retrieval"}, "above": 0},
     "contradicted"),
    ("base", {"intermediates": {"varies": "mlm"}, "over": "base", "targets": "xnli", "below": -5}, "supported"),
    ("base", {"intermediates": {"varies": "mlm"}, "over": "base", "targets": "xnli", "above": 0}, "contradicted"),
    ("base", {"intermediates": {"varies": "mlm"}, "over": "base", "targets": "tatoeba", "below": 0}, "undecided"),
    ("base", {"intermediates": {"varies": "translate"}, "over": "base", "targets": "xnli", "below": 0}, "no data"),
    ("share", {"intermediates": {"varies": "any"}, "targets": "tatoeba", "per": "intermediate", "share": 0.8,
               "at_least": 5}, "supported"),
    ("share", {"targets": "udpos", "per": "intermediate", "share": 0.6, "above": 8}, "contradicted"),
    ("share", {"targets": "xnli", "per": "intermediate", "share": 1, "above": 0}, "undecided"),
    ("none", {"targets": "xnli", "per": "intermediate", "at_most": 1}, "contradicted"),
    ("none", {"intermediates": "squad_v1", "targets": "udpos", "per": "intermediate", "at_most": 1}, "supported"),
    ("per pair", {"targets": "all", "per": "pair", "share": 0.5, "above": 5}, "supported"),
    ("per target", {"intermediates": {"mixture": "all"}, "targets": "all", "per": "target", "above": 5}, "supported"),
    ("best", {"intermediates": "best-per-target", "targets": "all", "at_least": 10}, "supported"),
    ("best", {"intermediates": "best-per-target", "targets": "all", "at_least": 40}, "contradicted"),
    ("best", {"intermediates": "best-per-target", "targets": "tydiqa", "at_least": 5}, "no data"),
    ("best", {"intermediates": "best-per-target", "targets": "all", "per": "target", "above": 5}, "supported"),
]  # fmt: skip


@pytest.fixture(scope="module")
def ready(rows: pd.DataFrame, best: Best) -> Judged:
    """All forms judged at once, as a file of claims is."""
    claims = [{"id": i, "claim": form, "parts": [statement]} for i, (form, statement, _) in enumerate(FORMS)]
    return judged(Claims.model_validate({"name": "forms", "claims": claims}), rows, best)


PLACES = [pytest.param(i, verdict, id=f"{form}-{verdict}-{i}") for i, (form, _, verdict) in enumerate(FORMS)]


@pytest.mark.parametrize(("place", "verdict"), PLACES)
def test_planted_gains_are_judged_as_planted(place: int, verdict: str, ready: Judged) -> None:
    """Every form of statement is supported, contradicted, undecided or without data where the plant makes it so."""
    assert ready.claims.loc[place, "verdict"] == verdict


def test_a_verdict_is_what_the_interval_says(ready: Judged) -> None:
    """A single comparison is supported where its whole interval is in the region, contradicted where it is outside."""
    frame = ready.comparisons
    one_sided = frame[frame["relation"] != "near"]
    assert len(one_sided) > 40
    for row in one_sided.to_dict("records"):
        low, high = row["low"] - row["threshold"], row["high"] - row["threshold"]
        up, down = (low > 0, high < 0) if row["relation"] in ("at_least", "above") else (high < 0, low > 0)
        assert row["verdict"] == ("supported" if up else "contradicted" if down else "undecided")


def test_a_claim_without_data_has_no_number_and_says_why(ready: Judged) -> None:
    """No data means no estimate, no comparison, and a reason."""
    claims, parts = ready.claims, ready.parts
    none = claims[claims["verdict"] == "no data"]
    assert len(none) == sum(verdict == "no data" for _, _, verdict in FORMS)
    assert none[["estimate", "low", "high", "threshold"]].isna().all(axis=None) and (none["n"] == 0).all()
    assert parts.loc[parts["verdict"] == "no data", "reason"].str.len().min() > 20
    assert (parts.loc[parts["verdict"] != "no data", "reason"] == "").all()


def test_an_empty_study_gives_no_verdict() -> None:
    """Before anything ran, every empirical claim is without data, the nine shipped ones among them."""
    shipped = load_claims(REPOSITORY / "studies" / "claims-phang2020.yaml")
    found = judge(shipped, pd.DataFrame(), {}).claims
    assert set(found["verdict"]) == {"no data"} and len(found) == 9


def test_a_composite_claim_needs_all_its_parts(rows: pd.DataFrame) -> None:
    """Supported if all are, contradicted if any is, undecided if one is; a part without data supports nothing."""
    good, bad = {**NLI, "at_least": 5}, {**NLI, "at_least": 30}
    open_, absent = {**NLI, "at_least": 15}, {"intermediates": "hellaswag", "above": 0}
    for parts, verdict in (
        ((good, good), "supported"), ((good, bad), "contradicted"), ((good, open_), "undecided"),
        ((good, absent), "undecided"), ((bad, absent), "contradicted"), ((absent, absent), "no data"),
    ):  # fmt: skip
        assert judged(of(*parts), rows).claims.loc[0, "verdict"] == verdict


def test_the_claim_bears_the_numbers_of_the_part_that_decides(rows: pd.DataFrame) -> None:
    """The weakest part's where all hold, the clearest failure's where one does not."""
    held = judged(of({**NLI, "at_least": 1}, {**NLI, "at_least": 6}), rows).claims.loc[0]
    failed = judged(of({**NLI, "at_least": 30}, {**NLI, "at_least": 60}), rows).claims.loc[0]
    assert (held["threshold"], failed["threshold"]) == (6, 60)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=8), st.data())
def test_no_claim_is_both_supported_and_contradicted(
    comparisons: list[tuple[float, bool]], data: st.DataObject
) -> None:
    """A comparison's two p values are never both below 1, and neither are those of any share of them."""
    needed = data.draw(st.integers(1, len(comparisons)))
    p_for = [p if inside else 1.0 for p, inside in comparisons]
    p_against = [1.0 if inside else p for p, inside in comparisons]
    both = conjunction(p_for, p_against, needed)
    assert max(both) == 1.0


def test_many_comparisons_do_not_contradict_by_luck() -> None:
    """Ten comparisons that all just hold are contradicted in at most one of twenty studies; uncorrected in more."""
    z = np.random.default_rng(5).normal(size=(4000, 10))
    p_for, p_against = (np.minimum(1, 2 * stats.norm.sf(sign * z)) for sign in (1, -1))
    found = [conjunction(f, a, 10)[1] < 0.05 for f, a in zip(p_for, p_against, strict=True)]
    assert 0.01 < np.mean(found) < 0.05 < (p_against.min(axis=1) < 0.05).mean()


def test_a_share_is_not_supported_by_luck() -> None:
    """Where half of ten comparisons holds beyond doubt and the rest is at the edge, six are seldom claimed to hold."""
    z = np.random.default_rng(6).normal(size=(4000, 10)) + np.repeat([9, 0], 5)
    p_for = np.minimum(1, 2 * stats.norm.sf(z))
    found = [conjunction(p, np.ones(10), 6)[0] < 0.05 for p in p_for]
    assert 0.01 < np.mean(found) < 0.05


def test_an_arm_is_known_by_its_tasks_whatever_its_name(rows: pd.DataFrame) -> None:
    """`squad_v1` finds the arm `qa`; a part of an arm's tasks, or more than them, does not."""
    for tasks, verdict in (("squad_v1", "supported"), ("snli", "no data"), ("snli+sick+mnli", "no data")):
        target = "xquad" if tasks == "squad_v1" else "xnli"
        found = judged(of({"intermediates": tasks, "targets": target, "above": 5}), rows)
        assert found.claims.loc[0, "verdict"] == verdict
    order = judged(of({**NLI, "intermediates": "sick+snli", "above": 5}), rows)
    assert order.comparisons.loc[0, "intermediates"] == ("nli",)


def test_controls_and_variants_are_chosen_only_when_asked_for(rows: pd.DataFrame) -> None:
    """Not given is every plain intermediate; `any` adds variants; a control needs its name."""
    arms = {
        name: judged(of({"intermediates": chosen, "targets": "xnli", "per": "intermediate", "above": 0}), rows)
        for name, chosen in {"plain": {}, "any": {"varies": "any"}, "single": {"mixture": False}}.items()
    }
    names = {name: {arm for arms in found.comparisons["intermediates"] for arm in arms} for name, found in arms.items()}
    assert names == {"plain": {"nli", "qa", "all"}, "any": {"nli", "qa", "all", "nli-mlm"}, "single": {"nli", "qa"}}


def test_a_stand_in_is_taken_only_for_want_of_the_real_thing_and_said(rows: pd.DataFrame) -> None:
    """The verdict is `adapted` and its evidence has the note; where the real one is there, neither."""
    stand_in = {"tasks": "snli+sick", "note": "SNLI and SICK in place of MNLI"}
    taken = judged(of({**NLI, "intermediates": {"tasks": "mnli", "stand_in": stand_in}, "above": 5}), rows)
    idle = judged(
        of({**NLI, "intermediates": {"tasks": "snli+sick", "stand_in": {"tasks": "squad_v1"}}, "above": 5}), rows
    )
    assert [f.claims.loc[0, "basis"] for f in (taken, idle)] == ["adapted", "as stated"]
    assert "Adapted: SNLI and SICK in place of MNLI." in claim_evidence(taken, "c", {}, {})


def test_fewer_targets_than_named_need_leave_and_are_counted(rows: pd.DataFrame) -> None:
    """A mean over named targets is another quantity without one of them: no data, unless the claim says how many do."""
    names = {"names": ["xnli", "mlqa"]}
    assert judged(of({**NLI, "targets": names, "above": 5}), rows).claims.loc[0, "verdict"] == "no data"
    found = judged(of({**NLI, "targets": {**names, "enough": 1}, "above": 5}), rows)
    assert tuple(found.claims.loc[0, ["verdict", "basis"]]) == ("supported", "adapted")
    assert found.parts.loc[0, "stand_ins"] == ("1 of the 2 targets named",)


def test_other_data_behind_a_task_are_said(rows: pd.DataFrame) -> None:
    """An arm whose training split has a stand-in in the study is judged as adapted; the evidence names the split."""
    found = judged(of({"intermediates": "squad_v1", "targets": "xquad", "above": 5}), rows)
    assert found.claims.loc[0, "basis"] == "adapted"
    assert "The study has other data in place of squad_v1.train." in claim_evidence(found, "c", {}, {})


def test_a_target_without_a_pair_of_runs_is_no_data(rows: pd.DataFrame) -> None:
    """A mean over named targets needs the runs of all; of a group, one without a pair is left out and counted."""
    lost = rows[~((rows["intermediate"] == "nli") & (rows["target"] == "xquad"))]
    named = {"intermediates": "snli+sick", "targets": ["xnli", "xquad"], "above": 0}
    assert judged(of(named), lost).claims.loc[0, "verdict"] == "no data"
    group = judged(of({**named, "targets": "semantic"}), lost)
    assert group.comparisons.loc[0, "targets"] == ("xnli",) and group.comparisons.loc[0, "missing"] == 1


def test_comparisons_that_could_not_be_made_are_counted(rows: pd.DataFrame) -> None:
    """What holds of each holds of those that ran, and the claim says that they are not all."""
    lost = rows[~((rows["intermediate"] == "qa") & (rows["target"] == "tatoeba"))]
    found = judged(of({"targets": "tatoeba", "per": "intermediate", "above": 5}), lost)
    assert tuple(found.claims.loc[0, ["verdict", "basis", "n"]]) == ("supported", "adapted", 2)
    assert "1 more could not be compared for want of a pair of runs." in claim_evidence(found, "c", {}, {})


def test_one_seed_is_said(rows: pd.DataFrame) -> None:
    """An interval over one seed covers the examples only, and the evidence says so."""
    found = judged(of({**NLI, "above": 5}), rows[rows["seed"] == 1])
    assert any("one seed" in sentence for sentence in claim_evidence(found, "c", {}, {}))


def test_evidence_that_is_there_already_is_used(rows: pd.DataFrame) -> None:
    """The ranking's own evidence gives the very numbers that judging makes for itself."""
    claims, there = of({**NLI, "above": 5}, {**NLI, "measure": "robust", "below": 0}), evidence(rows, 200)
    own = judge(claims, rows, STUDY, draws=200).comparisons
    given_ = judge(claims, rows, STUDY, evidence=there, draws=1).comparisons  # one draw has no spread
    np.testing.assert_allclose(given_["estimate"], own["estimate"])
    np.testing.assert_allclose(given_["se"], own["se"], rtol=0.2)


def test_groups_are_those_of_the_ranking() -> None:
    """Claims and the answer speak of the same groups of targets."""
    assert GROUPS == RANKED


DESIGNS = [
    ({"model": ["xlm-roberta-large"]}, "reproduced"), ({"model": "mbert"}, "departs from"),
    ({"public": True, "phases": ["pretrained", "intermediate", "target"]}, "reproduced"),
    ({"phases": ["pretraining", "intermediate", "target"]}, "departs from"),
    ({"single_tasks": 2, "language": "English"}, "reproduced"), ({"single_tasks": 9}, "departs from"),
]  # fmt: skip


@pytest.mark.parametrize(("design", "verdict"), DESIGNS, ids=range(len(DESIGNS)))
def test_a_design_claim_is_reproduced_or_departed_from(
    design: dict[str, Any], verdict: str, rows: pd.DataFrame
) -> None:
    """By the study's description alone, and the evidence says what the study does."""
    found = judged(of(design=design), rows.iloc[:0])
    assert found.claims.loc[0, "verdict"] == verdict
    assert len(claim_evidence(found, "c", {}, {})) == len(design)


def test_what_a_study_does_not_know_of_itself_is_undecided(rows: pd.DataFrame) -> None:
    """A model in a folder may or may not be public."""
    study = {**STUDY, "design": {**STUDY["design"], "public": None}}
    assert judged(of(design={"public": True}), rows, None, study).claims.loc[0, "verdict"] == "undecided"


def test_the_papers_own_study_reproduces_the_papers_design() -> None:
    """studies/paper.yaml holds claims 7 to 9; a study of another encoder and five tasks departs from 7 and 9."""
    shipped = load_claims(REPOSITORY / "studies" / "claims-phang2020.yaml")
    for name, identity, verdicts in (
        ("paper", "hub:x@y", ["reproduced"] * 3),
        ("natural-robust", "sha256:x", ["departs from", "undecided", "departs from"]),
    ):
        study = facts(Study.load(REPOSITORY / "studies" / f"{name}.yaml"), identity)
        assert list(judge(shipped, pd.DataFrame(), study).claims["verdict"])[6:] == verdicts


def test_the_facts_of_a_study_are_what_claims_select_by() -> None:
    """Tasks, options, the varied arm, mixtures; a sampler alone leaves an arm plain."""
    arms = [
        "mw_nli",
        {"tags": "mw_supertags"},
        "all",
        {"name": "even", "tasks": "mw_nli+mw_supertags", "sampler": "uniform"},
    ]
    found = facts(mini(intermediates=arms, variants={"half": {"alpha": 0.5, "of": ["tags"]}}), "sha256:x")
    about = {arm["name"]: (arm["tasks"], arm["varies"], arm["base"], arm["mixture"]) for arm in found["arms"]}
    both = ["mw_nli", "mw_supertags"]
    assert about == {
        "mw_nli": (["mw_nli"], [], "", ""), "tags": (["mw_supertags"], [], "", ""), "all": (both, [], "", "all"),
        "even": (both, [], "", "all"), "tags-half": (["mw_supertags"], ["alpha"], "tags", ""),
    }  # fmt: skip
    assert found["design"]["public"] is False and found["design"]["single_tasks"] == ["mw_nli", "tags"]


HEAD = "name: mine\nclaims:\n  - id: a\n    claim: words\n    parts:\n"
WRONG = [
    ("      - {intermediates: squad_v3, above: 0}", 6, "task 'squad_v3'", "did you mean 'squad_v2'"),
    ("      - {targets: tatoeva, above: 0}", 6, "unknown target 'tatoeva'", "did you mean 'tatoeba'"),
    ("      - {targets: {groups: sintactic}, above: 0}", 6, "unknown group of targets 'sintactic'", "'syntactic'"),
    ("      - {targets: {shapes: spam}, above: 0}", 6, "unknown shape 'spam'", "'span'"),
    ("      - {targets: [semantic, xnli], above: 0}", 6, "cannot be mixed", "write one of them"),
    ("      - {intermediates: {categories: NLJ}, above: 0}", 6, "unknown category 'NLJ'", "'NLI'"),
    ("      - {intermediates: {varies: mlmm}, above: 0}", 6, "unknown option 'mlmm'", "'mlm'"),
    ("      - {measure: inzert@0.1, above: 0}", 6, "unknown perturbation 'inzert@0.1'", "'insert'"),
    ("      - {measure: insert@lots, above: 0}", 6, "'insert@lots' has no rate", "insert@0.1"),
    ("      - targets: xnli\n        abov: 0", 7, "unknown field 'claims.0.parts.0.abov'", "did you mean 'above'"),
    ("      - {targets: xnli}", 6, "no relation", "write one of at_least, above, at_most, below, near"),
    ("      - {above: 0, below: 1}", 6, "above and below", "write one of"),
    ("      - {above: 0, share: 0.5}", 6, "of what", "add per: intermediate, target or pair"),
    ("      - {above: 0, over: {each: true}}", 6, "over", "write one of the three"),
    ("      - {above: 0, over: {base: true, each: true}}", 6, "each", "per: intermediate"),
    ("      - {intermediates: best-per-target, measure: robust, above: 0}", 6, "clean gains", "drop over, measure"),
    ("      - {near: {value: 1, within: 0}}", 6, "within", "greater than 0"),
    ("      - {above: 0}\n    design: {single_tasks: 3}", 3, "'a' needs parts, or a design", "parts hold"),
    ("      - {above: 0}\n  - id: a\n    claim: again\n    parts: [{above: 0}]", 7, "have the id 'a'", "another"),
    ("      - {above: 0}\n  - id: b\n    claim: again\n    design: {}", 9, "asks for something", "write one of model"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "what", "remedy"), WRONG, ids=[what for _, _, what, _ in WRONG])
def test_what_is_written_wrong_is_named(text: str, line: int, what: str, remedy: str, tmp_path: Path) -> None:
    """One line: file, line, what is wrong, what to write instead."""
    file = tmp_path / "claims.yaml"
    file.write_text(HEAD + text)
    with pytest.raises(UserError) as error:
        load_claims(file)
    message = str(error.value)
    assert message.startswith(f"{file}:{line}: ") and what in message and remedy in message and "\n" not in message


def test_a_file_that_is_not_there_is_said_to_be_claims(tmp_path: Path) -> None:
    """Not a study."""
    with pytest.raises(UserError, match="no such file of claims; check the path"):
        load_claims(tmp_path / "none.yaml")


def test_a_name_that_the_study_has_not_is_no_data_with_the_nearest(rows: pd.DataFrame) -> None:
    """Claims are written for any study, so what one lacks is no error; the reason names what is near."""
    found = judged(of({"intermediates": {"names": "nlj"}, "above": 0}), rows)
    assert "did you mean 'nli'?" in found.parts.loc[0, "reason"]
    found = judged(of({**NLI, "measure": "insrt", "above": 0}), rows)
    assert "'insert@0.1'" in found.parts.loc[0, "reason"]


def test_the_report_says_each_verdict_with_its_numbers(ready: Judged) -> None:
    """A row and at least one sentence per claim; the sentence has the estimate and interval of the row."""
    found = ready
    table, lines = claim_table(found), claim_lines(found, {}, TITLES)
    assert len(table.rows) == len(lines) == len(FORMS)
    for row, line, (form, _, verdict) in zip(table.rows, lines, FORMS, strict=True):
        assert row[2].text.startswith(verdict) and line["verdict"] == verdict and line["claim"] == form
        if verdict != "no data" and "," not in row[6].text and row[6].text == "1":
            assert f"{row[3].text} points {row[4].text}; claimed is {row[5].text}." in line["evidence"][0]
        if verdict == "no data":
            assert row[3].text == row[4].text == row[5].text == "–" and line["evidence"][0].startswith("No data: ")
    (words,) = claim_words(found)
    assert re.match(r"Of 53 claims: \d+ supported, \d+ contradicted, \d+ undecided and \d+ without data\.", words)


def test_the_frame_has_the_evidence_beside_the_numbers(ready: Judged) -> None:
    """For claims.csv and answer.json."""
    frame = claims_frame(ready, {}, TITLES)
    wanted = {"id", "claim", "kind", "verdict", "estimate", "low", "high", "threshold", "n", "evidence", "source"}
    assert wanted <= set(frame.columns) and frame["evidence"].str.endswith(".").all()


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>\u202e\x1b\u2028\x00" * 3, "W" * 2**20], ids=["signs", "long"]
)
def test_hostile_text_in_a_claim_stays_text(text: str, rows: pd.DataFrame) -> None:
    """No control or direction character reaches print, and no text is long without end."""
    stand_in = {"tasks": "snli+sick", "note": text}
    part = {**NLI, "intermediates": {"tasks": "mnli", "stand_in": stand_in}, "above": 5}
    strange = {"intermediates": {"names": text}, "measure": "x" + text, "above": 0}
    found = judged(
        of(part, strange, claim=text, note=text, source=text, id=text), rows, None, {**STUDY, "replaced": [text]}
    )
    lines = claim_lines(found, {"nli": "nli"}, TITLES)
    printed = [cell.text for row in claim_table(found).rows for cell in row]
    printed += [str(value) for line in lines for key in line if key != "evidence" for value in [line[key]]]
    printed += [sentence for line in lines for sentence in line["evidence"]]
    printed += [str(value) for value in claims_frame(found, {}, TITLES).iloc[0]]
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs") for shown in printed for c in shown)
    assert max(map(len, printed)) < 4000
    assert lines[0]["verdict"] == "undecided"


BLOCKS = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "claims.md").read_text("utf-8"), re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_examples_of_the_page_are_valid(block: str, tmp_path: Path) -> None:
    """Each block is a file of claims, or statements of one."""
    around = "" if block.startswith("name:") else HEAD
    body = block if block.startswith("name:") else "".join(f"      {line}\n" for line in block.splitlines())
    (tmp_path / "claims.yaml").write_text(around + body)
    assert load_claims(tmp_path / "claims.yaml").claims
