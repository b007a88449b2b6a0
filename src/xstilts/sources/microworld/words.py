"""The form of every concept in every language: sound laws, invented stems, suffixes and scripts."""

from __future__ import annotations

from functools import cache
from random import Random

from xstilts.sources.microworld.languages import BASE, CODES, LANGUAGES, get_language
from xstilts.sources.microworld.lexicon import CONCEPTS, NAMES

_LATIN = "abcdefghijklmnopqrstuvwxyz"
_ALPHABETS = {
    "Cyrl": "абцдефгхийклмнопќрстувщжыз",
    "Geor": "აბცდეფგჰიჯკლმნოპქრსტუვწხყზ",
    "Grek": "αβκδεφγχιξκλμνοπθρστυβωξψζ",
}
"""One letter for each Latin letter; where a script lacks the sound, a letter that is otherwise unused."""
_KANA = {
    "": "あいうえお", "k": "かきくけこ", "s": "さしすせそ", "t": "たちつてと", "n": "なにぬねの",
    "h": "はひふへほ", "m": "まみむめも", "r": "らりるれろ", "g": "がぎぐげご", "z": "ざじずぜぞ",
    "d": "だぢづでど", "b": "ばびぶべぼ", "p": "ぱぴぷぺぽ",
}  # fmt: skip
_KANA_SOUNDS = str.maketrans({"c": "k", "q": "k", "f": "h", "v": "b", "w": "b", "j": "z", "l": "r", "x": "s",
                              "y": "i"})  # fmt: skip

_SOUND_LAWS = {"qaa": (("w", "v"), ("ck", "c"), ("ee", "i")), "qac": (("c", "k"), ("ou", "u"), ("th", "d")),
               "qad": (("k", "c"), ("h", ""), ("oo", "o"))}  # fmt: skip
_SYLLABLES = {  # onsets, vowels, codas of the invented stems
    "qaa": ("p t c b d m n l r s v f", "a e i o", " l n r s"),
    "qab": ("p t k b d m n l r s v z g", "a e i o u", " k n r t"),
    "qac": ("k t s n m y r h g d", "a i u e o", " n"),
    "qad": ("b d g l m n r s t f", "a e i o u", " l n r ch"),
    "qae": ("k t p g d b m n r s v z", "a e i o u", " l n r s"),
    "qaf": ("k s t n h m r g b", "a i u e o", ""),
    "qag": ("p t k m n l r s d", "a e i o", " n s r"),
}  # fmt: skip
PLURALS = {"en": "s", "qaa": "i", "qab": "mi", "qad": "an", "qae": "eb", "qag": "es"}
OBJECTS = {"qab": "um", "qac": "go", "qae": "sha", "qaf": "wa", "qag": "on"}
"""Mark of the direct object, a suffix or a particle as the language's table says (in Latin letters)."""


def to_script(text: str, script: str) -> str:
    """Latin letters written in a script, sound by sound: `to_script("dog", "Cyrl") == "дог"`."""
    if script == "Latn":
        return text
    if script != "Hira":
        return text.translate(str.maketrans(_LATIN, _ALPHABETS[script]))
    text, out, onset = text.translate(_KANA_SOUNDS), "", ""
    for sound in text:
        if sound in "aiueo":
            out, onset = out + _KANA[onset]["aiueo".index(sound)], ""
        else:
            out, onset = out + (_KANA[onset][2] if onset else ""), sound
    return out + (_KANA[onset][2] if onset else "")  # a consonant without a vowel is written with -u


def _stem(random: Random, code: str) -> str:
    onsets, vowels, codas = _SYLLABLES[code]
    final = codas.split(" ")
    syllables = [random.choice(onsets.split()) + random.choice(vowels.split()) for _ in range(random.choice((2, 2, 3)))]
    return "".join(syllables) + random.choice(final)


@cache
def cognates(code: str) -> frozenset[str]:
    """The concepts whose word in `code` comes from the base language's word."""
    concepts = list(CONCEPTS)
    Random(f"microworld cognates {code}").shuffle(concepts)
    return frozenset(concepts[: round(LANGUAGES[code].cognates * len(concepts))])


@cache
def stems(code: str) -> dict[str, str]:
    """Concept or name -> its form in `code` without suffixes; forms of concepts differ from each other."""
    language = get_language(code)
    if code == BASE:
        return {word: word for word in CONCEPTS + NAMES}
    random, kept, used = Random(f"microworld stems {code}"), cognates(code), set(CONCEPTS + NAMES)
    forms: dict[str, str] = {}
    for concept in (*(c for c in CONCEPTS if c in kept), *(c for c in CONCEPTS if c not in kept)):
        form = concept
        if concept in kept:
            for old, new in _SOUND_LAWS.get(code, ()):
                form = form.replace(old, new)
        while concept not in kept and (form in used or to_script(form, language.script) in forms.values()):
            form = _stem(random, code)
        used.add(form)
        forms[concept] = to_script(form, language.script)
    for index, name in enumerate(NAMES):  # every other name keeps its Latin letters in every language
        forms[name] = to_script(name, language.script) if index % 2 else name
    return forms


def suffix(code: str, table: dict[str, str]) -> str:
    """A language's ending from `PLURALS` or `OBJECTS`, in its script; empty when it has none."""
    return to_script(table.get(code, ""), LANGUAGES[code].script)


def letters() -> str:
    """Every letter that any language's words are written with, sorted."""
    kana = "".join(_KANA.values())
    return "".join(sorted(set(_LATIN + kana + "".join(_ALPHABETS.values()))))


def pieces() -> list[str]:
    """Every stem and ending of every language, each once, in a fixed order: the tokenizer's vocabulary."""
    found: dict[str, None] = {}
    for code in CODES:
        found |= dict.fromkeys(stems(code).values())
        found |= dict.fromkeys(mark for mark in (suffix(code, PLURALS), suffix(code, OBJECTS)) if mark)
    return list(found)
