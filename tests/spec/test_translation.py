"""What translates is named, pinned and refused early; the microworld's own translation is exact; the step is cached."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from xstilts.arms import Translation
from xstilts.errors import StepFailed, UserError
from xstilts.sources.microworld import CODES, VERSION, realised
from xstilts.steps.prepare import Prepare, read_rows
from xstilts.steps.translate import Translate
from xstilts.store import Store
from xstilts.tasks import get_task
from xstilts.translation import check_translatable, identify, load, options_of
from xstilts.translation.codes import Direction, direction, flores_code
from xstilts.translation.projection import translate_rows
from xstilts.translation.units import lines, sentences, through


def wish(**changes):
    return Translation(**{"to": ("qaa",), "backend": "table", **changes})


@pytest.mark.parametrize("code", [code for code in CODES if code != "en"])
@pytest.mark.parametrize("name", ["mw_nli", "mw_pairs", "mw_squad", "mw_choice"])
def test_the_microworlds_translation_is_exact(name: str, code: str) -> None:
    """Translated rows equal the rows that the microworld says in that language, answers and offsets included."""
    task = get_task(name)
    table = load("table", f"microworld-{VERSION}", "", code, {})
    kept, dropped = translate_rows(realised(name, "dev", "en"), task.shape, task.labels, table.translate)
    assert not dropped
    assert kept == realised(name, "dev", code)


def test_the_microworld_refuses_what_it_cannot_translate(tmp_path: Path) -> None:
    """Tags, languages of the real world and other sources are refused when the study is planned."""
    check_translatable(get_task("mw_nli"), wish())
    with pytest.raises(UserError, match="mw_supertags cannot be translated"):
        check_translatable(get_task("mw_supertags"), wish())
    for language in ("es", "en"):
        with pytest.raises(UserError, match=f"no translation into {language!r}"):
            identify(wish(), language, "microworld", tmp_path)
    with pytest.raises(UserError, match="needs a table.*model: FILE"):
        identify(wish(), "qaa", "files", tmp_path)


@pytest.mark.parametrize("name", ["mw_parallel", "mw_text", "udparse", "udfeats", "bucc2018"])
def test_shapes_whose_labels_do_not_survive_are_refused(name: str) -> None:
    """Trees, features, retrieval, mining and running text cannot be translated."""
    with pytest.raises(UserError, match="cannot be translated.*classify, choice, span, tag"):
        check_translatable(get_task(name))


def test_a_table_is_known_by_its_content(tmp_path: Path) -> None:
    """A table's identity is its content, not its path; texts that it does not hold have no translation."""
    for name in ("a.qaa.tsv", "b.qaa.tsv"):
        (tmp_path / name).write_text("good day\tbom dia\n")
    found = [identify(wish(model=name), "qaa", "files", tmp_path) for name in ("a.{language}.tsv", "b.qaa.tsv")]
    assert found[0][0] == found[1][0] and found[0][1] != found[1][1]
    assert load("table", *found[0], "qaa", {}).translate(["good day", "good night"]) == ["bom dia", None]
    (tmp_path / "a.qaa.tsv").write_text("good day\tbom dia\ngood day\tboa tarde\n")
    with pytest.raises(UserError, match=r"a\.qaa\.tsv:2: a second translation of 'good day'"):
        load("table", *identify(wish(model="a.qaa.tsv"), "qaa", "files", tmp_path), "qaa", {})
    with pytest.raises(UserError, match="no such table"):
        identify(wish(model="c.tsv"), "qaa", "files", tmp_path)


def test_models_are_pinned_by_revision_or_content(tmp_path: Path) -> None:
    """A hub model is its id and revision, nobody asked; a folder is its files; pickles are no weights."""
    hub = wish(backend="transformers", model="Helsinki-NLP/opus-mt-en-{language}", revision="abc")
    assert identify(hub, "es", "files", tmp_path) == (
        "hub:Helsinki-NLP/opus-mt-en-es@abc", "Helsinki-NLP/opus-mt-en-es")  # fmt: skip
    local = wish(backend="transformers", model="nllb")
    (tmp_path / "nllb").mkdir()
    (tmp_path / "nllb" / "config.json").write_text("{}")
    (tmp_path / "nllb" / "pytorch_model.bin").write_text("pickle")
    with pytest.raises(UserError, match=r"no \*\.safetensors"):
        identify(local, "es", "files", tmp_path)
    (tmp_path / "nllb" / "model.safetensors").write_text("weights")
    before, where = identify(local, "es", "files", tmp_path)
    assert before.startswith("sha256:") and where == str((tmp_path / "nllb").resolve())
    (tmp_path / "nllb" / "vocab.json").write_text("{}")
    assert identify(local, "es", "files", tmp_path)[0] != before


@pytest.mark.parametrize(
    ("backend", "model", "words"),
    [
        ("transformers", None, "needs a model"),
        ("transformers", "./nowhere", "no translation model folder"),
        ("transformers", "no id", "no translation model folder"),
        ("ctranslate2", "owner/name", "ct2-transformers-converter"),
        ("aperture", None, "did you mean 'apertium'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_to_do(tmp_path: Path, backend: str, model: str, words: str) -> None:
    """A backend, a model or a folder that is missing is a mistake of the study, said in one line."""
    with pytest.raises(UserError, match=words):
        identify(wish(backend=backend, model=model), "es", "files", tmp_path)


def test_options_hold_what_changes_the_answers_and_nothing_else() -> None:
    """Beams and a code of one's own are in the key of a neural translation, and nothing is in a table's."""
    neural = wish(backend="transformers", model="m", beams=2, codes={"zh": "zho_Hant"})
    assert options_of(neural, "zh") == {"beams": 2, "code": "zho_Hant"}
    assert options_of(neural, "es") == {"beams": 2}
    assert options_of(wish(), "qaa") == {}


def test_models_are_told_the_language_in_their_own_codes() -> None:
    """NLLB is made to begin with a FLORES code, M2M100 with its own, OPUS-MT's models of many read a prefix."""
    assert [flores_code(code) for code in ("es", "zh", "ar", "fa", "ko", "sw", "et")] == [
        "spa_Latn", "zho_Hans", "arb_Arab", "pes_Arab", "kor_Hang", "swh_Latn", "est_Latn"]  # fmt: skip
    nllb, m2m = {"eng_Latn", "spa_Latn", "zho_Hans", "zho_Hant", "a"}, {"__en__", "__es__", "a"}
    assert direction(nllb, "zh") == Direction("eng_Latn", "zho_Hans")
    assert direction(nllb, "zh", "zho_Hant") == Direction("eng_Latn", "zho_Hant")
    assert direction(m2m, "es") == Direction("en", "__es__")
    assert direction({">>spa<<", ">>cmn_Hans<<", "a"}, "zh") == Direction(prefix=">>cmn_Hans<< ")
    assert direction({">>spa<<", ">>ara<<"}, "ar") == Direction(prefix=">>ara<< ")
    assert direction({"a", "b"}, "es") == Direction()
    for pieces in (nllb, m2m, {">>spa<<"}):
        with pytest.raises(UserError, match=r"does not know.*codes: \{sw: CODE\}"):
            direction(pieces, "sw")


def test_every_language_has_nllbs_code() -> None:
    """The codes derived from the language table are those that NLLB's tokenizer has."""
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    from xstilts.languages import LANGUAGES

    assert {flores_code(code) for code in LANGUAGES} <= set(FAIRSEQ_LANGUAGE_CODES)


def test_units_put_together_are_the_text() -> None:
    """Cutting into lines or sentences loses nothing, and a text without an answer for one unit has none."""
    text = ' One. "Two?" Mr. A. Smith (the 3rd. Earl) said 3.5. \n\n  Three\n'
    for cut in (lines, sentences):
        assert "".join(unit + gap for unit, gap in cut(text)) == text
        assert through([text, ""], cut, list) == [text, ""]
    assert [unit for unit, _ in sentences(text)] == [
        " One.", '"Two?"', "Mr. A. Smith (the 3rd. Earl) said 3.5.", "Three"]  # fmt: skip
    assert [unit for unit, _ in sentences("It ended. [ Ada ] won.")] == ["It ended.", "[ Ada ] won."]
    assert through(["One. Two."], sentences, lambda units: ["Eins.", None]) == [None]
    assert through(["One. Two."], sentences, lambda units: ["一。", "二。"]) == ["一。二。"]


def prepared(store: Store, name: str) -> str:
    """The key of published English dev rows of the microworld."""
    step = Prepare(task=name, split="dev", language="en", source="microworld", content=f"microworld-1/{name}/dev/en")
    store.publish(step, "")
    return step.key


def test_translated_rows_are_cached_and_read_like_prepared_ones(tmp_path: Path) -> None:
    """The step publishes rows that `read_rows` gives beside prepared ones, counts them, and is found by its key."""
    store = Store(tmp_path).open()
    data = prepared(store, "mw_squad")
    step = Translate(task="mw_squad", shape="span", data=(data,), stop=20, language="qaf", backend="table",
                     model="microworld-1")  # fmt: skip
    assert step.inputs() == (data,)
    store.publish(step, "")
    assert store.has(Translate(**{**step.model_dump(), "location": "elsewhere"}))
    english, translated = read_rows(store, (data,), stop=20), read_rows(store, (step.key,))
    assert [row["id"] for row in translated] == [row["id"] for row in english]
    exact = {row["id"]: row for row in realised("mw_squad", "dev", "qaf")}
    assert translated == [exact[row["id"]] for row in english]
    assert read_rows(store, (data, step.key)) == realised("mw_squad", "dev", "en") + translated
    notes = store.manifest(step)
    assert (notes["of"], notes["translated"], notes["dropped"]) == (20, 20, {})
    others = ({"language": "qaa"}, {"model": "sha256:0"}, {"options": {"beams": 2}}, {"stop": 21})
    assert not any(store.has(Translate(**{**step.model_dump(), **other})) for other in others)


def test_rows_of_translated_files_are_only_cut(tmp_path: Path) -> None:
    """Backend `files` gives the sample of the translated rows that it is asked for, unchanged."""
    store = Store(tmp_path).open()
    data = prepared(store, "mw_nli")
    step = Translate(task="mw_nli", shape="classify", data=(data,), start=5, stop=25, language="qaa", backend="files")
    store.publish(step, "")
    assert read_rows(store, (step.key,)) == read_rows(store, (data,), 5, 25)


def test_dropped_rows_are_counted_in_the_manifest(tmp_path: Path) -> None:
    """What a table does not hold is dropped and counted by reason; when nothing is left the step fails and says so."""
    store = Store(tmp_path / "store").open()
    data = prepared(store, "mw_choice")
    first, second = read_rows(store, (data,))[:2]
    table = tmp_path / "table.tsv"
    step = Translate(task="mw_choice", shape="choice", data=(data,), language="es", backend="table",
                     model="sha256:1", location=str(table))  # fmt: skip
    table.write_text("")
    with pytest.raises(StepFailed, match=r"no row of mw_choice survived.*200 no translation"):
        store.publish(step, "")
    texts = dict.fromkeys([first["prompt"], *first["choices"], second["prompt"]])
    table.write_text("".join(f"{text}\tES {text}\n" for text in texts))
    store.publish(step, "")
    (row,) = pq.read_table(store.of(step) / "rows.parquet").to_pylist()
    assert row == {**first, "prompt": f"ES {first['prompt']}", "choices": [f"ES {text}" for text in first["choices"]]}
    assert store.manifest(step)["dropped"] == {"no translation": 199}
