"""What the documents say is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

from xstilts.cli import app, data_app
from xstilts.executors import EXECUTORS
from xstilts.executors.engine import Engine
from xstilts.study import Study
from xstilts.tasks import TASKS
from xstilts.tasks.page import page
from xstilts.training.degenerate import RULE

README = (REPOSITORY / "README.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def test_the_study_in_the_readme_is_valid(tmp_path: Path) -> None:
    """The study that the README shows loads as it stands."""
    text, *_ = blocks(README, "yaml")
    (tmp_path / "my-study.yaml").write_text(text)
    assert Study.load(tmp_path / "my-study.yaml").targets == ("udpos", "xnli", "xquad", "tatoeba")


INTERMEDIATE = [*blocks(README, "yaml")[1:],
                *(block for name in ("intermediate.md", "perturbations.md")
                  for block in blocks((REPOSITORY / "docs" / name).read_text("utf-8"), "yaml"))]  # fmt: skip


@pytest.mark.parametrize("text", INTERMEDIATE, ids=range(len(INTERMEDIATE)))
def test_what_the_pages_on_studies_show_is_valid(text: str, tmp_path: Path) -> None:
    """Each block, with the rest of a study around it, loads as it stands."""
    around = "name: shown\nmodel: xlm-roberta-base\ndata: data\ntargets: [xnli, xquad]\nlanguages: [en, de]\n\n"
    (tmp_path / "study.yaml").write_text(around + text)
    assert Study.load(tmp_path / "study.yaml").arms


ENGINES = blocks((REPOSITORY / "docs" / "scale.md").read_text("utf-8"), "yaml")


@pytest.mark.parametrize("text", ENGINES, ids=range(len(ENGINES)))
def test_the_engine_files_that_the_page_on_scale_shows_are_valid(text: str, tmp_path: Path) -> None:
    """Each block loads as it stands."""
    (tmp_path / "engine.yaml").write_text(text)
    assert Engine.load(tmp_path / "engine.yaml").executor in EXECUTORS.targets()


def test_the_rule_for_degenerate_runs_is_the_one_that_is_applied() -> None:
    """The sentence in docs/intermediate.md is the report's."""
    page = " ".join((REPOSITORY / "docs" / "intermediate.md").read_text("utf-8").split())
    assert RULE in page


def test_every_command_in_the_readme_exists() -> None:
    """The README names no verb that the command line does not have."""
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    verbs |= {group.name for group in app.registered_groups}
    used = {
        line.split()[1] for block in blocks(README, "sh") for line in block.splitlines() if line.startswith("xstilts")
    }
    assert used and used <= verbs
    assert [command.name for command in data_app.registered_commands] == ["check"]


def test_every_link_in_the_documents_leads_somewhere() -> None:
    """Relative links and pictures of the README and of docs/ exist."""
    for path in (REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


STUDIES = sorted(path for path in (REPOSITORY / "studies").glob("*.yaml") if not path.name.startswith("claims-"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_every_study_in_the_repository_is_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each study file loads, and says in its head what to expect of it."""
    monkeypatch.setenv("RATE", "3e-4")
    monkeypatch.setenv("LAYER", "3")
    assert Study.load(path).targets
    assert "Expected:" in path.read_text("utf-8")


def test_the_page_of_tasks_is_what_the_declarations_say() -> None:
    """docs/tasks.md is as `python -m xstilts.tasks.page` writes it."""
    assert (REPOSITORY / "docs" / "tasks.md").read_text("utf-8") == page(TASKS.values())
