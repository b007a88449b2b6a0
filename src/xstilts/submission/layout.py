"""The nine tasks of XTREME's public benchmark as a submission holds them: groups, languages, files.

Groups, languages and file names are those of `evaluate.py` in google-research/xtreme at 838c13b.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xstilts.tasks import TASKS

Kind = Literal["label", "tags", "answers", "pairs", "index"]

GROUPS: dict[str, tuple[str, ...]] = {
    "classification": ("xnli", "pawsx"),
    "tagging": ("panx", "udpos"),
    "qa": ("xquad", "mlqa", "tydiqa"),
    "retrieval": ("bucc2018", "tatoeba"),
}
"""Group to tasks, in the order of tables."""

_KINDS: dict[str, Kind] = {
    "classification": "label", "tagging": "tags", "qa": "answers", "bucc2018": "pairs", "tatoeba": "index",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One task of a submission."""

    name: str
    group: str
    kind: Kind
    """What a file holds: one label a line; one tag a line with a blank line between sentences; a JSON object of
    question id to answer; `source id<TAB>English id`; one whole number a line."""
    languages: tuple[str, ...]
    """All that a complete submission has."""
    labels: tuple[str, ...]
    """The closed label set of kinds `label` and `tags`."""

    @property
    def ending(self) -> str:
        """Of the file names, without the dot."""
        return "json" if self.kind == "answers" else "tsv"

    def file(self, folder: Path, language: str) -> Path:
        """Where a submission in `folder` has this task and language."""
        return folder / self.name / f"test-{language}.{self.ending}"

    def language_of(self, name: str) -> str | None:
        """The language that a file of this name in the task's folder is of; None if the name is another."""
        found = re.fullmatch(rf"test-([a-z]{{2,3}})\.{self.ending}", name)
        return found and found[1]


def _part(name: str, group: str) -> Part:
    return Part(name, group, _KINDS.get(name) or _KINDS[group], TASKS[name].languages, TASKS[name].labels)


PARTS: dict[str, Part] = {name: _part(name, group) for group, names in GROUPS.items() for name in names}
"""The nine tasks by name, in the order of tables."""


def missing(present: dict[str, list[str]]) -> dict[str, list[str]]:
    """Task to the languages that `present` lacks, only tasks that lack some: nothing for a complete submission."""
    lacking = {
        name: [code for code in part.languages if code not in present.get(name, ())] for name, part in PARTS.items()
    }
    return {name: languages for name, languages in lacking.items() if languages}
