"""What an encoder makes of texts, before any head: their mean vector and the vectors at labelled places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xstilts.training.batches import PADDING, TOKENS, evaluation_batches
from xstilts.training.features import Features
from xstilts.training.forward import arithmetic, check_length, collate, device, settle
from xstilts.training.places import Place


@torch.inference_mode()
def embed(
    encoder: Any, tokenizer: Any, features: Features, places: Sequence[Place], precision: str,
    progress: Callable[[int, int], None], halvings: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]]:  # fmt: skip
    """(mean vector [H], vectors of the places [places, H], notes for the manifest), from the last layer.

    A sequence is the mean over its pieces, special ones included; all sequences of all features count alike. Raises
    `UserError` for sequences longer than the encoder reads.
    """
    settle()
    where = device()
    encoder.to(where).eval()
    check_length(int(features.lengths.max()), encoder)
    width = encoder.config.hidden_size
    total, count = np.zeros(width), 0
    vectors = np.empty((len(places), width), dtype=np.float32)
    of_feature: dict[int, list[int]] = {}
    for k, place in enumerate(places):
        of_feature.setdefault(place.feature, []).append(k)
    context, name = arithmetic(precision)
    done = 0
    for indices in evaluation_batches(features.sizes, TOKENS[where.type] >> halvings, PADDING[where.type]):
        part = [features[i] for i in indices]
        batch = collate(part, tokenizer.pad_token_id, where)
        with context:
            hidden = encoder(**batch).last_hidden_state
        hidden, weights = hidden.float(), batch["attention_mask"][..., None].float()
        means = ((hidden * weights).sum(1) / weights.sum(1)).cpu().numpy()
        hidden = hidden.cpu().numpy()
        total += means.sum(axis=0, dtype=np.float64)
        count += len(means)
        start = 0
        for i, feature in zip(indices, part, strict=True):
            for k in of_feature.get(i, ()):
                _, sequence, position, _ = places[k]
                row = start + sequence
                vectors[k] = means[row] if position is None else hidden[row, position]
            start += len(feature.sequences)
        done += len(part)
        progress(done, len(features))
    return (total / count).astype(np.float32), vectors, {"precision": name, "device": str(where)}
