"""CCG supertags: CCGbank's derivations, and lines of words and tags."""

from __future__ import annotations

import re
from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import find, read_lines
from xstilts.sources.files.refusals import columns, filled, unique
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row

_TRAINING = tuple(f"{section:02}" for section in range(2, 22))
_ENDING = ".auto"
_ID = re.compile(r"ID=([^ ]+)(?: .*)?")
# a node `(<T category head children>`, a leaf `(<L category pos pos word predicate-argument>)`, or a node's end
_PIECE = re.compile(r"\(<T [^ ]+ [01] ([12])> |\(<L ([^ ]+) [^ ]+ [^ ]+ ([^ ]+) [^ ]+>\) ?|\) ?")


def ccg(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `tag` from CCGbank: each word with the lexical category of its leaf.

    A folder is all the files that `ccg_files` finds in it. A file that begins with `ID=` holds derivations in the
    `.auto` format, two lines each (Hockenmaier and Steedman 2005, CCGbank: user's manual); others hold
    `words<TAB>categories` a line, both separated by spaces, and ids are the line numbers. Words are kept verbatim,
    brackets as `-LRB-` included.
    """
    seen: dict[str, int] = {}
    rows: list[Row] = []
    for file in ccg_files(path):
        lines = read_lines(file)
        derivations = _ENDING in file.suffixes or (bool(lines) and lines[0].startswith("ID="))
        rows.extend(_derivations(lines, seen, file) if derivations else _flat(lines, file))
    return rows


def ccg_files(path: Path) -> tuple[Path, ...]:
    """The files of a split in the order of their names: a file itself, or the `.auto` files of a folder.

    A folder of sections, `data/AUTO`, stands for the field's training split, sections 02 to 21. Raises `UserError`
    when a section or all files are missing.
    """
    if not path.is_dir():
        return (path,)
    if _auto_files(path):
        return _auto_files(path)
    files: list[Path] = []
    for section in _TRAINING:
        found = _auto_files(path / section)
        if not found:
            what = f"no {_ENDING} files in section {section}"
            raise UserError(what, file=path, remedy=f"training needs sections {_TRAINING[0]} to {_TRAINING[-1]}")
        files.extend(found)
    return tuple(files)


def _auto_files(folder: Path) -> tuple[Path, ...]:
    names = sorted({file.name.removesuffix(".gz") for file in folder.glob(f"*{_ENDING}*")})
    return tuple(filter(None, (find(folder / name) for name in names if name.endswith(_ENDING))))


def _derivations(lines: list[str], seen: dict[str, int], path: Path) -> list[Row]:
    rows: list[Row] = []
    for number in range(1, len(lines) + 1, 2):
        match = _ID.fullmatch(lines[number - 1])
        if match is None:
            raise UserError(f"expected ID=..., found {lines[number - 1][:40]!r}", file=path, line=number)
        if number == len(lines):
            raise UserError(f"no derivation of {match[1]!r}", file=path, line=number)
        id_ = unique(match[1], seen, path, number)
        leaves = _leaves(lines[number], path, number + 1)
        rows.append({"id": id_, "tokens": [word for word, _ in leaves], "tags": [tag for _, tag in leaves]})
    return rows


def _leaves(tree: str, path: Path, number: int) -> list[tuple[str, str]]:
    """(word, category) of each leaf, if the tree is whole: every node has as many children as it says."""
    leaves: list[tuple[str, str]] = []
    missing = [1]  # of the tree itself, then of every open node: how many children are still to come
    at = 0
    while at < len(tree):
        piece = _PIECE.match(tree, at)
        if piece is None:
            raise UserError(f"no derivation from {tree[at : at + 40]!r} on", file=path, line=number)
        if piece[0].startswith(")"):
            if len(missing) == 1 or missing.pop() != 0:
                raise UserError("a node ends before its children do", file=path, line=number)
        else:
            missing[-1] -= 1
            if missing[-1] < 0:
                raise UserError("a node has more children than it says", file=path, line=number)
            if piece[1]:
                missing.append(int(piece[1]))
            else:
                leaves.append((filled(piece[3], "word", path, number), piece[2]))
        at = piece.end()
    if missing != [0]:
        raise UserError("the derivation is cut short", file=path, line=number)
    return leaves


def _flat(lines: list[str], path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        words, tags = (
            filled(field, "column", path, number).split(" ")
            for field in columns(line, ("words", "categories"), path, number)
        )
        if len(words) != len(tags) or not all(map(str.strip, [*words, *tags])):
            what = f"{len(words)} words and {len(tags)} categories, or one of them is empty"
            raise UserError(what, file=path, line=number, remedy="separate them by single spaces")
        rows.append({"id": str(number), "tokens": words, "tags": tags})
    return rows
