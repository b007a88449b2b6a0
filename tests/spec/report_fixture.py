"""Made-up results with planted gains, shaped like those of a real study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xstilts.report.frames import Results


@dataclass(frozen=True)
class Target:
    name: str
    title: str
    level: str
    shape: str
    metrics: tuple[str, ...]
    languages: tuple[str, ...]
    base: float  # baseline's share of right answers in the source language


def contributions(
    gains: Mapping[str, tuple[str, str, Mapping[str, float]]],
    targets: Sequence[Target],
    *,
    examples: int = 200,
    seeds: Sequence[int] = (1, 2, 3),
    seed_sd: float = 0.5,
    unseen: Sequence[str] = (),
    parallel: bool = True,
    random_state: int = 0,
) -> pd.DataFrame:
    """`gains`: intermediate -> (category, control, {target: points}). Each example has a difficulty that all
    runs share, plus luck of its own in each run; seeds shift all examples of a run together."""
    rng = np.random.default_rng(random_state)
    frames = []
    for target in targets:
        for k, language in enumerate(target.languages):
            ids = [f"{i:05d}" if parallel else f"{language}-{i:05d}" for i in range(examples)]
            difficulty = rng.uniform(size=examples)
            for name, (category, control, planted) in {"none": ("", "", {}), **gains}.items():
                for seed in seeds:
                    shift = planted.get(target.name, 0.0) + rng.normal(0, seed_sd)
                    p = target.base - 0.03 * k + shift / 100
                    luck = rng.uniform(size=examples)
                    right = np.where(rng.uniform(size=examples) < 0.7, difficulty, luck) < p
                    for metric in target.metrics:
                        frames.append(pd.DataFrame({
                            "intermediate": name, "category": category, "control": control,
                            "target": target.name, "level": target.level, "shape": target.shape,
                            "metric": metric, "primary": metric == target.metrics[0],
                            "perturbation": "clean", "seed": seed, "language": language,
                            "seen": language not in unseen, "id": ids,
                            "numerator": right.astype(float), "denominator": 1.0,
                        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


XNLI15 = ("en", "ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
NATURAL = (
    Target("udpos", "UDPOS", "syntactic", "tag", ("chunk_f1", "token_accuracy"), XNLI15, 0.80),
    Target("panx", "PAN-X", "syntactic", "tag", ("chunk_f1",), XNLI15, 0.70),
    Target("xnli", "XNLI", "semantic", "classify", ("accuracy",), XNLI15, 0.75),
    Target("xquad", "XQuAD", "semantic", "span", ("qa_f1", "qa_em"), XNLI15[:11], 0.65),
    Target("tatoeba", "Tatoeba", "semantic", "retrieve", ("accuracy",), XNLI15[1:], 0.55),
)
MICRO = tuple(
    Target(f"micro-{name}", title, level, shape, ("accuracy",),
           ("en", "qaa", "qab", "qac", "qad", "qae", "qaf", "qag"), 0.8)
    for name, title, level, shape in (
        ("pos", "parts of speech", "syntactic", "tag"), ("entities", "entities", "syntactic", "tag"),
        ("nli", "entailment", "semantic", "classify"), ("paraphrase", "paraphrase", "semantic", "classify"),
        ("qa", "span questions", "semantic", "span"), ("retrieval", "retrieval", "semantic", "retrieve"),
    )
)  # fmt: skip
PLANTED: dict[str, tuple[str, str, dict[str, float]]] = {
    "nli": ("NLI", "", {"xnli": 4, "xquad": 1, "tatoeba": 12, "micro-nli": 4, "micro-retrieval": 15}),
    "squad": ("span QA", "", {"xquad": 6, "xnli": 1.5, "tatoeba": 9, "micro-qa": 7, "udpos": -1.5}),
    "paraphrase": ("paraphrase", "", {"xnli": 2, "tatoeba": 15, "micro-paraphrase": 3}),
    "cosmosqa": ("commonsense choice", "", {"xquad": 2.5, "xnli": 1, "tatoeba": -2}),
    "ud-tags": ("syntax", "", {"udpos": 4, "panx": 2, "xnli": -1, "micro-pos": 5}),
    "shuffled": ("NLI", "shuffled", {"xnli": -2, "tatoeba": -3}),
    "oracle": ("", "oracle", {t.name: 9.0 for t in (*NATURAL, *MICRO)}),
}


_KINDS = (("Prepare", 6, 0.4), ("Train", 20, 84.0), ("Predict", 40, 12.5), ("Score", 40, 0.2))


def steps(failed: Sequence[tuple[str, str, str]] = ()) -> pd.DataFrame:
    """A table of steps; `failed` holds (kind, label, error)."""
    rows = [
        (f"{kind}-{i}", kind, f"{kind} {i}", seconds * (1 + 0.1 * i), "2026-01-02T03:04:05Z", "done", "")
        for kind, n, seconds in _KINDS
        for i in range(n)
    ]
    rows += [(f"failed-{i}", *step, 3.0, "", "failed", error) for i, (*step, error) in enumerate(failed)]
    return pd.DataFrame(rows, columns=["key", "kind", "label", "seconds", "created", "state", "error"])


def results(targets: Sequence[Target] = NATURAL, **changes: Any) -> Results:
    """A whole `Results`; `changes` replace its fields or entries of its `study`."""
    natural = targets is NATURAL
    study: dict[str, Any] = {
        "name": "natural" if natural else "microworld demo",
        "question": "Which English intermediate tasks help which targets, zero-shot in other languages?",
        "model": "a-small/multilingual-encoder @ 3f2c9ab (12 layers, 21 M parameters)",
        "languages": list(dict.fromkeys(x for t in targets for x in t.languages)),
        "seeds": [1, 2, 3],
        "intermediates": ["none", *PLANTED],
        "targets": [
            {"name": t.name, "title": t.title, "level": t.level, "shape": t.shape} for t in targets
        ],
        "stand_ins": [
            "XNLI was trained on SNLI and SICK in place of MultiNLI.",
            "XQuAD was trained on SQuAD's dev set without XQuAD's paragraphs in place of SQuAD's train set.",
        ] if natural else [],
        "settings": {
            "learning rate": "5e-5", "epochs": {"intermediate": 2, "target": 3}, "tokens per batch": 4096,
        },
        "data": [
            {"task": t.name, "split": "test", "language": x, "source": "files",
             "identity": f"{i * 7919 + 13:012x}"}
            for t in targets for i, x in enumerate(t.languages)
        ],
        "command": "xstilts run studies/natural.yaml --store .xstilts/store",
    }  # fmt: skip
    fields: dict[str, Any] = {
        "study": study,
        "contributions": None,
        "steps": steps(),
        "environment": {
            "xstilts": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "transformers": "5.20.1",
            "host cpu": "2 cores", "precision": "fp32", "git commit": "0123abc",
        },
    }  # fmt: skip
    for name, value in changes.items():
        (fields if name in fields else study)[name] = value
    if fields["contributions"] is None:
        fields["contributions"] = contributions(PLANTED, targets, unseen=("sw", "qag"))
    return Results(**fields)
