"""What translation models call a language: the codes of NLLB, M2M100 and OPUS-MT. Pure functions of a vocabulary."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from xstilts.errors import UserError, did_you_mean
from xstilts.languages import get_language

_FLORES = {"ar": "arb_Arab", "az": "azj_Latn", "ko": "kor_Hang", "qu": "quy_Latn", "zh": "zho_Hans"}
"""FLORES-200's codes (arXiv 2207.04672, table 1) that are not those of Tatoeba with the script."""


@dataclass(frozen=True)
class Direction:
    """How a model is told to translate from English into one language; all None or empty for a model of one pair."""

    source: str | None = None
    """The tokenizer's `src_lang`."""
    first: str | None = None
    """The piece that the translation is made to begin with."""
    prefix: str = ""
    """Text before each source text."""


def flores_code(language: str) -> str:
    """The code of FLORES-200 and NLLB for an XTREME language: `es` is `spa_Latn`. `UserError` for an unknown one."""
    known = get_language(language)
    return _FLORES.get(language, f"{known.iso3}_{known.script}")


def direction(pieces: Collection[str], language: str, code: str | None = None) -> Direction:
    """The direction from English into `language` for a model with these pieces; `code` goes before what is known here.

    NLLB's pieces hold `eng_Latn`, M2M100's `__en__`, those of OPUS-MT's models of several targets `>>spa<<`; a model
    with none of these translates one pair. Raises `UserError` for a language that the model does not have.
    """
    if "eng_Latn" in pieces:
        wanted = _known(code or flores_code(language), language, pieces, {p for p in pieces if p[3:4] == "_"})
        return Direction("eng_Latn", wanted)
    if "__en__" in pieces:
        plain = code or language
        all_codes = {p.strip("_") for p in pieces if p.startswith("__") and p.endswith("__")}
        return Direction("en", f"__{_known(plain, language, all_codes, all_codes)}__")
    targets = {p[2:-2] for p in pieces if p.startswith(">>") and p.endswith("<<")}
    if not targets:
        return Direction()
    if code is None:
        known = get_language(language)
        flores = flores_code(language)
        names = (known.iso3, f"{known.iso3}_{known.script}", "cmn_Hans" if language == "zh" else flores[:3], flores)
        code = next((name for name in names if name in targets), known.iso3)
    return Direction(prefix=f">>{_known(code, language, targets, targets)}<< ")


def _known(code: str, language: str, pieces: Collection[str], offered: Collection[str]) -> str:
    if code not in pieces:
        what = f"the translation model does not know {code!r} (for {language!r})"
        raise UserError(what, remedy=f"{did_you_mean(code, offered)}; give its own code by codes: {{{language}: CODE}}")
    return code
