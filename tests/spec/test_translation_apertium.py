"""A real translation system, offline: rows keep their labels through apertium's rules."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from xstilts.arms import Translation
from xstilts.errors import StepFailed, UserError
from xstilts.translation import identify, load
from xstilts.translation.projection import translate_rows

SPANISH = Translation(to=("es",), backend="apertium")


def missing() -> str | None:
    if shutil.which("apertium") is None:
        return "no command apertium: install the Debian packages apertium and apertium-eng-spa"
    modes = subprocess.run(["apertium", "-l"], capture_output=True, text=True).stdout.split()
    return None if "eng-spa" in modes else "no mode eng-spa: install the Debian package apertium-eng-spa"


real = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def command(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A stand-in for the command, with the mode eng-spa."""
    (folder / "bin").mkdir()
    (folder / "share/apertium/modes").mkdir(parents=True)
    (folder / "share/apertium/modes/eng-spa.mode").write_text("lt-proc")
    tool = folder / "bin/apertium"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


@real
def test_a_question_keeps_its_answer(tmp_path: Path) -> None:
    """The answer is translated where it stands, in a context of several lines."""
    identity, mode = identify(SPANISH, "es", "files", tmp_path)
    assert (identity[:19], mode) == ("apertium:eng-spa@" + identity[17:19], "eng-spa")
    context = "The cat sleeps.\n\nThe red car [1] is here."
    row = {"id": "1", "question": "What is here?", "context": context, "answers": ["red car"],
           "starts": [context.index("red car")]}  # fmt: skip
    (new,), dropped = translate_rows([row], "span", (), load("apertium", identity, mode, "es", {}).translate)
    assert not dropped and new["answers"] == ["coche rojo"] and new["context"].count("\n\n") == 1
    assert new["context"][new["starts"][0] :].startswith("coche rojo") and "[1]" in new["context"]


@real
def test_whatever_a_text_holds_the_lines_stay_aligned() -> None:
    """Blank, odd and reserved characters do not shift the translations of other texts."""
    odd = [
        "",
        " ",
        "^a$",
        "@x/y\\z",
        "[[]",
        "a\n\n\nb",
        "\x00\x1c\x85",
        "a\u2028b",
        "\t",
        "<br>",
        "*~^$[]{}",
        "...",
        "a.\r\n",
    ]
    texts = [text for each in odd for text in (each, "The dog sleeps.")]
    translate = load("apertium", "", "eng-spa", "es", {}).translate
    (alone,) = translate(["The dog sleeps."])
    found = translate(texts)
    assert "perro" in str(alone) and set(found[1::2]) == {alone}
    assert found[0] == "" and found[2 * odd.index("a\n\n\nb")].count("\n") == 3


@real
def test_entities_keep_their_labels() -> None:
    """Entities are found again in the translation, whatever became of the words around them."""
    row = {"id": "1", "tokens": ["Ada", "Lovelace", "never", "met", "Alan", "Turing", "in", "London", "."],
           "tags": ["B-PER", "I-PER", "O", "O", "B-PER", "I-PER", "O", "B-LOC", "O"]}  # fmt: skip
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    (new,), _ = translate_rows([row], "tag", labels, load("apertium", "", "eng-spa", "es", {}).translate)
    tagged = [(token, tag) for token, tag in zip(new["tokens"], new["tags"], strict=True) if tag != "O"]
    assert tagged == [("Ada", "B-PER"), ("Lovelace", "I-PER"), ("Alan", "B-PER"), ("Turing", "I-PER"),
                      ("Londres", "B-LOC")]  # fmt: skip


def test_a_missing_command_or_mode_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said when the study is planned."""
    command(tmp_path, monkeypatch, "cat")
    with pytest.raises(UserError, match="'eng-deu' is not installed.*eng-spa.*install apertium-eng-deu"):
        identify(SPANISH, "de", "files", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="Debian packages apertium and.*apertium-eng-spa"):
        identify(SPANISH, "es", "files", tmp_path)
    with pytest.raises(UserError, match="cannot be run"):
        load("apertium", "", "eng-spa", "es", {}).translate(["a"])


def test_translations_that_are_not_as_many_as_the_texts_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are never paired with the translation of another: a unit too few, or an error, fails the step."""
    command(tmp_path, monkeypatch, "head -n 2")
    with pytest.raises(StepFailed, match="gave 1 units for 3"):
        load("apertium", "", "eng-spa", "es", {}).translate(["a", "b", "c"])
    (tmp_path / "bin/apertium").write_text("#!/bin/sh\ncat > /dev/null; echo out of luck >&2; exit 3\n")
    with pytest.raises(StepFailed, match="apertium eng-spa: out of luck"):
        load("apertium", "", "eng-spa", "es", {}).translate(["a"])
