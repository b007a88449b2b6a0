"""What is measured: the shape of an encoder, and rows as a study reads them. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xstilts.cost.workload import FORWARD, PIECES, TRAINING
from xstilts.errors import UserError, did_you_mean
from xstilts.models.identity import MICROWORLD
from xstilts.models.size import KNOWN, body_parameters, known, parameters
from xstilts.settings import resolve
from xstilts.sources.microworld import ENCODER
from xstilts.study import Study

DEFAULT = "xlm-roberta-base"
SORTS = {"classify": "pairs", "span": "questions", "tag": "tagging"}
"""The shapes that are measured, and what their rows are called: of common, long and short rows. The first also tells
how far a machine scales; the last is left out where there is no time for it."""
PREDICTED = 8192
"""Pieces that are predicted at a time: one batch of `training.inference`."""
_VOCABULARY = 30_000
"""Pieces that are trained at most: an assumption of how many of a larger vocabulary the rows of a training use."""
ALIKE = 0.05
"""By how much of the mean the rows of a batch differ in length: batches of a study are of like length."""
LEAST = 3
"""Layers that are measured at least: of 6 layers of width 384, 3 stood for all within 5 %, 2 within 10 %."""
_SPECIAL = 4
"""Positions that no row has: XLM-R counts them from two, and its cousins from one."""


@dataclass(frozen=True)
class Sort:
    """Rows of one shape."""

    shape: str
    pieces: int
    """Of a row, on average."""
    batch: int
    """Rows per optimiser step."""


@dataclass(frozen=True)
class Subject:
    """An encoder and how it is trained."""

    name: str
    config: dict[str, Any]
    """As in `config.json`."""
    sorts: tuple[Sort, ...]
    precision: str = "auto"
    layers: int = 0
    """How many are measured; the rest of the encoder is as these."""

    @property
    def depth(self) -> int:
        """Layers of the encoder."""
        depth: int = self.config["num_hidden_layers"]
        return depth

    @property
    def measured(self) -> dict[str, Any]:
        """The `config.json` of what is measured. The vocabulary is smaller by the same factor as the depth, so that the
        share of the optimiser's time that it takes stays what it is."""
        vocabulary = min(self.config.get("vocab_size", _VOCABULARY), _VOCABULARY)
        least = 2 + max(self.config.get(f"{name}_token_id") or 0 for name in ("pad", "bos", "eos"))
        return {
            "num_attention_heads": max(1, self.config["hidden_size"] // 64), **self.config,
            "num_hidden_layers": self.layers, "vocab_size": max(least, vocabulary * self.layers // self.depth),
        }  # fmt: skip

    @property
    def operations(self) -> int:
        """Floating-point operations of one round over everything, the first sort twice, as `cost` counts them."""
        rows = (*self.sorts, self.sorts[0])
        pieces = [TRAINING * sort.batch * sort.pieces + FORWARD * PREDICTED for sort in rows]
        return body_parameters(self.measured) * sum(pieces)

    @property
    def bytes(self) -> int:
        """Memory of a process at most: 16 bytes a parameter (weight, gradient, two moments), and 34 numbers of the
        width for each piece and layer of a batch (Korthikanti et al. 2022, arXiv 2205.05198, equation 1, without
        attention weights, which are not kept)."""
        pieces = max(PREDICTED, *(sort.batch * sort.pieces for sort in self.sorts))
        kept: int = 4 * 34 * self.config["hidden_size"] * self.layers * pieces
        return 16 * parameters(self.measured) + kept

    def within(self, operations: float, memory: float) -> Subject:
        """With as many layers as a round of so many operations and so many bytes leave room for; at least three, since
        what is beside the layers, and the last of them, weigh too much among fewer."""
        subject = replace(self, layers=self.depth)
        while subject.layers > LEAST and (subject.operations > operations or subject.bytes > memory):
            subject = replace(subject, layers=subject.layers - 1)
        return subject if subject.operations <= operations else replace(subject, sorts=self.sorts[:-1])


def subject_of(model: str = DEFAULT, study: Study | None = None) -> Subject:
    """The encoder of a study with its hyper-parameters, else `model` with those of no study. Raises `UserError` for an
    encoder whose shape is not known."""
    config = _config(study.model if study else model, study.folder if study else Path.cwd())
    name = study.model if study else model
    overrides, preset = (study.settings, study.preset) if study else ({}, None)
    room = int((config.get("max_position_embeddings", PREDICTED) - _SPECIAL) / (1 + ALIKE))
    sorts = []
    for shape in SORTS:
        settings = resolve(overrides, ("target", shape), preset, large=config["num_hidden_layers"] >= 24)
        sorts.append(Sort(shape, max(1, min(PIECES[shape], settings.max_length, room)), settings.batch_size))
    return Subject(Path(name).name, config, tuple(sorts), study.precision if study else "auto")


def _config(name: str, folder: Path) -> dict[str, Any]:
    local = ENCODER if name == MICROWORLD else (folder / Path(name).expanduser()).resolve()
    file = local / "config.json"
    if file.is_file():
        try:
            config = json.loads(file.read_text("utf-8"))
            if not body_parameters(config):
                raise ValueError("no size")
        except (ValueError, TypeError, AttributeError):
            what = "does not say how large the encoder is"
            remedy = "num_hidden_layers, hidden_size and intermediate_size are needed"
            raise UserError(what, file=file, remedy=remedy) from None
        found: dict[str, Any] = config
        return found
    if (short := known(name)) is not None:
        return dict(KNOWN[short])
    raise UserError(
        f"no model folder {local}, and no encoder of known size", remedy=did_you_mean(name, [MICROWORLD, *KNOWN])
    )
