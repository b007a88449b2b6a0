"""What a model is, without loading it: for keys, estimates and early errors. No torch."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from xstilts.errors import UserError, did_you_mean
from xstilts.models import size
from xstilts.models.weights import check_weights
from xstilts.store import sha256_of_files

MICROWORLD = "microworld"
"""The name under which the encoder in the package is asked for."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class Model:
    """A pretrained encoder as a study names it."""

    identity: str
    """Goes into keys: `hub:ID@REVISION`, or `sha256:` over the files of a local folder that matter."""
    location: str
    """A folder, or a hub id."""
    body_parameters: int
    """Parameters of the layers, without embeddings; 0 when unknown. For estimates only."""
    large: bool
    """Whether it has 24 layers or more (a hub id: whether its name says so), for presets that tell the two apart."""
    description: str
    parameters: int = 0
    """All parameters, embeddings included; 0 when unknown. For estimates only."""
    tokenizer_bytes: int = 0
    """Size of its `tokenizer.json`; 0 when unknown."""


def find_model(name: str, revision: str, folder: Path) -> Model:
    """The model that a study in `folder` calls `name`. Raises `UserError` for a folder that is none."""
    if name == MICROWORLD:
        local = Path(__file__).parent.parent / "sources" / "microworld" / "encoder"
        return _local(local, "microworld (in the package)")
    local = (folder / Path(name).expanduser()).resolve()
    if local.is_dir():
        return _local(local, local.name)
    if get_close_matches(name, [MICROWORLD], cutoff=0.8):
        raise UserError(f"unknown model {name!r}", remedy=f"did you mean {MICROWORLD!r}?")
    if name.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(name):
        beside = [p.name for p in local.parent.iterdir() if p.is_dir()] if local.parent.is_dir() else []
        near = did_you_mean(local.name, beside) if get_close_matches(local.name, beside) else ""
        remedy = near or "check the path, or give a hub id such as FacebookAI/xlm-roberta-base"
        raise UserError(f"no model folder {local}", remedy=remedy)
    large, known = "large" in name.lower(), size.known(name)
    config = size.KNOWN[known] if known else {}
    return Model(
        f"hub:{name}@{revision}", name, size.body_parameters(config), large,
        f"{name} at revision {revision} of the Hugging Face hub", size.parameters(config),
        size.TOKENIZERS.get(known or "", 0),
    )  # fmt: skip


def _local(folder: Path, title: str) -> Model:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise UserError(f"{folder} is no model: it has no config.json", remedy="name a Hugging Face model folder")
    try:
        config = json.loads(config_file.read_text("utf-8"))
    except ValueError:
        raise UserError("is not valid JSON", file=config_file, remedy="save the model again") from None
    check_weights(folder)
    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"{folder} holds no tokenizer.json", remedy="save its fast tokenizer there")
    large = config.get("num_hidden_layers", 0) >= 24
    return Model(
        identity_of(folder), str(folder), size.body_parameters(config), large, f"{title}, {_words(config)}",
        size.parameters(config), (folder / "tokenizer.json").stat().st_size,
    )  # fmt: skip


def identity_of(folder: Path) -> str:
    """The identity of the model in a folder: over the files of it that matter."""
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors")), folder / "tokenizer.json"]
    return f"sha256:{sha256_of_files(files)}"


def _words(config: dict[str, Any]) -> str:
    return (
        f"{config.get('model_type', 'unknown architecture')}, {config.get('num_hidden_layers', '?')} layers of width "
        f"{config.get('hidden_size', '?')}, {config.get('vocab_size', '?')} pieces"
    )
