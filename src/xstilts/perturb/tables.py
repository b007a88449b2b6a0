"""The tables behind the perturbations of characters: neighbours on keyboards, characters taken for one another."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from xstilts.perturb.units import script_of

_NEAR = 1.3
"""Keys whose centres are at most this far apart, in keys, are neighbours: the six around, as rows are staggered."""

Neighbours = dict[str, tuple[str, ...]]


@cache
def _read(name: str) -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(files("xstilts.perturb").joinpath(f"{name}.yaml").read_text("utf-8"))
    return table


@cache
def layout_of(language: str) -> str:
    """The keyboard layout a language is typed on; empty where it has none here (Chinese)."""
    layout = _read("layouts")["languages"].get(language)
    return str(layout) if layout else "us" if script_of(language) == "Latn" else ""


@cache
def keys(layout: str) -> Neighbours:
    """For each character of a layout those of the neighbouring keys, and what the key itself gives with shift.

    Levels are not mixed otherwise: a letter typed without shift is taken for one typed without.
    """
    table = _read("layouts")
    places: list[tuple[str, int, float, int]] = []
    for level, rows in enumerate(table["layouts"][layout]):
        for number, row in enumerate(rows):
            places += [(key, level, table["left"][number] + i, number) for i, key in enumerate(row) if key != "·"]
    found: dict[str, list[str]] = {}
    for key, level, x, y in places:
        for other, other_level, other_x, other_y in places:
            apart = ((x - other_x) ** 2 + (y - other_y) ** 2) ** 0.5
            if key != other and apart <= _NEAR and (level == other_level or apart == 0):
                found.setdefault(key, []).append(other)
    return {key: tuple(dict.fromkeys(others)) for key, others in found.items()}


def _linked(sets: Iterable[str]) -> Neighbours:
    """For each character all others of the sets it is in; only what Unicode holds to be one character counts."""
    found: dict[str, list[str]] = {}
    for group in sets:
        for character in (group := unicodedata.normalize("NFC", group)):
            found.setdefault(character, []).extend(other for other in group if other != character)
    return {character: tuple(dict.fromkeys(others)) for character, others in found.items() if others}


@cache
def homoglyphs() -> Neighbours:
    """Letters of Latin, Cyrillic and Greek that look alike."""
    return _linked(_read("homoglyphs")["sets"])


@cache
def confusions(language: str) -> Neighbours:
    """Characters of Chinese or Japanese taken for one another by sound or sight; hangul jamo for Korean, else none."""
    table = _read("confusions")
    if language == "ko":
        return _linked(table["jamo"])
    if language not in ("zh", "ja"):
        return {}
    sets = [*table[f"{language}_sound"], *table[f"{language}_sight"]]
    return _linked([*sets, *_kana()] if language == "ja" else sets)


_LARGE, _SMALL = "あいうえおつやゆよわアイウエオツヤユヨワ", "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ"


def _kana() -> list[str]:
    """Small and large kana, and those that differ by a voicing mark."""
    sets = [large + small for large, small in zip(_LARGE, _SMALL, strict=True)]
    for code in [*range(ord("ぁ"), ord("ん") + 1), *range(ord("ァ"), ord("ン") + 1)]:
        marked = [unicodedata.normalize("NFC", chr(code) + mark) for mark in "\u3099\u309a"]
        sets += [chr(code) + other for other in marked if len(other) == 1]
    return sets


_LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS = "·ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_BASE = 0xAC00
"""The first syllable; syllable = base + (lead * 21 + vowel) * 28 + tail (Unicode standard, section 3.12)."""


def jamo_changed(syllable: str, neighbours: Neighbours) -> list[str]:
    """All syllables that differ from a hangul syllable by one jamo, exchanged for one of its neighbours."""
    if len(syllable) != 1 or not 0 <= (code := ord(syllable) - _BASE) < len(_LEADS) * 21 * 28:
        return []
    parts = (code // 588, code // 28 % 21, code % 28)
    found = []
    for place, alphabet in enumerate((_LEADS, _VOWELS, _TAILS)):
        for other in neighbours.get(alphabet[parts[place]], ()):
            if other in alphabet:
                lead, vowel, tail = (alphabet.index(other) if i == place else part for i, part in enumerate(parts))
                found.append(chr(_BASE + (lead * 21 + vowel) * 28 + tail))
    return found
