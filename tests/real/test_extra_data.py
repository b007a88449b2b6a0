"""Treebanks, aspect sentiment, bitext and XTREME-R's languages on the real files. Needs the folder `$XSTILTS_DATA`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from xstilts.errors import UserError
from xstilts.languages import codes
from xstilts.metrics import get_metric
from xstilts.metrics.chunk_f1 import chunks
from xstilts.sources.files import FilesSource
from xstilts.tasks import get_task
from xstilts.tasks.shapes import SHAPES

DATA = Path(os.environ.get("XSTILTS_DATA") or Path(__file__).parents[2] / "../shared/data").resolve()
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data folder {DATA} (set XSTILTS_DATA)")

PUD = codes("ar cs de en es fi fr gl hi id is it ja ko pl pt ru sv th tr zh")
OTHERS = {"af": 425, "eu": 1_799, "bg": 1_116, "nl": 596, "et": 3_207, "el": 456, "he": 491, "hu": 449, "kk": 1_047,
          "mr": 47, "fa": 600, "tl": 128, "ta": 120, "te": 146, "ur": 535, "vi": 800, "yo": 317}  # fmt: skip
XABSA = {"en": (1_600, 400, 676), "es": (1_656, 414, 881), "fr": (1_332, 332, 668), "nl": (1_378, 344, 575),
         "ru": (2_924, 731, 1_209), "tr": (986, 246, 144)}  # fmt: skip
MABSA = {"mabsa": (1_264, 316, 544), "mabsa_hotel": (1_255, 308, 584), "mabsa_laptop": (1_264, 326, 532)}
SPLITS = ("train", "dev", "test")


def rows(name, split, language="en"):
    return FilesSource(DATA).rows(get_task(name), split, language)


@pytest.mark.parametrize("name", ["udparse", "udfeats"])
def test_ewt_has_its_sentences(name):
    """English trains on all of EWT."""
    assert [len(rows(name, split)) for split in ("train", "dev")] == [12_544, 2_001]
    stand_in = FilesSource(DATA).rows_from("ud/UD_English-EWT/en_ewt-ud-test.conllu", get_task(name), "en")
    assert len(stand_in) == 2_077


def test_every_language_of_parsing_has_a_test_set_of_trees():
    """The counts are those of the treebanks; following heads from any word ends at the one root."""
    task = get_task("udparse")
    assert set(PUD) | set(OTHERS) == set(task.all_languages) - {"lt", "ro", "uk", "wo"}
    for code in (*PUD, *OTHERS):
        read = rows("udparse", "test", code)
        assert len(read) == OTHERS.get(code, 1_000), code
        for row in read:
            reached = list(row["heads"])
            for _ in reached:
                reached = [head and row["heads"][head - 1] for head in reached]
            assert not any(reached) and row["heads"].count(0) == 1
            assert len(row["tokens"]) == len(row["heads"]) == len(row["relations"])


def test_pud_is_the_same_thousand_sentences():
    """All PUD treebanks have the same sent_ids; the Icelandic ones stand in another order."""
    english = [row["id"] for row in rows("udparse", "test")]
    for code in PUD:
        ids = [row["id"] for row in rows("udparse", "test", code)]
        assert sorted(ids) == sorted(english) and (ids == english) == (code != "is"), code


def test_features_are_scored_where_they_are_annotated():
    """A tenth of the words has some in each language of the task; in the three left out, hardly any or none has."""
    task = get_task("udfeats")
    for code in task.languages:
        tags = [tag for row in rows("udfeats", "test", code) for tag in row["tags"]]
        assert sum(tag != "_" for tag in tags) > 0.1 * len(tags), code
    parse = get_task("udparse")
    assert set(parse.languages) - set(task.languages) == {"ja", "te", "vi"}
    with pytest.raises(UserError, match="no word has a morphological feature"):
        FilesSource(DATA).rows_from("ud/UD_Vietnamese-VTB/vi_vtb-ud-test.conllu", task, "vi")


@pytest.mark.parametrize("code", XABSA)
def test_xabsa_has_its_sentences_and_terms(code):
    """Every sentence is read; terms and polarities agree in all three tasks."""
    for split, count in zip(SPLITS, XABSA[code], strict=True):
        read = rows("absa", split, code)
        assert len(read) == count
        spans = [chunk for row in read for chunk in chunks(row["tags"])]
        assert sum(len(chunks(row["tags"])) for row in rows("absa_terms", split, code)) == len(spans)
        judged = Counter(row["label"] for row in rows("absa_polarity", split, code))
        assert judged == Counter(kind for kind, *_ in spans)


@pytest.mark.parametrize("name", MABSA)
def test_mabsa_is_parallel_in_all_languages(name):
    """Evaluation rows are checked against English as they are read; at most 6 % of a test's terms are not in them."""
    source, task = FilesSource(DATA), get_task(name)
    for code in task.languages:
        for split, count in zip(SPLITS[1:], MABSA[name][1:], strict=True):
            read = rows(name, split, code)
            assert len(read) == count, (code, split)
        terms = sum(len(chunks(row["tags"])) for row in read)
        assert source.left_out(task, "test", code).get("terms not in their sentence", 0) < 0.06 * terms, code
    assert len(rows(name, "train")) == MABSA[name][0]


def test_what_mabsa_leaves_out_is_known():
    """English restaurants: 33 second polarities of a term, and no term that is not in its sentence."""
    count = Counter()
    for split in SPLITS:
        count.update(FilesSource(DATA).left_out(get_task("mabsa"), split, "en"))
    assert count == {"further polarities of a term": 33}


def test_mabsa_terms_are_where_semeval_has_them():
    """On the sentences that both data sets have, sought terms are the annotated spans with F1 above 97."""

    def spans(row):
        ends = [len("".join(row["tokens"][:i])) for i in range(len(row["tokens"]) + 1)]
        return {(kind, ends[first], ends[last + 1]) for kind, first, last in chunks(row["tags"])}

    def by_text(name):
        return {"".join(row["tokens"]).lower(): spans(row) for split in SPLITS for row in rows(name, split)}

    sought, annotated = by_text("mabsa"), by_text("absa")
    common = sought.keys() & annotated.keys()
    assert len(common) > 1_800
    true = sum(len(sought[text] & annotated[text]) for text in common)
    assert 2 * true / sum(len(sought[text]) + len(annotated[text]) for text in common) > 0.97


def test_bucc_has_its_sentences_and_pairs():
    """Both corpora and all gold pairs of zh-en's sample split."""
    read = rows("bucc2018", "dev", "zh")
    assert sum(row["text"] is not None for row in read) == 8_624
    assert sum(row["english"] is not None for row in read) == 13_589
    assert sum(len(row["gold"]) for row in read) == 257


def test_xtreme_r_languages_are_read():
    """What is at hand of XTREME-R's additions."""
    assert len(rows("xquad", "test", "ro")) == 1_190
    for code, count in {"qu": 100, "pa": 100, "gu": 100, "az": 1_000, "lt": 10_000, "uk": 10_000}.items():
        assert len(rows("panx", "dev", code)) == count


@pytest.mark.parametrize("name", ["xnli", "pawsx", "xquad", "xcopa"])
def test_parallel_tasks_are_parallel(name):
    """Every evaluation split there is, in every language, passes the comparison with English."""
    source, task = FilesSource(DATA), get_task(name)
    for split in ("dev", "test"):
        sizes = {len(source.rows(task, split, c)) for c in task.all_languages if source.has(task, split, c)}
        assert len(sizes) <= 1


def test_icelandic_order_is_refused_where_rows_must_be_parallel():
    """The one real file in another order: as a parallel task its first exchanged row would be named."""
    task = get_task("udparse").model_copy(update={"parallel": True, "name": "pud"})
    with pytest.raises(UserError, match=r"is_pud-ud-test.*rows in another order: row [\d,]+ has id 'n"):
        FilesSource(DATA).rows(task, "test", "is")


@pytest.mark.parametrize("name", ["udparse", "udfeats", "absa", "absa_polarity", "mabsa", "mabsa_polarity"])
def test_the_gold_scores_100_in_every_language(name):
    """What a reader gives as gold is right by every metric of its task."""
    source, task = FilesSource(DATA), get_task(name)
    shape = SHAPES.get(task.shape)
    for code in task.all_languages:
        if source.has(task, "test", code):
            golds = shape.golds(source.rows(task, "test", code))
            for metric in task.metrics:
                parts = [get_metric(metric).contribution(gold, gold, code) for gold in golds]
                assert sum(n for n, _ in parts) == sum(d for _, d in parts) > 0, (code, metric)
