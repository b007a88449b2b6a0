"""Real typos in XNLI: every row finds the clean row it was made from. Needs the folder `$XSTILTS_DATA`."""

from __future__ import annotations

import pytest
from tests.conftest import DATA

from xstilts.perturb.own import pair_rows
from xstilts.perturb.rate import Reached
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (set XSTILTS_DATA)")

ROWS = {"de": 658, "en": 5010, "es": 687, "fr": 974, "hi": 3709, "tr": 4420}
RATES = {"de": 0.019, "en": 0.024, "es": 0.019, "fr": 0.019, "hi": 0.046, "tr": 0.023}
"""Edits over characters, as measured; Hindi's and Turkish's files were also tokenised, so some are spaces."""


@pytest.mark.parametrize("language", sorted(ROWS))
def test_every_row_with_real_typos_is_paired(language):
    """All rows of every language have a clean row of the same label, in the order of the test set, none of them
    unchanged, at the rate of real typos."""
    source, task = FilesSource(DATA), get_task("xnli")
    clean = source.rows(task, "test", language)
    noisy = source.rows_from(f"noisy/xnli/test_{language}_typos_0.05.tsv.gz", task, language)
    pairs = pair_rows(clean, noisy, "classify", "text")
    assert len(noisy) == len(pairs) == ROWS[language]
    # the files keep the order of the test set, which pairing by text does not know
    assert [pair.row["text_b"] for pair in pairs] == [row["text_b"] for row in noisy]
    assert all(pair.reached.edits for pair in pairs)
    assert Reached.total([pair.reached for pair in pairs]).rate == pytest.approx(RATES[language], abs=0.001)
