"""Answers of a trained encoder and head for the rows of one language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from xstilts.retrieval.vectors import Vectors
from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import Feature, Shape, Spec, Tuned
from xstilts.training.batches import PADDING, TOKENS, evaluation_batches
from xstilts.training.features import Features
from xstilts.training.forward import arithmetic, check_length, collate, device, forward, settle, split
from xstilts.training.tokens import tokenise


def predict(
    encoder: Any, tokenizer: Any, head: nn.Module, shape: Shape, spec: Spec, rows: Sequence[Row], precision: str,
    scratch: Path | None = None, features: Features | None = None, halvings: int = 0,
) -> tuple[list[Any], dict[str, Any]]:  # fmt: skip
    """(one answer per row, notes for the manifest). `scratch` is where outputs go that are too many for memory;
    `features` are those of the rows where they are at hand, since tokenising takes its time. A batch is halved
    `halvings` times, down to a feature: answers are the same but for rounding."""
    features, outputs, notes = read(encoder, tokenizer, head, shape, spec, rows, precision, scratch, features, halvings)
    return shape.decode(rows, features, outputs, spec), notes


def read(
    encoder: Any, tokenizer: Any, head: nn.Module, shape: Shape, spec: Spec, rows: Sequence[Row], precision: str,
    scratch: Path | None = None, features: Features | None = None, halvings: int = 0, tokens: Path | None = None,
) -> tuple[Features, Sequence[Any], dict[str, Any]]:  # fmt: skip
    """(features of the rows, one array per feature, notes for the manifest): what answers are decoded from. `tokens` is
    the folder of the token cache that features come from which are not given."""
    if features is None:
        features = tokenise(tokens, shape, rows, tokenizer, spec, training=False)
    return features, *_outputs(encoder, tokenizer, head, shape, spec, features, precision, scratch, halvings)


def replaced(
    rows: Sequence[Row], features: Features, outputs: Sequence[Any], by: Mapping[int, int], new: Sequence[Feature],
    new_outputs: Sequence[Any], scratch: Path | None = None,
) -> tuple[list[Feature], Sequence[Any]]:  # fmt: skip
    """Features and outputs of `rows`, those of some rows exchanged: row i of these for row `by[i]` of the new ones.

    For shapes whose answers depend on all rows of a language: what was not changed need not be encoded again.
    """
    own: dict[int, list[int]] = {}
    other: dict[int, list[int]] = {}
    for by_row, found in ((own, features.rows.tolist()), (other, [feature.row for feature in new])):
        for i, row in enumerate(found):
            by_row.setdefault(row, []).append(i)
    joined: list[Feature] = []
    parts: list[Any] = []
    for row in range(len(rows)):
        source, results, places = (new, new_outputs, other[by[row]]) if row in by else (features, outputs, own[row])
        joined += [replace(source[i], row=row) for i in places]
        parts += [results[i] for i in places]
    if not isinstance(outputs, Vectors):
        return joined, parts
    vectors = Vectors([len(f.sequences) for f in joined], outputs.matrix.shape[1], scratch)
    for i, part in enumerate(parts):
        vectors[i] = part
    return joined, vectors


def tune(
    encoder: Any, tokenizer: Any, head: nn.Module, shape: Shape, spec: Spec, rows: Sequence[Row], precision: str,
    scratch: Path | None = None, halvings: int = 0, tokens: Path | None = None,
) -> Spec:  # fmt: skip
    """`spec` with what a shape that tunes sets on rows whose gold is known."""
    features, outputs, _ = read(
        encoder, tokenizer, head, shape, spec, rows, precision, scratch, halvings=halvings, tokens=tokens
    )
    return cast(Tuned, shape).tune(rows, features, outputs, spec)


@torch.inference_mode()
def _outputs(
    encoder: Any, tokenizer: Any, head: nn.Module, shape: Shape, spec: Spec, features: Features, precision: str,
    scratch: Path | None, halvings: int,
) -> tuple[Sequence[Any], dict[str, Any]]:  # fmt: skip
    """(one array per feature, notes for the manifest)."""
    settle()
    where = device()
    encoder.to(where).eval()
    head.to(where).eval()
    check_length(int(features.lengths.max()), encoder)
    outputs: Vectors | list[Any] = []
    context, name = arithmetic(precision)
    for indices in evaluation_batches(features.sizes, TOKENS[where.type] >> halvings, PADDING[where.type]):
        part = [features[i] for i in indices]
        with context:
            output = forward(encoder, head, shape, spec, collate(part, tokenizer.pad_token_id, where), part)
        if not outputs:
            # one vector per sequence: a million of them are one array, which may lie in a file
            fixed = isinstance(output, Tensor) and output.dim() == 2
            outputs = Vectors(features.counts.tolist(), output.shape[1], scratch) if fixed else [None] * len(features)
        for i, single in zip(indices, split(output, part), strict=True):
            outputs[i] = single
    return outputs, {"precision": name, "device": str(where)}
