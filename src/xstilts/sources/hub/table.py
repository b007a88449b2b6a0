"""A split as columns, with the names behind its label numbers, and the checks that all readers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xstilts.errors import UserError
from xstilts.sources.files.refusals import filled, known_label
from xstilts.tasks.metadata import Task

HIDDEN = -1
"""What the hub's data sets put where the gold label is not public."""


@dataclass(frozen=True)
class Table:
    """The rows of one split, by column."""

    where: Path
    """What refusals call it; the line they name is the row's number, from 1."""
    columns: dict[str, list[Any]]
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Column -> what its numbers stand for, of columns (of lists) of `datasets.ClassLabel`."""

    def rows(self, *names: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """(number from 1, values of the columns `names`) of every row; `UserError` if one of them is missing."""
        if missing := [name for name in names if name not in self.columns]:
            found = ", ".join(self.columns)
            what = f"columns {found}, expected {', '.join(names)} (no {', '.join(missing)})"
            raise UserError(what, file=self.where, remedy="the data set has changed: pin another revision")
        return enumerate(zip(*(self.columns[name] for name in names), strict=True), start=1)


def read_table(files: Sequence[Path], where: Path, card: dict[str, Any] | None = None, config: str = "") -> Table:
    """The table in some parquet files, one after the other.

    Names of labels are those in the files' own metadata, as `datasets` writes them, else those that `card` (the data
    set's metadata) has for `config`. Raises `UserError` when a file is not parquet, the files differ in columns, or
    what they declare cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        tables = [pq.ParquetFile(file).read() for file in files]
        table = pa.concat_tables([part.replace_schema_metadata(tables[0].schema.metadata) for part in tables])
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"not parquet that can be read ({str(error).splitlines()[0][:100]})", file=where) from None
    try:
        names = _schema_names(table.schema) or _card_names(card or {}, config)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"its declared features cannot be read ({str(error).splitlines()[0][:100]})", file=where
        ) from None
    return Table(where, {name: table.column(name).to_pylist() for name in table.column_names}, names)


def _schema_names(schema: Any) -> dict[str, tuple[str, ...]]:
    from datasets import Features

    return _names(Features.from_arrow_schema(schema))


def _card_names(card: dict[str, Any], config: str) -> dict[str, tuple[str, ...]]:
    if not card.get("dataset_info"):
        return {}
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    infos = DatasetInfosDict.from_dataset_card_data(DatasetCardData(dataset_info=card["dataset_info"]))
    info = infos.get(config)
    return {} if info is None or info.features is None else _names(info.features)


def _names(features: Any) -> dict[str, tuple[str, ...]]:
    """The class names of every column that has some, whether its values are labels or lists of labels."""
    found: dict[str, tuple[str, ...]] = {}
    for column, feature in features.items():
        inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
        if names := getattr(inner, "names", None):
            found[column] = tuple(names)
    return found


def text(value: Any, what: str, table: Table, number: int) -> str:
    """A value that must be text and not blank, unchanged."""
    if not isinstance(value, str):
        raise UserError(f"{what} is {type(value).__name__}, expected text", file=table.where, line=number)
    return filled(value, what, table.where, number)


def hidden(value: Any) -> bool:
    """Whether a value says that the gold label is not public: -1, blank or null."""
    return value is None or value == HIDDEN or (isinstance(value, str) and not value.strip())


def refuse_hidden(table: Table, number: int) -> UserError:
    """The refusal of a row without its gold label."""
    remedy = "evaluate on another split, or name a stand-in file that has them"
    return UserError("gold labels were removed", file=table.where, line=number, remedy=remedy)


def gold(table: Table, column: str, task: Task) -> Callable[[Any, int], str]:
    """How a value of `column` becomes one of the task's labels: by name, never by position.

    Numbers stand for the names the data set declares, and those are spelt as the task's `Hub` block says. Raises
    `UserError` for numbers without declared names, hidden gold and unknown labels.
    """
    names = table.names.get(column)
    spelling = dict(task.hub.spelling) if task.hub is not None else {}

    def label(value: Any, number: int) -> str:
        if hidden(value):
            raise refuse_hidden(table, number)
        if isinstance(value, int):
            if names is None:
                remedy = "the data set declares no names (ClassLabel), and an order is not guessed"
                raise UserError(f"{column!r} holds numbers without names", file=table.where, line=number, remedy=remedy)
            if not 0 <= value < len(names):
                raise UserError(f"{column!r} is {value}, names are {', '.join(names)}", file=table.where, line=number)
            value = names[value]
        return known_label(spelling.get(str(value), str(value)), task.labels, table.where, number)

    return label
