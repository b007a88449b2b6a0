"""The layouts by name. A task names one of them in its `Files` block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xstilts.sources.files.answers import squad2_json, squad_json, squad_left_out, tydiqa_json
from xstilts.sources.files.aspects import xabsa, xabsa_polarity, xabsa_terms
from xstilts.sources.files.bitext import bucc, bucc_files
from xstilts.sources.files.ccg import ccg, ccg_files
from xstilts.sources.files.choices import codah_tsv, cosmos_csv
from xstilts.sources.files.choices_json import copa_jsonl, csqa_jsonl, hellaswag_jsonl, siqa_jsonl, siqa_parts
from xstilts.sources.files.conllu import conllu_features, conllu_parse
from xstilts.sources.files.glue import glue_tsv, qqp_left_out, qqp_tsv
from xstilts.sources.files.nli import anli_jsonl, anli_rounds, mnli
from xstilts.sources.files.pairs import msrp_tsv, pair_left_out, pair_tsv, sick_tsv, snli_jsonl
from xstilts.sources.files.tagging import tagged_tsv
from xstilts.sources.files.translations import english_side, parallel_tsv, tatoeba, text_lines
from xstilts.sources.files.triplets import mabsa, mabsa_keys, mabsa_left_out, mabsa_polarity, mabsa_terms
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
    keys: Callable[[Path], list[str]] | None = None
    """What the translations of each row share, where neither ids nor labels say it; see `alignment`."""
    left_out: Callable[[Path, Task, str], dict[str, int]] | None = None
    """What a file holds that rows cannot, counted by reason, for layouts that leave anything out."""


READERS: dict[str, Reader] = {
    "tagged_tsv": Reader(tagged_tsv),
    "pair_tsv": Reader(pair_tsv, left_out=pair_left_out),
    "snli_jsonl": Reader(snli_jsonl),
    "sick_tsv": Reader(sick_tsv),
    "msrp_tsv": Reader(msrp_tsv),
    "mnli": Reader(mnli, left_out=pair_left_out),
    "anli_jsonl": Reader(anli_jsonl, parts=anli_rounds),
    "glue_tsv": Reader(glue_tsv),
    "qqp_tsv": Reader(qqp_tsv, left_out=qqp_left_out),
    "cosmos_csv": Reader(cosmos_csv),
    "codah_tsv": Reader(codah_tsv),
    "hellaswag_jsonl": Reader(hellaswag_jsonl),
    "csqa_jsonl": Reader(csqa_jsonl),
    "siqa_jsonl": Reader(siqa_jsonl, parts=siqa_parts),
    "copa_jsonl": Reader(copa_jsonl),
    "ccg": Reader(ccg, parts=ccg_files),
    "squad_json": Reader(squad_json, left_out=squad_left_out),
    "squad2_json": Reader(squad2_json),
    "tydiqa_json": Reader(tydiqa_json),
    "tatoeba": Reader(tatoeba, parts=lambda path: (path, english_side(path))),
    "parallel_tsv": Reader(parallel_tsv),
    "text_lines": Reader(text_lines),
    "conllu_parse": Reader(conllu_parse),
    "conllu_features": Reader(conllu_features),
    "xabsa": Reader(xabsa),
    "xabsa_terms": Reader(xabsa_terms),
    "xabsa_polarity": Reader(xabsa_polarity),
    "mabsa": Reader(mabsa, keys=mabsa_keys, left_out=mabsa_left_out),
    "mabsa_terms": Reader(mabsa_terms, keys=mabsa_keys, left_out=mabsa_left_out),
    "mabsa_polarity": Reader(mabsa_polarity, left_out=mabsa_left_out),
    "bucc": Reader(bucc, parts=bucc_files),
}
