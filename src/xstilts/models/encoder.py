"""The one boundary to Hugging Face: loading encoders, saving and loading checkpoints. safetensors only, no code."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from xstilts.errors import UserError
from xstilts.tasks.shapes import Shape, Spec

# fresh poolers and dropped language-model heads are what we ask for, not news
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
for name in ("transformers", "huggingface_hub"):  # retries of a hub out of reach end in our own line
    logging.getLogger(name).setLevel(logging.ERROR)


def load_encoder(model: str, identity: str, base: Path | None) -> tuple[Any, Any]:
    """(encoder, fast tokenizer) in float32, from a folder `base` in the store or else the pretrained `model`.

    A hub id is loaded at the revision that `identity` ("hub:ID@REVISION") names. Raises `UserError` when there
    is no such model, no network, no safetensors weights, or no fast tokenizer.
    """
    where, revision = (str(base), None) if base is not None else (model, revision_of(identity))
    tokenizer = load_tokenizer(where, revision)
    with _loading(where):
        encoder = AutoModel.from_pretrained(where, dtype=torch.float32, use_safetensors=True, **_options(revision))
    if getattr(encoder, "pooler", None) is not None:
        # masked language models carry no pooler: transformers fills it with unseeded random weights, and no head
        # here reads it
        encoder.pooler = None
    return encoder, tokenizer


def revision_of(identity: str) -> str | None:
    """The revision in the identity of a hub model ("hub:ID@REVISION"); None for a folder."""
    return identity.rpartition("@")[2] if identity.startswith("hub:") else None


def load_tokenizer(where: str, revision: str | None = None) -> Any:
    """The fast tokenizer of a folder or hub id. Raises `UserError` when there is none."""
    with _loading(where):
        tokenizer = AutoTokenizer.from_pretrained(where, **_options(revision))
    if not tokenizer.is_fast:
        raise UserError(f"{where!r} has no fast tokenizer", remedy="add its tokenizer.json: offsets are needed")
    return tokenizer


def _options(revision: str | None) -> dict[str, Any]:
    return {"trust_remote_code": False, **({"revision": revision} if revision else {})}


@contextmanager
def _loading(where: str) -> Iterator[None]:
    """Say in one line what cannot be loaded."""
    try:
        yield
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        first = str(error).strip().split("\n")[0][:200].rstrip(".")
        raise UserError(
            f"cannot load the encoder {where!r}: {first}",
            remedy="name a local folder with config.json, model.safetensors and tokenizer.json, or a hub id in reach",
        ) from None


def save_checkpoint(
    folder: Path, encoder: Any, tokenizer: Any, head: nn.Module, shape: str, labels: tuple[str, ...]
) -> None:
    """Write a folder that `AutoModel` and `AutoTokenizer` read, with `head.safetensors` and `head.json` beside."""
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_file(dict(head.state_dict()), folder / "head.safetensors")
    (folder / "head.json").write_text(json.dumps({"shape": shape, "labels": list(labels)}, ensure_ascii=False))


def load_head(folder: Path | None, shape: Shape, width: int) -> tuple[nn.Module, tuple[str, ...]]:
    """(head, labels) of a checkpoint; a fresh one without weights where the shape has none (retrieval)."""
    stored = json.loads((folder / "head.json").read_text("utf-8")) if folder else None
    labels = tuple(stored["labels"]) if stored and stored["shape"] == shape.name else ()
    head = shape.head(width, Spec(labels=labels))
    if folder is not None and head.state_dict():
        head.load_state_dict(load_file(folder / "head.safetensors"))
    return head, labels


def sha256_of_weights(module: nn.Module) -> str:
    """One hash over all tensors, to compare two modules bit for bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
