"""Words exchanged by an encoder or a table keep labels of real rows. Needs `$XSTILTS_DATA` and `$XSTILTS_MODELS`."""

from __future__ import annotations

from itertools import islice

import pytest
from tests.conftest import DATA, MODELS

from xstilts.perturb import applies
from xstilts.perturb.codeswitch import learn_table
from xstilts.perturb.neighbours import load_neighbours
from xstilts.perturb.rate import Reached
from xstilts.perturb.rows import perturb_rows
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task

MODEL = MODELS / "natural-16"
pytestmark = pytest.mark.skipif(
    not (DATA.is_dir() and MODEL.is_dir()), reason=f"no {DATA} or no {MODEL} (set XSTILTS_DATA, XSTILTS_MODELS)"
)
ROWS = 4
PARALLEL = sorted({*get_task("parallel").all_languages} & {*get_task("udpos").all_languages})


@pytest.fixture(scope="module")
def encoder():
    """Neighbours by the encoder's own head."""
    return load_neighbours("mlm", str(MODEL))


def rows_of(name, split, language):
    source, task = FilesSource(DATA), get_task(name)
    return source.rows(task, split, language)[:ROWS] if source.find(task, split, language) is not None else []


def check_tags(before, after):
    for old, new in zip(before, after, strict=True):
        assert len(new["tokens"]) == len(new["tags"]) == len(old["tokens"]) and new["tags"] == old["tags"]
        assert all(token.strip() for token in new["tokens"])


@pytest.mark.parametrize("language", get_task("udpos").languages)
def test_words_of_the_encoder_keep_tags_and_answers(language, encoder):
    """One token for one token in every language of UDPOS; in XQuAD every answer stays where its start says."""
    rows, labels = rows_of("udpos", "test", language), get_task("udpos").labels
    changed, reached = perturb_rows(rows, "tag", labels, language, "mlm", 0.2, 1, resource=encoder)
    check_tags(rows, changed)
    assert Reached.total(reached).rate <= 0.25
    asked = rows_of("xquad", "test", language) if language in get_task("xquad").languages else []
    changed, _ = perturb_rows(asked[:1], "span", (), language, "mlm", 0.2, 1, resource=encoder)
    for row in changed:
        for start, answer in zip(row["starts"], row["answers"], strict=True):
            assert row["context"][start : start + len(answer)] == answer


@pytest.mark.parametrize("language", PARALLEL)
def test_code_switching_keeps_tags(language):
    """A table learned from a language's translation pairs changes tokens and nothing else, where the kind applies."""
    source = FilesSource(DATA)
    pairs = source.rows(get_task("parallel"), "train", language)
    table = learn_table((row["text"], row["english"]) for row in islice(pairs, 500))
    rows = rows_of("udpos", "test", language)
    changed, reached = perturb_rows(rows, "tag", get_task("udpos").labels, language, "code_switch", 0.2, 1,
                                    resource=table)  # fmt: skip
    check_tags(rows, changed)
    if not applies("code_switch", language):
        assert changed == rows and Reached.total(reached).edits == 0
