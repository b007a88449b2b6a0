"""The encoder that is shipped with the microworld: one invariant per test."""

from __future__ import annotations

import json

import pytest
import torch
from tests.conftest import REPOSITORY
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast

from xstilts.sources.microworld import CODES, ENCODER, MICROWORLD_TASKS, VERSION, Microworld
from xstilts.sources.microworld.recipe import Recipe
from xstilts.sources.microworld.tokenizer import SPECIALS, build_tokenizer
from xstilts.study import Study

TASKS = {task.name: task for task in MICROWORLD_TASKS}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(ENCODER)


def test_the_encoder_loads_and_is_small(tokenizer: PreTrainedTokenizerFast) -> None:
    """It is a masked language model of XLM-R's architecture, in safe tensors, of a few megabytes."""
    model = AutoModelForMaskedLM.from_pretrained(ENCODER, dtype=torch.float32)
    assert model.config.model_type == "xlm-roberta"
    assert model.config.vocab_size == len(tokenizer)
    assert sum(file.stat().st_size for file in ENCODER.iterdir()) < 6e6
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_the_encoder_belongs_to_this_world() -> None:
    """It was pretrained on the present version's text, by the recipe of the study that reproduces it."""
    origin = json.loads((ENCODER / "origin.json").read_text())
    assert origin["world"] == VERSION
    study = Study.load(REPOSITORY / "studies" / "microworld-encoder.yaml")
    assert vars(Recipe(**study.pretrain)) == origin["recipe"]


def test_the_tokenizer_is_the_one_that_the_world_builds(tokenizer: PreTrainedTokenizerFast) -> None:
    """The shipped vocabulary is the lexicon's, and the special pieces have their usual numbers."""
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()
    assert tokenizer.convert_tokens_to_ids(list(SPECIALS)) == [0, 1, 2, 3, 4]
    assert tokenizer("dog", "cat")["input_ids"].count(2) == 3


@pytest.mark.parametrize("code", CODES)
def test_no_word_is_unknown(code: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """No text of any language holds an unknown piece."""
    texts = [row["context"] for row in Microworld().rows(TASKS["mw_questions"], "test", code)]
    assert not any(tokenizer.unk_token_id in ids for ids in tokenizer(texts)["input_ids"])


@pytest.mark.parametrize("code", CODES)
def test_offsets_are_exact(code: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """A piece's offsets cut the piece's own characters out of the text, and together cover all but the spaces."""
    for row in Microworld().rows(TASKS["mw_questions"], "test", code)[:100]:
        text = row["context"]
        encoding = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        cut = [text[start:end] for start, end in encoding["offset_mapping"]]
        assert cut == tokenizer.convert_ids_to_tokens(encoding["input_ids"])
        assert "".join(cut) == text.replace(" ", "")
