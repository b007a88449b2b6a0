"""What a person reads when a study file is wrong: file, line, what is wrong, what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.errors import UserError
from xstilts.study import Study

GOOD = """\
name: small
model: microworld
source: microworld
languages: [en, qaa]
intermediates:
  - none
  - mw_nli
  - other: mw_pairs
controls: {shuffled: mw_nli, oracle: true}
targets: [mw_pos, mw_entailment]
seeds: [1, 2]
settings:
  default: {learning_rate: 1e-3}
"""


def load(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(text, "utf-8")
    return Study.load(path)


def test_a_good_study_is_read_as_written(tmp_path: Path) -> None:
    """Names, tasks and controls are what the file says; `none` is the baseline of every study, not an arm."""
    study = load(tmp_path, GOOD)
    assert [(i.name, i.tasks) for i in study.intermediates] == [("mw_nli", ("mw_nli",)), ("other", ("mw_pairs",))]
    assert study.controls.oracle and study.seeds == (1, 2)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("seeds: [1, 2]", "seedz: [1, 2]", 11, "unknown field 'seedz'; did you mean 'seeds'"),
        ("mw_entailment]", "mw_entailmint]", 10, "unknown task 'mw_entailmint'; did you mean 'mw_entailment'"),
        ("- mw_nli", "- mw_nly", 7, "unknown task 'mw_nly'; did you mean 'mw_nli'"),
        ("[en, qaa]", "[en, qax]", 4, "no target of the study has language 'qax'; did you mean 'qa"),
        ("learning_rate", "lerning_rate", 13, "unknown field 'lerning_rate'; did you mean 'learning_rate'"),
        ("  default:", "  defualt:", 13, "settings for unknown name 'defualt'; did you mean 'default'"),
        ("1e-3", "-1", 13, "learning_rate"),
        (
            "learning_rate: 1e-3",
            "select: bset",
            13,
            "select is last, best or the number of an optimiser step, not 'bset'",
        ),
        ("learning_rate: 1e-3", "lora: {rnk: 2}", 13, "did you mean 'rank'"),
        ("shuffled: mw_nli", "shuffled: mw_nly", 9, "names no intermediate of the study: 'mw_nly'"),
        ("other: mw_pairs", "mw_nli: mw_pairs", 8, "is taken"),
        ("- other: mw_pairs", "- {name: o, tasks: mw_pairs, sampler: uniform}", 8, "'o' has one task"),
        ("- other: mw_pairs", "- {name: o, tasks: mw_pairs, sampler: unifrom}", 8, "unknown sampler 'unifrom'"),
        ("- other: mw_pairs", "- {name: o, tasks: mw_pairs, sampler: {cap: 3, uniform: true}}", 8, "not two of these"),
        (
            "- other: mw_pairs",
            "- {name: o, tasks: mw_nli+mw_pairs, sampler: {weights: {mw_nli: 1}}}",
            8,
            "no weight to 'mw_pairs'",
        ),
        ("- other: mw_pairs", "- {name: o}", 8, "'o' learns from nothing"),
        ("- other: mw_pairs", "- {name: o, tasks: mw_pairs, alpha: 2}", 8, "less than or equal to 1"),
        ("- other: mw_pairs", "- {name: o, tasks: mw_pairs, reuse_haed: true}", 8, "reuse_head"),
        ("- other: mw_pairs", "- {name: o, tasks: mw_pairs, settings: {lerning_rate: 1}}", 8, "learning_rate"),
        ("- other: mw_pairs", "- {name: o, tasks: mw_pairs, translate: {backend: table}}", 8, "to"),
        ("  - mw_nli\n  - other: mw_pairs", "  - mw_nli\n  - all", 8, "'all' mixes the other intermediates"),
        ("seeds: [1, 2]", "variants: {half: {of: [mw_nly], alpha: 0.5}}", 11, "did you mean 'mw_nli'"),
        ("[mw_pos, mw_entailment]", "[mw_pos, mw_pos]", 10, "one thing twice"),
        ("targets: [mw_pos, mw_entailment]", "targets: [xnli]", 10, "cannot be read from source 'microworld'"),
        ("targets: [mw_pos, mw_entailment]", "targets: [mw_text]", 10, "'mw_text' is running text"),
        ("model: microworld", "model: microworld\npretrain: {stebs: 1}", 3, "unknown field 'stebs' of pretrain"),
        ("name: small", "name: a/b", 1, "name"),
        ("model: microworld", "model: ${NO_SUCH_MODEL}", 2, "environment variable NO_SUCH_MODEL is not set"),
        ("languages: [en, qaa]", "languages: [en, qaa", 5, "invalid YAML"),
        ("seeds: [1, 2]", "name: again", 11, "given twice"),
    ],
)
def test_a_wrong_study_is_refused_with_file_line_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    """Whatever is wrong in a study file, one line names the file, the line and the remedy."""
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert says in message and "\n" not in message
    assert message.startswith(f"{tmp_path / 'study.yaml'}:{line}: ")


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    """A study without targets is refused by the name of the field."""
    with pytest.raises(UserError, match="field 'targets' is missing"):
        load(tmp_path, "name: x\nmodel: microworld\nsource: microworld\nintermediates: []\n")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A study file that is not there is refused by its path."""
    with pytest.raises(UserError, match=r"nowhere\.yaml: cannot be read"):
        Study.load(tmp_path / "nowhere.yaml")


def test_environment_variables_have_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`${NAME:-default}` is the variable where it is set and the default elsewhere."""
    text = GOOD.replace("model: microworld", "model: ${SOME_MODEL:-microworld}")
    assert load(tmp_path, text).model == "microworld"
    monkeypatch.setenv("SOME_MODEL", "xlm-roberta-base")
    assert load(tmp_path, text).model == "xlm-roberta-base"


def test_anli_plus_is_three_tasks_on_one_head() -> None:
    """The mixture has a name of its own, alone or under another; its tasks share their head."""
    fields = {"name": "s", "model": "microworld", "data": ".", "targets": ["xnli"]}
    for intermediates, name in ((["anli_plus"], "anli_plus"), ([{"nli": "anli_plus"}], "nli")):
        (arm,) = Study.model_validate({**fields, "intermediates": intermediates}).intermediates
        assert (arm.name, arm.tasks, arm.category) == (name, ("anli", "mnli", "snli"), "NLI")
