"""The table of official sizes against the real files. Needs the folder `$XSTILTS_DATA`."""

from __future__ import annotations

import pytest
from tests.conftest import DATA

from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task
from xstilts.tasks.sizes import SIZES, official_rows

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (set XSTILTS_DATA)")
BLANK = {("tydiqa", "test")}
"""XTREME's copies of these have no answers and are refused."""


@pytest.mark.parametrize(
    "name", ["snli", "sick", "cosmosqa", "copa", "xcopa", "xnli", "pawsx", "xquad", "mlqa", "tydiqa", "panx", "udpos",
             "tatoeba", "bucc2018"],
)  # fmt: skip
def test_official_sizes_are_those_of_the_real_files(name: str) -> None:
    """Wherever an official file is at hand, the table says how many rows it has."""
    source, task = FilesSource(DATA), get_task(name)
    there = {
        (split, language): rows
        for split in SIZES[name]
        for language in task.all_languages
        if (name, split) not in BLANK and source.has(task, split, language)
        for rows in (official_rows(name, split, language),)
        if rows is not None
    }
    assert there
    for (split, language), rows in there.items():
        assert len(source.rows(task, split, language)) == rows, (split, language)
