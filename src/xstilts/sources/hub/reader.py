"""The readers by name. A task names one of them in its `Hub` block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xstilts.sources.hub.answers import squad, tydiqa
from xstilts.sources.hub.choices import choices, copa, csqa, hellaswag
from xstilts.sources.hub.pairs import pairs
from xstilts.sources.hub.table import Table
from xstilts.sources.hub.tagging import tagged
from xstilts.sources.hub.translations import tatoeba
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


@dataclass(frozen=True)
class Reader:
    """How one schema is read."""

    read: Callable[[Table, Task, str], list[Row]]
    version: int = 1
    """Raised when the same content would give other rows; part of the rows' identity."""


_COSMOS = ("answer0", "answer1", "answer2", "answer3")

READERS: dict[str, Reader] = {
    "premise_hypothesis": Reader(pairs("premise", "hypothesis")),
    "snli": Reader(pairs("premise", "hypothesis", skip=True)),
    "anli": Reader(pairs("premise", "hypothesis", id_="uid")),
    "sick": Reader(pairs("sentence_A", "sentence_B", id_="id")),
    "glue_mnli": Reader(pairs("premise", "hypothesis", id_="idx")),
    "glue_sentences": Reader(pairs("sentence1", "sentence2", id_="idx")),
    "glue_qqp": Reader(pairs("question1", "question2", id_="idx", blanks=True)),
    "glue_qnli": Reader(pairs("question", "sentence", id_="idx")),
    "pawsx": Reader(pairs("sentence1", "sentence2", id_="id")),
    "pos_tags": Reader(tagged("pos_tags")),
    "ner_tags": Reader(tagged("ner_tags")),
    "squad": Reader(squad()),
    "squad2": Reader(squad(unanswerable=True)),
    "squad_stripped": Reader(squad(stripped=True)),
    "tydiqa": Reader(tydiqa),
    "cosmos": Reader(choices(("context", "question"), _COSMOS, id_="id")),
    "siqa": Reader(choices(("context", "question"), ("answerA", "answerB", "answerC"), first=1)),
    "codah": Reader(choices(("question_propmt",), "candidate_answers", "correct_answer_idx", id_="id")),
    "hellaswag": Reader(hellaswag),
    "csqa": Reader(csqa),
    "copa": Reader(copa),
    "tatoeba": Reader(tatoeba),
}
