"""Neural backends on toy models that were taught a dictionary: what they answer is right, the same, and complete."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from xstilts.errors import UserError
from xstilts.translation import load

WORDS = {"the": "el", "dog": "perro", "cat": "gato", "sees": "ve", "old": "viejo", "bird": "pájaro", ".": ".",
         "[": "[", "]": "]"}  # fmt: skip
KNOWN = sorted({*WORDS, *WORDS.values()})


def sentence(rng: random.Random) -> list[str]:
    return rng.choices(list(WORDS), k=rng.randint(1, 6))


def spanish(text: str) -> str:
    return " ".join(WORDS[word] for word in text.split())


def taught(kind, config, tokenizer, forced=None):
    """A model of this kind after a few hundred steps of translating random words one by one."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    rng, model = random.Random(0), kind(config).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(400):
        source = [sentence(rng) for _ in range(32)]
        batch = tokenizer([" ".join(words) for words in source], padding=True, return_tensors="pt")
        ends = [[*tokenizer.convert_tokens_to_ids([f"▁{WORDS[w]}" for w in words]), tokenizer.eos_token_id]
                for words in source]  # fmt: skip
        starts = [] if forced is None else [forced]
        longest = max(map(len, ends))
        labels = torch.tensor([starts + ids + [-100] * (longest - len(ids)) for ids in ends])
        loss = model(**batch, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def pieces(folder: Path, name: str) -> Path:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(KNOWN)] * 20), model_prefix=str(folder / name), vocab_size=len(KNOWN) + 5,
        model_type="word", hard_vocab_limit=False, minloglevel=2)  # fmt: skip
    return folder / f"{name}.model"


SIZES = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
         "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "dropout": 0.0,
         "init_std": 0.15, "max_position_embeddings": 64}  # fmt: skip


def vocabulary(*special: str) -> dict[str, int]:
    return {piece: i for i, piece in enumerate([*special, *(f"▁{word}" for word in KNOWN)])}


@pytest.fixture(scope="module")
def marian(tmp_path_factory) -> Path:
    """A folder with a taught Marian model of one pair, English to Spanish."""
    import json

    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder = tmp_path_factory.mktemp("marian")
    model_file = pieces(folder, "pieces")
    special = vocabulary("</s>", "<unk>") | {"<pad>": len(KNOWN) + 2}  # the last, as in all of OPUS-MT
    (folder / "v.json").write_text(json.dumps(special))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = MarianTokenizer(str(model_file), str(model_file), str(folder / "v.json"), source_lang="en",
                                    target_lang="es")  # fmt: skip
    config = MarianConfig(vocab_size=len(special), pad_token_id=special["<pad>"], eos_token_id=0,
                          decoder_start_token_id=special["<pad>"], forced_eos_token_id=0, **SIZES)  # fmt: skip
    model = taught(MarianMTModel, config, tokenizer)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def m2m(tmp_path_factory) -> Path:
    """A folder with a taught M2M100 model, English to Spanish."""
    import json

    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder = tmp_path_factory.mktemp("m2m")
    special = vocabulary("<s>", "<pad>", "</s>", "<unk>")
    (folder / "v.json").write_text(json.dumps(special))
    tokenizer = M2M100Tokenizer(str(folder / "v.json"), str(pieces(folder, "pieces")), src_lang="en", tgt_lang="es")
    config = M2M100Config(vocab_size=len(special) + 108, pad_token_id=1, bos_token_id=0, eos_token_id=2,
                          decoder_start_token_id=2, **SIZES)  # fmt: skip
    model = taught(M2M100ForConditionalGeneration, config, tokenizer, tokenizer.get_lang_id("es"))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def nllb(tmp_path_factory) -> Path:
    """A folder with a taught NLLB model (M2M100's architecture, a fast tokenizer), English to Spanish."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder = tmp_path_factory.mktemp("nllb")
    words = [f"▁{word}" for word in KNOWN]
    merges = dict.fromkeys((word[:i], word[i]) for word in words for i in range(1, len(word)))
    prefixes = dict.fromkeys(word[:i] for word in words for i in range(1, len(word) + 1))
    parts = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *"".join(words), *prefixes])
    tokenizer = NllbTokenizer(vocab={part: i for i, part in enumerate(parts)}, merges=list(merges), src_lang="eng_Latn")
    config = M2M100Config(vocab_size=len(tokenizer), pad_token_id=1, bos_token_id=0, eos_token_id=2,
                          decoder_start_token_id=2, **SIZES)  # fmt: skip
    model = taught(M2M100ForConditionalGeneration, config, tokenizer, tokenizer.convert_tokens_to_ids("spa_Latn"))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = random.Random(1)
    return [" ".join(sentence(rng)) for _ in range(40)]


@pytest.mark.parametrize("family", ["marian", "m2m", "nllb"])
def test_a_model_translates_what_it_was_taught(family: str, texts: list[str], request) -> None:
    """Texts of any length come back in their order, in the language asked for, markers included."""
    where = str(request.getfixturevalue(family))
    translate = load("transformers", "sha256:", where, "es", {"beams": 2}).translate
    found = translate(texts)
    right = sum(answer == spanish(text) for answer, text in zip(found, texts, strict=True))
    assert right >= 38, [*zip(texts, found, strict=True)]
    assert translate(texts) == found, "the same texts give the same translations"


def test_sentences_are_translated_one_by_one_and_put_together(marian: Path) -> None:
    """A text longer than a model reads is translated by its sentences; one sentence that is too long has none."""
    translate = load("transformers", "sha256:", str(marian), "es", {"beams": 1}).translate
    long = "\n".join(["the old dog ."] * 40)
    assert translate([long, "the dog " * 80, ""]) == ["\n".join(["el viejo perro ."] * 40), None, ""]


def test_a_model_of_another_language_is_refused(marian: Path, m2m: Path) -> None:
    """A model of one pair says what it translates into; one of many says what it has."""
    with pytest.raises(UserError, match="into 'es', not 'de'"):
        load("transformers", "sha256:", str(marian), "de", {"beams": 1})
    with pytest.raises(UserError, match="does not know 'eu'"):
        load("transformers", "sha256:", str(m2m), "eu", {"beams": 1})


def test_a_folder_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    """What cannot be loaded is the person's mistake, not a traceback."""
    with pytest.raises(UserError, match="cannot load the translation model"):
        load("transformers", "sha256:", str(tmp_path), "es", {"beams": 1})


@pytest.mark.parametrize("family", ["marian", "nllb"])
def test_a_converted_model_agrees_with_its_original(family: str, texts: list[str], tmp_path: Path, request) -> None:
    """ctranslate2 and transformers give the same translations of one model."""
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoTokenizer

    original = request.getfixturevalue(family)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        TransformersConverter(str(original)).convert(str(tmp_path / "ct2"))
        AutoTokenizer.from_pretrained(original).save_pretrained(tmp_path / "ct2")
    both = [load(backend, "sha256:", str(where), "es", {"beams": 2}).translate(texts)
            for backend, where in (("transformers", original), ("ctranslate2", tmp_path / "ct2"))]  # fmt: skip
    assert both[0] == both[1]


def test_planning_a_translation_imports_no_torch() -> None:
    """What the planner asks of a translation is answered without torch, transformers or ctranslate2."""
    code = (
        "import sys; from pathlib import Path; from xstilts.arms import Translation;"
        "from xstilts.tasks import get_task;"
        "from xstilts.translation import identify, options_of, check_translatable;"
        "from xstilts.steps.translate import Translate;"
        "w = Translation(to=('es',), model='a/b');"
        "check_translatable(get_task('mnli'), w); options_of(w, 'es'); identify(w, 'es', 'files', Path('.'));"
        "sys.exit(', '.join({'torch', 'transformers', 'ctranslate2'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
