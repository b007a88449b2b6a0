"""The best dependency tree under scores of single arcs: a maximum spanning arborescence with one root."""

from __future__ import annotations

from typing import Any

import numpy as np

Scores = np.ndarray[Any, np.dtype[np.float64]]
Nodes = np.ndarray[Any, np.dtype[np.intp]]


def best_tree(scores: Any) -> list[int]:
    """The head of each word (1-based, 0 for the root) in the best tree in which one word hangs on the root.

    `scores` is [words, words + 1], finite off the diagonal of self-loops: row i has the scores of the heads of
    word i + 1, column 0 is the root; a tree scores the sum of its arcs. Found by the algorithm of Chu and Liu (1965)
    and Edmonds (1967). That exactly one arc leaves the root is had by lowering all of the root's arcs by more than
    two trees can differ (Stanojević and Cohen 2021, "A root of a problem").
    """
    count = len(scores)
    arcs = np.full((count + 1, count + 1), -np.inf)
    arcs[1:] = scores
    np.fill_diagonal(arcs, -np.inf)
    greedy = arcs[1:].argmax(axis=1)
    if (greedy == 0).sum() == 1 and _cycle(np.concatenate([[0], greedy])) is None:
        return [int(head) for head in greedy]
    finite = arcs[np.isfinite(arcs)]
    arcs[1:, 0] -= count * (finite.max() - finite.min()) + 1
    return [int(head) for head in _arborescence(arcs)[1:]]


def _arborescence(arcs: Scores) -> Nodes:
    """The head of each node, [n], in the best arborescence under `arcs` [n dependents, n heads]; node 0 is its root.

    While the best heads form a cycle, the cycle becomes one node; then all cycles are opened in reverse. It takes
    at most n contractions of n² operations.
    """
    levels = []
    while True:
        heads: Nodes = arcs.argmax(axis=1)
        heads[0] = 0
        cycle = _cycle(heads)
        if cycle is None:
            break
        rest = np.setdiff1d(np.arange(len(arcs)), cycle)
        # what it costs to break the cycle at each of its nodes, by a head outside: [cycle, rest]
        entering = arcs[np.ix_(cycle, rest)] - arcs[cycle, heads[cycle]][:, None]
        leaving = arcs[np.ix_(rest, cycle)]
        levels.append((heads, cycle, rest, entering.argmax(axis=0), leaving.argmax(axis=1)))
        last = len(rest)  # of the smaller graph: the cycle
        smaller = np.full((last + 1, last + 1), -np.inf)
        smaller[:last, :last] = arcs[np.ix_(rest, rest)]
        smaller[last, :last], smaller[:last, last] = entering.max(axis=0), leaving.max(axis=1)
        arcs = smaller
    for outer, cycle, rest, enters, leaves in reversed(levels):
        into, inside = heads[-1], heads[:-1] == len(rest)  # what the cycle hangs on, and which nodes hang on it
        outer[rest] = np.where(inside, cycle[leaves], rest[np.where(inside, 0, heads[:-1])])
        outer[cycle[enters[into]]] = rest[into]
        heads = outer
    return heads


def _cycle(heads: Nodes) -> Nodes | None:
    """The nodes of one cycle among the arcs to `heads` [n], where node 0 is its own head; None for a tree."""
    seen = np.zeros(len(heads), dtype=int)  # the node from which each was first reached
    seen[0] = -1
    for start in range(1, len(heads)):
        node = start
        while seen[node] == 0:
            seen[node] = start
            node = int(heads[node])
        if seen[node] == start:
            members = [node]
            while (node := int(heads[node])) != members[0]:
                members.append(node)
            return np.array(members, dtype=np.intp)
    return None
