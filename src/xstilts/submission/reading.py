"""The files of a submission and of its labels, read as XTREME's evaluator reads them, or refused with file and line.

As there, white space around a line means nothing and lines may end in LF, CR LF or CR.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from xstilts.errors import UserError
from xstilts.sources.files.json_fields import list_field, parse, text_field
from xstilts.sources.files.opening import read_text


class Sentence(NamedTuple):
    """The tags of one sentence and the line (1-based) of the first."""

    line: int
    tags: list[str]


class Question(NamedTuple):
    """A question's id and its accepted answers."""

    id: str
    answers: list[str]


def read_column(path: Path, rows: int | None = None) -> list[str]:
    """One value a line, stripped. Blank lines at the end are dropped as far as there are more than `rows` values."""
    values = _lines(path)
    while len(values) > (rows or 0) and not values[-1]:
        values.pop()
    return values


def read_sentences(path: Path) -> list[Sentence]:
    """Sentences of one tag a line, set apart by blank lines; the tag is what follows the last tab of its line."""
    sentences: list[Sentence] = []
    inside = False
    for number, line in enumerate(_lines(path), start=1):
        if line:
            if not inside:
                sentences.append(Sentence(number, []))
            sentences[-1].tags.append(line.rsplit("\t", 1)[-1].strip())
        inside = bool(line)
    return sentences


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """(source id, English id) of each line; `UserError` for a line that is not two columns."""
    pairs = []
    for number, line in enumerate(read_column(path), start=1):
        first, tab, second = line.partition("\t")
        if not tab or "\t" in second:
            found = f"{line.count(chr(9)) + 1} columns" if line else "blank"
            raise UserError(f"{found}, expected source id, tab, English id", file=path, line=number)
        pairs.append((first, second))
    return pairs


def read_answers(path: Path) -> dict[str, str]:
    """Question id to predicted answer, from one JSON object; `UserError` if it is anything else."""
    content = parse(read_text(path), path)
    if not isinstance(content, dict):
        raise UserError("not an object of question ids and answers", file=path, remedy='write {"id": "answer", ...}')
    for id_, answer in content.items():
        if not isinstance(answer, str):
            remedy = 'predictions are {"id": "answer", ...}, one text for each question'
            raise UserError(f"the answer to question {id_!r} is not text", file=path, remedy=remedy)
    return content


def read_questions(path: Path) -> list[Question]:
    """Every question of a SQuAD file with its gold answers, in the file's order.

    Raises `UserError` for a question without gold, and for a file whose gold answers are all blank, as those of
    XTREME's download are.
    """
    content = parse(read_text(path), path)
    content = content if isinstance(content, dict) and "data" in content else {"data": content}
    questions = []
    for article in list_field(content, "data", path):
        for paragraph in list_field(article, "paragraphs", path):
            for question in list_field(paragraph, "qas", path):
                id_ = text_field(question, "id", path)
                gold = list_field(question, "answers", path, f"question {id_!r}: ")
                if not gold:
                    raise UserError(f"question {id_!r}: no gold answer", file=path, remedy="give the labelled file")
                questions.append(Question(id_, [text_field(answer, "text", path) for answer in gold]))
    if questions and not any(answer.strip() for question in questions for answer in question.answers):
        raise UserError("every gold answer is blank: they were removed", file=path, remedy="give the labelled file")
    return questions


def _lines(path: Path) -> list[str]:
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.strip() for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines
