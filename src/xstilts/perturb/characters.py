"""Perturbations of characters: changes of single grapheme clusters, or of two beside one another."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence

import regex

from xstilts.perturb.tables import confusions, homoglyphs, jamo_changed, keys, layout_of
from xstilts.perturb.units import Change, Kind, clusters, is_letter, is_space, script_of, spaced

_CASED = ("Latn", "Cyrl", "Grek")
_UNMARKED = ("en", "id", "jv", "ms", "sw", "ka")
"""Languages written without diacritics, loan words aside."""
_TURKIC = {"i": "İ", "İ": "i", "ı": "I", "I": "ı"}
"""The dotted and dotless i of Turkish and Azerbaijani, which Unicode's default mapping mixes up."""
_MARKS = {"Arab": ",،؟!", "Deva": ",।?!", "Beng": ",।?!", "Guru": ",।?!", "Hani": "，。、！？", "Jpan": "。、！？",
          "Mymr": "၊။", "Thai": ".,!?", "Grek": ",.;!"}  # fmt: skip
_PUNCTUATION = regex.compile(r"\p{P}")
_STRIPPED = regex.compile(r"[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Arabic}\p{Script=Hebrew}]")
_THAI_TONES = regex.compile("[\u0e48-\u0e4b]")
_STROKES = str.maketrans("łŁøØđĐħıĿŀ", "lLoOdDhiLl")


def _substitutions(options: Callable[[str, str], Sequence[str]]) -> Callable[..., list[Change]]:
    """Candidates that put one of `options(cluster, language)`, drawn at random, in the place of a cluster."""

    def propose(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
        found = []
        for i, unit in enumerate(units):
            others = [other for other in options(unit, language) if other != unit and len(clusters(other)) == 1]
            if others:
                found.append(Change(i, i + 1, (rng.choice(others),)))
        return found

    return propose


def _insert(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    """After a letter another one, drawn from those of the text itself: the right script at its own frequencies."""
    letters = _letters(units)
    return [Change(i, i + 1, (units[i], units[rng.choice(letters)])) for i in letters]


def _delete(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    return [Change(i, i + 1, ()) for i in _letters(units)]


def _repeat(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    return [Change(i, i + 1, (units[i], units[i])) for i in _letters(units)]


def _swap(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    """Two neighbouring letters change places: two edits."""
    return [
        Change(i, i + 2, (units[i + 1], units[i]))
        for i in _letters(units)
        if i + 1 < len(units) and is_letter(units[i + 1]) and units[i] != units[i + 1]
    ]


def _spaces(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    return [Change(i, i + 1, ()) for i, unit in enumerate(units) if is_space(unit)]


def _punctuation(units: Sequence[str], language: str, rng: random.Random) -> list[Change]:
    """A mark is lost or exchanged for another; one is added after a word (in scripts without spaces, any letter)."""
    marks = _MARKS.get(script_of(language), ".,!?;")
    found = []
    for i, unit in enumerate(units):
        if _PUNCTUATION.match(unit):
            others = [mark for mark in marks if mark != unit]
            found.append(Change(i, i + 1, rng.choice([(), (rng.choice(others),)])))
        elif is_letter(unit) and (not spaced(language) or i + 1 == len(units) or is_space(units[i + 1])):
            found.append(Change(i, i + 1, (unit, rng.choice(marks))))
    return found


def _neighbours(unit: str, language: str) -> Sequence[str]:
    """The cluster with one of its characters typed on a neighbouring key.

    A letter is taken for a letter and a mark for a mark, so that a syllable stays one. A letter with diacritics that is
    no key of the layout is typed as its base letter and loses them.
    """
    table = keys(layout_of(language))
    if language == "ko":
        return jamo_changed(unit, table)
    text = unicodedata.normalize("NFC", unit)
    if text.lower() not in table and len(base := _bare(text)) == 1 and base.lower() in table:
        text = base
    found = []
    for i, character in enumerate(text):
        lower = _lower(character, language)
        for other in table.get(lower, ()):
            if unicodedata.category(other)[0] == unicodedata.category(lower)[0]:
                other = other if lower == character else _upper(other, language)
                found.append(text[:i] + other + text[i + 1 :])
    return found


def _look_alikes(unit: str, language: str) -> Sequence[str]:
    return homoglyphs().get(unicodedata.normalize("NFC", unit), ())


def _confused(unit: str, language: str) -> Sequence[str]:
    return jamo_changed(unit, confusions("ko")) if language == "ko" else confusions(language).get(unit, ())


def _bare(unit: str) -> str:
    """The cluster without diacritics. Й keeps its breve: it is a letter of its own, and nobody drops it."""
    if _THAI_TONES.search(unit):
        return _THAI_TONES.sub("", unit)
    if not _STRIPPED.match(unit) or unicodedata.normalize("NFC", unit) in "йЙ":
        return unit
    plain = "".join(c for c in unicodedata.normalize("NFD", unit) if unicodedata.category(c) != "Mn")
    return unicodedata.normalize("NFC", plain).translate(_STROKES)


def _other_case(unit: str, language: str) -> Sequence[str]:
    lower = _lower(unit, language)
    other = _upper(unit, language) if lower == unit else lower
    return (other,)


def _lower(text: str, language: str) -> str:
    return _TURKIC[text] if language in ("tr", "az") and text in "İI" else text.lower()


def _upper(text: str, language: str) -> str:
    return _TURKIC[text] if language in ("tr", "az") and text in "iı" else text.upper()


def _letters(units: Sequence[str]) -> list[int]:
    return [i for i, unit in enumerate(units) if is_letter(unit)]


def _is_cased(language: str) -> bool:
    return script_of(language) in _CASED


def _is_marked(language: str) -> bool:
    return script_of(language) in (*_CASED, "Arab", "Hebr", "Thai") and language not in _UNMARKED


INSERT = Kind("insert", "character", _insert)
DELETE = Kind("delete", "character", _delete)
SWAP = Kind("swap", "character", _swap)
REPEAT = Kind("repeat", "character", _repeat)
KEYBOARD = Kind("keyboard", "character", _substitutions(_neighbours), lambda language: bool(layout_of(language)))
HOMOGLYPH = Kind("homoglyph", "character", _substitutions(_look_alikes), _is_cased)
DIACRITICS = Kind("diacritics", "character", _substitutions(lambda unit, language: (_bare(unit),)), _is_marked)
CASE = Kind("case", "character", _substitutions(_other_case), _is_cased)
PUNCTUATION = Kind("punctuation", "character", _punctuation)
CONFUSION = Kind("confusion", "character", _substitutions(_confused), lambda language: bool(confusions(language)))
SPACES = Kind("spaces", "character", _spaces, spaced)
