"""How much of a text was changed, and the loop that changes as much as was asked for.

rate = Levenshtein distance between the units of the text before and after / units before that are not white space.
Distances come from rapidfuzz. White space is not counted below, since its share differs from script to script, but
losing it is an edit. Both numbers are kept, as a corpus' rate is a ratio of sums.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from xstilts.perturb.units import Change, Unit, clusters, is_space, split


class Reached(NamedTuple):
    """What was done to one text or row."""

    edits: int
    """Levenshtein distance, in units."""
    units: int
    """Units of the original that are not white space."""

    @property
    def rate(self) -> float:
        """Edits per unit; 0 for a text without units. More than 1 where more was inserted than there was."""
        return self.edits / self.units if self.units else 0.0

    @staticmethod
    def total(parts: Sequence[Reached]) -> Reached:
        """Of several texts together."""
        return Reached(sum(part.edits for part in parts), sum(part.units for part in parts))


def distance(before: Sequence[str], after: Sequence[str], unit: Unit) -> int:
    """Levenshtein distance in units. Between words, white space is no unit: losing a word loses one of its spaces."""
    from rapidfuzz.distance import Levenshtein  # not above: planning must not pay for it

    if unit == "word":
        before = [word for word in before if not is_space(word)]
        after = [word for word in after if not is_space(word)]
    return int(Levenshtein.distance(before, after))


def realised(before: str, after: str, unit: Unit) -> Reached:
    """What lies between two texts, however it came about (a person's own noisy test set, say)."""
    units = split(before, unit)
    return Reached(distance(units, split(after, unit), unit), size(units))


def size(units: Sequence[str]) -> int:
    """Units that are not white space."""
    return sum(not is_space(unit) for unit in units)


class Draft:
    """Units, of which some are changed. Each original unit has a slot, which holds what it became."""

    def __init__(self, units: Sequence[str], frozen: Sequence[bool], groups: Sequence[int]) -> None:
        """`frozen`: units that must stay; `groups`: which units belong together and may not all be lost (a token)."""
        self.before, self.frozen, self.groups = units, frozen, groups
        self.slots: list[tuple[str, ...]] = [(unit,) for unit in units]
        self.touched = [False] * len(units)
        self.alive = Counter(group for unit, group in zip(units, groups, strict=True) if not is_space(unit))

    def take(self, change: Change) -> bool:
        """Make the change, unless it meets a frozen or changed unit, empties a group, or joins or breaks clusters."""
        span = range(change.start, change.stop)
        if any(self.frozen[i] or self.touched[i] for i in span) or not self._whole(change):
            return False
        lost = self._lost(change)
        if lost and any(self.alive[group] - count < 1 for group, count in lost.items()):
            return False
        self.alive.subtract(lost)
        self._put(change, True)
        return True

    def undo(self, change: Change) -> None:
        """Back to the original units."""
        self.alive.update(self._lost(change))
        self._put(Change(change.start, change.stop, tuple(self.before[change.start : change.stop])), False)

    def units(self) -> list[str]:
        """The units as they are now."""
        return [unit for slot in self.slots for unit in slot]

    def distance(self, unit: Unit) -> int:
        """Levenshtein distance from the original, in units."""
        return distance(self.before, self.units(), unit)

    def _put(self, change: Change, touched: bool) -> None:
        for i in range(change.start, change.stop):
            self.slots[i], self.touched[i] = (), touched
        if change.stop - change.start == len(change.new):
            for i, unit in enumerate(change.new, start=change.start):
                self.slots[i] = (unit,)
        else:
            self.slots[change.start] = change.new

    def _lost(self, change: Change) -> Counter[int]:
        if size(change.new):
            return Counter()
        span = range(change.start, change.stop)
        return Counter(self.groups[i] for i in span if not is_space(self.before[i]))

    def _whole(self, change: Change) -> bool:
        """Whether the units around and in the change are still whole clusters when joined.

        It is enough to look at the neighbours: where a cluster ends depends on what precedes it only from its own
        start, and those further off follow what they followed before.
        """
        left, right = change.start - 1, change.stop
        while left >= 0 and not self.slots[left]:
            left -= 1
        while right < len(self.slots) and not self.slots[right]:
            right += 1
        parts = [*(self.slots[left][-1:] if left >= 0 else ()), *change.new,
                 *(self.slots[right][:1] if right < len(self.slots) else ())]  # fmt: skip
        return clusters("".join(parts)) == [cluster for part in parts for cluster in clusters(part)]


def realise(
    draft: Draft, candidates: Sequence[Change], unit: Unit, rate: float, rng: random.Random
) -> tuple[list[Change], Reached]:
    """Change `draft` until its rate is as near to `rate` as one edit allows; what was changed, and what was reached.

    Candidates are tried in an order drawn by `rng`. The edit that would pass the rate is made with the probability at
    which the expected number of edits is the one asked for, so that rounding cancels out over a corpus. A text without
    room for the rate is changed as far as candidates go.
    """
    units = size(draft.before)
    wanted = rate * units
    order = list(candidates)
    rng.shuffle(order)
    lot = rng.random()
    taken: list[Change] = []
    edits, bound = 0, 0  # as last measured; what it can be at most now
    for change in order:
        if edits >= wanted:
            break
        if not draft.take(change):
            continue
        if bound + change.cost <= wanted:  # cannot have passed it: no need to measure
            taken.append(change)
            bound += change.cost
            continue
        now = draft.distance(unit)
        if now <= wanted:
            taken.append(change)
            edits = bound = now
            continue
        draft.undo(change)
        edits = bound = draft.distance(unit)
        if lot * (now - edits) < wanted - edits:
            draft.take(change)
            taken.append(change)
        break
    return taken, Reached(draft.distance(unit), units)
