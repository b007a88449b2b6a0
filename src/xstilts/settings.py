"""The numbers of a fine-tuning and of an evaluation, and how a study overrides them by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator


class Lora(BaseModel):
    """Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685), by peft."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(8, ge=1)
    """Width of the matrices."""
    alpha: float = Field(16.0, gt=0)
    """Their product is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    modules: tuple[str, ...] | None = None
    """Names of the linear layers that get them; peft's choice for the architecture (query and value) where not
    given."""


class Settings(BaseModel):
    """Everything that may differ between two trainings of one study.

    Built-in defaults are those of the XTREME scripts for base-size encoders (`scripts/train_*.sh` of
    google-research/xtreme: 2e-5, effective batch 32, clip 1.0, linear decay).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(2e-5, gt=0)
    """Peak rate of AdamW; decays linearly to 0."""
    head_learning_rate: float | None = Field(None, gt=0)
    """Rate of the fresh head; the encoder's where not given."""
    epochs: float = Field(3.0, gt=0)
    """Passes over the training rows; fractions are allowed."""
    steps: int | None = Field(None, ge=1)
    """Optimiser steps; goes before `epochs` where given."""
    batch_size: int = Field(32, ge=1)
    """Rows per optimiser step."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the steps over which the rate rises from 0."""
    warmup_steps: int | None = Field(None, ge=0)
    """The same in steps; goes before `warmup` where given."""
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout before the head."""
    max_length: int = Field(128, ge=16)
    """Pieces per sequence, special ones included."""
    train_rows: int | None = Field(None, ge=1)
    """Training rows used (a fixed random sample, the same for every seed); all where not given."""
    dev_rows: int | None = Field(None, ge=1)
    test_rows: int | None = Field(None, ge=1)
    """Evaluation rows used per language; the same rows in parallel data."""
    select: Literal["last", "best"] | Annotated[int, Field(ge=1)] = "last"
    """Which weights a training ends with: the last, the best on English dev rows (the primary metric), or, a number,
    those after that optimiser step of the same schedule."""

    @field_validator("select", mode="before")
    @classmethod
    def _is_a_checkpoint(cls, value: Any) -> Any:
        if value not in ("last", "best") and not (isinstance(value, int) and value >= 1):
            raise ValueError(f"select is last, best or the number of an optimiser step, not {value!r}")
        return value

    evaluate_every: int | None = Field(None, ge=1)
    """With `select: best`: optimiser steps between two looks at the dev rows; an epoch where not given."""
    patience: int | None = Field(None, ge=1)
    """With `select: best`: looks without a better score after which training stops; never where not given."""
    select_rows: int | None = Field(None, ge=1)
    """With `select: best`: dev rows looked at, per language; all where not given."""
    lora: Lora | None = None
    """Train low-rank matrices beside the encoder's weights instead of these; they are merged at the end."""
    freeze: int | None = Field(None, ge=0)
    """Keep the embeddings and this many layers, counted from the input, as they are."""
    restarts: int | None = Field(None, ge=0, le=2)
    """How often a degenerate training is started again with the next seed; never where not given. Degenerate is what
    `xstilts.training.degenerate.RULE` says; it is marked in the report either way."""
    stride: int = Field(128, ge=1)
    """Span: pieces by which a window starts after the one before it."""
    max_query: int = Field(64, ge=1)
    """Span: longest question in pieces."""
    max_answer: int = Field(30, ge=1)
    """Span: longest answer in pieces."""
    n_best: int = Field(20, ge=1)
    """Span: starts and ends considered per window."""
    null_threshold: float | None = None
    """Span: a question counts as unanswerable when "no answer" scores higher than the best answer by more than
    this (`null_score_diff_threshold` of the SQuAD 2.0 reference code, 0 there); where not given every question is
    answered."""
    neighbours: int = Field(4, ge=1)
    """Mine: nearest neighbours that set a sentence's margin (k of arXiv 1811.01136, 4 in XTREME)."""
    layer: int | None = None
    """Retrieve: index into `hidden_states`; where not given 14/24 of the depth, rounded down (XLM-R large: 14,
    as in jiant's XTREME guide)."""
    pooling: Literal["mean", "cls"] = "mean"
    """Retrieve: how pieces become one vector."""
    temperature: float = Field(0.05, gt=0)
    """Retrieve, when trained: temperature of the in-batch contrastive loss (SimCSE, arXiv 2104.08821)."""


BUILTIN: dict[str, dict[str, Any]] = {
    # QA lengths and rates of scripts/train_qa.sh in google-research/xtreme
    "span": {"max_length": 384, "learning_rate": 3e-5},
    "squad_v2": {"null_threshold": 0.0},
}

PRESETS = ("xtreme", "jiant", "paper")
"""Published hyper-parameters that a study can name; `presets.yaml` has them with their sources."""


@cache
def _presets() -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text("utf-8"))
    return tables


def resolve(
    overrides: dict[str, dict[str, Any]], names: tuple[str, ...], preset: str | None = None, large: bool = False,
    own: dict[str, Any] | None = None,
) -> Settings:  # fmt: skip
    """The settings for a chain of names, general to particular (`default`, phase, shape, task): later wins.

    What `overrides` says of any name goes before the preset, the preset before what is built in; `own` goes before
    them all. `large`: whether the encoder has 24 layers or more.
    """
    published = _presets()[preset] if preset else {}
    merged: dict[str, Any] = {}
    for table in (BUILTIN, published, published.get("large", {}) if large else {}, overrides):
        for name in ("default", *names):
            merged.update(table.get(name, {}))
    return Settings.model_validate({**merged, **(own or {})})
