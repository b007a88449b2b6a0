"""What is known of a task without its data: the one declarative block that adds a task to xstilts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

Shape = Literal["classify", "tag", "features", "parse", "span", "choice", "retrieve", "mine", "mlm"]
Category = Literal["NLI", "paraphrase", "span QA", "commonsense choice", "syntax", "entities", "aspect sentiment",
                   "retrieval", "language model"]  # fmt: skip
Level = Literal["syntactic", "semantic"]
Split = Literal["train", "dev", "test"]


class Files(BaseModel):
    """Where a task's splits lie in the data folder, in their official layout.

    Patterns are relative to the data folder; `{language}` stands for the language code, `{iso3}` for its
    ISO 639-3 code and `{name}` for its English name. A pattern's file may also be gzipped (`.gz` appended).
    Several patterns of one split are alternatives: the first that exists is read. `*` stands for any text within one
    part of the path; exactly one file may fit. Spaces of `{name}` become `_`.
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


class Hub(BaseModel):
    """Where a task's splits lie on the Hugging Face hub, in a pinned revision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """The id, `owner/name`."""
    revision: str
    """What is read: a commit, or a branch or tag that is resolved to its commit when the study is planned."""
    reader: str
    """Name of a reader in `xstilts.sources.hub`."""
    config: str = "default"
    """The configuration; may hold `{language}`, `{iso3}` and `{name}` as the patterns of `Files` may."""
    train: str = ""
    """Name of the split on the hub; empty where the task has none there. Several are joined by `+`."""
    dev: str = ""
    test: str = ""
    languages: tuple[str, ...] = ()
    """The languages it has there; empty: all of the task's."""
    absent: tuple[str, ...] = ()
    """Splits that single languages lack, as `dev/kk`."""
    spelling: tuple[tuple[str, str], ...] = ()
    """(what the hub calls a label, the task's own name of it), where they differ."""

    def name_of(self, split: Split) -> str:
        """What the hub calls `split`; empty when the task has no such split there."""
        name: str = getattr(self, split)
        return name


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
    more_languages: tuple[str, ...] = ()
    """Languages beyond those of the benchmark (XTREME-R's additions): read and evaluated where a study names them."""
    metrics: tuple[str, ...]
    """Names in `xstilts.metrics`, the primary first. Greater is better for all of them."""
    labels: tuple[str, ...] = ()
    """The closed label set, in head order (`classify`, `tag`, `parse`); empty for the other shapes."""
    open_labels: bool = False
    """Labels are whatever the training rows hold (`tag`, `features`); others found in evaluation cannot be right."""
    parallel: bool = False
    """Rows are translations of one another: the same ids in the same order in every language."""
    differing: float = 0.0
    """Share of parallel rows whose labels may differ between languages, as measured on the official files."""
    head: str = ""
    """Tasks that name the same head can be trained on it together (SNLI and SICK on `nli`); default: own name."""
    trains_on: tuple[str, ...] | None = None
    """Tasks whose train split this target is fine-tuned on, by the field's protocol (XQuAD on SQuAD).
    `None`: its own train split. Empty: nothing is trained (retrieval)."""
    oracle: tuple[str, ...] | None = None
    """Tasks that teach this target's own skill, for the oracle control. `None`: the tasks it trains on."""
    sources: tuple[str, ...]
    """Names of the sources that can give its rows: `files`, `hub`, `microworld`."""
    files: Files | None = None
    hub: Hub | None = None
    licence: str
    citation: str
    notes: str = ""
    """Defects of the data and departures from its usual reading that a reader of its results must know."""

    @model_validator(mode="after")
    def _complete(self) -> Task:
        if (self.shape in ("classify", "tag", "parse", "features")) != bool(self.labels or self.open_labels):
            raise ValueError(f"task {self.name}: shapes classify, tag, parse and features, and only they, have labels")
        if self.labels and self.open_labels:
            raise ValueError(f"task {self.name}: labels are either declared or open")
        for source in ("files", "hub"):
            if (source in self.sources) != (getattr(self, source) is not None):
                raise ValueError(
                    f"task {self.name}: source {source!r} needs a block {source!r}, and the other way round"
                )
        return self

    @property
    def all_languages(self) -> tuple[str, ...]:
        """The benchmark's languages, then the further ones."""
        return self.languages + self.more_languages

    @property
    def head_name(self) -> str:
        """The head this task is trained on."""
        return self.head or self.name
