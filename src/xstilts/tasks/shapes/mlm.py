"""Mlm: the pieces that were masked, from running text. Learned beside an intermediate task, never evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DataCollatorForLanguageModeling

from xstilts.tasks.rows import Row
from xstilts.tasks.shapes import IGNORE, Feature, Reads, Spec
from xstilts.tasks.shapes.pieces import Frame


class Mlm:
    """BERT's objective (arXiv 1810.04805, section 3.1) with masks drawn anew whenever a text is (RoBERTa's dynamic
    masking). The head is the pretrained encoder's own; it sees masked positions alone."""

    name = "mlm"
    tunes = False
    alone = True
    reads: Reads = "pieces"

    def encode(self, rows: Sequence[Row], tokenizer: Any, spec: Spec, training: bool) -> list[Feature]:
        """A text longer than `max_length` pieces becomes several features, so that nothing of it is lost; of a
        translation pair what does not fit is cut. Targets come with the masks: see `masked`."""
        frame = Frame.of(tokenizer)
        texts = [row["text_a"] for row in rows] + [row["text_b"] or "" for row in rows]
        ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
        features = []
        for i, row in enumerate(rows):
            first, second = ids[i], ids[len(rows) + i]
            if row["text_b"]:
                half = (frame.room(spec.max_length) - len(frame.between)) // 2
                features.append(Feature(i, [frame.pair(first[:half], second[:half])]))
                continue
            room = frame.room(spec.max_length)
            for start in range(0, max(1, len(first)), room):
                features.append(Feature(i, [frame.single(first[start : start + room])]))
        return features

    def head(self, width: int, spec: Spec) -> nn.Module:
        """There is no fresh one: it comes with the encoder (`models.encoder.load_language_model`)."""
        raise TypeError("the head of masked language modelling comes with the encoder")

    def forward(self, head: nn.Module, hidden: Tensor, mask: Tensor, features: Sequence[Feature]) -> Tensor:
        """Logits [masked pieces of the batch, vocabulary], in the features' order."""
        positions = [feature.target[0] for feature in features]
        sequences = torch.tensor([i for i, part in enumerate(positions) for _ in part], device=hidden.device)
        places = torch.tensor([p for part in positions for p in part], device=hidden.device)
        logits: Tensor = head(hidden[sequences, places])
        return logits

    def loss(self, output: Tensor, features: Sequence[Feature], spec: Spec) -> Tensor:
        """Cross-entropy of the pieces that stood at the masked positions, their mean."""
        ids = [i for feature in features for i in feature.target[1]]
        return nn.functional.cross_entropy(output, torch.tensor(ids, device=output.device))

    def terms(self, features: Sequence[Feature]) -> int:
        """The masked pieces."""
        return sum(len(feature.target[0]) for feature in features)

    def inventory(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """None: it has no labels."""
        return ()


class Masker:
    """Draws masks: a share of the pieces is to be predicted; of these 80 % become the mask, 10 % a random piece and
    10 % stay (transformers' collator). Special pieces never are.

    With a `vocabulary`, sorted, of which all pieces of the features and the mask are, random pieces come from it, and
    a target says where in it a piece is.
    """

    def __init__(self, tokenizer: Any, rate: float, seed: int, vocabulary: Sequence[int] | None = None) -> None:
        self._collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=rate)
        # not its `seed`, which it refuses in a worker process
        self._collator.generator = torch.Generator().manual_seed(seed)
        self._vocabulary = None if vocabulary is None else torch.tensor(vocabulary)

    def __call__(self, features: Sequence[Feature]) -> list[Feature]:
        """The features with masks drawn; `target` is (positions, the pieces that stood there). Those of which nothing
        is masked are left out, and drawn again where that would be all of them."""
        found: list[Feature] = []
        while not found:
            for feature in features:
                (pieces,) = feature.sequences
                ids, labels = self._collator.torch_mask_tokens(torch.tensor([pieces.ids]))
                places = (labels[0] != IGNORE).nonzero()[:, 0]
                if len(places):
                    wanted, read = labels[0, places], ids[0]
                    if (known := self._vocabulary) is not None:
                        wanted = torch.searchsorted(known, wanted)
                        read = torch.where(torch.isin(read, known), read, known[read % len(known)])
                    target = (places.tolist(), wanted.tolist())
                    found.append(replace(feature, sequences=[pieces._replace(ids=read.tolist())], target=target))
        return found


SHAPE = Mlm()
