"""Words exchanged for others of an encoder: whole words, one for one, and a function of the text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from xstilts.errors import UserError
from xstilts.perturb.neighbours import TOP, load_neighbours
from xstilts.perturb.resources import word_of
from xstilts.perturb.rows import perturb_rows
from xstilts.perturb.units import words
from xstilts.perturb.vocabulary import Vocabulary, class_of
from xstilts.sources import get_source
from xstilts.sources.microworld import ENCODER
from xstilts.tasks import get_task

KINDS = ["mlm", "neighbour"]


@pytest.fixture(scope="module")
def resources():
    return {kind: load_neighbours(kind, str(ENCODER)) for kind in KINDS}


@pytest.fixture(scope="module")
def rows():
    return get_source("microworld").rows(get_task("mw_entailment"), "test", "en")[:12]


def texts_of(rows):
    return [words(row[field]) for row in rows for field in ("text_a", "text_b")]


@pytest.mark.parametrize("kind", KINDS)
def test_replacements_are_other_whole_words_of_the_vocabulary(resources, rows, kind):
    """Of the same script, at most ten, none of them the word itself, with the punctuation of the word kept."""
    resource = resources[kind]
    vocabulary = Vocabulary(resource._tokenizer)
    known = {vocabulary.words[i] for ids in vocabulary.classes.values() for i in ids}
    seen = 0
    for units in texts_of(rows):
        for i, options in resource.options(units).items():
            before = word_of(units[i])
            assert 0 < len(set(options)) == len(options) <= TOP
            for option in map(word_of, options):
                assert option.core in known and option.core.casefold() != before.core.casefold()
                assert (option.before, option.after) == (before.before, before.after)
                assert class_of(option.core).script == class_of(before.core).script
                seen += 1
    assert seen > 200


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_and_punctuation_stay(resources, kind):
    """Nothing is proposed for them, nor for words with digits in them."""
    units = words("the dog 2024 , 3rd - slept")
    assert {units[i] for i in resources[kind].options(units)} == {"the", "dog", "slept"}


def test_proposals_are_a_function_of_the_text(resources, rows):
    """Prepared alone, with others or not at all, a text has the same options."""
    resource, texts = resources["mlm"], texts_of(rows)
    resource.prepare(texts)
    together = [resource.options(units) for units in texts]
    resource.prepare([])
    assert [resource.options(units) for units in texts[::-1]][::-1] == together


def test_the_head_is_asked_with_the_word_masked(resources):
    """The options of a word are those that the whole model ranks highest at the mask, among words of its kind."""
    from transformers import AutoModelForMaskedLM

    resource = resources["mlm"]
    tokenizer, vocabulary = resource._tokenizer, Vocabulary(resource._tokenizer)
    model = AutoModelForMaskedLM.from_pretrained(ENCODER, dtype=torch.float32).eval()
    masked = tokenizer("the girl painted the <mask>", return_tensors="pt")
    place = masked["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    with torch.inference_mode():
        logits = model(**masked).logits[0, place]
    ids = vocabulary.classes[class_of("house")]
    ranked = [ids[i] for i in logits[ids].argsort(descending=True)]
    units = words("the girl painted the house")
    assert resource.options(units)[8] == vocabulary.pick(ranked, "house", TOP)


def test_neighbours_are_nearest_by_cosine(resources):
    """Over the rows of the input embeddings, in float32."""
    resource = resources["neighbour"]
    vocabulary, unit = Vocabulary(resource._tokenizer), resource._unit
    own = vocabulary.words.index("dog")
    ids = vocabulary.classes[class_of("dog")]
    ranked = [ids[i] for i in (unit[ids] @ unit[own]).argsort(descending=True)]
    assert resource.options(["dog"])[0] == vocabulary.pick(ranked, "dog", TOP)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_changed_at_the_rate_asked_for_and_repeatably(resources, rows, kind):
    """Over rows of some words a fifth of them is exchanged, within the luck of rounding; label and id stay."""
    resource = resources[kind]
    done, reached = perturb_rows(rows, "classify", (), "en", kind, 0.2, 1, resource=resource)
    again, _ = perturb_rows(rows[::-1], "classify", (), "en", kind, 0.2, 1, resource=resource)
    assert done == again[::-1]
    assert [(row["id"], row["label"]) for row in done] == [(row["id"], row["label"]) for row in rows]
    assert sum(r.edits for r in reached) / sum(r.units for r in reached) == pytest.approx(0.2, abs=0.05)
    assert [row != clean for row, clean in zip(done, rows, strict=True)] == [r.edits > 0 for r in reached]


@pytest.mark.parametrize("kind", KINDS)
def test_one_token_stands_for_one_token(resources, kind):
    """Tags stay where they are, and so do tokens of chunks, numbers and punctuation."""
    row = {"id": "1", "tokens": ["the", "dog", "slept", "in", "house", "12", "."],
           "tags": ["O", "B-X", "O", "O", "O", "O", "O"]}  # fmt: skip
    (changed,), (reached,) = perturb_rows([row], "tag", ["O", "B-X"], "en", kind, 1, 1, resource=resources[kind])
    assert changed["tags"] == row["tags"] and reached == (4, 7)
    assert [a == b for a, b in zip(changed["tokens"], row["tokens"], strict=True)] == [0, 1, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_stay_where_they_are_found(resources, kind):
    """Around them words change, at every rate."""
    row = {"id": "1", "question": "who painted the house", "context": "the girl painted the old house, the boy slept.",
           "answers": ["girl"], "starts": [4]}  # fmt: skip
    (changed,), _ = perturb_rows([row], "span", (), "en", kind, 1, 1, resource=resources[kind])
    (start,) = changed["starts"]
    assert changed["context"][start : start + 4] == "girl" and changed["context"] != row["context"]


def test_long_texts_are_read_in_windows(resources):
    """A text of more pieces than the encoder has positions for has options for every word."""
    units = words("the dog slept . " * 100)
    assert len(resources["mlm"].options(units)) == 300


def test_an_encoder_without_a_head_is_refused_with_the_way_out(tmp_path: Path):
    """`mlm` names `neighbour`, and `neighbour` works with it."""
    for file in ENCODER.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(ENCODER / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "lm_head" not in name}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="no masked-language-model head.*neighbour"):
        load_neighbours("mlm", str(tmp_path))
    assert load_neighbours("neighbour", str(tmp_path)).options(["dog"])[0]


@pytest.mark.parametrize(
    "unit, core",
    [("(l'homme),", "l'homme"), ("don\u2019t", "don\u2019t"), ("e-mail.", "e-mail"), ("2nd", None), ("...", None),
     (" ", None), ("नमस्ते।", "नमस्ते"), ("http://a.b", None)],
)  # fmt: skip
def test_the_word_in_a_unit_is_its_letters_and_marks(unit, core):
    """Punctuation around it is apart; what holds digits or several words is none."""
    word = word_of(unit)
    assert (word and word.core) == core
    assert word is None or "".join(word) == unit
