"""Universal Dependencies treebanks in CoNLL-U: trees, and morphological features, over syntactic words.

Ten tab-separated columns a word, a blank line after each sentence, comments behind `#`
(https://universaldependencies.org/format.html). Multiword tokens (`1-2`) and empty nodes (`1.1`) are passed over, as
in the CoNLL 2018 shared task on gold words: a model sees what the tree is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import read_lines
from xstilts.sources.files.refusals import columns, filled, known_label, unique
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_FORM, _FEATS, _HEAD, _DEPREL = 1, 5, 6, 7
_NONE = "_"
_ROOT = "root"
_STRIPPED = "give the treebank with its annotation"


@dataclass
class _Sentence:
    """The words of one sentence, ten columns each, and the lines they are on."""

    line: int
    id: str = ""
    words: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def conllu_parse(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `parse`: FORM, HEAD and the universal part of DEPREL (`nsubj` of `nsubj:pass`).

    Ids are those of `# sent_id`, or count the sentences where no sentence has one. Refused with their line: blank or
    missing (`_`) heads and relations, relations that are not among the task's labels, heads outside the sentence, and
    sentences whose words do not form one tree with one root.
    """
    rows: list[Row] = []
    for sentence in _sentences(path):
        heads = [_head(word, len(sentence.words), path, line) for word, line in _numbered(sentence)]
        relations = [_relation(word, task, path, line) for word, line in _numbered(sentence)]
        _tree(heads, sentence, path)
        rows.append({"id": sentence.id, "tokens": _tokens(sentence), "heads": heads, "relations": relations})
    return rows


def conllu_features(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `features`: FORM and FEATS as written (`Case=Nom|Number=Sing`, `_` for none).

    A file in which no word has a feature is refused: its annotation was removed, or the treebank never had one.
    """
    rows = [
        {
            "id": sentence.id,
            "tokens": _tokens(sentence),
            "tags": [_features(word, path, line) for word, line in _numbered(sentence)],
        }
        for sentence in _sentences(path)
    ]
    if rows and not any(tag != _NONE for row in rows for tag in row["tags"]):
        raise UserError("no word has a morphological feature (column FEATS)", file=path, remedy=_STRIPPED)
    return rows


def _sentences(path: Path) -> Iterator[_Sentence]:
    """The sentences in order, each with at least one word and an id of its own."""
    lines = read_lines(path)
    sentence = _Sentence(line=1)
    seen: dict[str, int] = {}
    words = hidden = count = 0
    for number, line in enumerate([*lines, ""], start=1):
        if line.startswith("#"):
            name, equals, value = line[1:].partition("=")
            if equals and name.strip() == "sent_id":
                sentence.id = unique(value.strip(), seen, path, number)
        elif line:
            fields = columns(line, _COLUMNS, path, number)
            if _is_word(fields[0], len(sentence.words) + 1, path, number):
                filled(fields[_FORM], "word", path, number)
                sentence.words.append(fields)
                sentence.lines.append(number)
                words, hidden = words + 1, hidden + (not fields[_FORM].strip(_NONE))
        elif sentence.words:
            count += 1
            if (sentence.id == "") != (not seen):
                raise UserError("a sentence without a sent_id, while others have one", file=path, line=sentence.line)
            sentence.id = sentence.id or str(count)
            yield sentence
            sentence = _Sentence(line=number + 1)
        elif number <= len(lines):
            what = "empty sentence (two blank lines in a row, or comments alone)"
            raise UserError(what, file=path, line=number)
    # Treebanks over licensed text are published with underscores for words, to be filled in by a script.
    if 2 * hidden > words:
        raise UserError(f"{hidden:,} of {words:,} words are only underscores", file=path,
                        remedy="put the words in with the treebank's own script")  # fmt: skip


def _is_word(id_: str, expected: int, path: Path, number: int) -> bool:
    """Whether a line is a syntactic word; the words of a sentence must count from 1."""
    first, dash, last = id_.partition("-" if "-" in id_ else ".")
    if dash and first.isdecimal() and last.isdecimal():
        return False
    if id_ != str(expected):
        raise UserError(f"word number {id_!r}, expected {expected}", file=path, line=number)
    return True


def _numbered(sentence: _Sentence) -> Iterator[tuple[list[str], int]]:
    return zip(sentence.words, sentence.lines, strict=True)


def _tokens(sentence: _Sentence) -> list[str]:
    return [word[_FORM] for word in sentence.words]


def _gold(word: list[str], column: int, path: Path, number: int) -> str:
    if word[column].strip() in ("", _NONE):
        raise UserError(f"no gold {_COLUMNS[column]}", file=path, line=number, remedy=_STRIPPED)
    return word[column]


def _head(word: list[str], length: int, path: Path, number: int) -> int:
    head = _gold(word, _HEAD, path, number)
    if not (head.isascii() and head.isdecimal() and int(head) <= length):
        what = f"head {head[:20]!r} is outside the sentence of {length} word{'s' * (length != 1)}"
        raise UserError(what, file=path, line=number)
    return int(head)


def _relation(word: list[str], task: Task, path: Path, number: int) -> str:
    relation = known_label(_gold(word, _DEPREL, path, number).partition(":")[0], task.labels, path, number)
    if (relation == _ROOT) != (int(word[_HEAD]) == 0):
        raise UserError(f"relation {relation!r} with head {word[_HEAD]}", file=path, line=number,
                        remedy="head 0 and relation 'root' go together")  # fmt: skip
    return relation


def _features(word: list[str], path: Path, number: int) -> str:
    features = word[_FEATS]
    if not features.strip():
        raise UserError("blank gold FEATS", file=path, line=number, remedy=_STRIPPED)
    names = [feature.partition("=") for feature in features.split("|")]
    if features != _NONE and not all(name.strip() and value.strip() for name, _, value in names):
        raise UserError(f"FEATS {features[:40]!r} is no list of Name=Value", file=path, line=number)
    return features


def _tree(heads: list[int], sentence: _Sentence, path: Path) -> None:
    """Refuse heads (1-based, 0 the root) that are not one tree under one root."""
    roots = heads.count(0)
    if roots != 1:
        raise UserError(f"{roots} roots in sentence {sentence.id!r}, expected 1", file=path, line=sentence.lines[0])
    reaches_root = {0}
    for start in range(1, len(heads) + 1):
        word, way = start, []
        while word not in reaches_root and word not in way:
            way.append(word)
            word = heads[word - 1]
        if word not in reaches_root:
            what = f"the heads of sentence {sentence.id!r} form a circle"
            raise UserError(what, file=path, line=sentence.lines[word - 1])
        reaches_root.update(way)
