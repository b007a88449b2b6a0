"""The layouts by name. A task names one of them in its `Files` block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xstilts.sources.files.answers import squad2_json, squad_json, tydiqa_json
from xstilts.sources.files.choices import cosmos_csv
from xstilts.sources.files.pairs import msrp_tsv, pair_tsv, sick_tsv, snli_jsonl
from xstilts.sources.files.tagging import tagged_tsv
from xstilts.sources.files.translations import english_side, parallel_tsv, tatoeba
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def _alone(path: Path) -> tuple[Path, ...]:
    return (path,)


@dataclass(frozen=True)
class Reader:
    """How one layout is read."""

    read: Callable[[Path, Task, str], list[Row]]
    version: int = 1
    """Raised when the same content would give other rows; part of the rows' identity."""
    parts: Callable[[Path], tuple[Path, ...]] = _alone
    """All files that make up the split whose main file is given."""


READERS: dict[str, Reader] = {
    "tagged_tsv": Reader(tagged_tsv),
    "pair_tsv": Reader(pair_tsv),
    "snli_jsonl": Reader(snli_jsonl),
    "sick_tsv": Reader(sick_tsv),
    "msrp_tsv": Reader(msrp_tsv),
    "cosmos_csv": Reader(cosmos_csv),
    "squad_json": Reader(squad_json),
    "squad2_json": Reader(squad2_json),
    "tydiqa_json": Reader(tydiqa_json),
    "tatoeba": Reader(tatoeba, parts=lambda path: (path, english_side(path))),
    "parallel_tsv": Reader(parallel_tsv),
}
