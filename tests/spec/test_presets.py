"""Published hyper-parameters by name, and what goes before what."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.conftest import REPOSITORY, mini

from xstilts.plan import plan
from xstilts.settings import BUILTIN, PRESETS, Settings, _presets, resolve
from xstilts.steps.train import Train
from xstilts.study import Study
from xstilts.tasks import TASKS
from xstilts.tasks.metadata import Task


def chain(preset: str, *names: str, large: bool = False) -> Settings:
    return resolve({}, ("target", *names), preset, large)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_speaks_of_known_names_and_settings(preset: str) -> None:
    """Each table of the file is of a shape or task, each number validates; the file holds the named presets alone."""
    tables = dict(_presets()[preset])
    large = tables.pop("large", {})
    known = {"default", *TASKS, *(task.shape for task in TASKS.values()), "mine"}
    for name, changes in (*tables.items(), *large.items()):
        assert name in known, name
        Settings.model_validate(changes)
    assert set(_presets()) == set(PRESETS)


def test_xtreme_has_the_numbers_of_its_scripts() -> None:
    """Rates, epochs, lengths, decay, warm-up and selection are those of scripts/train_*.sh (reference, section B1)."""
    xnli, udpos, xquad = chain("xtreme", "classify", "xnli"), chain("xtreme", "tag", "udpos"), chain("xtreme", "span")
    assert (xnli.learning_rate, xnli.epochs, xnli.batch_size, xnli.max_length) == (2e-5, 5, 32, 128)
    assert (xnli.select, xnli.evaluate_every, xnli.warmup, xnli.weight_decay) == ("best", 100, 0, 0)
    assert (udpos.learning_rate, udpos.epochs, udpos.evaluate_every) == (2e-5, 10, 500)
    assert (xquad.learning_rate, xquad.epochs, xquad.weight_decay, xquad.warmup_steps) == (3e-5, 3, 1e-4, 500)
    reading = (xquad.max_length, xquad.stride, xquad.max_query, xquad.max_answer, xquad.n_best)
    assert reading == (384, 128, 64, 30, 20) and xquad.select == "last"


def test_a_large_encoder_has_xtremes_rate_for_large_encoders() -> None:
    """XNLI's rate is 3e-5 for XLM-R large and 2e-5 for others; nothing else differs."""
    assert chain("xtreme", "classify", "xnli", large=True).learning_rate == 3e-5
    assert chain("xtreme", "classify", "pawsx", large=True).learning_rate == 2e-5


def test_the_paper_selects_by_five_hundred_dev_rows_with_patience() -> None:
    """The authors' recipe: 1e-5, a look every 1,000 steps at 500 rows, patience 30, two epochs of XNLI and QA."""
    xnli, mlqa = chain("paper", "classify", "xnli"), chain("paper", "span", "mlqa")
    assert (xnli.learning_rate, xnli.epochs, xnli.max_length, xnli.warmup) == (1e-5, 2, 256, 0.1)
    assert (xnli.select, xnli.evaluate_every, xnli.patience, xnli.select_rows) == ("best", 1000, 30, 500)
    assert (mlqa.learning_rate, mlqa.epochs, mlqa.batch_size) == (1e-5, 2, 16)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_study_sets_goes_before_its_preset(preset: str) -> None:
    """Even a study's `default` wins over a preset's more particular table; without a preset nothing changes."""
    assert resolve({"default": {"epochs": 7}}, ("target", "tag", "udpos"), preset).epochs == 7
    assert resolve({}, ("target", "tag")) == Settings.model_validate(BUILTIN.get("tag", {}))


def test_a_study_trains_by_its_preset() -> None:
    """The recipe of a training carries the preset's numbers; selection brings the dev rows with it."""
    fields = {"train_rows": 24, "test_rows": 16}
    graph = plan(mini(preset="xtreme", settings={"default": fields}))
    trainings = [step for step in graph.steps.values() if isinstance(step, Train)]
    assert all(step.recipe["epochs"] == 5 and step.recipe["warmup"] == 0 and step.dev for step in trainings)


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    """`xtrem` asks whether `xtreme` was meant."""
    with pytest.raises(ValidationError, match="did you mean 'xtreme'"):
        mini(preset="xtrem")


class Everything:
    """A source that has every split of every task."""

    def has(self, task: Task, split: str, language: str) -> bool:
        return task.files is not None and bool(task.files.patterns(split))  # type: ignore[arg-type]

    def identity(self, task: Task, split: str, language: str) -> str:
        assert self.has(task, split, language), (task.name, split, language)
        return f"{task.name}/{split}/{language}"

    def identity_of(self, path: str, task: Task, language: str) -> str:
        return f"{task.name}/{path}"


def test_the_papers_whole_table_plans_and_shares_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten intermediates, their ten copies with language modelling, one with translated rows and the shuffled one are
    trained once per seed for all targets; XQuAD and MLQA share a fine-tuning; retrieval trains nothing; so each arm's
    seven trained targets become six trainings, and one of them, on SQuAD alone, is at the same time the intermediate of
    that name."""
    monkeypatch.setattr("xstilts.plan.get_source", lambda name, data: Everything())
    graph = plan(Study.load(REPOSITORY / "studies" / "paper.yaml"))
    arms, trained = 23, 22
    assert len({cell.arm.name for cell in graph.cells}) == arms and len(graph.cells) == 9 * arms * 3
    trainings = [step for step in graph.steps.values() if isinstance(step, Train)]
    assert len(trainings) == (trained + 6 * arms - 1) * 3
    assert all(code == "en" for step in trainings for code, _ in step.dev)
    assert {step.recipe["learning_rate"] for step in trainings} == {1e-5}
    assert graph.unshared["Train"] == (7 * arms + trained * 9) * 3
    texts = {part.task for step in trainings for part in step.parts if part.shape == "mlm"}
    assert len(texts) == 15
