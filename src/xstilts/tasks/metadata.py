"""What is known of a task without its data: the one declarative block that adds a task to xstilts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

Shape = Literal["classify", "tag", "span", "choice", "retrieve", "mlm"]
Category = Literal["NLI", "paraphrase", "span QA", "commonsense choice", "syntactic tagging", "entities",
                   "retrieval", "language model"]  # fmt: skip
Level = Literal["syntactic", "semantic"]
Split = Literal["train", "dev", "test"]


class Files(BaseModel):
    """Where a task's splits lie in the data folder, in their official layout.

    Patterns are relative to the data folder; `{language}` stands for the language code and `{iso3}` for its
    ISO 639-3 code. A pattern's file may also be gzipped (`.gz` appended). Several patterns of one split are
    alternatives: the first that exists is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reader: str
    """Name of a reader in `xstilts.sources.files`."""
    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def patterns(self, split: Split) -> tuple[str, ...]:
        """The file patterns of `split`; empty when the task has no such split."""
        patterns: tuple[str, ...] = getattr(self, split)
        return patterns


class Task(BaseModel):
    """One learning problem: its shape, its languages, how it is scored, where its rows come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    """The name the field knows it by, short enough for the head of a column."""
    description: str = ""
    """What it is, in words."""
    shape: Shape
    category: Category
    """Groups intermediates in the report."""
    level: Level
    """Groups targets in the report."""
    languages: tuple[str, ...]
    """Languages of the evaluation splits (XTREME's codes); training is in the source language alone."""
    metrics: tuple[str, ...]
    """Names in `xstilts.metrics`, the primary first. Greater is better for all of them."""
    labels: tuple[str, ...] = ()
    """The closed label set, in head order (`classify`, `tag`); empty for the other shapes."""
    head: str = ""
    """Tasks that name the same head can be trained on it together (SNLI and SICK on `nli`); default: own name."""
    trains_on: tuple[str, ...] | None = None
    """Tasks whose train split this target is fine-tuned on, by the field's protocol (XQuAD on SQuAD).
    `None`: its own train split. Empty: nothing is trained (retrieval)."""
    oracle: tuple[str, ...] | None = None
    """Tasks that teach this target's own skill, for the oracle control. `None`: the tasks it trains on."""
    sources: tuple[str, ...]
    """Names of the sources that can give its rows: `files`, `microworld`."""
    files: Files | None = None
    licence: str
    citation: str

    @model_validator(mode="after")
    def _complete(self) -> Task:
        if (self.shape in ("classify", "tag")) != bool(self.labels):
            raise ValueError(f"task {self.name}: shapes classify and tag, and only they, declare labels")
        if "files" in self.sources and self.files is None:
            raise ValueError(f"task {self.name}: source 'files' needs a file layout")
        return self

    @property
    def head_name(self) -> str:
        """The head this task is trained on."""
        return self.head or self.name
