"""Scores of transferability are what their papers define."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from xstilts.analysis.transferability import logme, similarity


def sample(seed: int, n: int = 30, d: int = 5, classes: int = 3, signal: float = 1.0) -> tuple[Any, list[str]]:
    """Features [n, d] in which each class has a centre of its own, `signal` away from the others."""
    rng = np.random.default_rng(seed)
    labels = [int(i) for i in rng.permutation(np.arange(n) % classes)]
    centres = rng.normal(size=(classes, d)) * signal
    return rng.normal(size=(n, d)) + centres[labels], [f"class {i}" for i in labels]


def direct(features: Any, labels: list[str]) -> float:
    """LogME by its definition: the density of each one-vs-rest vector, maximised over log alpha and log beta."""
    n, found = len(features), []
    for name in set(labels):
        y = np.array([label == name for label in labels], dtype=float)

        def negative(logs: Any, y: Any = y) -> float:
            alpha, beta = np.exp(np.clip(logs, -25, 25))
            covariance = np.eye(n) / beta + features @ features.T / alpha
            return -float(multivariate_normal.logpdf(y, np.zeros(n), covariance))

        starts = [(a, b) for a in (0.0, 3.0) for b in (0.0, 3.0)]
        found.append(max(-minimize(negative, start, method="Nelder-Mead", tol=1e-9).fun for start in starts))
    return float(np.mean(found)) / n


@pytest.mark.parametrize(("n", "d"), [(30, 5), (12, 20), (20, 20)])
@pytest.mark.parametrize("signal", [0.5, 2.0])
def test_logme_is_the_maximum_of_the_evidence(n: int, d: int, signal: float) -> None:
    """The fixed point finds what a direct search over alpha and beta finds, with more features than examples too."""
    features, labels = sample(n + d, n, d, signal=signal)
    assert logme(features, labels) == pytest.approx(direct(features, labels), abs=2e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_logme_ignores_names_orders_and_scale(seed: int, scale: float) -> None:
    """Permuting features or examples, renaming labels, rotating or scaling all features changes nothing."""
    features, labels = sample(seed, d=8)
    rng = np.random.default_rng(seed)
    columns, rows = rng.permutation(8), rng.permutation(len(labels))
    rotation, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    changed = (features[:, columns] @ rotation * scale)[rows]
    renamed = [{"class 0": 7, "class 1": "b", "class 2": None}[labels[i]] for i in rows]
    assert logme(changed, renamed) == pytest.approx(logme(features, labels), abs=1e-6)


def test_separable_features_score_above_random_ones() -> None:
    """The further apart the classes lie, the higher the score; permuted labels score lowest."""
    found = [logme(*sample(3, n=120, signal=signal)) for signal in (0.0, 1.0, 5.0)]
    features, labels = sample(3, n=120, signal=5.0)
    shuffled = logme(features, list(np.random.default_rng(0).permutation(labels)))
    assert found == sorted(found) and shuffled < found[1]


def test_labels_that_are_linear_in_the_features_have_a_finite_score() -> None:
    """Features that are the labels themselves, whose evidence has no bound, score high and finite."""
    features, labels = sample(1)
    exact = np.eye(3)[[int(label[-1]) for label in labels]]
    assert logme(features, labels) < logme(exact, labels) < np.inf


@pytest.mark.parametrize(
    ("features", "labels", "said"),
    [
        (np.ones((3, 2)), [1, 2], "n labels"),
        (np.ones((3, 2)), [1, 1, 1], "all alike"),
        (np.zeros((2, 2)), [1, 2], "all 0"),
        (np.array([[1.0], [np.nan]]), [1, 2], "not finite"),
    ],
)
def test_what_has_no_evidence_is_refused(features: Any, labels: list[int], said: str) -> None:
    """Nothing is made up where a score means nothing."""
    with pytest.raises(ValueError, match=said):
        logme(features, labels)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=9), st.floats(0.1, 10))
def test_similarity_is_symmetric_and_ignores_length(pairs: list[tuple[float, float]], scale: float) -> None:
    """The cosine is the same both ways, for longer vectors, and 1 with itself."""
    a, b = np.array(pairs).T + [[0.5], [0.25]]
    if not (np.linalg.norm(a) > 1e-6 and np.linalg.norm(b) > 1e-6):
        return
    assert similarity(a, b) == pytest.approx(similarity(b, a * scale), abs=1e-9)
    assert similarity(a, a) == pytest.approx(1) and -1 <= similarity(a, b) <= 1


def test_similarity_of_nothing_is_refused() -> None:
    """A vector without direction or of another size has no cosine."""
    with pytest.raises(ValueError, match="length 0"):
        similarity(np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="one size"):
        similarity(np.ones(2), np.ones(3))
