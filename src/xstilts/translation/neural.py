"""What the neural backends share: which model, its tokenizer, sentences in batches of like length."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.errors import UserError
from xstilts.languages import LANGUAGES
from xstilts.store import sha256_of_files
from xstilts.translation.codes import Direction, direction
from xstilts.translation.units import sentences, through

if TYPE_CHECKING:
    from xstilts.arms import Translation

_BATCH = 2048
"""Source pieces per batch, padding included."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SUFFIXES = (".json", ".txt", ".model", ".spm")
Generate = Callable[[list[list[int]], int], list[list[int] | None]]
"""(sources as piece ids with their special pieces, the most pieces a translation may have) to piece ids of the
translations, without special pieces or with; None for one that did not come to an end."""


def model_options(translation: Translation, language: str) -> dict[str, Any]:
    """Beam size, and the language's code where the study gives one."""
    code = translation.codes.get(language)
    return {"beams": translation.beams, **({"code": code} if code else {})}


def model_name(translation: Translation, language: str) -> str:
    """The model that a study names, `{language}` filled in. Raises `UserError` where it names none."""
    if translation.model is None:
        what = f"translation backend {translation.backend!r} needs a model"
        raise UserError(what, remedy="give translate: {model: FOLDER or hub id}, with weights in safetensors")
    return translation.model.replace("{language}", translation.codes.get(language, language))


def local_model(name: str, folder: Path, weights: str) -> tuple[str, str] | None:
    """(`sha256:...` over weights, configuration and tokenizer, path) of a model folder; None where there is no folder.

    `weights` is the pattern of the weights' file names. Raises `UserError` for a folder without them.
    """
    local = (folder / Path(name).expanduser()).resolve()
    if not local.is_dir():
        return None
    found = sorted(local.glob(weights))
    if not found or not (local / "config.json").is_file():
        lacks = f"no {weights}" if not found else "no config.json"
        raise UserError(f"{local} is no translation model: it has {lacks}", remedy="pickled weights are never loaded")
    files = sorted({*found, *(path for path in local.iterdir() if path.suffix in _SUFFIXES)})
    return f"sha256:{sha256_of_files(files)}", str(local)


def hub_model(name: str, revision: str, folder: Path) -> tuple[str, str]:
    """(`hub:ID@REVISION`, hub id). Nobody is asked. Raises `UserError` for a name that can be no hub id."""
    if name.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(name):
        what = f"no translation model folder {(folder / Path(name).expanduser()).resolve()}"
        raise UserError(what, remedy="check the path, or give a hub id such as Helsinki-NLP/opus-mt-en-de")
    return f"hub:{name}@{revision}", name


@contextmanager
def loading(where: str) -> Iterator[None]:
    """Say in one line what cannot be loaded, and nothing else."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip() or type(error).__name__).split("\n")[0][:200].rstrip(".")
        remedy = "weights must be safetensors (or converted for ctranslate2), with a tokenizer beside"
        raise UserError(f"cannot load the translation model {where!r}: {first}", remedy=remedy) from None


def load_tokenizer(where: str, revision: str | None) -> Any:
    """The tokenizer of a folder or hub id, slow ones included. Raises `UserError` where there is none."""
    from transformers import AutoTokenizer

    with loading(where), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*sacremoses")  # evens out rare punctuation; done without
        return AutoTokenizer.from_pretrained(where, trust_remote_code=False, revision=revision or "main")


class Neural:
    """A translator made of a tokenizer and a model's `generate`. Texts go in sentence by sentence."""

    def __init__(self, tokenizer: Any, language: str, code: str | None) -> None:
        """Raises `UserError` for a language that the model does not have."""
        self.tokenizer = tokenizer
        pieces = {*tokenizer.get_vocab(), *getattr(tokenizer, "lang_token_to_id", {})}
        self.direction: Direction = direction(pieces, language, code)
        other = _other_target(tokenizer, language)
        if self.direction == Direction() and other:
            what = f"the translation model translates into {other!r}, not {language!r}"
            raise UserError(what, remedy="put {language} where the model's name has the language")
        if self.direction.source is not None:
            tokenizer.src_lang = self.direction.source

    def run(self, texts: Sequence[str], generate: Generate, limit: int) -> list[str | None]:
        """One translation a text; None where a sentence has more than `limit` pieces or its translation no end."""
        return through(texts, sentences, lambda units: self._units(units, generate, limit))

    def _units(self, units: list[str], generate: Generate, limit: int) -> list[str | None]:
        sources = self.tokenizer([self.direction.prefix + unit for unit in units])["input_ids"]
        found: list[str | None] = [None] * len(units)
        fitting = [i for i in range(len(units)) if len(sources[i]) <= limit]
        # the language's own piece is no special piece to every tokenizer
        first = self.direction.first and self.tokenizer.convert_tokens_to_ids(self.direction.first)
        for batch in _batches(sorted(fitting, key=lambda i: (len(sources[i]), i)), [len(s) for s in sources]):
            # a translation more than twice as long as its source is a loop
            most = min(limit, 2 * len(sources[batch[-1]]) + 20)
            for i, ids in zip(batch, generate([sources[i] for i in batch], most), strict=True):
                if ids is not None:
                    said = [id_ for id_ in ids if id_ != first]
                    found[i] = self.tokenizer.decode(said, skip_special_tokens=True).strip()
        return found


def _batches(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """The indices, which are in order of length, in runs of at most `_BATCH` pieces with padding (one at least)."""
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > _BATCH:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _other_target(tokenizer: Any, language: str) -> str | None:
    """The known language that a model of one pair (OPUS-MT names it) translates into, where it is not this one."""
    target = getattr(tokenizer, "target_lang", None)
    known = next((known.code for known in LANGUAGES.values() if target in (known.code, known.iso3)), language)
    return None if known == language else known
