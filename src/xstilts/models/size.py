"""How large an encoder is, from its `config.json` or by its name: for estimates of time and disk. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_XLMR: dict[str, Any] = {"model_type": "xlm-roberta", "vocab_size": 250_002, "max_position_embeddings": 514,
                         "type_vocab_size": 1}  # fmt: skip
_BASE = {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 3072}
_LARGE = {"num_hidden_layers": 24, "hidden_size": 1024, "intermediate_size": 4096}

KNOWN: dict[str, dict[str, Any]] = {
    "xlm-roberta-base": {**_XLMR, **_BASE},
    "xlm-roberta-large": {**_XLMR, **_LARGE},
    "infoxlm-large": {**_XLMR, **_LARGE},
    "bert-base-multilingual-cased": {
        "model_type": "bert", "vocab_size": 119_547, "max_position_embeddings": 512, "type_vocab_size": 2, **_BASE,
    },
    "mdeberta-v3-base": {
        "model_type": "deberta-v2", "vocab_size": 251_000, "max_position_embeddings": 512, "type_vocab_size": 0,
        "relative_attention": True, "position_buckets": 256, "position_biased_input": False,
        "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"], **_BASE,
    },
}  # fmt: skip
"""The `config.json` of encoders of the hub, as far as sizes go: plans are made without asking the hub."""

TOKENIZERS = {"xlm-roberta-base": 9_100_000, "xlm-roberta-large": 9_100_000}
"""Bytes of their `tokenizer.json`, by the hub's listing; others count as none beside the weights."""


def known(name: str) -> str | None:
    """The name in `KNOWN` of a hub id such as `FacebookAI/xlm-roberta-large`; None where there is none."""
    short = name.rpartition("/")[2].lower()
    return short if short in KNOWN else None


def body_parameters(config: Mapping[str, Any]) -> int:
    """Weights of the layers' matrices: what an operation count goes by (N of Kaplan et al. 2020, arXiv 2001.08361).

    4 H^2 of attention and 2 H I of the feed-forward part per layer, 12 H^2 at the usual inner width I = 4 H; 0 where
    the config does not say. Embeddings, biases and norms are left out: they cost next to no operations.
    """
    width, inner = config.get("hidden_size", 0), config.get("intermediate_size", 0)
    return int(config.get("num_hidden_layers", 0) * (4 * width * width + 2 * width * inner))


def parameters(config: Mapping[str, Any]) -> int:
    """All numbers that a checkpoint of the encoder holds: body, biases, norms and embeddings, without pooler and
    language-model head. 0 where the config does not say.

    Exact for the families in `KNOWN`; for others it counts them as BERT's, whose embeddings and layers they share.
    """
    body = body_parameters(config)
    if not body:
        return 0
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    # a layer has biases of the four attention matrices and of the two inner ones, and two norms
    total = body + layers * (4 * width + config["intermediate_size"] + width + 4 * width)
    rows = config.get("vocab_size", 0) + config.get("type_vocab_size", 0)
    if config.get("position_biased_input", True):
        rows += config.get("max_position_embeddings", 0)
    if config.get("relative_attention", False):
        rows += 2 * config.get("position_buckets", 0)
        total += 2 * width if "layer_norm" in config.get("norm_rel_ebd", "") else 0
    return int(total + rows * width + 2 * width)
