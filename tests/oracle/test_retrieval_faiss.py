"""Nearest neighbours are those of faiss's exact index."""

from __future__ import annotations

import numpy as np
import pytest

from xstilts.retrieval.topk import topk, topk_both
from xstilts.training.forward import settle


@pytest.mark.parametrize(
    ("n", "m", "width", "k", "block"),
    [(500, 700, 64, 4, 128), (300, 1000, 384, 10, 2048), (1000, 1000, 384, 1, 2048), (2500, 4500, 96, 4, 2048)],
)
def test_neighbours_equal_those_of_faiss(n: int, m: int, width: int, k: int, block: int) -> None:
    """Scores within 1e-5, both ways; the same neighbours wherever the next score is farther than that."""
    faiss = pytest.importorskip("faiss")
    settle()
    rng = np.random.default_rng(7)
    left, right = (rng.normal(size=(count, width)).astype(np.float32) + 0.3 for count in (n, m))
    left, right = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (left, right))
    both = topk_both(left, right, k, block)
    for found, queries, database in (
        (topk(left, right, k, block), left, right), (both[0], left, right), (both[1], right, left)
    ):  # fmt: skip
        index = faiss.IndexFlatIP(width)
        index.add(database)
        scores, indices = index.search(queries, k + 1)  # one more: the last of k may be tied with it
        np.testing.assert_allclose(found.scores, scores[:, :k], rtol=0, atol=1e-5)
        gaps = -np.diff(scores, axis=1) > 1e-5
        clear = gaps & np.c_[np.ones(len(gaps), dtype=bool), gaps[:, :-1]]
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(found.indices[clear], indices[:, :k][clear])
