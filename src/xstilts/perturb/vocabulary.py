"""The pieces of an encoder's vocabulary that are whole words, in classes of words that may stand for one another."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import regex

from xstilts.languages import LANGUAGES
from xstilts.perturb.units import RUN, clusters

_PLAIN = regex.compile(r"\p{L}[\p{L}\p{M}]*")
_EAST_ASIAN = r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー々]+"
_SCRIPTS = {
    **{code: regex.compile(rf"[\p{{Script={code}}}\p{{M}}]+") for code in
       sorted({language.script or "Latn" for language in LANGUAGES.values()} - {"Hani", "Jpan", "Kore"})},
    "Kore": regex.compile(r"\p{Script=Hangul}+"),
    "Hani": regex.compile(_EAST_ASIAN),
}  # fmt: skip


class Class(NamedTuple):
    """Words that may stand for one another, as far as their form goes."""

    script: str
    """ISO 15924; `Hani` for Chinese characters and kana alike, as Japanese mixes them."""
    capital: bool
    """Whether it begins with a capital letter."""


@lru_cache(maxsize=65536)
def class_of(word: str) -> Class | None:
    """The class of a word; None where its letters are of several scripts, or of one that no language here has."""
    letters = regex.sub(r"[^\p{L}\p{M}]", "", word)
    script = next((code for code, pattern in _SCRIPTS.items() if pattern.fullmatch(letters)), None)
    return Class(script, word[:1].isupper()) if script else None


class Vocabulary:
    """Whole words among the pieces."""

    def __init__(self, tokenizer: Any) -> None:
        """Reads all pieces of a fast tokenizer.

        A piece is a word if it is two letters or more of one script and, written after another word, comes out of the
        tokenizer as itself: pieces that continue words do not, and single letters are mostly no words. In scripts
        without spaces every piece of letters is taken, unless its first sign would join the letter before it.
        """
        count = len(tokenizer)
        decoded = tokenizer.backend_tokenizer.decode_batch([[i] for i in range(count)], skip_special_tokens=True)
        self.words: list[str] = [text.strip() for text in decoded]
        plain = [i for i, word in enumerate(self.words) if _PLAIN.fullmatch(word) and clusters("a" + word)[0] == "a"]
        first, *after = tokenizer(["a", *("a " + self.words[i] for i in plain)], add_special_tokens=False)["input_ids"]
        self.classes: dict[Class, list[int]] = {}
        for i, ids in zip(plain, after, strict=True):
            kind = class_of(self.words[i])
            if kind and (kind.script in RUN or (ids == [*first, i] and len(clusters(self.words[i])) > 1)):
                self.classes.setdefault(kind, []).append(i)

    def peers(self, word: str) -> Class | None:
        """The class that a word's replacements come from; None where it has none. Encoders without capitals have only
        small letters to offer."""
        kind = class_of(word)
        if kind is not None and kind not in self.classes and kind.capital:
            kind = kind._replace(capital=False)
        return kind if kind in self.classes else None

    def pick(self, ranked: list[int], word: str, count: int) -> tuple[str, ...]:
        """The first `count` different words of the ids in `ranked` that are not `word` in other capitals, sorted.

        Sorted, so that what is drawn from them depends on which words are among them and not on ties in their order.
        """
        found: dict[str, None] = {}
        for i in ranked:
            if len(found) < count and self.words[i].casefold() != word.casefold():
                found.setdefault(self.words[i])
        return tuple(sorted(found))
