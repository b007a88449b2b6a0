"""Which files of a model folder may be loaded as weights: plain safetensors and nothing else. No torch, no loading.

A pickle can run any program when it is opened, so none ever is, whatever it is called; the layout of safetensors is
https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
from pathlib import Path

from xstilts.errors import UserError

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_HEADER = 100_000_000
"""Bytes of a safetensors header at most, as in the library."""
_INDEX = "model.safetensors.index.json"


def check_weights(folder: Path) -> None:
    """Raise `UserError` unless the folder's weights are whole safetensors files, and all that a loader would open lies
    in the folder."""
    weights = sorted(folder.glob("*.safetensors"))
    if (folder / "adapter_config.json").is_file():
        # transformers would load the model that it names, from wherever that is
        raise _refusal(folder, "it is an adapter (adapter_config.json), not a whole model",
                       "merge it into its model and save that")  # fmt: skip
    if not weights:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        if pickles:
            what = f"it holds no *.safetensors ({pickles[0]} is a pickle and is never loaded)"
            raise _refusal(folder, what, f"if you trust who made it, convert it: {conversion(folder)}")
        raise _refusal(folder, "it holds no *.safetensors", "save the model there with save_pretrained")
    for file in weights:
        if reason := what_is_wrong(file):
            raise _refusal(folder, f"{file.name} {reason}", "get it from where it came from again")
    index = folder / _INDEX
    if index.is_file() and not (folder / "model.safetensors").is_file():
        _check_index(folder, index, {file.name for file in weights})


def what_is_wrong(file: Path) -> str:
    """Why a file is no safetensors file, in words that follow its name; empty where it is one. Reads its header."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(8)
        length = int.from_bytes(start, "little")
        if start.startswith((b"\x80", b"PK\x03\x04")) and length > size:
            return "is a pickle under another name and is never loaded, since it could run any program"
        if len(start) < 8 or length > min(size - 8, _HEADER):
            return "is cut off, or no safetensors file"
        head = opened.read(length)
    try:
        header = json.loads(head.decode("utf-8"))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        end = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return "has no header of a safetensors file"
    return "" if end == size else f"has {size:,} bytes where its header says {end:,}"


def conversion(folder: Path) -> str:
    """The command that saves a pickled model as safetensors, beside it."""
    old, new = str(folder), f"{folder}-safe"
    return (f'python -c "from transformers import AutoModelForMaskedLM as M, AutoTokenizer as T; '
            f'[X.from_pretrained({old!r}).save_pretrained({new!r}) for X in (M, T)]"')  # fmt: skip


def _check_index(folder: Path, index: Path, there: set[str]) -> None:
    try:
        named = {str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _refusal(folder, f"{index.name} is no index of weights", "save the model again") from None
    if missing := sorted(named - there):
        what = f"{index.name} names {missing[0]!r}, which is no safetensors file of the folder"
        raise _refusal(folder, what, "get the model from where it came from again")


def _refusal(folder: Path, what: str, remedy: str) -> UserError:
    return UserError(f"cannot load the encoder {str(folder)!r}: {what}", remedy=remedy)
