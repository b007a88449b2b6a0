"""Two corpora that hold some translations of one another: BUCC 2018's bitext mining."""

from __future__ import annotations

from pathlib import Path

from xstilts.errors import UserError
from xstilts.sources.files.opening import find, read_lines
from xstilts.sources.files.refusals import columns, filled, unique
from xstilts.tasks.metadata import Task
from xstilts.tasks.rows import Row


def bucc_files(path: Path) -> tuple[Path, Path, Path]:
    """The corpus `zh-en.training.zh`, its English half `.en` and the true pairs `.gold`, plain or gzipped.

    Raises `UserError` where one is missing; XTREME's copies of the test split come without `.gold`.
    """
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    english, gold = find(plain.with_suffix(".en")), find(plain.with_suffix(".gold"))
    if english is None:
        raise UserError("no English half of this corpus", file=path,
                        remedy=f"put {plain.with_suffix('.en').name} beside it")  # fmt: skip
    if gold is None:
        raise UserError("no true pairs of this corpus", file=path,
                        remedy=f"put {plain.with_suffix('.gold').name} of the official release beside it")  # fmt: skip
    return path, english, gold


def bucc(path: Path, task: Task, language: str) -> list[Row]:
    """Rows of shape `mine`: each sentence of `language` with its first free translation, then the other English ones.

    Layout: `id<TAB>sentence` in both corpora, `id<TAB>English id` for each true pair. Texts that repeat are kept (the
    search merges them). Refused with file and line: ids that repeat, within a corpus or across both, blank sentences,
    and pairs that repeat or name a sentence that is not there.
    """
    _, english_path, gold_path = bucc_files(path)
    texts, english = _corpus(path), _corpus(english_path)
    for number, id_ in enumerate(english, start=1):
        if id_ in texts:
            raise UserError(f"id {id_!r} is also in {path.name}", file=english_path, line=number)
    gold: dict[str, list[str]] = {id_: [] for id_ in texts}
    for number, line in enumerate(read_lines(gold_path), start=1):
        first, second = columns(line, (f"{language} id", "English id"), gold_path, number)
        for id_, corpus, name in ((first, texts, path.name), (second, english, english_path.name)):
            if id_ not in corpus:
                raise UserError(f"no sentence {id_!r} in {name}", file=gold_path, line=number,
                                remedy="are these three files of the same release?")  # fmt: skip
        if second in gold[first]:
            raise UserError(f"the pair {first!r}, {second!r} repeats", file=gold_path, line=number)
        gold[first].append(second)
    if not any(gold.values()):
        raise UserError("no true pairs", file=gold_path, remedy="give the file of the official release")
    rows: list[Row] = []
    placed: set[str] = set()
    for id_, text in texts.items():
        partner = next((other for other in gold[id_] if other not in placed), None)
        rows.append(_row(id_, text, partner, None if partner is None else english[partner], gold[id_]))
        placed.update(() if partner is None else (partner,))
    rows += [_row(id_, None, id_, text, []) for id_, text in english.items() if id_ not in placed]
    return rows


def _corpus(path: Path) -> dict[str, str]:
    """Sentences by id, in the file's order."""
    seen: dict[str, int] = {}
    corpus: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        id_, text = columns(line, ("id", "sentence"), path, number)
        corpus[unique(id_, seen, path, number)] = filled(text, "sentence", path, number)
    return corpus


def _row(id_: str, text: str | None, english_id: str | None, english: str | None, gold: list[str]) -> Row:
    return {"id": id_, "text": text, "english_id": english_id, "english": english, "gold": gold}
