"""When a training has gone wrong without breaking: a stated rule, so that a collapsed run is marked, never averaged
in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ROWS = 200
"""Training rows whose answers are looked at."""
RISE = 1.5
"""A loss that ends at this multiple of where it began has diverged."""
STEPS = 5
"""Steps at least whose mean loss is looked at: single batches differ by more than that."""

RULE = (
    "A training is degenerate when it diverged (a loss is not finite, or the mean loss of the last tenth of the "
    f"steps on one head, {STEPS} at least, is at least {RISE:g} times that of the first) or collapsed (it gives one "
    f"and the same answer to all of up to {ROWS} rows it was trained on, or one and the same tag to all their tokens, "
    "where the gold has several)."
)


def diverged(losses: Sequence[float]) -> str:
    """What is wrong with the losses of one head in the order of its steps; empty where nothing is, or where they are
    too few to tell."""
    count = max(STEPS, len(losses) // 10)
    if len(losses) < 2 * count:
        return ""
    first, last = (sum(part) / count for part in (losses[:count], losses[-count:]))
    return f"diverged: the loss rose from {first:.3g} to {last:.3g}" if last >= RISE * first else ""


def collapsed(answers: Sequence[Any], golds: Sequence[Any]) -> str:
    """What is wrong with answers to rows that were trained on; empty where nothing is.

    Answers that are lists (tags of a sentence, arcs of a tree) count by element; golds may be lists of accepted
    answers, of which the first counts where answers are not lists.
    """
    given, wanted = _units(answers), _units(golds) if answers and isinstance(answers[0], list) else [
        gold[0] if isinstance(gold, list) and gold else gold for gold in golds
    ]  # fmt: skip
    kinds = {repr(gold) for gold in wanted}
    if len(given) > 1 and len(kinds) > 1 and len({repr(answer) for answer in given}) == 1:
        looked_at = f"all {len(given)} rows or tokens looked at"
        return f"collapsed: {given[0]!r} for {looked_at}, where the gold has {len(kinds)} kinds"
    return ""


def _units(answers: Sequence[Any]) -> list[Any]:
    return [unit for answer in answers for unit in (answer if isinstance(answer, list) else [answer])]
