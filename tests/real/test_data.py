"""The real data sets: counts, alignment and known defects. Needs the folder `$XSTILTS_DATA`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xstilts.errors import UserError
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task

DATA = Path(os.environ.get("XSTILTS_DATA") or Path(__file__).parents[2] / "../shared/data").resolve()
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (set XSTILTS_DATA)")


def rows(name, split, language="en"):
    return FilesSource(DATA).rows(get_task(name), split, language)


@pytest.mark.parametrize(
    "name, split, language, count",
    [
        ("snli", "dev", "en", 9_842), ("snli", "test", "en", 9_824),
        ("sick", "train", "en", 4_500), ("sick", "dev", "en", 500), ("sick", "test", "en", 4_927),
        ("msrp", "train", "en", 3_576), ("msrp", "dev", "en", 500), ("msrp", "test", "en", 1_725),
        ("cosmosqa", "dev", "en", 2_985),
        ("parallel", "train", "ro", 5_421), ("parallel", "train", "my", 3_066),
        ("udpos", "train", "en", 21_787), ("udpos", "test", "en", 5_440), ("udpos", "test", "mr", 47),
        ("udpos", "test", "ru", 8_973), ("udpos", "test", "yo", 318), ("udpos", "test", "zh", 3_455),
        ("panx", "train", "en", 20_000), ("panx", "dev", "en", 10_000), ("panx", "dev", "sw", 1_000),
        ("panx", "dev", "yo", 100),
        ("tydiqa", "train", "en", 3_696), ("tydiqa", "train", "ko", 1_625), ("tydiqa", "train", "sw", 2_755),
        ("mlqa", "dev", "en", 1_148), ("mlqa", "dev", "zh", 504), ("mlqa", "dev", "ar", 517),
    ],
)  # fmt: skip
def test_row_counts_are_those_of_the_data_sets(name, split, language, count):
    """Every row is read, none twice and none skipped."""
    assert len(rows(name, split, language)) == count


def test_xnli_is_parallel_and_balanced():
    """Every language has the same ids and labels in the same order, a third of each label."""
    for split, count in (("dev", 2_490), ("test", 5_010)):
        keys = {tuple((r["id"], r["label"]) for r in rows("xnli", split, code)) for code in get_task("xnli").languages}
        (key,) = keys
        assert len(key) == count
        labels = [label for _, label in key]
        assert {labels.count(label) for label in get_task("xnli").labels} == {count // 3}


def test_xquad_is_parallel():
    """Every language has the same 1,190 questions in the same order."""
    (ids,) = {tuple(row["id"] for row in rows("xquad", "test", code)) for code in get_task("xquad").languages}
    assert len(ids) == 1_190


def test_tatoeba_has_up_to_a_thousand_pairs_in_all_36_languages():
    """The counts are LASER's."""
    fewer = {"jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548}
    for code in get_task("tatoeba").languages:
        assert len(rows("tatoeba", "test", code)) == fewer.get(code, 1_000), code


def test_pawsx_test_rows_have_the_same_ids_in_every_language():
    """The files whose labels were attached again kept the rows."""
    ids = [tuple(row["id"] for row in rows("pawsx", "test", code)) for code in get_task("pawsx").languages]
    assert len(set(ids)) == 1 and len(ids[0]) == 2_000


@pytest.mark.parametrize(
    "name, file, count, unanswerable",
    [
        ("squad_v1", "squad/dev-v1.1.from-explorer.minus-xquad.json", 9_380, 0),
        ("squad_v1", "squad/dev-v1.1.from-explorer.json", 10_570, 0),
        ("squad_v2", "squad/dev-v2.0.from-explorer.minus-xquad.json", 10_174, 5_063),
    ],
)
def test_stand_ins_for_squad_are_read(name, file, count, unanswerable):
    """The rebuilt development sets stand in for the training sets, `.gz` left out."""
    read = FilesSource(DATA).rows_from(file, get_task(name), "en")
    assert len(read) == count
    assert sum(not row["answers"] for row in read) == unanswerable


def test_the_squad_stand_in_holds_no_passage_of_xquad():
    """Training on it leaks nothing of the evaluation."""
    stand_in = FilesSource(DATA).rows_from("squad/dev-v1.1.from-explorer.minus-xquad.json", get_task("squad_v1"), "en")
    assert not {row["context"] for row in stand_in} & {row["context"] for row in rows("xquad", "test")}


@pytest.mark.parametrize("language", get_task("tydiqa").languages)
def test_tydiqa_dev_with_its_removed_answers_is_refused(language):
    """The file and a question are named; it is never scored as zero."""
    with pytest.raises(UserError, match=r"\.dev\.json\.gz.*question '.*blank gold answer"):
        rows("tydiqa", "test", language)


def test_squad_2_is_refused_where_answers_are_needed():
    """Unanswerable questions are no SQuAD v1.1."""
    with pytest.raises(UserError, match="only answerable questions"):
        FilesSource(DATA).rows_from("squad/dev-v2.0.from-explorer.json", get_task("squad_v1"), "en")
