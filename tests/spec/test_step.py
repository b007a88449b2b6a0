"""What a key depends on."""

from __future__ import annotations

from typing import Annotated, ClassVar

from xstilts.step import Runtime, Step, canonical


class Old(Step):
    kind: ClassVar[str] = "Example"
    rows: int
    folder: Annotated[str, Runtime] = ""


class New(Step):
    kind: ClassVar[str] = "Example"
    rows: int
    folder: Annotated[str, Runtime] = ""
    perturbation: str = "clean"


def test_a_field_added_with_a_neutral_default_leaves_old_keys_unchanged() -> None:
    """A field added with a neutral default leaves old keys unchanged; another value changes them."""
    assert Old(rows=3).key == New(rows=3).key
    assert New(rows=3, perturbation="typos").key != New(rows=3).key


def test_where_and_how_fast_are_not_part_of_a_key() -> None:
    """Runtime fields are left out of the key; all others are in it."""
    assert Old(rows=3, folder="/a").key == Old(rows=3, folder="/b").key
    assert Old(rows=3).key != Old(rows=4).key


def test_a_key_is_the_sha256_of_one_spelling() -> None:
    """The key is the sha256 of the canonical JSON, the same in every process and on every machine."""
    assert canonical({"b": 1, "a": [1.5, "ü"]}) == '{"a":[1.5,"ü"],"b":1}'
    assert Old(rows=3).key == "e885848a8eb4ab85384da40b27c543bdee671d05b279f83feb980a77f0b8c2b4"
