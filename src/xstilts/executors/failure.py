"""What a step raised, on its way from a worker to the run that waits for it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler

from xstilts.errors import StepFailed
from xstilts.executors.job import is_memory


@dataclass(frozen=True)
class Failure:
    """What a step raised, in a form that any process can read."""

    pickled: bytes
    """Empty where it cannot be pickled."""
    words: str
    trace: str
    memory: bool
    """Whether memory ran out."""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Of what was raised just now."""
        words = str(error).strip()
        try:
            pickled = bytes(ForkingPickler.dumps(error)) if isinstance(error, Exception) else b""
        except Exception:
            pickled = b""
        return cls(
            pickled, type(error).__name__ + (f": {words}" if words else ""),
            "".join(traceback.format_exception(error)), is_memory(error),
        )  # fmt: skip

    def error(self) -> Exception:
        """The very exception, with the worker's traceback as a note; a `StepFailed` with its type and words where it
        is none that can be read here."""
        try:
            error = ForkingPickler.loads(self.pickled) if self.pickled else None
        except Exception:
            error = None
        if not isinstance(error, Exception):
            error = StepFailed(self.words)
        error.add_note(f"in a worker process:\n{self.trace}")
        return error
