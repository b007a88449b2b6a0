"""What a person did wrong, said in one line: where, what, and what to type instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class UserError(Exception):
    """Input that a person can mend. The command line prints it as one line and exits with code 2.

    `file` and `line` (1-based) say where, `remedy` says what to do. Never raise it for a fault of xstilts.
    """

    def __init__(
        self, what: str, *, file: Path | str | None = None, line: int | None = None, remedy: str | None = None
    ) -> None:
        self.what, self.file, self.line, self.remedy = what, file, line, remedy
        where = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(" ".join(f"{where}{what}{'; ' + remedy if remedy else ''}".split("\n")))


class StepFailed(Exception):
    """A step that cannot go on (a loss that is NaN, say). The step fails with this line; the others go on. `remedy` is
    what a person can type."""

    def __init__(self, what: str, *, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(what)

    def __reduce__(self) -> tuple[Any, ...]:
        """Failures cross process borders."""
        return _failed, (type(self), str(self), self.remedy)


def _failed(kind: type[StepFailed], what: str, remedy: str) -> StepFailed:
    return kind(what, remedy=remedy)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The remedy for a misspelt name: the nearest known names, or all of them when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "known: " + ", ".join(known)
