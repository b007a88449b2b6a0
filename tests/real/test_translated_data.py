"""Real questions and entities through a real translation system: what survives is right. Needs data and apertium."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.conftest import DATA

from xstilts.arms import Translation
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task
from xstilts.tasks.rows import Row
from xstilts.translation import identify, load
from xstilts.translation.projection import translate_rows

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA}; set XSTILTS_DATA to run this on real data"),
    pytest.mark.skipif(
        shutil.which("apertium") is None, reason="install the Debian packages apertium, apertium-eng-spa"
    ),
]


def translated(name: str, rows: list[Row]) -> list[Row]:
    """The survivors, which are nearly all: apertium leaves brackets alone."""
    task = get_task(name)
    identity, mode = identify(Translation(to=("es",), backend="apertium"), "es", "files", Path())
    translate = load("apertium", identity, mode, "es", {}).translate
    kept, dropped = translate_rows(rows, task.shape, task.labels, translate)
    assert len(kept) + dropped.total() == len(rows)
    assert len(kept) >= 0.95 * len(rows), dropped
    return kept


def test_squads_answers_are_where_they_say_in_spanish() -> None:
    """Every surviving answer is the substring of its Spanish context at its offset, and most contexts did change."""
    task, path = get_task("squad_v1"), "squad/dev-v1.1.from-explorer.minus-xquad.json"
    rows = FilesSource(DATA).rows_from(path, task, "en")[:200]
    english = {row["id"]: row for row in rows}
    for row in translated("squad_v1", rows):
        ((answer, start),) = zip(row["answers"], row["starts"], strict=True)
        assert answer.strip() and row["context"][start : start + len(answer)] == answer
        assert row["context"] != english[row["id"]]["context"]


def test_panx_entities_keep_their_number_and_types_in_spanish() -> None:
    """Every surviving sentence has the entity types of its English one, a tag for each token."""
    rows = FilesSource(DATA).rows(get_task("panx"), "train", "en")[:100]
    english = {row["id"]: row for row in rows}
    for row in translated("panx", rows):
        assert len(row["tokens"]) == len(row["tags"])
        assert firsts(row) == firsts(english[row["id"]])


def firsts(row: Row) -> list[str]:
    return sorted(tag for tag in row["tags"] if tag.startswith("B-"))
