"""Scores that foretell, without training a target, how well an encoder or a task will serve it. numpy alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDS = 1000
_TOLERANCE = 1e-9
"""Relative change of alpha / beta at which the fixed point counts as reached; the evidence is flat there."""
_WIDEST = 1e12
"""How far alpha / beta may go from the largest squared singular value: where features say nothing of a label (alpha
without bound) or all of it (beta without bound) the evidence has no maximum inside."""


def logme(features: NDArray[np.floating], labels: Sequence[object]) -> float:
    """The logarithm of the maximum evidence of `labels` [n] given `features` [n, d], per example.

    Each label against the rest is a vector y of 0 and 1 with y ~ N(F w, 1 / beta), w ~ N(0, 1 / alpha); the score is
    the mean over labels of max over alpha, beta of log p(y | F) / n (You et al. 2021, arXiv 2102.11005; the
    fixed point on a decomposition of F is that of You et al. 2022, arXiv 2110.10545). In nats; higher
    is better; comparable only between features of the same examples. It does not change when features are rotated,
    permuted or scaled together, nor with the names of labels.

    Raises `ValueError` for no example, another number of labels than of rows, features that are not finite, or fewer
    than two labels.
    """
    matrix = np.asarray(features, dtype=np.float64)
    if matrix.ndim != 2 or not len(matrix) or len(matrix) != len(labels):
        raise ValueError(f"features [n, d] and n labels are needed, not {matrix.shape} and {len(labels)}")
    if not np.isfinite(matrix).all():
        raise ValueError("features are not finite")
    names = {label: k for k, label in enumerate(dict.fromkeys(labels))}
    if len(names) < 2:
        raise ValueError("labels that are all alike cannot be told apart")
    y = np.zeros((len(matrix), len(names)))
    y[np.arange(len(y)), [names[label] for label in labels]] = 1.0
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    kept = singular > singular[0] * len(matrix) * np.finfo(np.float64).eps
    if not kept.any():
        raise ValueError("features are all 0")
    inside = (left[:, kept].T @ y) ** 2
    # rounding alone must not make labels exactly linear in the features
    outside = np.maximum((y**2).sum(axis=0) - inside.sum(axis=0), len(y) * np.finfo(np.float64).eps)
    return float(_maximum_evidence(singular[kept] ** 2, inside, outside, len(y)).mean() / len(y))


def _maximum_evidence(variances: Floats, inside: Floats, outside: Floats, n: int) -> Floats:
    """log p(y | F) [labels] at its maximum over alpha and beta.

    `variances` [r] are the squared singular values of F; `inside` [r, labels] the squares of y along the left singular
    vectors, `outside` [labels] the sum of squares of what is left of it. MacKay's update is
    gamma = sum s / (s + t), alpha = gamma / |m|^2, beta = (n - gamma) / |y - F m|^2 with t = alpha / beta and m the
    posterior mean of w. Only t need be followed: the best beta for a given t has a closed form.
    """
    s = variances[:, None]
    ratio = np.ones(inside.shape[1]) * variances.mean()
    low, high = variances.max() / _WIDEST, variances.max() * _WIDEST
    for _ in range(_ROUNDS):
        gamma = (s / (s + ratio)).sum(axis=0)
        weights = (s * inside / (s + ratio) ** 2).sum(axis=0)
        rest = (inside * (ratio / (s + ratio)) ** 2).sum(axis=0) + outside
        alpha, beta = gamma / np.maximum(weights, np.finfo(np.float64).tiny), np.maximum(n - gamma, 0) / rest
        previous, ratio = ratio, np.clip(alpha / np.maximum(beta, np.finfo(np.float64).tiny), low, high)
        if np.all(np.abs(ratio - previous) <= _TOLERANCE * previous):
            break
    # y ~ N(0, (1 + s / t) / beta) along the singular vectors, N(0, 1 / beta) elsewhere
    spread = 1 + s / ratio
    beta = n / ((inside / spread).sum(axis=0) + outside)
    evidence: Floats = -0.5 * (n * (np.log(2 * np.pi) + 1 - np.log(beta)) + np.log(spread).sum(axis=0))
    return evidence


def similarity(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """The cosine of two vectors [d], the mean embeddings of two tasks' texts: from -1 to 1, higher is more alike.

    The text embedding of Vu et al. 2020 (arXiv 2005.00770, section 3.1), which Poth et al. 2021 (arXiv 2104.08247)
    take from a sentence encoder. Raises `ValueError` for vectors of different sizes or of length 0.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"two vectors of one size are needed, not {first.shape} and {second.shape}")
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    if not lengths > 0:
        raise ValueError("a vector of length 0 has no direction")
    return float(np.clip(first @ second / lengths, -1.0, 1.0))
