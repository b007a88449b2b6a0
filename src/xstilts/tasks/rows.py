"""The rows of each shape: the one form that sources write and everything else reads.

A row is a plain dict that fits the shape's Arrow schema. Ids are unique within a task, split and language;
parallel data (XNLI, XQuAD, the microworld) carries the same ids in the same order in every language.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

Row = dict[str, Any]

_TEXT = pa.string()
SCHEMAS: dict[str, pa.Schema] = {
    # one text or a pair; label is one of the task's labels
    "classify": pa.schema([("id", _TEXT), ("text_a", _TEXT), ("text_b", _TEXT), ("label", _TEXT)]),
    # tokens and tags of equal length, at least one; tags are among the task's labels
    "tag": pa.schema([("id", _TEXT), ("tokens", pa.list_(_TEXT)), ("tags", pa.list_(_TEXT))]),
    # one tag per token: its morphological features as CoNLL-U writes them, `Case=Nom|Number=Sing`, or `_`
    "features": pa.schema([("id", _TEXT), ("tokens", pa.list_(_TEXT)), ("tags", pa.list_(_TEXT))]),
    # a dependency tree over syntactic words: head of each token, 1-based, 0 for the root; universal relations
    "parse": pa.schema(
        [("id", _TEXT), ("tokens", pa.list_(_TEXT)), ("heads", pa.list_(pa.int32())), ("relations", pa.list_(_TEXT))]
    ),
    # answers are exact substrings: context[start:start + len(answer)] == answer, in code points;
    # no answer at all marks an unanswerable question
    "span": pa.schema(
        [
            ("id", _TEXT),
            ("question", _TEXT),
            ("context", _TEXT),
            ("answers", pa.list_(_TEXT)),
            ("starts", pa.list_(pa.int32())),
        ]
    ),  # fmt: skip
    # label is the index of the right choice
    "choice": pa.schema([("id", _TEXT), ("prompt", _TEXT), ("choices", pa.list_(_TEXT)), ("label", pa.int32())]),
    # aligned pairs: `text` in the evaluated language, `english` its translation
    "retrieve": pa.schema([("id", _TEXT), ("text", _TEXT), ("english", _TEXT)]),
    # two corpora that hold translations of one another among much else. A row is a sentence of the evaluated
    # language (`id`, `text`), an English one (`english_id`, `english`), or one of each that are translations, so that
    # a sample of rows keeps them together; `gold` names all translations of `text`. `id` is `english_id` where there
    # is no text.
    "mine": pa.schema(
        [("id", _TEXT), ("text", _TEXT), ("english_id", _TEXT), ("english", _TEXT), ("gold", pa.list_(_TEXT))]
    ),
    # running text, or a translation pair for translation language modelling
    "mlm": pa.schema([("id", _TEXT), ("text_a", _TEXT), ("text_b", _TEXT)]),
}
