"""MultiNLI in its three distributions, and the three rounds of Adversarial NLI."""

from __future__ import annotations

from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.glue import glue_tsv
from xstilts.sources.files.json_lines import Filled, Line, records
from xstilts.sources.files.opening import find, read_lines
from xstilts.sources.files.pairs import pair_tsv, snli_jsonl
from xstilts.sources.files.refusals import known_label, unique
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_ROUNDS = ("R1", "R2", "R3")
_LETTERS = {"e": "entailment", "n": "neutral", "c": "contradiction"}


def mnli(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify` from any distribution of MultiNLI, told apart by the first line.

    JSON lines are the original release (`snli_jsonl`), a header with `index` is GLUE's (`glue_tsv`), and all else is
    XNLI-MT's or its like (`pair_tsv`).
    """
    first = next(iter(read_lines(path)), "")
    if first.startswith("{"):
        return snli_jsonl(path, task, language)
    if "index" in first.split("\t"):
        return glue_tsv(path, task, language)
    return pair_tsv(path, task, language)


class _Anli(Line):
    uid: Filled
    context: Filled
    hypothesis: Filled
    label: str


def anli_jsonl(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `classify` from ANLI's JSON lines, the rounds one after the other (see `anli_rounds`).

    The context is the premise. An id is the name of the round's folder and the `uid`, for example `R1-2c6a`.
    """
    rows: list[Row] = []
    for part in anli_rounds(path):
        seen: dict[str, int] = {}
        for number, line in records(read_lines(part), _Anli, part):
            unique(line.uid, seen, part, number)
            letter = known_label(line.label, _LETTERS, part, number)
            rows.append({
                "id": f"{part.parent.name}-{line.uid}",
                "text_a": line.context,
                "text_b": line.hypothesis,
                "label": known_label(_LETTERS[letter], task.labels, part, number),
            })  # fmt: skip
    return rows


def anli_rounds(path: Path) -> tuple[Path, ...]:
    """The file of each round, given that of the first, `R1/train.jsonl`; a file outside `R1` is alone.

    Raises `UserError` when a round is missing.
    """
    if path.parent.name != _ROUNDS[0]:
        return (path,)
    parts: list[Path] = []
    for name in _ROUNDS:
        wanted = path.parent.with_name(name) / path.name
        found = find(wanted)
        if found is None:
            raise UserError("a round of ANLI is missing", file=wanted, remedy="the task is all three: R1, R2 and R3")
        parts.append(found)
    return tuple(parts)
