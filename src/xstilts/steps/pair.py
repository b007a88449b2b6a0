"""Pair: a person's own noisy rows in the place of the clean rows they stand for, with the rate measured."""

from __future__ import annotations

from typing import Any, ClassVar

from xstilts.errors import StepFailed
from xstilts.perturb.own import By, pair_rows
from xstilts.step import Step, Work
from xstilts.steps.perturb import publish, rate_row
from xstilts.steps.prepare import read_rows
from xstilts.tasks.rows import Row


class Pair(Step):
    """Find the clean row of each noisy one. Rows without one are left out, and counted."""

    kind: ClassVar[str] = "Pair"

    task: str
    shape: str
    data: tuple[tuple[str, str], ...]
    """(language, key of the step that gives its clean rows)."""
    stop: int | None = None
    """Clean rows that are evaluated: the first of the fixed random order."""
    noisy: tuple[tuple[str, str], ...]
    """(language, key of the step that gives its noisy rows)."""
    by: By = "text"
    """`id`, `order` or `text`, see `perturb.own.pair_rows`."""

    def inputs(self) -> tuple[str, ...]:
        """Both sets of rows."""
        return tuple(key for _, key in (*self.data, *self.noisy))

    def run(self, work: Work) -> None:
        """Writes what `Perturb` writes; ids are those of the clean rows. Raises `StepFailed` where no row pairs."""
        clean_keys = dict(self.data)
        found: list[Row] = []
        rates: list[dict[str, Any]] = []
        work.notes["paired"] = {}
        for done, (language, key) in enumerate(self.noisy, start=1):
            # paired among all clean rows: the nearest of a sample need not be the right one
            clean = read_rows(work.store, (clean_keys[language],))
            evaluated = {row["id"] for row in read_rows(work.store, (clean_keys[language],), 0, self.stop)}
            noisy = read_rows(work.store, (key,))
            pairs = pair_rows(clean, noisy, self.shape, by=self.by)
            work.notes["paired"][language] = {"noisy": len(noisy), "paired": len(pairs)}
            for pair in pairs:
                if pair.row["id"] in evaluated:
                    found.append(pair.row)
                    rates.append(rate_row(language, pair.row, pair.reached))
            work.progress(done, len(self.noisy))
        if not found:
            raise StepFailed(f"no row of the noisy {self.task} was found among the clean rows that are evaluated")
        work.notes["examples"] = len(found)
        publish(work.out, self.shape, found, rates)
