"""The numbers of the microworld encoder's pretraining. No torch: studies are validated against them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How the encoder is pretrained."""

    steps: int = 2600
    batch: int = 64
    """Rows (sentences or pairs) per step."""
    rate: float = 2e-3
    """Peak learning rate; linear warm-up over 4 % of the steps, then linear decay to 0."""
    muon_rate: float = 2.5e-3
    """Peak learning rate of the matrices inside the layers (Muon); `rate` is that of all else (AdamW)."""
    masked: float = 0.15
    """Share of the pieces to predict in single sentences."""
    masked_pairs: float = 0.25
    """Share of the pieces to predict in translation pairs."""
    layers: int = 3
    width: int = 128
    heads: int = 4
    seed: int = 1
