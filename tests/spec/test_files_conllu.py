"""Treebanks in CoNLL-U: trees and features come back as written, and what is no tree is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.errors import UserError
from xstilts.sources.files import READERS, FilesSource
from xstilts.tasks import get_task
from xstilts.tasks.syntax import RELATIONS

PARSE, FEATURES = get_task("udparse"), get_task("udfeats")


def word(number, form="a", head=0, relation="root", features="_"):
    return "\t".join([str(number), form, "_", "X", "_", features, str(head), relation, "_", "_"])


def conllu(*sentences, ids=True):
    """Sentences, each a list of lines, with the ids s1, s2, ..."""
    return "".join(
        "\n".join(([f"# sent_id = s{i}", "# text = a"] if ids else []) + lines) + "\n\n"
        for i, lines in enumerate(sentences, start=1)
    )


def read(tmp_path, task, content):
    path = tmp_path / "de_x-ud-test.conllu"
    path.write_text(content, encoding="utf-8")
    return READERS[task.files.reader].read(path, task, "de")


def refusal(tmp_path, task, content):
    with pytest.raises(UserError) as caught:
        read(tmp_path, task, content)
    assert str(tmp_path) in str(caught.value)
    return caught.value


@st.composite
def trees(draw):
    """Heads of a random tree: every word but the root hangs on one that was placed before it."""
    order = draw(st.permutations(range(1, draw(st.integers(1, 9)) + 1)))
    heads = {order[0]: 0}
    for i, node in enumerate(order[1:], start=1):
        heads[node] = order[draw(st.integers(0, i - 1))]
    return [heads[node] for node in sorted(heads)]


@settings(deadline=None)
@given(st.lists(trees(), min_size=1, max_size=4), st.data())
def test_trees_are_read_back(tmp_path_factory, heads, data):
    """Words, heads and relations come back as written, whatever the tree."""
    others = [relation for relation in RELATIONS if relation != "root"]
    relations = [["root" if head == 0 else data.draw(st.sampled_from(others)) for head in tree] for tree in heads]
    lines = [
        [word(i, f"w{i}", head, relation) for i, (head, relation) in enumerate(zip(*both, strict=True), start=1)]
        for both in zip(heads, relations, strict=True)
    ]
    rows = read(tmp_path_factory.mktemp("ud"), PARSE, conllu(*lines))
    assert [(row["heads"], row["relations"]) for row in rows] == list(zip(heads, relations, strict=True))
    assert [row["id"] for row in rows] == [f"s{i + 1}" for i in range(len(rows))]
    assert all(row["tokens"] == [f"w{i + 1}" for i in range(len(row["heads"]))] for row in rows)


def test_multiword_tokens_and_empty_nodes_are_no_words(tmp_path):
    """`1-2` and `2.1` are passed over; the tree is over syntactic words alone."""
    fused, empty = word("1-2", "zum", "_", "_"), word("2.1", "x", "_", "_")
    content = conllu([fused, word(1, "zu", 2, "case"), word(2, "dem"), empty])
    (row,) = read(tmp_path, PARSE, content)
    assert (row["tokens"], row["heads"]) == (["zu", "dem"], [2, 0])


def test_relations_lose_their_subtype(tmp_path):
    """`nsubj:pass` is the universal relation `nsubj`."""
    (row,) = read(tmp_path, PARSE, conllu([word(1, "es", 2, "nsubj:pass"), word(2)]))
    assert row["relations"] == ["nsubj", "root"]


def test_sentences_without_ids_are_counted(tmp_path):
    """Where no sentence has a sent_id, ids count from 1."""
    rows = read(tmp_path, PARSE, conllu([word(1)], [word(1)], ids=False))
    assert [row["id"] for row in rows] == ["1", "2"]


def test_features_are_kept_as_written(tmp_path):
    """FEATS is the tag of its word, `_` where it has none."""
    (row,) = read(tmp_path, FEATURES, conllu([word(1, features="Case=Nom|Number=Sing"), word(2, "b", 1, "det")]))
    assert row["tags"] == ["Case=Nom|Number=Sing", "_"]


@pytest.mark.parametrize(
    "lines, line, what",
    [
        ([word(1) + "\t_"], 3, "11 columns, expected 10"),
        ([word(1), word(2, "b", 1, "nsbj")], 4, "unknown relation|unknown label 'nsbj'.*nsubj"),
        ([word(1), word(2, "b", "_", "det")], 4, "no gold HEAD"),
        ([word(1), word(2, "b", 1, "_")], 4, "no gold DEPREL"),
        ([word(1), word(2, "b", 3, "det")], 4, "head '3' is outside the sentence of 2 words"),
        ([word(1), word(2, "b", "-1", "det")], 4, "head '-1' is outside"),
        ([word(1), word(2)], 3, "2 roots"),
        ([word(1, "a", 2, "det"), word(2, "b", 1, "det")], 3, "0 roots"),
        ([word(1), word(2, "b", 3, "det"), word(3, "c", 2, "det")], 4, "circle"),
        ([word(1), word(2, "b", 2, "det")], 4, "circle"),
        ([word(1), word(2, "b", 1, "root")], 4, "relation 'root' with head 1"),
        ([word(1, relation="det")], 3, "relation 'det' with head 0"),
        ([word(1), word(3, "b", 1, "det")], 4, "word number '3', expected 2"),
        ([word(1, " ")], 3, "empty word"),
    ],
)
def test_what_is_no_tree_is_refused(tmp_path, lines, line, what):
    """Each defect is refused with its line and what is wrong."""
    error = refusal(tmp_path, PARSE, conllu(lines))
    assert error.line == line
    with pytest.raises(UserError, match=what):
        raise error


def test_two_sentences_of_one_id_are_refused(tmp_path):
    """The second sent_id is named with its line, and the first one's."""
    content = conllu([word(1)], [word(1)]).replace("s2", "s1")
    error = refusal(tmp_path, PARSE, content)
    assert error.line == 5 and "duplicate id 's1' (first on line 1)" in str(error)


def test_a_sentence_that_alone_has_no_id_is_refused(tmp_path):
    """Counted ids and given ones never mix."""
    error = refusal(tmp_path, PARSE, conllu([word(1)], [word(1)]).replace("# sent_id = s2\n", ""))
    assert error.line == 5 and "without a sent_id" in str(error)


def test_a_treebank_without_features_is_refused(tmp_path):
    """FEATS that are `_` throughout mean that there is no gold, not that everything is right."""
    assert "no word has a morphological feature" in str(refusal(tmp_path, FEATURES, conllu([word(1)])))
    assert "blank gold FEATS" in str(refusal(tmp_path, FEATURES, conllu([word(1, features="")])))
    assert "no list of Name=Value" in str(refusal(tmp_path, FEATURES, conllu([word(1, features="Nom")])))


def test_a_treebank_without_its_words_is_refused(tmp_path):
    """Underscores in place of licensed text are no words."""
    content = conllu([word(1, "_"), word(2, "__", 1, "det")])
    assert "2 of 2 words are only underscores" in str(refusal(tmp_path, PARSE, content))


def treebank(data, name, file):
    (data / "ud" / name).mkdir(parents=True, exist_ok=True)
    (data / "ud" / name / file).write_text(conllu([word(1, name)]))


def test_pud_comes_first_then_the_only_treebank(tmp_path):
    """A language is evaluated on PUD, and without one on the one treebank that is there."""
    source = FilesSource(tmp_path)
    treebank(tmp_path, "UD_German-GSD", "de_gsd-ud-test.conllu")
    assert source.rows(PARSE, "test", "de")[0]["tokens"] == ["UD_German-GSD"]
    treebank(tmp_path, "UD_German-PUD", "de_pud-ud-test.conllu")
    assert source.rows(PARSE, "test", "de")[0]["tokens"] == ["UD_German-PUD"]


def test_several_treebanks_are_refused_by_name(tmp_path):
    """Which of two treebanks is read is never guessed; a stand-in says it."""
    treebank(tmp_path, "UD_Dutch-Alpino", "nl_alpino-ud-test.conllu")
    treebank(tmp_path, "UD_Dutch-LassySmall", "nl_lassysmall-ud-test.conllu")
    with pytest.raises(UserError, match="2 files fit .*nl_alpino-ud-test.* and .*nl_lassysmall-ud-test.*stand-in"):
        FilesSource(tmp_path).rows(PARSE, "test", "nl")
    named = "ud/UD_Dutch-Alpino/nl_alpino-ud-test.conllu"
    assert FilesSource(tmp_path).rows_from(named, PARSE, "nl")[0]["tokens"] == ["UD_Dutch-Alpino"]
