"""Tagged sentences: XTREME's UDPOS and PAN-X as the hub has them, tags as numbers with declared names."""

from __future__ import annotations

from collections.abc import Callable

from xstilts.errors import UserError
from xstilts.sources.hub.table import Table, gold, text
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def tagged(tags: str) -> Callable[[Table, Task, str], list[Row]]:
    """A reader of rows of shape `tag` from `tokens` and the column `tags`; ids count the sentences from 1."""

    def read(table: Table, task: Task, language: str) -> list[Row]:
        to_tag = gold(table, tags, task)
        rows: list[Row] = []
        for number, (tokens, values) in table.rows("tokens", tags):
            if not tokens or len(tokens) != len(values):
                what = f"{len(tokens or ())} tokens and {len(values or ())} tags"
                raise UserError(what, file=table.where, line=number)
            rows.append({
                "id": str(number),
                "tokens": [text(token, "token", table, number) for token in tokens],
                "tags": [to_tag(value, number) for value in values],
            })  # fmt: skip
        return rows

    return read
