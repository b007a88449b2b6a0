"""Vectors of sentences, in memory or in a file: a million of width 768 fill 3 GB."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xstilts.errors import StepFailed

MOST_IN_MEMORY = 256 * 2**20
"""Bytes above which an array lies in a temporary file."""


def allocate(n: int, width: int, folder: Path | None = None) -> NDArray[np.float32]:
    """Zeros [n, width], float32. Above `MOST_IN_MEMORY` they are mapped from a temporary file in `folder` (None: the
    system's), which has no name and so is gone when the array or the process is.

    Raises `StepFailed` where the disk has no room.
    """
    size = 4 * n * width
    if size <= MOST_IN_MEMORY:
        return np.zeros((n, width), dtype=np.float32)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            # a mapped file that meets a full disk later kills the process
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise StepFailed(
                f"no room for {size / 2**30:.1f} GiB of vectors in {file.name} ({error.strerror})"
            ) from None
        return np.memmap(file, dtype=np.float32, mode="r+", shape=(n, width))


class Vectors(Sequence[NDArray[np.float32]]):
    """Head outputs of fixed size: like a list with one array [sequences of the feature, width] per feature."""

    def __init__(self, counts: Sequence[int], width: int, folder: Path | None = None) -> None:
        self.starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.matrix = allocate(int(self.starts[-1]), width, folder)
        """[sequences, width], the features' sequences one after the other."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, i: Any) -> Any:
        return self.matrix[self._of(i)]

    def __setitem__(self, i: int, output: NDArray[np.float32]) -> None:
        self.matrix[self._of(i)] = output

    def _of(self, i: int) -> slice:
        if not 0 <= i < len(self):
            raise IndexError(i)
        return slice(self.starts[i], self.starts[i + 1])


def matrix_of(outputs: Sequence[Any]) -> NDArray[np.float32]:
    """[sequences, width]: the outputs of all features, one after the other."""
    return outputs.matrix if isinstance(outputs, Vectors) else np.concatenate(outputs)


@dataclass(frozen=True)
class Selected:
    """Some rows of a matrix in a given order, copied only as they are read."""

    matrix: NDArray[np.float32]
    """[m, width]."""
    rows: NDArray[np.int64]
    """[n], 0..m-1."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        return self.matrix[self.rows[part]]

    def pick(self, places: NDArray[np.int64]) -> Selected:
        """Some of these rows, 0..n-1."""
        return Selected(self.matrix, self.rows[places])
