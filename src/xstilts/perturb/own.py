"""A person's own noisy test set in the place of a generated perturbation: which clean row each noisy row stands for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xstilts.errors import UserError
from xstilts.perturb.rate import Reached, realised
from xstilts.tasks.rows import Row

By = Literal["id", "order", "text"]

_TEXTS = {"classify": ("text_a", "text_b"), "tag": ("tokens",), "features": ("tokens",), "parse": ("tokens",),
          "span": ("question", "context"), "choice": ("prompt", "choices"), "retrieve": ("text",),
          "mine": ("text",)}  # fmt: skip
_GOLD = {"classify": ("label",), "tag": ("tags",), "features": ("tags",), "parse": ("heads", "relations"),
         "span": ("answers",), "choice": ("label",), "retrieve": ("english",), "mine": ("gold",)}  # fmt: skip
ALIKE = 70.0
"""The least similarity of texts that are paired, in per cent of the characters kept (rapidfuzz's `ratio`). Real typos
in one word of ten are near 97, different sentences near 40."""
_CHUNK = 512
"""Noisy rows that are compared with all clean ones at once: 10 MB of similarities at 5,000 rows."""
_NEAREST = 20
"""Clean rows kept as possible partners of a noisy one."""


class Pair(NamedTuple):
    """A noisy row and the clean row it stands for."""

    clean: int
    """Index of the clean row."""
    row: Row
    """The noisy row, with the clean row's id."""
    reached: Reached
    """Edits over characters between both, as generated perturbations of characters count them."""


def pair_rows(clean: Sequence[Row], noisy: Sequence[Row], shape: str, by: By = "text") -> list[Pair]:
    """Pair every noisy row with its clean one, in the order of the clean rows.

    - `id`: the same id; every noisy id must be a clean one, and have the same gold.
    - `order`: as many rows, the same gold row by row.
    - `text`: the most similar texts, one to one, among rows of the same gold; similarities under `ALIKE` are no pair,
      so that rows may be left over on both sides. Of all pairs the most similar is taken first (ties by order), which
      is not the best assignment over all but differs from it only among near-duplicates.

    Similarity is rapidfuzz's `ratio` over the texts joined: the share of characters kept. Raises `UserError` for other
    shapes, for gold that differs, for ids that are not there or repeat, and where no row finds its like.
    """
    if shape not in _TEXTS:
        raise UserError(f"rows of shape {shape} are not evaluated", remedy="known: " + ", ".join(sorted(_TEXTS)))
    finders: dict[By, Callable[..., Sequence[int | None]]] = {"id": _by_id, "order": _by_order, "text": _by_text}
    places = finders[by](clean, noisy, shape)
    for there, row in zip(places, noisy, strict=True):
        if there is not None and _gold(row, shape) != _gold(clean[there], shape):
            raise UserError(f"the noisy row {row['id']!r} has other gold than the clean row {clean[there]['id']!r}",
                            remedy="pair them by text")  # fmt: skip
    pairs = [Pair(there, {**row, "id": clean[there]["id"]}, _reached(clean[there], row, shape))
             for there, row in zip(places, noisy, strict=True) if there is not None]  # fmt: skip
    if not pairs:
        raise UserError(f"none of {len(noisy):,} noisy rows is like a clean row of the same gold",
                        remedy="are these the same data set, split and language?")  # fmt: skip
    return sorted(pairs, key=lambda pair: pair.clean)


def _by_id(clean: Sequence[Row], noisy: Sequence[Row], shape: str) -> list[int]:
    where = {row["id"]: i for i, row in enumerate(clean)}
    seen: set[str] = set()
    for row in noisy:
        if row["id"] not in where or row["id"] in seen:
            fault = "repeats" if row["id"] in seen else "is not among the clean rows"
            raise UserError(f"the id {row['id']!r} of a noisy row {fault}", remedy="pair them by text")
        seen.add(row["id"])
    return [where[row["id"]] for row in noisy]


def _by_order(clean: Sequence[Row], noisy: Sequence[Row], shape: str) -> list[int]:
    if len(clean) != len(noisy):
        raise UserError(f"{len(noisy):,} noisy rows for {len(clean):,} clean ones", remedy="pair them by text")
    return list(range(len(clean)))


def _by_text(clean: Sequence[Row], noisy: Sequence[Row], shape: str) -> list[int | None]:
    groups: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((clean, noisy)):
        for i, row in enumerate(rows):
            groups[_gold(row, shape)][side].append(i)
    texts = ["\n".join(_texts(row, shape)) for row in clean]
    found: list[int | None] = [None] * len(noisy)
    for ones, others in groups.values():
        links = sorted(_links([texts[i] for i in ones], ["\n".join(_texts(noisy[k], shape)) for k in others]))
        taken: set[int] = set()
        for _, k, i in links:
            if found[others[k]] is None and i not in taken:
                found[others[k]] = ones[i]
                taken.add(i)
    return found


def _links(clean: Sequence[str], noisy: Sequence[str]) -> Iterator[tuple[float, int, int]]:
    """(-similarity, noisy, clean) of the nearest clean texts of each noisy one."""
    from rapidfuzz import fuzz, process  # not above: planning must not pay for it

    if not clean:
        return
    for start in range(0, len(noisy), _CHUNK):
        scores: NDArray[np.float32] = process.cdist(
            noisy[start : start + _CHUNK], clean, scorer=fuzz.ratio, score_cutoff=ALIKE, dtype=np.float32, workers=1
        )
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, :_NEAREST]
        for k, row in enumerate(nearest):
            for i in row:
                if scores[k, i] > 0:
                    yield -float(scores[k, i]), start + k, int(i)


def _texts(row: Row, shape: str) -> list[str]:
    """The text fields of a row, one string each."""
    values: list[Any] = [row[field] for field in _TEXTS[shape] if row[field] is not None]
    return [" ".join(value) if isinstance(value, list) else str(value) for value in values]


def _gold(row: Row, shape: str) -> str:
    return repr([row[field] for field in _GOLD[shape]])


def _reached(clean: Row, noisy: Row, shape: str) -> Reached:
    both = zip(_texts(clean, shape), _texts(noisy, shape), strict=True)
    return Reached.total([realised(before, after, "character") for before, after in both])
