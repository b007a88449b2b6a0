"""Which part of a training each optimiser step learns from: one part a step, drawn before the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def probabilities(rows: Mapping[str, int], sampler: Mapping[str, Any]) -> dict[str, float]:
    """How often each task is drawn, from its number of training rows and the fields of `xstilts.arms.Sampler`.

    p_i is proportional to min(n_i, cap) ** (1 / temperature); `uniform` is its limit of an infinite temperature,
    `weights` go instead of the sizes. With no field set it is proportional to size. The values sum to 1.
    """
    if sampler.get("weights"):
        found = {task: float(sampler["weights"][task]) for task in rows}
    elif sampler.get("uniform"):
        found = dict.fromkeys(rows, 1.0)
    else:
        cap, temperature = sampler.get("cap") or float("inf"), sampler.get("temperature", 1.0)
        found = {task: float(min(n, cap)) ** (1 / temperature) for task, n in rows.items()}
    total = sum(found.values())
    return {task: weight / total for task, weight in found.items()}


def language_probabilities(rows: Mapping[str, int], exponent: float) -> dict[str, float]:
    """How often each language's text is drawn: in proportion to n ** exponent (XLM, arXiv 1901.07291, section 3.1:
    n/sum(n) raised to alpha and made to sum to 1, which is the same)."""
    weights = {name: float(n) ** exponent for name, n in rows.items()}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def turns(tasks: Sequence[float], steps: int, texts: Sequence[float], weight: float, seed: int) -> list[int]:
    """For each optimiser step the index of the part it learns from: [steps + text steps].

    `tasks` are the probabilities of the first parts, of which `steps` steps are drawn. `texts` are those of the parts
    after them, running text, of which round(steps * weight) steps are drawn; without tasks, `steps` of them. The two
    kinds are shuffled together, so text takes nothing from the tasks and stands everywhere between them. A function
    of its arguments alone, by a generator of its own: a training that goes on draws what it would have drawn.
    """
    generator = np.random.Generator(np.random.PCG64([20200513, seed]))
    drawn: list[int] = []
    if tasks:
        drawn += generator.choice(len(tasks), size=steps, p=tasks).tolist()
    if texts:
        count = round(steps * weight) if tasks else steps
        drawn += (len(tasks) + generator.choice(len(texts), size=count, p=texts)).tolist()
    return [int(i) for i in generator.permutation(np.array(drawn, dtype=int))]
