"""Word embeddings tied across languages by bilingual dictionaries, while the encoder is pretrained.

A piece's embedding is a sum: its concept's vector (shared by all the languages whose dictionary covers the word),
its language's vector and its own. What is learned of a word in one language is so learned in the others; words
outside the dictionaries are aligned by the training text alone. The sum is one plain matrix once training ends.
"""

from __future__ import annotations

import random

import torch
from transformers import PreTrainedTokenizerFast

from xstilts.sources.microworld.languages import BASE, LANGUAGES
from xstilts.sources.microworld.words import stems


def coverage(code: str) -> float:
    """Share of a language's words that its dictionary holds: the more text it has, the larger."""
    return 1.0 if code == BASE else 0.3 + 0.5 * LANGUAGES[code].share


class TiedEmbeddings(torch.nn.Module):
    """The matrix of word embeddings (vocabulary, width) as a sum of three."""

    concept: torch.Tensor
    language: torch.Tensor

    def __init__(self, tokenizer: PreTrainedTokenizerFast, width: int, scale: float, seed: int) -> None:
        super().__init__()
        size, draw = len(tokenizer), random.Random(seed)
        concept, language = list(range(size)), [len(LANGUAGES)] * size
        for number, code in enumerate(LANGUAGES):
            for meaning, form in stems(code).items():
                piece = tokenizer.convert_tokens_to_ids(form)
                if language[piece] < len(LANGUAGES):
                    continue  # the word of several languages: a cognate or a name
                language[piece] = number
                if draw.random() < coverage(code):
                    concept[piece] = tokenizer.convert_tokens_to_ids(stems(BASE)[meaning])
        self.register_buffer("concept", torch.tensor(concept))
        self.register_buffer("language", torch.tensor(language))
        self.concepts = torch.nn.Parameter(torch.randn(size, width) * scale)
        self.languages = torch.nn.Parameter(torch.randn(len(LANGUAGES) + 1, width) * scale * 0.3)
        self.own = torch.nn.Parameter(torch.randn(size, width) * scale * 0.3)

    def forward(self) -> torch.Tensor:
        """The matrix of word embeddings, (vocabulary, width)."""
        return self.concepts[self.concept] + self.languages[self.language] + self.own
