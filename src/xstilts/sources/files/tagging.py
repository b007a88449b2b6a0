"""Tagged sentences: one `token<TAB>tag` a line, a blank line between sentences."""

from __future__ import annotations

from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import read_lines
from xstilts.sources.files.refusals import columns, filled, known_label
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def tagged_tsv(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `tag` from XTREME's UDPOS and PAN-X files; ids count the sentences from 1.

    XTREME's own reader gives a token without a tag the tag `O` (PAN-X) or `X` (UDPOS), which makes a file
    whose labels were removed look like data; here such a line is refused. What XTREME's preprocessing of the
    treebanks did (sentences of fused forms left out, spaces and U+200C inside tokens removed) is already in
    the files and is kept. Tokens are kept verbatim.
    """
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    labels = frozenset(task.labels)
    rows: list[Row] = []
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""] if lines else [], start=1):
        if line:
            token, tag = columns(line, ("token", "tag"), path, number)
            tokens.append(filled(token, "token", path, number))
            tags.append(tag if tag in labels else known_label(tag, task.labels, path, number))
        elif tokens:
            rows.append({"id": str(len(rows) + 1), "tokens": tokens, "tags": tags})
            tokens, tags = [], []
        else:
            what = "empty sentence (two blank lines in a row, or one at the start)"
            raise UserError(what, file=path, line=number)
    return rows
