"""The `hub` source: tasks as data sets of the Hugging Face hub, at a commit. No loading script is ever run.

Only parquet files are read. A reader is one pure function `(table, task, language) -> list[Row]` that gives every row
or refuses with the row's number. To add one, write such a function in a file of this package and name it in `READERS`.
"""

from __future__ import annotations

from xstilts.sources.hub.reader import READERS, Reader
from xstilts.sources.hub.source import HubSource

__all__ = ["READERS", "HubSource", "Reader"]
