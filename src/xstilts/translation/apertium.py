"""Backend `apertium`: rule-based translation by the `apertium` command, offline (Forcada et al. 2011)."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex

from xstilts.errors import StepFailed, UserError, did_you_mean
from xstilts.languages import get_language
from xstilts.store import sha256_of
from xstilts.translation import Backend
from xstilts.translation.units import lines, through

if TYPE_CHECKING:
    from xstilts.arms import Translation

_MODES = Path("share/apertium/modes")
"""Where modes lie beside the folder of the command."""
_PATH = re.compile(r"'(/[^']+)'|(?<=\s)(/\S+)")
_CONTROL = regex.compile(r"[\p{Cc}\p{Zl}\p{Zp}]+")


def _identify(translation: Translation, language: str, source: str, folder: Path) -> tuple[str, str]:
    code = translation.codes.get(language) or get_language(language).iso3
    mode = (translation.model or "eng-{language}").replace("{language}", code)
    command = shutil.which("apertium")
    if command is None:
        remedy = "install the Debian packages apertium and, for Spanish, apertium-eng-spa"
        raise UserError("translation backend 'apertium' needs the command apertium", remedy=remedy)
    file = Path(command).parent.parent / _MODES / f"{mode}.mode"
    if not file.is_file():
        modes = [path.stem for path in file.parent.glob("*.mode")]
        near = did_you_mean(mode, modes) if modes else "none is"
        raise UserError(f"apertium's mode {mode!r} is not installed", remedy=f"{near}; install apertium-{mode}")
    return f"apertium:{mode}@{_content(file, file.stat().st_mtime_ns)}", mode


@lru_cache
def _content(mode: Path, _: int) -> str:
    """sha256 over the mode and all data files that it names: the installed package, whatever put it there."""
    text = mode.read_text("utf-8")
    files = [Path(quoted or bare) for quoted, bare in _PATH.findall(text)]
    parts = [f"{path.name}:{sha256_of(path)}" for path in files if path.is_file()]
    return hashlib.sha256("\n".join([re.sub(r"'?/\S*/", "", text), *parts]).encode()).hexdigest()


class Apertium:
    """One mode of the command. A line of a text is a unit; unknown words stay as they are."""

    def __init__(self, identity: str, location: str, language: str, options: dict[str, Any]) -> None:
        self._mode = location

    def translate(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`. Raises `StepFailed` when other than as many units come back."""
        return through(texts, lines, self._units)

    def _units(self, units: list[str]) -> list[str | None]:
        # blank lines end a unit for apertium, as ends of sentences do
        text = "\n\n".join(_CONTROL.sub(" ", unit) for unit in units) + "\n"
        command = ["apertium", "-u", self._mode]
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)
        except OSError as error:
            raise UserError(f"apertium cannot be run ({error.strerror})") from None
        if done.returncode:
            reason = done.stderr.strip().split("\n")[0] or f"exit code {done.returncode}"
            raise StepFailed(f"apertium {self._mode}: {reason}")
        found = done.stdout.removesuffix("\n").split("\n\n")
        if len(found) != len(units):
            raise StepFailed(f"apertium {self._mode} gave {len(found):,} units for {len(units):,}")
        return list(found)


def _options(translation: Translation, language: str) -> dict[str, Any]:
    return {}


BACKEND = Backend(identify=_identify, options=_options, load=Apertium)
