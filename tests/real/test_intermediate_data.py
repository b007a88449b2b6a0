"""The real intermediate and choice data: counts, alignment and known defects. Needs the folder `$XSTILTS_DATA`."""

from __future__ import annotations

import pytest
from tests.conftest import DATA

from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (set XSTILTS_DATA)")
XCOPA = get_task("xcopa")


def rows(name, split, language="en"):
    return FilesSource(DATA).rows(get_task(name), split, language)


@pytest.mark.parametrize(
    "name, split, count",
    [
        ("rte", "train", 2_127), ("rte", "dev", 277), ("qnli", "dev", 5_463), ("codah", "train", 2_776),
        ("copa", "train", 400), ("copa", "dev", 100),
    ],
)  # fmt: skip
def test_row_counts_are_those_of_the_data_sets(name, split, count):
    """Every row is read, none twice and none skipped."""
    assert len(rows(name, split)) == count


@pytest.mark.parametrize(
    "name, file, count, choices",
    [
        ("rte", "glue/RTE-val.tsv", 363, None),
        ("siqa", "mc_llm_foundry/siqa.jsonl", 1_954, 2),
        ("csqa", "mc_llm_foundry/commonsense_qa.jsonl", 1_221, 4),
        ("copa", "mc_llm_foundry/copa.jsonl", 100, 2),
    ],
)
def test_stand_ins_are_read_whole(name, file, count, choices):
    """A table without its header and the files of an evaluation harness stand in; choices are texts, not letters."""
    read = FilesSource(DATA).rows_from(file, get_task(name), "en")
    assert len(read) == count
    if choices:
        assert {len(row["choices"]) for row in read} == {choices}
        assert all(row["choices"] != ["A", "B", "C", "D"][:choices] for row in read)
        assert not any("Choices:" in row["prompt"] or "\n" in row["prompt"] for row in read)


def test_rte_train_and_its_val_part_share_no_row():
    """The copy at hand divided the official training set in two."""
    val = FilesSource(DATA).rows_from("glue/RTE-val.tsv", get_task("rte"), "en")
    ids = [row["id"] for row in [*rows("rte", "train"), *val]]
    assert len(set(ids)) == len(ids) == 2_490


@pytest.mark.parametrize("split, count", [("dev", 100), ("test", 500)])
def test_xcopa_is_parallel(split, count):
    """Every language has the same ids with the same right answers in the same order, half of each answer."""
    keys = {tuple((row["id"], row["label"]) for row in rows("xcopa", split, code)) for code in XCOPA.languages}
    (key,) = keys
    assert len(key) == count
    assert 0.4 < sum(label for _, label in key) / count < 0.6


def test_xcopas_validation_set_is_copas():
    """Its rows are those of SuperGLUE's COPA, translated."""
    labels = [row["label"] for row in rows("copa", "dev")]
    assert [row["label"] for row in rows("xcopa", "dev", "zh")] == labels


def test_xcopas_thai_and_turkish_files_ask_for_effects_where_others_ask_for_causes():
    """A defect of the published files, kept: it tells which languages' scores it touches."""

    def effects(split, code):
        return sum(row["prompt"].endswith("RESULT?") for row in rows("xcopa", split, code))

    assert {code: effects("test", code) for code in ("et", "zh", "id", "sw", "tr", "th")} == {
        "et": 250, "zh": 250, "id": 254, "sw": 287, "tr": 301, "th": 500,
    }  # fmt: skip
    assert (effects("dev", "et"), effects("dev", "tr"), effects("dev", "th")) == (48, 100, 100)
