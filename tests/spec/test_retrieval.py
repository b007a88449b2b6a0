"""Nearest neighbours and bitext mining: exact, in bounded memory, the same however they are cut into blocks."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xstilts.errors import StepFailed
from xstilts.retrieval import vectors
from xstilts.retrieval.mining import Pairs, best_threshold, distinct, match, mine
from xstilts.retrieval.topk import Neighbours, topk, topk_both
from xstilts.retrieval.vectors import Selected, Vectors, allocate, matrix_of
from xstilts.training.forward import settle


@pytest.fixture(autouse=True)
def as_in_a_step() -> None:
    settle()


def grid(n: int, width: int, seed: int) -> NDArray[np.float32]:
    """Vectors whose products are exact in float32 in any order of summation, with many ties."""
    return np.random.default_rng(seed).integers(-2, 3, size=(n, width)).astype(np.float32) / 4


def unit(n: int, width: int, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(n, width))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def brute(queries: NDArray[np.float32], database: NDArray[np.float32], k: int) -> Neighbours:
    """All products, sorted: the greatest first, of equals the lowest index."""
    similarity = queries @ database.T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return Neighbours(np.take_along_axis(similarity, order, 1), order)


def brute_mine(left: NDArray[np.float32], right: NDArray[np.float32], k: int) -> list[tuple[int, int, float]]:
    """The definition, pair by pair: ratio margins of neighbours, then the best pair whose sentences are both free."""
    cosine = left.astype(float) @ right.astype(float).T
    near_left = [sorted(range(len(right)), key=lambda j: (-cosine[i, j], j))[:k] for i in range(len(left))]
    near_right = [sorted(range(len(left)), key=lambda i: (-cosine[i, j], i))[:k] for j in range(len(right))]

    def margin(i: int, j: int) -> float:
        mean_left = sum(cosine[i, b] for b in near_left[i]) / len(near_left[i])
        mean_right = sum(cosine[a, j] for a in near_right[j]) / len(near_right[j])
        background = (mean_left + mean_right) / 2
        return float(cosine[i, j] / background) if background > 0 else float("-inf")

    proposals = [(i, max(near_left[i], key=lambda j: margin(i, j))) for i in range(len(left))]
    proposals += [(max(near_right[j], key=lambda i: margin(i, j)), j) for j in range(len(right))]
    chosen: list[tuple[int, int, float]] = []
    for i, j in sorted(proposals, key=lambda pair: -margin(*pair)):
        if all(i != a and j != b for a, b, _ in chosen):
            chosen.append((i, j, margin(i, j)))
    return [pair for pair in chosen if pair[2] > 0]


def whole(matrix: NDArray[np.float32]) -> Selected:
    return Selected(matrix, np.arange(len(matrix)))


def triples(pairs: Pairs) -> list[tuple[int, int, float]]:
    return [(int(a), int(b), pytest.approx(float(score))) for a, b, score in zip(*pairs, strict=True)]


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 30), m=st.integers(0, 30), width=st.integers(1, 6), k=st.integers(1, 40),
    block=st.integers(1, 40), seed=st.integers(0, 9999),
)  # fmt: skip
def test_neighbours_are_those_of_the_whole_matrix(n: int, m: int, width: int, k: int, block: int, seed: int) -> None:
    """In blocks of any size, both ways, with more neighbours asked for than there are: what sorting all products
    gives, of equal ones the lowest index first."""
    left, right = grid(n, width, seed), grid(m, width, seed + 1)
    forward, backward = topk_both(left, right, k, block)
    for found, expected in (
        (topk(left, right, k, block), brute(left, right, k)),
        (forward, brute(left, right, k)),
        (backward, brute(right, left, k)),
    ):
        assert found.scores.dtype == np.float32 and found.indices.dtype == np.int64
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.indices, expected.indices)


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 150), m=st.integers(1, 150), copies=st.integers(2, 4), k=st.integers(1, 9),
    block=st.sampled_from([16, 33, 64, 2048]), seed=st.integers(0, 9999),
)  # fmt: skip
def test_of_equals_the_lowest_index_comes_first(n: int, m: int, copies: int, k: int, block: int, seed: int) -> None:
    """At real widths and over many blocks too: of every vector there are copies, and they come in ascending order."""
    left, right = grid(n, 64, seed), np.tile(grid(m, 64, seed + 1), (copies, 1))
    forward, backward = topk_both(left, right, k, block)
    for found, expected in ((forward, brute(left, right, k)), (backward, brute(right, left, k))):
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(topk(left, right, k, block).indices, forward.indices)
    tied = forward.scores[:, 1:] == forward.scores[:, :-1]
    assert (np.diff(forward.indices)[tied] > 0).all()


@pytest.mark.parametrize("block", [32, 2048])
def test_vectors_of_any_memory_are_read_and_none_is_changed(block: int) -> None:
    """Every second row of an array, its rows backwards, a read-only array and rows picked from one have the neighbours
    that a plain array has; afterwards the vectors are what they were."""
    left, right = unit(70, 48, 1), unit(90, 48, 2)
    expected = topk_both(left.copy(), right.copy(), 3, block)
    striped = np.repeat(right, 2, axis=0)[::2]
    backwards = right[::-1].copy()[::-1]
    locked = right.copy()
    locked.setflags(write=False)
    picked = Selected(backwards.base, np.arange(len(right))[::-1])  # type: ignore[arg-type]
    for form in (right, striped, backwards, locked, picked):
        for found, plain in zip(topk_both(left, form, 3, block), expected, strict=True):
            np.testing.assert_array_equal(found.indices, plain.indices)
            np.testing.assert_array_equal(found.scores, plain.scores)
        np.testing.assert_array_equal(form[slice(None)], right)
    np.testing.assert_array_equal(left, unit(70, 48, 1))


def test_torch_without_onednn_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch was built without it, the products are those of its own multiplication."""
    import torch

    left, right = unit(90, 96, 1), unit(130, 96, 2)
    expected = topk(left, right, 5, 64)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    found = topk(left, right, 5, 64)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=5e-7)


@settings(max_examples=30, deadline=None)
@given(block=st.integers(7, 200), seed=st.integers(0, 9999))
def test_blocks_change_at_most_the_rounding_of_a_score(block: int, seed: int) -> None:
    """Scores of unit vectors of real width are the same in any blocks but for the rounding of one sum, and a pair's
    is the same number in both directions."""
    left, right = unit(90, 96, seed), unit(130, 96, seed + 1)
    forward, backward = topk_both(left, right, 5, block)
    np.testing.assert_allclose(forward.scores, brute(left, right, 5).scores, rtol=0, atol=5e-7)
    np.testing.assert_allclose(backward.scores, brute(right, left, 5).scores, rtol=0, atol=5e-7)
    there = {(i, j): forward.scores[i, c] for (i, c), j in np.ndenumerate(forward.indices)}
    back = {(i, j): backward.scores[j, c] for (j, c), i in np.ndenumerate(backward.indices)}
    both = there.keys() & back.keys()
    assert len(both) > 50 and all(there[pair] == back[pair] for pair in both)


def test_working_memory_does_not_grow_with_the_vectors(tmp_path: Path) -> None:
    """Twice the vectors of a mapped file need no more memory but for the neighbours themselves, far from the product
    of all; rows are read from the file as they are needed."""
    import torch

    peaks = []
    for n in (1_000, 2_000):
        path = tmp_path / f"{n}"
        unit(n, 32, 1).tofile(path)
        mapped = np.memmap(path, dtype=np.float32, mode="r", shape=(n, 32))
        with torch.profiler.profile(profile_memory=True) as profile:
            tracemalloc.start()
            topk_both(mapped, mapped, 4, block=100)
            arrays = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        held, most = 0, 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == "[memory]":
                held += event.nbytes()
                most = max(most, held)
        peaks.append((arrays, most))
        assert most < 4 * 100 * (2 * 100 + 4 * 32 + 32 * 4) + 2 * n * 4 * 12
    assert peaks[1][1] - peaks[0][1] <= 2 * 1_000 * 4 * 12 + 10_000
    assert peaks[1][0] < 2 * peaks[0][0] + 100_000 < 2_000 * 2_000


@pytest.mark.parametrize("place", [0, 33, 49])
def test_a_vector_that_is_not_a_number_is_refused(place: int) -> None:
    """A broken encoder fails the step, whichever side it is on; its neighbours would be anything."""
    broken = unit(50, 8, 1)
    broken[place, 2] = np.nan
    for sides in ((unit(20, 8, 2), broken), (broken, unit(20, 8, 2))):
        with pytest.raises(StepFailed, match="not a number"):
            topk(*sides, 2, block=10)


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(1, 14), m=st.integers(1, 14), k=st.integers(1, 6), block=st.integers(1, 20), seed=st.integers(0, 9999)
)
def test_mining_is_its_definition(n: int, m: int, k: int, block: int, seed: int) -> None:
    """Pairs and margins are those of the definition worked out pair by pair."""
    # cosines above 0: a background near 0 would magnify the rounding of float32
    left, right = np.abs(unit(n, 3, seed)), np.abs(unit(m, 3, seed + 1))
    texts = [str(i) for i in range(n)], [str(j) for j in range(m)]
    found = mine(whole(left), whole(right), *texts, k, block)
    assert triples(found) == brute_mine(left, right, k)


def test_pairs_are_one_to_one_and_best_first() -> None:
    """No sentence is in two pairs; margins are positive and descend."""
    found = mine(whole(unit(300, 8, 1)), whole(unit(200, 8, 2)), *(list(map(str, range(n))) for n in (300, 200)), 4)
    assert 50 < len(found.left) == len(set(found.left)) == len(set(found.right)) <= 200
    assert (found.scores > 0).all() and (np.diff(found.scores) <= 0).all()


def test_a_margin_without_a_positive_background_is_no_pair() -> None:
    """Two sentences that point away from all others do not become a pair because two negatives divide to a great
    number."""
    left, right = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[-1.0, 0.0]], dtype=np.float32)
    assert not len(mine(whole(left), whole(right), ["a"], ["b"], 4).left)


def test_a_repeated_text_is_mined_once_and_its_pair_dropped() -> None:
    """Copies of a text do not crowd its neighbourhood, and a pair with it is given up: its id is ambiguous."""
    left, right = unit(6, 8, 1), unit(6, 8, 1)
    copies = Selected(left, np.array([0, 1, 1, 1, 1, 2, 3, 4, 5]))
    texts = ["a", "b", "b", "b", "b", "c", "d", "e", "f"]
    found = mine(copies, whole(right), texts, list("ABCDEF"), 2)
    single = mine(whole(left), whole(right), list("abcdef"), list("ABCDEF"), 2)
    assert {0, 5, 6, 7, 8} == set(found.left.tolist())
    assert {(b, s) for _, b, s in zip(*found, strict=True)} == {
        (b, s) for _, b, s in zip(*single, strict=True) if b != 1
    }


def test_distinct_texts_are_named_by_their_first_place() -> None:
    """Each text once, at its first place, and whether that is its only one."""
    first, single = distinct(["x", "y", "x", "z", "y", "x"])
    assert first.tolist() == [0, 1, 3] and single.tolist() == [False, False, True]
    assert [part.tolist() for part in distinct([])] == [[], []]


def test_an_empty_side_has_no_pairs() -> None:
    """Without sentences on one side nothing is mined."""
    none = Selected(unit(3, 4, 1), np.zeros(0, dtype=np.int64))
    assert not len(mine(none, whole(unit(3, 4, 1)), [], list("abc"), 4).left)


def test_equal_margins_are_matched_in_a_fixed_order() -> None:
    """Of equal margins the lower left index comes first."""
    same = np.ones((3, 2), dtype=np.float32)
    found = match(*topk_both(same, same, 2, 2))
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True))[0] == (0, 0)
    assert found.scores.tolist() == [1.0] * len(found.scores)


SCORES = st.lists(
    st.tuples(st.sampled_from([0.5, 0.9, 1.0, np.nextafter(1.0, 2), 1.1, 1.3, 2.0]), st.booleans()), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(candidates=SCORES, missed=st.integers(0, 5))
def test_no_threshold_is_better_than_the_best(candidates: list[tuple[float, bool]], missed: int) -> None:
    """Keeping what reaches the threshold has the greatest F1 of all thresholds, and of those keeps the fewest."""
    scores, golds = [s for s, _ in candidates], [g for _, g in candidates]
    total = sum(golds) + missed

    def f1(threshold: float) -> float:
        kept = [gold for score, gold in candidates if score >= threshold]
        return 2 * sum(kept) / (len(kept) + total)

    if total == 0:
        with pytest.raises(ValueError, match="no gold pair"):
            best_threshold(scores, golds, total)
        return
    found = best_threshold(scores, golds, total)
    best = max([f1(threshold) for threshold in scores], default=0.0)
    assert f1(found) == best
    if best > 0:
        fewest = max(threshold for threshold in scores if f1(threshold) == best)
        assert [s >= found for s in scores] == [s >= fewest for s in scores]
        assert found <= fewest
    else:
        assert found == 0.0


def test_the_threshold_is_midway_to_the_next_score_and_the_last_candidate_may_be_the_best() -> None:
    """Midpoint between neighbouring scores; where the lowest candidate is worth keeping, its own score."""
    assert best_threshold([1.0, 1.5, 1.25], [False, True, True], 2) == 1.125
    assert best_threshold([1.5, 1.25, 1.0], [True, True, True], 3) == 1.0


def test_many_vectors_lie_in_a_file_and_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the stated size an array is a mapped file without a name; below it, plain memory. Both hold the same."""
    monkeypatch.setattr(vectors, "MOST_IN_MEMORY", 4 * 10 * 8)
    small, large = allocate(10, 8, tmp_path), allocate(11, 8, tmp_path)
    assert not isinstance(small, np.memmap) and isinstance(large, np.memmap)
    assert list(tmp_path.iterdir()) == []
    assert not large.any()
    large[:] = unit(11, 8, 1)
    np.testing.assert_array_equal(np.array(large), unit(11, 8, 1))


def test_a_full_disk_fails_the_step(tmp_path: Path) -> None:
    """Where the vectors do not fit on the disk the step fails with their size, before anything is computed."""
    with pytest.raises(StepFailed, match=r"no room for [\d.]+ GiB of vectors"):
        allocate(10**12, 768, tmp_path)


def test_outputs_of_fixed_size_read_like_a_list() -> None:
    """One array per feature with as many rows as it has sequences, and all of them as one matrix."""
    outputs, drawn = Vectors([2, 1, 2], 4), unit(5, 4, 1)
    parts = [drawn[:2], drawn[2:3], drawn[3:]]
    for i in (2, 0, 1):
        outputs[i] = parts[i]
    assert len(outputs) == 3 and [p.tolist() for p in outputs] == [p.tolist() for p in parts]
    np.testing.assert_array_equal(matrix_of(outputs), drawn)
    np.testing.assert_array_equal(matrix_of(parts), drawn)
