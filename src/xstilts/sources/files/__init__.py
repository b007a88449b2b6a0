"""The `files` source: tasks in their official file layouts, in one folder, plain or gzipped.

A layout is one reader, a pure function `(path, task, language) -> list[Row]` that gives every row or refuses
with file and line. To add a layout, write such a function in a file of this package and name it in `READERS`.
"""

from __future__ import annotations

from xstilts.sources.files.reader import READERS, Reader
from xstilts.sources.files.source import FilesSource

__all__ = ["READERS", "FilesSource", "Reader"]
