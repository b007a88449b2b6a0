"""Ten per cent asked is ten per cent reached in every language of the real data. Needs the folder `$XSTILTS_DATA`."""

from __future__ import annotations

import pytest
from tests.conftest import DATA

from xstilts.perturb import PERTURBATIONS, applies, get_perturbation
from xstilts.perturb.rate import Reached
from xstilts.perturb.rows import perturb_rows
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (set XSTILTS_DATA)")

SPLITS = {"udpos": "test", "xnli": "test", "panx": "dev", "tatoeba": "test"}
LANGUAGES = sorted({code for name in SPLITS for code in get_task(name).languages})
ROWS = 50
RATE = 0.1
SEEDS = {"character": 5, "word": 40}
"""Fifty short rows hold few words, so that the luck of rounding alone moves their mean by more than a point."""


def samples(language):
    """(shape, labels, rows) of each task that has the language: rows spread evenly over the file."""
    source = FilesSource(DATA)
    for name, split in SPLITS.items():
        task = get_task(name)
        if language in task.all_languages and source.find(task, split, language) is not None:
            rows = source.rows(task, split, language)
            yield task.shape, task.labels, rows[:: max(1, len(rows) // ROWS)][:ROWS]


def rates(language, name, found):
    """Reached and possible (all that can be changed at this rate) over the rows of all tasks, as shares of units."""
    perturbation = get_perturbation(name)
    reached, wanted = [], 0.0
    for shape, labels, rows in found:
        if shape == "tag" and not perturbation.keeps_count:
            continue
        _, most = perturb_rows(rows, shape, labels, language, name, 1, 0)
        seeds = SEEDS[perturbation.unit]
        for seed in range(seeds):
            reached += perturb_rows(rows, shape, labels, language, name, RATE, seed)[1]
        wanted += seeds * sum(min(RATE * there.units, there.edits) for there in most)
    total = Reached.total(reached)
    return total.rate, wanted / total.units if total.units else 0.0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rate_asked_for_is_reached(language):
    """Within one point of ten per cent, or of what the texts have room for, for every perturbation that applies."""
    found = list(samples(language))
    assert found
    for name in (name for name in PERTURBATIONS.targets() if not get_perturbation(name).needs):
        reached, possible = rates(language, name, found)
        if applies(name, language):
            assert abs(reached - possible) < 0.01, name
        else:
            assert reached == 0, name
