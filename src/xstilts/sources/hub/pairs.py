"""Labelled sentence pairs: NLI and paraphrase data sets, whatever they call their columns."""

from __future__ import annotations

from collections.abc import Callable

from xstilts.sources.files.refusals import unique
from xstilts.sources.hub.table import HIDDEN, Table, gold, refuse_hidden, text
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_BLANK_AT_MOST = 1 / 1000


def pairs(
    first: str, second: str, label: str = "label", id_: str | None = None, *, skip: bool = False, blanks: bool = False
) -> Callable[[Table, Task, str], list[Row]]:
    """A reader of rows of shape `classify` from the columns with these names.

    Without an id column ids count the rows from 1, so that the parallel rows of all languages share them. `skip`
    leaves rows without a label (-1) out, which in SNLI mean that the annotators found no majority; a split that has
    none but such rows is refused as one whose gold labels were removed. `blanks` leaves out rows with an empty
    sentence, as the reader of QQP's files does, as long as they are no more than one in a thousand.
    """
    wanted = (first, second, label, *((id_,) if id_ else ()))

    def read(table: Table, task: Task, language: str) -> list[Row]:
        to_label = gold(table, label, task)
        seen: dict[str, int] = {}
        rows: list[Row] = []
        empty = 0
        for number, (one, two, value, *given) in table.rows(*wanted):
            if skip and value == HIDDEN:
                continue
            if blanks and not ((one or "").strip() and (two or "").strip()):
                empty += 1
                if empty <= _BLANK_AT_MOST * len(table.columns[label]):
                    continue
            rows.append({
                "id": unique(str(given[0]), seen, table.where, number) if given else str(number),
                "text_a": text(one, first, table, number),
                "text_b": text(two, second, table, number),
                "label": to_label(value, number),
            })  # fmt: skip
        if skip and not rows and table.columns[label]:
            raise refuse_hidden(table, 1)
        return rows

    return read
