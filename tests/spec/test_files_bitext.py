"""BUCC's two corpora and their true pairs become rows that lose no sentence and no pair."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task
from xstilts.tasks.rows import SCHEMAS

BUCC = get_task("bucc2018")
FILES = {"de": "de-1\teins\nde-2\tzwei\n", "en": "en-1\ttwo\nen-2\tthree\n", "gold": "de-2\ten-1\n"}


def write(folder, files):
    place = folder / "bucc2018/de-en"
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / f"de-en.sample.{name}").write_text(content)
    return FilesSource(folder)


@settings(deadline=None)
@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_no_sentence_and_no_pair_is_lost(tmp_path_factory, pairs):
    """Each sentence is in one row, gold names all translations of a text, and ids are unique, however they overlap."""
    files = {
        "de": "".join(f"de-{i}\ttext {i}\n" for i in range(6)),
        "en": "".join(f"en-{i}\tsentence {i}\n" for i in range(6)),
        "gold": "".join(f"de-{i}\ten-{j}\n" for i, j in sorted(pairs)),
    }
    rows = write(tmp_path_factory.mktemp("bucc"), files).rows(BUCC, "dev", "de")
    assert {(row["id"], other) for row in rows for other in row["gold"]} == {(f"de-{i}", f"en-{j}") for i, j in pairs}
    texts = [(row["id"], row["text"]) for row in rows if row["text"] is not None]
    assert texts == [(f"de-{i}", f"text {i}") for i in range(6)]
    english = [(row["english_id"], row["english"]) for row in rows if row["english"] is not None]
    assert sorted(english) == [(f"en-{i}", f"sentence {i}") for i in range(6)]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["english_id"] in row["gold"] for row in rows if row["text"] and row["english"])
    assert pa.Table.from_pylist(rows, schema=SCHEMAS["mine"]).to_pylist() == rows


def test_a_pair_is_one_row_and_the_others_are_alone(tmp_path):
    """A sample of rows keeps translations together."""
    rows = write(tmp_path, FILES).rows(BUCC, "dev", "de")
    assert [(row["id"], row["text"], row["english"]) for row in rows] == [
        ("de-1", "eins", None), ("de-2", "zwei", "two"), ("en-2", None, "three"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes, file, line, what",
    [
        ({"de": "de-1\ta\nde-1\tb\n"}, ".de", 2, "duplicate id 'de-1'"),
        ({"de": "de-1\ta\nde-2\t \n"}, ".de", 2, "empty sentence"),
        ({"de": "de-1\n"}, ".de", 1, "1 column"),
        ({"en": "en-1\ta\nde-1\tb\n"}, ".en", 2, "id 'de-1' is also in"),
        ({"gold": "de-2\ten-1\nde-1\ten-9\n"}, ".gold", 2, "no sentence 'en-9'"),
        ({"gold": "de-9\ten-1\n"}, ".gold", 1, "no sentence 'de-9'"),
        ({"gold": "de-2\ten-1\nde-2\ten-1\n"}, ".gold", 2, "repeats"),
        ({"gold": ""}, ".gold", None, "no true pairs"),
    ],
)
def test_defects_are_refused_in_the_file_that_has_them(tmp_path, changes, file, line, what):
    """Ids, sentences and pairs, each with its own file and line."""
    with pytest.raises(UserError) as caught:
        write(tmp_path, FILES | changes).rows(BUCC, "dev", "de")
    assert caught.value.line == line and str(caught.value.file).endswith(file) and what in str(caught.value)


@pytest.mark.parametrize("missing, what", [("en", "no English half"), ("gold", "no true pairs")])
@pytest.mark.parametrize("method", ["rows", "identity"])
def test_a_missing_half_or_gold_is_refused(tmp_path, missing, what, method):
    """Without the true pairs nothing can be scored, and it is said before anything runs."""
    source = write(tmp_path, {name: content for name, content in FILES.items() if name != missing})
    with pytest.raises(UserError, match=what):
        getattr(source, method)(BUCC, "dev", "de")
