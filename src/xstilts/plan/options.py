"""Which settings become part of which step: what does not matter for a shape stays out of its keys."""

from __future__ import annotations

from typing import Any

from xstilts.settings import Settings

_TRAINING = ("learning_rate", "head_learning_rate", "epochs", "steps", "batch_size", "warmup", "warmup_steps",
             "weight_decay", "clip", "lora", "freeze", "restarts")  # fmt: skip
_HEAD = ("dropout",)
_READING = {
    "span": ("stride", "max_query", "max_answer"),
    "retrieve": ("layer", "pooling"),
    "mine": ("layer", "pooling"),
}
_DECODING = {"span": ("n_best", "null_threshold"), "mine": ("neighbours",)}
_CONTRAST = {"retrieve": ("temperature",)}
_SELECTING = ("evaluate_every", "patience", "select_rows")


def reading(settings: Settings, shape: str, *, training: bool, decoding: bool) -> dict[str, Any]:
    """How rows of a shape are read, and (`decoding`) how answers are found."""
    names = _READING.get(shape, ()) + ("max_length",)
    names += (_HEAD + _CONTRAST.get(shape, ())) if training else ()
    names += _DECODING.get(shape, ()) if decoding else ()
    return _chosen(settings, names)


def recipe(settings: Settings) -> dict[str, Any]:
    """How weights are trained and chosen, whatever the shape."""
    names = _TRAINING + (_SELECTING if settings.select == "best" else ())
    found = _chosen(settings, names)
    if isinstance(settings.select, int):
        found["stop_after"] = settings.select
    return found


def _chosen(settings: Settings, names: tuple[str, ...]) -> dict[str, Any]:
    values = settings.model_dump(mode="json", include=set(names), exclude_none=True)
    return {name: values[name] for name in sorted(values)}
