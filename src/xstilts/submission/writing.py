"""Write the predictions of one arm of a study as a submission to XTREME, check it, and only then put it in place."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from xstilts.errors import StepFailed, UserError, did_you_mean
from xstilts.graph import Cell, Plan
from xstilts.plan import plan
from xstilts.schedule import InputErrors
from xstilts.steps.predict import Predict
from xstilts.steps.prepare import Prepare, read_rows
from xstilts.steps.score import Score
from xstilts.store import Store
from xstilts.study import Study
from xstilts.submission.layout import PARTS, Part, missing
from xstilts.submission.validate import check_file, sorted_by_english
from xstilts.tasks.rows import Row


@dataclass(frozen=True)
class Submission:
    """A folder that was written and found valid."""

    folder: str
    intermediate: str
    seed: int
    written: dict[str, list[str]]
    """Task to languages."""
    missing: dict[str, list[str]]
    """What XTREME's nine tasks have beyond that; empty for a complete submission."""
    notes: list[str]
    """Targets and languages of the study that are no part of a submission."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "valid": True, "complete": not self.missing}


class File(NamedTuple):
    """One file to be written: its rows, in the official order, and one prediction for each."""

    part: Part
    language: str
    rows: list[Row]
    predictions: list[Any]


def write_submission(study: Study, store: Store, intermediate: str, out: Path, seed: int | None = None) -> Submission:
    """Write the stored predictions of an arm (`none`: without intermediate training) in XTREME's layout to `out`.

    The folder appears in one rename after every file was read back and checked against the test rows. Raises
    `UserError`s, and writes nothing, where the study is not of whole official test sets, or not yet run.
    """
    out = out.absolute()
    _refuse_occupied(out)
    if study.evaluate_on != "test":
        what = f"the study is evaluated on {study.evaluate_on}, and XTREME asks for its test sets"
        raise UserError(what, file=study.file, remedy="write evaluate_on: test, and run it")
    graph = plan(study)
    cells, notes = _cells(graph, intermediate, seed)
    predicts = {PARTS[cell.target]: _predict(graph, cell) for cell in cells}
    _refuse_other_rows(graph, store, predicts)
    _refuse_not_run(graph, store, predicts)
    files = []
    for part, step in predicts.items():
        extra = [language for language, _ in step.data if language not in part.languages]
        if extra:
            notes.append(f"{part.name}: {', '.join(extra)} left out, not among XTREME's languages for it")
        files += [file for file in _stored(store, part, step) if file.language not in extra]
    written = {part.name: [f.language for f in files if f.part is part] for part in predicts}
    write_files(files, out)
    return Submission(str(out), intermediate, cells[0].seed, written, missing(written), notes)


def _cells(graph: Plan, intermediate: str, seed: int | None) -> tuple[list[Cell], list[str]]:
    """The cells of one arm and seed whose targets XTREME has, and what was left out."""
    study, arms = graph.study, {cell.arm.name for cell in graph.cells}
    if intermediate not in arms:
        what = f"the study has no intermediate {intermediate!r}"
        raise UserError(what, file=study.file, remedy=did_you_mean(intermediate, arms))
    if seed is None and len(study.seeds) > 1:
        what = f"the study has seeds {', '.join(map(str, study.seeds))}, and a submission is of one"
        raise UserError(what, file=study.file, remedy=f"choose one, such as --seed {study.seeds[0]}")
    if seed is not None and seed not in study.seeds:
        remedy = f"it has {', '.join(map(str, study.seeds))}"
        raise UserError(f"the study has no seed {seed}", file=study.file, remedy=remedy)
    seed = study.seeds[0] if seed is None else seed
    chosen = [
        cell
        for cell in graph.cells
        if (cell.arm.name, cell.seed, cell.perturbation) == (intermediate, seed, "clean") and cell.target in PARTS
    ]
    if not chosen:
        what = "no target of the study is a task of XTREME's"
        raise UserError(what, file=study.file, remedy=f"they are {', '.join(PARTS)}")
    others = [target for target in study.targets if target not in PARTS]
    return chosen, [f"{', '.join(others)} left out: none of XTREME's nine tasks"] if others else []


def _predict(graph: Plan, cell: Cell) -> Predict:
    score = graph.steps[cell.score]
    assert isinstance(score, Score)
    step = graph.steps[score.predictions]
    assert isinstance(step, Predict)
    return step


def _refuse_other_rows(graph: Plan, store: Store, predicts: dict[Part, Predict]) -> None:
    """Every file must be of all rows of the official test set, and of no others."""
    errors = []
    for part, step in predicts.items():
        for language, key in step.data:
            prepare = graph.steps[key]
            assert isinstance(prepare, Prepare)
            if prepare.task != part.name or prepare.split != "test" or prepare.file is not None:
                other = prepare.file or f"{prepare.task}.{prepare.split}"
                what = f"{part.name} {language} was evaluated on its stand-in {other}, which is not XTREME's test set"
                remedy = f"put the official test set in the data folder and drop stand_ins.{part.name}.test"
                errors.append(UserError(what, file=graph.study.file, remedy=remedy))
                break
            rows = store.manifest(prepare)["examples"] if store.has(prepare) else None
            if step.rows is not None and (rows is None or step.rows < rows):
                what = f"{part.name} is evaluated on a sample ({step.rows} rows); a submission needs every test row"
                remedy = f"write settings.{part.name}.test_rows: null, and run it"
                errors.append(UserError(what, file=graph.study.file, remedy=remedy))
                break
    if errors:
        raise InputErrors(errors)


def _refuse_not_run(graph: Plan, store: Store, predicts: dict[Part, Predict]) -> None:
    errors = []
    for step in predicts.values():
        if not store.has(step):
            failure = store.failure(step)
            state = f"failed ({failure['error']})" if failure else "is not run"
            remedy = f"type: xstilts run {graph.study.file or graph.study.name + '.yaml'}"
            errors.append(UserError(f"{graph.labels[step.key]} {state}", remedy=remedy))
    if errors:
        raise InputErrors(errors)


def _stored(store: Store, part: Part, step: Predict) -> list[File]:
    """What the store holds of one target: rows and predictions side by side."""
    try:
        table = pq.read_table(store.input(step.kind, step.key) / "predictions.parquet").to_pylist()
        data = [(language, read_rows(store, (key,))) for language, key in step.data]
    except StepFailed as error:
        raise UserError(str(error), remedy=error.remedy) from None
    files = []
    for language, rows in data:
        stored = [item for item in table if item["language"] == language]
        if [row["id"] for row in rows] != [item["id"] for item in stored]:
            what = f"the stored predictions for {part.name} {language} are not in the order of its test rows"
            raise UserError(what, file=store.of(step), remedy="remove that folder and run the study again")
        files.append(File(part, language, rows, [json.loads(item["prediction"]) for item in stored]))
    return files


def write_files(files: Sequence[File], out: Path) -> None:
    """Write all files to a folder beside `out`, check each against its rows, and rename the folder.

    Raises `UserError`, and leaves nothing behind, where one does not answer its rows or `out` cannot be written.
    """
    temporary = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        for file in files:
            path = file.part.file(temporary, file.language)
            path.parent.mkdir(exist_ok=True)
            path.write_text(_FORMS[file.part.kind](file.rows, file.predictions), "utf-8", newline="\n")
        for file in files:
            check_file(file.part.file(temporary, file.language), file.part, file.rows)
        temporary.chmod(0o755)
        temporary.rename(out)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", file=out, remedy="name another with --out") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _refuse_occupied(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "is there already" + (" and not empty" if out.is_dir() else " and not a folder")
        raise UserError(what, file=out, remedy="name another folder with --out, or remove it")


# -- one file: rows and predictions to text ----------------------------------------------------------------------


def _column(rows: Sequence[Row], predictions: Sequence[str]) -> str:
    return "".join(f"{label}\n" for label in predictions)


def _tags(rows: Sequence[Row], predictions: Sequence[list[str]]) -> str:
    return "\n".join("".join(f"{tag}\n" for tag in tags) for tags in predictions)


def _answers(rows: Sequence[Row], predictions: Sequence[str]) -> str:
    by_id = {row["id"]: answer for row, answer in zip(rows, predictions, strict=True)}
    return json.dumps(by_id, ensure_ascii=False, indent=1) + "\n"


def _pairs(rows: Sequence[Row], predictions: Sequence[list[str]]) -> str:
    found = ((row["id"], other) for row, others in zip(rows, predictions, strict=True) for other in others)
    return "".join(f"{source}\t{english}\n" for source, english in found)


def _indices(rows: Sequence[Row], predictions: Sequence[int]) -> str:
    """Line k is the answer to the k-th English sentence in sorted order; our predictions are in the rows' order."""
    return "".join(f"{predictions[i]}\n" for i in sorted_by_english(rows))


_FORMS: dict[str, Callable[[Sequence[Row], Sequence[Any]], str]] = {
    "label": _column, "tags": _tags, "answers": _answers, "pairs": _pairs, "index": _indices,
}  # fmt: skip
