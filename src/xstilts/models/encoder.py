"""The one boundary to Hugging Face: loading encoders, saving and loading checkpoints. safetensors only, no code."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from xstilts.errors import StepFailed, UserError
from xstilts.models.identity import identity_of
from xstilts.models.weights import check_weights, what_is_wrong
from xstilts.tasks.shapes import Shape, Spec

# fresh poolers and dropped language-model heads are what we ask for, not news
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
for name in ("transformers", "huggingface_hub"):  # retries of a hub out of reach end in our own line
    logging.getLogger(name).setLevel(logging.ERROR)


def load_encoder(model: str, identity: str, base: Path | None) -> tuple[Any, Any]:
    """(encoder, fast tokenizer) in float32, from a folder `base` in the store or else the pretrained `model`.

    A hub id is loaded at the revision that `identity` ("hub:ID@REVISION") names. Raises `UserError` when there
    is no such model, no network, no fast tokenizer, or when its weights are not whole safetensors of finite numbers in
    the shapes of its config; `StepFailed` for any of it in a folder of the store.
    """
    where, revision = _place(model, identity, base)
    with _loading(where, base):
        tokenizer = _tokenizer(where, revision)
        encoder, missing = _load(AutoModel, where, revision)
        if lacks := [name for name in missing if "pooler" not in name]:
            # transformers would go on with random numbers in their place
            raise ValueError(f"its weights lack {lacks[0]}")
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
        return _tokenizer(where, revision)


def _tokenizer(where: str, revision: str | None) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(where, **_options(revision))
    if not tokenizer.is_fast:
        raise UserError(f"{where!r} has no fast tokenizer", remedy="add its tokenizer.json: offsets are needed")
    return tokenizer


def _place(model: str, identity: str, base: Path | None) -> tuple[str, str | None]:
    """(where a model is, its revision on the hub). Raises `UserError` for a folder that is not the one planned with."""
    if base is not None:
        return str(base), None
    if identity.startswith("sha256:") and Path(model).is_dir() and identity_of(Path(model)) != identity:
        raise UserError(f"the model {model} changed since the study was planned", remedy="start the study again")
    return model, revision_of(identity)


def _load(auto: Any, where: str, revision: str | None) -> tuple[Any, list[str]]:
    """(a model in float32, names of the weights that its files lack). Raises `ValueError` for weights of other shapes
    than its config says, and for numbers that are not finite."""
    if Path(where).is_dir():
        check_weights(Path(where))
    loaded, loading = auto.from_pretrained(
        where, dtype=torch.float32, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True,
        **_options(revision),
    )  # fmt: skip
    for name, found, wanted in sorted(loading["mismatched_keys"]):
        raise ValueError(f"{name} is {tuple(found)} among its weights and {tuple(wanted)} by its config.json")
    missing = sorted(loading["missing_keys"])
    for name, weight in loaded.named_parameters():
        # the sum is not finite where one of them is not, and takes no memory
        if not torch.isfinite(weight.detach().sum()) and name not in missing:
            raise ValueError(f"{name} holds values that are no finite numbers")
    return loaded, missing


def _options(revision: str | None) -> dict[str, Any]:
    return {"trust_remote_code": False, **({"revision": revision} if revision else {})}


@contextmanager
def _loading(where: str, base: Path | None = None) -> Iterator[None]:
    """Say in one line what cannot be loaded: a person's model is theirs to mend, a checkpoint `base` in the store fails
    the step that reads it."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the libraries behind it raise whatever they like, tokenizers plain Exceptions
        first = str(error).strip().split("\n")[0][:200].rstrip(".") or type(error).__name__
        what = error.what if isinstance(error, UserError) else f"cannot load the encoder {where!r}: {first}"
        if base is not None:
            raise StepFailed(what, remedy=_RETRAIN) from None
        if isinstance(error, UserError):
            raise
        remedy = "name a local folder with config.json, model.safetensors and tokenizer.json, or a hub id in reach"
        raise UserError(what, remedy=remedy) from None


_RETRAIN = "see how the training that made it went; a lower learning_rate or restarts may help"


def load_language_model(model: str, identity: str, base: Path | None) -> tuple[Any, Any, nn.Module]:
    """(encoder, tokenizer, head [n, H] to [n, vocabulary]) like `load_encoder`, with the head that the encoder was
    pretrained with; its output weights may be the encoder's own embeddings. Raises `UserError` where it has none.
    """
    where, revision = _place(model, identity, base)
    with _loading(where, base):
        tokenizer = _tokenizer(where, revision)
        whole, missing = _load(AutoModelForMaskedLM, where, revision)
    head = next((part for name in _LANGUAGE_HEADS if (part := getattr(whole, name, None)) is not None), None)
    if head is None or missing or tokenizer.mask_token is None:
        what = "no mask piece" if tokenizer.mask_token is None else "no masked-language-model head among its weights"
        raise UserError(f"{where!r} has {what}", remedy="leave out mlm, or take an encoder as it was pretrained")
    return whole.base_model, tokenizer, head


_LANGUAGE_HEADS = ("lm_head", "cls")
"""What transformers calls it: XLM-R and RoBERTa; BERT and DeBERTa."""


@torch.no_grad()
def interpolate(encoder: Any, other: Any, alpha: float) -> None:
    """Make every weight of `encoder` alpha times itself plus (1 - alpha) times that of `other` (WiSE-FT, arXiv
    2109.01903)."""
    others = other.state_dict()
    for name, weight in encoder.state_dict().items():
        if weight.is_floating_point():
            weight.lerp_(others[name], 1 - alpha)


def save_checkpoint(folder: Path, encoder: Any, tokenizer: Any, heads: Sequence[StoredHead]) -> None:
    """Write a folder that `AutoModel` and `AutoTokenizer` read, with each head beside: `head.safetensors` and
    `head.json` of an only one, `head-NAME...` of several."""
    encoder.save_pretrained(folder)
    # a tokenizer keeps what it was last asked for, which depends on what was tokenised before and what was not
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    for head in heads:
        stem = f"head-{head.name}" if len(heads) > 1 else "head"
        save_file(dict(head.module.state_dict()), folder / f"{stem}.safetensors")
        what = {"shape": head.shape, "labels": list(head.labels)}
        (folder / f"{stem}.json").write_text(json.dumps(what, ensure_ascii=False))


@dataclass(frozen=True)
class StoredHead:
    """A head with what is needed to use it again."""

    name: str
    shape: str
    labels: tuple[str, ...]
    module: nn.Module


def load_head(folder: Path | None, shape: Shape, width: int) -> tuple[nn.Module, tuple[str, ...]]:
    """(head, labels) of the only head of a checkpoint; a fresh one without weights where the shape has none
    (retrieval)."""
    file = folder / "head.json" if folder else None
    stored = json.loads(file.read_text("utf-8")) if file and file.is_file() else None
    labels = tuple(stored["labels"]) if stored and stored["shape"] == shape.name else ()
    head = shape.head(width, Spec(labels=labels))
    if folder is not None and head.state_dict():
        with _loading(str(folder), folder):
            head.load_state_dict(_head_weights(folder / "head.safetensors", head))
    return head, labels


@torch.no_grad()
def reuse_head(folder: Path, head: nn.Module, shape: str, labels: tuple[str, ...]) -> str:
    """Fill `head` with the weights of that head of a checkpoint which is of the same shape and has the same labels,
    in whatever order; returns its file's name. Raises `UserError` where there is none."""
    for file in sorted(folder.glob("head*.json")):
        stored = json.loads(file.read_text("utf-8"))
        if stored["shape"] == shape and sorted(stored["labels"]) == sorted(labels):
            with _loading(str(folder), folder):
                weights = _head_weights(file.with_suffix(".safetensors"), head)
            order = [stored["labels"].index(label) for label in labels]
            if order != sorted(order):
                weights = {n: w[order] if n.startswith("out.") else w for n, w in weights.items()}
            head.load_state_dict(weights)
            return file.stem
    raise UserError(f"no head in {folder} is of shape {shape} with labels {', '.join(labels)}",
                    remedy="set reuse_head: false")  # fmt: skip


def _head_weights(file: Path, head: nn.Module) -> dict[str, torch.Tensor]:
    """The weights in a file that are to fill `head`. Raises `ValueError` for others, and for what is no safetensors."""
    if reason := what_is_wrong(file):
        raise ValueError(f"{file.name} {reason}")
    weights = load_file(file)
    if {name: weight.shape for name, weight in weights.items()} != {n: w.shape for n, w in head.state_dict().items()}:
        raise ValueError(f"{file.name} is of another shape than the head it is for")
    if not all(torch.isfinite(weight).all() for weight in weights.values()):
        raise ValueError(f"{file.name} holds values that are no finite numbers")
    return weights


def sha256_of_weights(module: nn.Module) -> str:
    """One hash over all tensors, to compare two modules bit for bit."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
