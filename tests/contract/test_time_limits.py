"""How a step is ended at its time limit where no process is killed for it, and how that is told."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Thread

import pytest
from tests.contract.tricks import Trick, outcome

from xstilts.errors import UserError
from xstilts.executors.engine import Engine
from xstilts.executors.inline import Inline
from xstilts.executors.job import overdue
from xstilts.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


def test_inline_ends_a_step_that_catches_exceptions(store: Store) -> None:
    """The alarm is none of the exceptions that a step may catch, and whoever had set the alarm before has it back."""
    handler, (before, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    failure = outcome(Inline(store, Engine(time_limit=0.5)), Trick(does="catch_everything"))
    assert "time limit of 0.5 s" in str(failure)
    assert signal.getsignal(signal.SIGALRM) == handler
    after, _ = signal.getitimer(signal.ITIMER_REAL)
    assert (after > 0) == (before > 0) and after <= before


def test_inline_refuses_a_time_limit_that_it_cannot_keep(store: Store) -> None:
    """Alarms reach the main thread alone: elsewhere a time limit is refused with what to type."""
    refusals: list[UserError] = []

    def run() -> None:
        try:
            Inline(store, Engine(time_limit=1))
        except UserError as refusal:
            refusals.append(refusal)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert "--executor pool" in str(refusals[0])


@pytest.mark.parametrize(
    ("seconds", "limit", "more"), [(90, "90 s", "180s"), (600, "10 min", "20min"), (5400, "90 min", "180min"),
                                   (7200, "2 h", "4h"), (172800, "2 d", "4d")]
)  # fmt: skip
def test_a_time_limit_is_told_as_it_is_typed(seconds: float, limit: str, more: str) -> None:
    """The failure names the limit, and one twice as long that the command line reads."""
    failure = overdue(seconds)
    assert f"time limit of {limit}" in str(failure) and failure.remedy.endswith(f"--time-limit {more}")
    assert Engine(time_limit=more).time_limit == 2 * seconds
