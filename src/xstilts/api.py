"""What the command line and `Study`'s methods share: run a study, read its results, write its report."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts.claims import Claims, load_claims
from xstilts.collect import collect_plan, predictions
from xstilts.errors import UserError
from xstilts.events import Events, Watchers
from xstilts.executors import EXECUTORS, get_executor
from xstilts.executors.engine import Engine
from xstilts.forecast import forecasts_of
from xstilts.graph import Plan
from xstilts.plan import plan
from xstilts.schedule import Outcome as Scheduled
from xstilts.schedule import Watcher, schedule
from xstilts.store import Store, versions
from xstilts.study import Study

if TYPE_CHECKING:
    from xstilts.report.frames import Results

log = logging.getLogger("xstilts")


@dataclass(frozen=True)
class Outcome:
    """A finished run: how its steps went and where the report is."""

    steps: Scheduled
    report: Path

    @property
    def ok(self) -> bool:
        """Whether every step of the study is done."""
        return not self.steps.failed


def find_store(store: str | Path | None) -> Store:
    """The store at `store`, else `$XSTILTS_STORE`, else `.xstilts/store`. To be read: it need not exist or be
    writable."""
    return Store(Path(store or os.environ.get("XSTILTS_STORE") or ".xstilts/store").absolute())


def plan_anywhere(study: Study) -> Plan:
    """The plan of a study, to be looked at. Where its data is not all at hand it is planned as if it were, with notes
    that say so. Raises `UserError` for whatever else is wrong."""
    try:
        return plan(study)
    except UserError as refusal:
        graph = plan(study, assume=True)
        graph.notes.append(f"`xstilts run` would refuse: {refusal}")
        return graph


def report_folder(study: Study, out: str | Path | None) -> Path:
    """`out`, else `reports/STUDY-NAME`."""
    return Path(out) if out else Path("reports") / study.name


def run_study(
    study: Study, store: str | Path | None = None, out: str | Path | None = None, executor: Engine | str = "pool",
    watcher: Watcher | None = None,
) -> Outcome:  # fmt: skip
    """Run what is not done, on the executor of that name or as an engine file says, then write the report. Raises
    `UserError` for wrong input; failed steps are in the outcome."""
    graph, claims = plan(study), claims_of(study)
    opened = find_store(store).open()
    folder = _writable(report_folder(study, out))
    return Outcome(_run(graph, opened, executor, watcher), _write(graph, opened, folder, claims))


def check_run(
    study: Study, store: str | Path | None = None, out: str | Path | None = None, executor: Engine | str = "pool"
) -> tuple[Plan, Store]:
    """What `run_study` refuses before anything runs. Raises `UserError` as it does."""
    graph = plan(study)
    claims_of(study)
    opened = find_store(store).open()
    _writable(report_folder(study, out))
    EXECUTORS.get(executor if isinstance(executor, str) else executor.executor)
    return graph, opened


def _run(
    graph: Plan, store: Store, engine: Engine | str, watcher: Watcher | None, wanted: Iterable[str] | None = None
) -> Scheduled:
    """Run a plan under the eyes of `watcher` and of the study's event log and log file."""
    executor = get_executor(engine, store)
    name = engine if isinstance(engine, str) else engine.executor
    events = Events(store, graph.study.name, name, executor.capacity)
    with _log_file(store, graph.study), closing(executor):
        try:
            outcome = schedule(graph, store, executor, Watchers(watcher or Watcher(), events), wanted)
        except BaseException as stop:
            events.finish("refused" if isinstance(stop, UserError) else "stopped")
            raise
        events.finish("finished", len(outcome.blocked))
        return outcome


def predict_gain(
    study: Study, store: str | Path | None = None, executor: Engine | str = "pool", watcher: Watcher | None = None
) -> tuple[Scheduled, Results]:
    """Score every arm for every target without training a target; returns how the steps went, and the scores beside
    whatever gains the store holds. Raises `UserError` for wrong input and where nothing can be foretold."""
    graph = plan(study)
    forecasts = forecasts_of(graph)
    if not forecasts.entries:
        raise UserError(
            "no target of the study is fine-tuned, so there is nothing to foretell", file=study.file,
            remedy="add a target other than retrieval",
        )  # fmt: skip
    opened = find_store(store).open()
    scheduled = _run(forecasts.plan, opened, executor, watcher, forecasts.wanted)
    return scheduled, collect_plan(graph, opened)


def report_study(
    study: Study, store: str | Path | None = None, out: str | Path | None = None, claims: Path | None = None
) -> Path:
    """Write the report of what the store holds, judging `claims` or else the study's own; returns the path of
    `report.html`. Raises `UserError` for wrong input."""
    graph, judged = plan(study), claims_of(study, claims)
    return _write(graph, find_store(store), _writable(report_folder(study, out)), judged)


def claims_of(study: Study, file: Path | None = None) -> Claims | None:
    """The claims in `file`, else those the study names; None without any. Raises `UserError` for a wrong file."""
    where = file or study.claims_file
    return None if where is None else load_claims(where)


def collect(study: Study, store: str | Path | None = None) -> Results:
    """What the store holds of a study, as data frames."""
    return replace(collect_plan(plan(study), find_store(store)), claims=claims_of(study))


def _write(graph: Plan, store: Store, folder: Path, claims: Claims | None) -> Path:
    from xstilts.report.html import write_report

    path = write_report(replace(collect_plan(graph, store), claims=claims), folder)
    predictions(graph, store).to_parquet(folder / "predictions.parquet", index=False)
    return path


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot write the report to {folder} ({error.strerror})"
        raise UserError(what, remedy="name another folder with --out") from None
    return folder


@contextmanager
def _log_file(store: Store, study: Study) -> Iterator[None]:
    """Append what happens to STORE/logs/STUDY.log. Where that cannot be written the run goes on without."""
    folder = store.root / "logs"
    try:
        folder.mkdir(exist_ok=True)
        handler: logging.Handler = _LogFile(folder / f"{study.name}.log", encoding="utf-8")
    except OSError as error:
        log.warning("no log file (%s: %s); the run goes on without", folder, error.strerror)
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    previous = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        log.info("run     %s", json.dumps({"study": study.name, "versions": versions()}))
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(previous)
        with suppress(OSError):
            handler.close()


class _LogFile(logging.FileHandler):
    """Warns once where the disk is full, instead of a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        """What `logging` calls when a line cannot be written."""
        log.removeHandler(self)
        log.warning("the log file %s cannot be written; the run goes on without", self.baseFilename)
