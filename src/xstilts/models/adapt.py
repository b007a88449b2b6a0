"""Cheaper trainings: frozen layers, and low-rank matrices that are merged into the weights at the end."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn

from xstilts.errors import UserError


def freeze(encoder: Any, layers: int) -> None:
    """Keep the embeddings and the first `layers` layers as they are. Raises `UserError` for an encoder that keeps its
    layers elsewhere than BERT and XLM-R do, or has fewer."""
    stack = getattr(getattr(encoder, "encoder", None), "layer", None)
    if not isinstance(stack, nn.ModuleList) or len(stack) < layers:
        found = (
            f"it has {len(stack)}" if isinstance(stack, nn.ModuleList) else f"none found in {type(encoder).__name__}"
        )
        raise UserError(
            f"cannot freeze {layers} layers of the encoder: {found}", remedy="lower freeze, or leave it out"
        )
    for module in (encoder.embeddings, *stack[:layers]):
        module.requires_grad_(False)


def add_lora(encoder: Any, lora: dict[str, Any]) -> Any:
    """The encoder with trainable low-rank matrices beside its frozen weights (fields of `xstilts.settings.Lora`).

    Their start comes from torch's global generator. Raises `UserError` where peft is absent or finds no layer.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UserError("lora needs peft", remedy="pip install 'xstilts[lora]'") from None
    modules = lora.get("modules")
    config = LoraConfig(
        r=lora["rank"], lora_alpha=lora["alpha"], lora_dropout=lora["dropout"],
        target_modules=None if modules is None else list(modules),
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            # peft asks transformers for an attribute under its old name
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            return get_peft_model(encoder, config)
    except ValueError as error:
        first = str(error).split("\n")[0][:200]
        raise UserError(f"lora: {first}", remedy="name linear layers of the encoder: lora: {modules: [...]}") from None


def merge_lora(encoder: Any) -> Any:
    """The encoder that `add_lora` was given, with what was learned added to its weights."""
    merged = encoder.merge_and_unload()
    for parameter in merged.parameters():
        parameter.requires_grad_(True)
    return merged
