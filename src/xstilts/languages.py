"""The languages xstilts knows: codes, script, family and word order, frozen.

Codes are XTREME's (ISO 639-1 where there is one). ISO 639-3 codes are those in Tatoeba's file names, so some
name the individual language where others name the macrolanguage (`pes` Persian, `swh` Swahili, `cmn` Chinese,
but `est` Estonian). Scripts are ISO 15924. Families and branches follow Glottolog's usual top-level names and
word orders follow WALS feature 81A; an order is empty where none is dominant or the source is silent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xstilts.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Language:
    """One language; empty strings mean unknown or not applicable."""

    code: str
    """XTREME's code, used in studies, file names and tables."""
    iso3: str
    """ISO 639-3 code as Tatoeba's files use it."""
    name: str
    """English name."""
    script: str
    """ISO 15924 code of the script its data is written in."""
    family: str
    """Top-level language family."""
    branch: str = ""
    """Branch of the family, where the family is large (Indo-European, mainly)."""
    order: str = ""
    """Dominant order of subject, verb and object: SVO, SOV, VSO or empty."""


_IE = "Indo-European"
_TABLE = (
    Language("af", "afr", "Afrikaans", "Latn", _IE, "Germanic"),
    Language("ar", "ara", "Arabic", "Arab", "Afro-Asiatic", "Semitic", "VSO"),
    Language("az", "aze", "Azerbaijani", "Latn", "Turkic", "", "SOV"),
    Language("bg", "bul", "Bulgarian", "Cyrl", _IE, "Slavic", "SVO"),
    Language("bn", "ben", "Bengali", "Beng", _IE, "Indo-Aryan", "SOV"),
    Language("cs", "ces", "Czech", "Latn", _IE, "Slavic", "SVO"),
    Language("da", "dan", "Danish", "Latn", _IE, "Germanic", "SVO"),
    Language("de", "deu", "German", "Latn", _IE, "Germanic"),
    Language("el", "ell", "Greek", "Grek", _IE, "Greek"),
    Language("en", "eng", "English", "Latn", _IE, "Germanic", "SVO"),
    Language("es", "spa", "Spanish", "Latn", _IE, "Romance", "SVO"),
    Language("et", "est", "Estonian", "Latn", "Uralic", "Finnic", "SVO"),
    Language("eu", "eus", "Basque", "Latn", "Basque", "", "SOV"),
    Language("fa", "pes", "Persian", "Arab", _IE, "Iranian", "SOV"),
    Language("fi", "fin", "Finnish", "Latn", "Uralic", "Finnic", "SVO"),
    Language("fr", "fra", "French", "Latn", _IE, "Romance", "SVO"),
    Language("gl", "glg", "Galician", "Latn", _IE, "Romance"),
    Language("gu", "guj", "Gujarati", "Gujr", _IE, "Indo-Aryan", "SOV"),
    Language("he", "heb", "Hebrew", "Hebr", "Afro-Asiatic", "Semitic", "SVO"),
    Language("hi", "hin", "Hindi", "Deva", _IE, "Indo-Aryan", "SOV"),
    Language("hr", "hrv", "Croatian", "Latn", _IE, "Slavic", "SVO"),
    Language("ht", "hat", "Haitian Creole", "Latn", _IE, "Romance", "SVO"),
    Language("hu", "hun", "Hungarian", "Latn", "Uralic", "Ugric"),
    Language("id", "ind", "Indonesian", "Latn", "Austronesian", "Malayo-Polynesian", "SVO"),
    Language("is", "isl", "Icelandic", "Latn", _IE, "Germanic", "SVO"),
    Language("it", "ita", "Italian", "Latn", _IE, "Romance", "SVO"),
    Language("ja", "jpn", "Japanese", "Jpan", "Japonic", "", "SOV"),
    Language("jv", "jav", "Javanese", "Latn", "Austronesian", "Malayo-Polynesian", "SVO"),
    Language("ka", "kat", "Georgian", "Geor", "Kartvelian", "", "SOV"),
    Language("kk", "kaz", "Kazakh", "Cyrl", "Turkic", "", "SOV"),
    Language("ko", "kor", "Korean", "Kore", "Koreanic", "", "SOV"),
    Language("lt", "lit", "Lithuanian", "Latn", _IE, "Baltic", "SVO"),
    Language("ml", "mal", "Malayalam", "Mlym", "Dravidian", "", "SOV"),
    Language("mr", "mar", "Marathi", "Deva", _IE, "Indo-Aryan", "SOV"),
    Language("ms", "zsm", "Malay", "Latn", "Austronesian", "Malayo-Polynesian", "SVO"),
    Language("my", "mya", "Burmese", "Mymr", "Sino-Tibetan", "Burmo-Qiangic", "SOV"),
    Language("nl", "nld", "Dutch", "Latn", _IE, "Germanic"),
    Language("pa", "pan", "Punjabi", "Guru", _IE, "Indo-Aryan", "SOV"),
    Language("pl", "pol", "Polish", "Latn", _IE, "Slavic", "SVO"),
    Language("pt", "por", "Portuguese", "Latn", _IE, "Romance", "SVO"),
    Language("qu", "que", "Quechua", "Latn", "Quechuan", "", "SOV"),
    Language("ro", "ron", "Romanian", "Latn", _IE, "Romance", "SVO"),
    Language("ru", "rus", "Russian", "Cyrl", _IE, "Slavic", "SVO"),
    Language("sk", "slk", "Slovak", "Latn", _IE, "Slavic", "SVO"),
    Language("sv", "swe", "Swedish", "Latn", _IE, "Germanic", "SVO"),
    Language("sw", "swh", "Swahili", "Latn", "Atlantic-Congo", "Bantu", "SVO"),
    Language("ta", "tam", "Tamil", "Taml", "Dravidian", "", "SOV"),
    Language("te", "tel", "Telugu", "Telu", "Dravidian", "", "SOV"),
    Language("th", "tha", "Thai", "Thai", "Tai-Kadai", "", "SVO"),
    Language("tl", "tgl", "Tagalog", "Latn", "Austronesian", "Malayo-Polynesian", "VSO"),
    Language("tr", "tur", "Turkish", "Latn", "Turkic", "", "SOV"),
    Language("uk", "ukr", "Ukrainian", "Cyrl", _IE, "Slavic", "SVO"),
    Language("ur", "urd", "Urdu", "Arab", _IE, "Indo-Aryan", "SOV"),
    Language("vi", "vie", "Vietnamese", "Latn", "Austroasiatic", "", "SVO"),
    Language("wo", "wol", "Wolof", "Latn", "Atlantic-Congo", "", "SVO"),
    Language("yo", "yor", "Yoruba", "Latn", "Atlantic-Congo", "", "SVO"),
    Language("zh", "cmn", "Chinese", "Hani", "Sino-Tibetan", "Sinitic", "SVO"),
)


def codes(spaced: str) -> tuple[str, ...]:
    """The words of a text: `codes("de en")` is `("de", "en")`; keeps long declarations readable."""
    return tuple(spaced.split())


LANGUAGES: dict[str, Language] = {language.code: language for language in _TABLE}
"""All natural languages by XTREME's code."""

XTREME = codes("af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw "
               "ta te th tl tr ur vi yo zh")  # fmt: skip
"""XTREME's forty languages."""

_PRIVATE = re.compile(r"q[a-t][a-z]")
_OTHER_NAMES = {other.lower(): known.code for known in _TABLE for other in (known.code, known.iso3, known.name)}


def is_known(code: str) -> bool:
    """Whether `get_language` knows the code."""
    return code in LANGUAGES or _PRIVATE.fullmatch(code) is not None


def get_language(code: str) -> Language:
    """The language with this code; ISO 639's private-use codes (qaa to qtz) name generated languages.

    Raises `UserError` with the nearest codes when there is none; English names and ISO 639-3 codes are
    recognised in that message, but not accepted, so that one language has one name in every table.
    """
    if code in LANGUAGES:
        return LANGUAGES[code]
    if _PRIVATE.fullmatch(code):
        return Language(code, code, code, "", "")
    other = _OTHER_NAMES.get(code.lower())
    remedy = f"did you mean {other!r}?" if other else did_you_mean(code, LANGUAGES)
    raise UserError(f"unknown language {code!r}", remedy=remedy)
