"""The microworld's rows: one invariant per test."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pyarrow as pa
import pytest

from xstilts.errors import UserError
from xstilts.sources.microworld import BASE, CODES, LANGUAGES, MICROWORLD_TASKS, Microworld, distance
from xstilts.sources.microworld.languages import get_language
from xstilts.sources.microworld.lexicon import CONCEPTS
from xstilts.sources.microworld.meaning import Clause, Phrase, Sentence
from xstilts.sources.microworld.realise import join, realise
from xstilts.sources.microworld.words import OBJECTS, cognates, stems, suffix
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import SCHEMAS

WORLD = Microworld()
TASKS = {task.name: task for task in MICROWORLD_TASKS}
GENERATED = [task for task in MICROWORLD_TASKS if task.shape != "mlm"]
EVENT = Sentence((Clause("chased", Phrase(("dog",), adjective="big"), Phrase(("cat",)), relation="in",
                         place=Phrase(("garden",))),))  # fmt: skip


def languages(task: Task, split: str) -> list[str]:
    return [code for code in CODES if WORLD.has(task, split, code)]  # type: ignore[arg-type]


@pytest.mark.parametrize("task", GENERATED, ids=lambda task: task.name)
def test_rows_fit_the_schema_of_their_shape(task: Task) -> None:
    """Every row fits its shape's Arrow schema, with an id of its own."""
    for code in languages(task, "dev"):
        rows = WORLD.rows(task, "dev", code)
        assert pa.Table.from_pylist(rows, schema=SCHEMAS[task.shape]).to_pylist() == rows
        assert len({row["id"] for row in rows}) == len(rows) > 0


@pytest.mark.parametrize("task", [t for t in GENERATED if t.labels], ids=lambda task: task.name)
def test_labels_are_declared(task: Task) -> None:
    """The labels that occur are exactly those that the task declares."""
    rows = WORLD.rows(task, "dev", BASE)
    found = {tag for row in rows for tag in row.get("tags", [row.get("label")])}
    assert found == set(task.labels)


@pytest.mark.parametrize("task", GENERATED, ids=lambda task: task.name)
def test_evaluation_rows_are_parallel(task: Task) -> None:
    """A split has the same ids in the same order, and the same labels, in every language."""
    codes = languages(task, "test") or languages(task, "dev")
    split = "test" if languages(task, "test") else "dev"
    first = WORLD.rows(task, split, codes[0])  # type: ignore[arg-type]
    for code in codes[1:]:
        rows = WORLD.rows(task, split, code)  # type: ignore[arg-type]
        assert [(row["id"], row.get("label")) for row in rows] == [(r["id"], r.get("label")) for r in first]


@pytest.mark.parametrize("code", CODES)
def test_answers_are_exact_substrings(code: str) -> None:
    """The answer of every span question is the context's own characters at the given start, at word boundaries."""
    for row in WORLD.rows(TASKS["mw_questions"], "test", code):
        (answer,), (start,) = row["answers"], row["starts"]
        assert row["context"][start : start + len(answer)] == answer
        if get_language(code).spaces:
            assert start == 0 or row["context"][start - 1] == " "
            assert row["context"][start + len(answer)] in " ."


@pytest.mark.parametrize("name", ["mw_pos", "mw_entities"])
def test_tags_are_as_many_as_tokens(name: str) -> None:
    """Every token has one tag, and no entity begins inside another."""
    for code in CODES:
        for row in WORLD.rows(TASKS[name], "test", code):
            assert len(row["tokens"]) == len(row["tags"]) > 0
            assert all(row["tokens"])
            for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
                assert not tag.startswith("I-") or before[1:] == tag[1:]


@pytest.mark.parametrize("name", ["mw_entailment", "mw_paraphrase", "mw_nli", "mw_pairs"])
def test_labels_are_balanced(name: str) -> None:
    """No label of a pair task is more than one row more frequent than another."""
    counts = Counter(row["label"] for row in WORLD.rows(TASKS[name], "dev", BASE))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_pairs_differ() -> None:
    """The two texts of a pair are never the same, so that no label follows from equality."""
    for name in ("mw_entailment", "mw_paraphrase", "mw_nli", "mw_pairs"):
        assert all(row["text_a"] != row["text_b"] for row in WORLD.rows(TASKS[name], "dev", BASE))


def test_rows_are_the_same_in_every_process() -> None:
    """Another process, with another hash seed, generates the same rows."""
    code = ("from xstilts.sources.microworld import *; "
            "print([Microworld().rows(t, 'dev', 'en')[:20] for t in MICROWORLD_TASKS if t.shape != 'mlm' "
            "and Microworld().has(t, 'dev', 'en')])")  # fmt: skip
    command = [sys.executable, "-c", code]
    outputs = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_importing_the_source_does_not_import_torch() -> None:
    """Planning over the microworld stays cheap."""
    code = "import sys, xstilts.sources.microworld; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_base_is_at_distance_zero() -> None:
    """Distance is 0 for the base alone and within (0, 1] for all others."""
    assert distance(BASE) == 0
    assert all(0 < distance(code) <= 1 for code in CODES if code != BASE)


@pytest.mark.parametrize("code", CODES)
def test_order_of_subject_verb_and_object_is_the_tables(code: str) -> None:
    """The words of subject, verb and object stand in the order that the table gives."""
    places = {token.role: place for place, token in enumerate(realise(EVENT, code))}
    order = sorted("SVO", key=lambda letter: places[{"S": "AGENT", "V": "PRED", "O": "PATIENT"}[letter]])
    assert "".join(order) == LANGUAGES[code].order


@pytest.mark.parametrize("code", CODES)
def test_modifiers_stand_on_the_tables_side(code: str) -> None:
    """Adjectives and adpositions stand on the side of the noun that the table gives."""
    tokens, language = realise(EVENT, code), LANGUAGES[code]
    places = {token.role: place for place, token in enumerate(tokens)}
    assert (places["ATTR"] < places["AGENT"]) == (language.adjective == "before")
    adposition = next(i for i, token in enumerate(tokens) if token.form == stems(code)["in"])
    assert (adposition < places["PLACE"]) == (language.adposition == "before")


@pytest.mark.parametrize("code", CODES)
def test_objects_are_marked_as_the_table_says(code: str) -> None:
    """A direct object carries the case suffix, is followed by the particle, or is bare."""
    tokens, mark = realise(EVENT, code), suffix(code, OBJECTS)
    place = next(i for i, token in enumerate(tokens) if token.role == "PATIENT")
    found = ("suffix" if tokens[place].form == stems(code)["cat"] + mark and mark
             else "particle" if tokens[place + 1].form == mark else "none")  # fmt: skip
    assert found == LANGUAGES[code].case


@pytest.mark.parametrize("code", CODES)
def test_spaces_and_articles_are_the_tables(code: str) -> None:
    """Running text has spaces, and noun phrases articles, where the table says so."""
    tokens = realise(EVENT, code)
    assert (" " in join(tokens, code)) == LANGUAGES[code].spaces
    assert any(token.role == "DET" for token in tokens) == LANGUAGES[code].article


@pytest.mark.parametrize("code", CODES)
def test_share_of_cognates_is_the_tables(code: str) -> None:
    """As many concepts keep the base language's word as the table says, and no two concepts share a word."""
    assert len(cognates(code)) / len(CONCEPTS) == pytest.approx(LANGUAGES[code].cognates, abs=0.01)
    assert len({stems(code)[concept] for concept in CONCEPTS}) == len(CONCEPTS)


def test_what_does_not_exist_is_refused() -> None:
    """An unknown language, a missing split and a foreign task are the person's errors, said in one line."""
    with pytest.raises(UserError, match="no language"):
        WORLD.rows(TASKS["mw_pos"], "test", "qzz")
    with pytest.raises(UserError, match="no train split"):
        WORLD.identity(TASKS["mw_pos"], "train", "qaa")
    with pytest.raises(UserError, match="no task"):
        WORLD.rows(TASKS["mw_pos"].model_copy(update={"name": "mw_poss"}), "test", "en")


def test_every_declared_language_can_be_evaluated() -> None:
    """A task that has a test split has it in exactly the languages that it declares."""
    for task in GENERATED:
        found = languages(task, "test")
        assert not found or tuple(found) == task.languages
