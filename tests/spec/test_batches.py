"""Which features go together."""

from __future__ import annotations

from itertools import islice, pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from xstilts.training.batches import evaluation_batches, training_batches

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=200)


@given(lengths=LENGTHS, size=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_feature_is_seen_once_per_epoch(lengths: list[int], size: int, seed: int) -> None:
    """An epoch has each feature once, in batches of at most the asked size."""
    per_epoch = -(-len(lengths) // size)
    # pools of 32 batches are cut one by one, so only their last batches may be short
    batches = training_batches(lengths, size, torch.Generator().manual_seed(seed))
    epoch = list(islice(batches, per_epoch))
    assert sorted(i for batch in epoch for i in batch) == list(range(len(lengths)))
    assert max(map(len, epoch)) <= size


def test_epochs_differ_and_seeds_decide() -> None:
    """Batches are shuffled anew each epoch; the same seed gives the same batches, another seed others."""
    lengths = [i % 17 + 1 for i in range(300)]

    def draw(seed: int, n: int) -> list[list[int]]:
        return list(islice(training_batches(lengths, 16, torch.Generator().manual_seed(seed)), n))

    assert draw(1, 38) == draw(1, 38)
    assert draw(1, 19) != draw(2, 19)
    assert {frozenset(b) for b in draw(1, 38)[:19]} != {frozenset(b) for b in draw(1, 38)[19:]}


@given(lengths=LENGTHS, tokens=st.integers(1, 500), padding=st.integers(0, 100))
def test_evaluation_batches_fit_the_budget_and_miss_nothing(lengths: list[int], tokens: int, padding: int) -> None:
    """Every feature once, longest first, at most `tokens` padded pieces unless one feature alone is longer, and at most
    `padding` pieces of padding; a batch is not cut before the next feature would be too much."""
    batches = list(evaluation_batches(lengths, tokens, padding))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    widths = [max(lengths[i] for i in batch) for batch in batches]
    assert widths == sorted(widths, reverse=True)
    assert all(width * len(batch) <= tokens or len(batch) == 1 for width, batch in zip(widths, batches, strict=True))

    def spare(batch: list[int]) -> int:
        return sum(lengths[batch[0]] - lengths[i] for i in batch)

    assert all(spare(batch) <= padding for batch in batches)
    for batch, after in pairwise(batches):
        more = [*batch, after[0]]
        assert lengths[batch[0]] * len(more) > tokens or spare(more) > padding
