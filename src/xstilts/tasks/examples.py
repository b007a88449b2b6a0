"""One row of a task to look at: a real one where there is data, else one made up for its shape."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from xstilts.errors import UserError
from xstilts.models.identity import find_model
from xstilts.settings import resolve
from xstilts.sources import get_source
from xstilts.tasks.metadata import Split, Task
from xstilts.tasks.rows import Row

MADE_UP: dict[str, Row] = {
    "classify": {"text_a": "A woman is slicing an onion.", "text_b": "Somebody is cooking."},
    "tag": {"tokens": ["Ada", "lived", "in", "London", "."]},
    "features": {"tokens": ["She", "reads"], "tags": ["Case=Nom|Gender=Fem|Number=Sing", "Number=Sing|Tense=Pres"]},
    "parse": {"tokens": ["She", "reads", "books"], "heads": [2, 0, 2], "relations": ["nsubj", "root", "obj"]},
    "span": {"question": "Where was she?", "context": "Ada lived in London.", "answers": ["London"], "starts": [13]},
    "choice": {"prompt": "The glass fell.", "choices": ["It broke.", "It sang."], "label": 0},
    "retrieve": {"text": "Das Glas ist leer.", "english": "The glass is empty."},
    "mine": {"text": "Das Glas ist leer.", "english_id": "en-1", "english": "The glass is empty.", "gold": ["en-1"]},
    "mlm": {"text_a": "The glass is empty.", "text_b": None},
}  # fmt: skip
"""A row of each shape, without id, labels filled in from the task."""


def example(task: Task, data: Path | None) -> tuple[Row, str]:
    """(a row, where it is from): of `data` where a folder is given, of the generator for generated tasks, else made up.

    Raises `UserError` when the folder holds nothing of the task.
    """
    if "microworld" in task.sources:
        source, name = get_source("microworld"), "the microworld's"
    elif data is not None:
        source, name = get_source("files", data), f"{data}:"
    else:
        return _made_up(task), "made up; give --data FOLDER for a real one"
    for split in get_args(Split):
        for language in sorted(task.all_languages, key=lambda code: code != "en"):
            if source.has(task, split, language):
                return source.rows(task, split, language)[0], f"{name} {task.name}.{split} in {language}"
    raise UserError(f"nothing of task {task.name!r}", file=data, remedy=f"see: xstilts data check {data}")


def encode(task: Task, row: Row, model: str) -> list[str]:
    """The pieces of a row in the tokenizer of the encoder `model` and what the loss compares with, line by line.

    Nothing for running text, whose masks are drawn anew each time. Raises `UserError` when there is no such model.
    """
    if task.shape == "mlm":
        return []
    from xstilts.models.encoder import load_tokenizer, revision_of
    from xstilts.tasks.shapes import SHAPES, Spec

    found, shape = find_model(model, "main", Path.cwd()), SHAPES.get(task.shape)
    tokenizer = load_tokenizer(found.location, revision_of(found.identity))
    spec = Spec.of(resolve({}, (task.shape, task.name)).model_dump(), task.labels or shape.inventory([row]), 1)
    lines = []
    for feature in shape.encode([row], tokenizer, spec, training=True):
        for sequence in feature.sequences:
            lines.append(f"{len(sequence.ids)} pieces: {' '.join(tokenizer.convert_ids_to_tokens(sequence.ids))}")
        if feature.target is not None:
            lines.append(f"target: {feature.target}" + (f" of {', '.join(spec.labels)}" if spec.labels else ""))
    return lines


def _made_up(task: Task) -> Row:
    row: Row = {"id": "1", **MADE_UP[task.shape]}
    if task.shape == "classify":
        row["label"] = task.labels[0]
    if task.shape == "tag":
        labels = task.labels or ("A", "B")
        row["tags"] = [labels[i % len(labels)] for i in range(len(row["tokens"]))]
    return row
