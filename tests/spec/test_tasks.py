"""Tasks, languages and sources by name: complete, consistent, and helpful when a name is wrong."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from xstilts.errors import UserError
from xstilts.languages import LANGUAGES, XTREME, get_language
from xstilts.metrics import get_metric
from xstilts.sources import get_source
from xstilts.sources.files import READERS
from xstilts.sources.hub.reader import READERS as HUB_READERS
from xstilts.tasks import TASKS, get_task
from xstilts.tasks.rows import SCHEMAS

EVERY_TASK = pytest.mark.parametrize("name", list(TASKS))


@EVERY_TASK
def test_every_task_is_complete(name):
    """A task says its title, what it is, licence, citation, languages, splits, level, category, metrics and sources."""
    task = get_task(name)
    assert task.name == name
    assert all(text.strip() for text in (task.title, task.licence, task.citation, task.level, task.category))
    assert task.shape in SCHEMAS
    for values in (task.all_languages, task.metrics, task.sources):
        assert values and len(set(values)) == len(values)
    assert len(set(task.labels)) == len(task.labels)
    assert all(get_metric(metric).greater_is_better is True for metric in task.metrics)
    if "microworld" not in task.sources:
        assert task.description.strip() and task.description != task.title
        assert task.files is not None and any(task.files.patterns(split) for split in ("train", "dev", "test"))


@EVERY_TASK
def test_every_hub_location_is_complete(name):
    """Where a task is read from the hub, it names the data set, a revision, a reader that exists and its splits."""
    task = get_task(name)
    assert ("hub" in task.sources) == (task.hub is not None)
    if task.hub is not None:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", task.hub.dataset)
        assert re.fullmatch(r"[0-9a-f]{40}|main|refs/convert/parquet", task.hub.revision)
        assert task.hub.reader in HUB_READERS
        assert any(task.hub.name_of(split) for split in ("train", "dev", "test"))


@EVERY_TASK
def test_every_language_of_a_task_is_known(name):
    """Every language a task names can be described."""
    for code in get_task(name).languages:
        assert get_language(code).code == code


@EVERY_TASK
def test_tasks_refer_to_tasks_that_fit(name):
    """What a target trains on exists, has a train split of the same shape and labels; oracles exist."""
    task = get_task(name)
    for other in map(get_task, task.trains_on or ()):
        assert other.shape == task.shape and other.labels == task.labels
        assert other.head_name == task.head_name
    for other in map(get_task, task.oracle or ()):
        assert set(other.sources) & set(task.sources)


def test_tasks_that_share_a_head_share_shape_and_labels():
    """One head can only be trained on tasks whose outputs it can give."""
    heads = {}
    for task in TASKS.values():
        assert heads.setdefault(task.head_name, (task.shape, task.labels)) == (task.shape, task.labels)


def test_file_layouts_name_readers_and_language():
    """A layout names a known reader; patterns stay inside the folder and tell the languages apart."""
    for task in TASKS.values():
        if task.files is None:
            continue
        assert task.files.reader in READERS
        patterns = [p for split in ("train", "dev", "test") for p in task.files.patterns(split)]
        assert patterns
        for pattern in patterns:
            assert not pattern.startswith("/") and ".." not in pattern and not pattern.endswith(".gz")
            assert len(task.languages) == 1 or "{language}" in pattern or "{iso3}" in pattern


XTREME_SIZES = {
    "udpos": 33, "panx": 40, "xnli": 15, "pawsx": 7, "xquad": 11, "mlqa": 7, "tydiqa": 9, "tatoeba": 36,
}  # fmt: skip


@pytest.mark.parametrize("name, count", XTREME_SIZES.items())
def test_xtreme_targets_have_xtremes_languages(name, count):
    """The number of languages is that of XTREME's evaluation, and all of them are among its forty."""
    assert len(get_task(name).languages) == count
    assert set(get_task(name).languages) <= set(XTREME)


def test_a_misspelt_task_is_answered_with_the_nearest():
    """`udpso` asks whether `udpos` was meant."""
    with pytest.raises(UserError, match="unknown task 'udpso'; did you mean 'udpos'"):
        get_task("udpso")


@pytest.mark.parametrize("wrong, right", [("deu", "de"), ("German", "de"), ("EN", "en"), ("swh", "sw")])
def test_a_misspelt_language_is_answered_with_its_code(wrong, right):
    """ISO 639-3 codes, names and upper case are understood, but only to say the right code."""
    with pytest.raises(UserError, match=f"did you mean '{right}'"):
        get_language(wrong)


def test_private_use_codes_are_languages_and_quechua_is_not_one():
    """qaa to qtz name generated languages; `qu` is Quechua and `qza` nothing."""
    assert get_language("qab").name == "qab"
    assert get_language("qu").name == "Quechua"
    with pytest.raises(UserError):
        get_language("qza")


def test_language_codes_are_distinct():
    """No two languages share a code, an ISO 639-3 code or a name."""
    for field in ("code", "iso3", "name"):
        assert len({getattr(language, field) for language in LANGUAGES.values()}) == len(LANGUAGES)
    assert set(XTREME) <= set(LANGUAGES) and len(XTREME) == 40


def test_an_unknown_source_is_answered_with_the_nearest():
    """`file` asks whether `files` was meant."""
    with pytest.raises(UserError, match="unknown source 'file'; did you mean 'files'"):
        get_source("file")


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p / "none", lambda p: p])
def test_source_files_needs_an_existing_folder(tmp_path, make):
    """No folder, a folder that is not there and a file in its place are refused, with the field to set."""
    place = make(tmp_path / "place")
    if place == tmp_path / "place":
        place.write_text("a file")
    with pytest.raises(UserError, match="`data:` in the study"):
        get_source("files", place)


@pytest.mark.parametrize("module", ["xstilts.tasks", "xstilts.sources.microworld.tasks", "xstilts.sources.files"])
def test_any_room_can_be_imported_first_and_none_needs_torch(module):
    """Tasks and the microworld know each other; whichever comes first, all tasks are there, without torch."""
    code = f"import sys, {module}; from xstilts.tasks import TASKS; assert TASKS and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
