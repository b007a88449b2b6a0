"""What the command line and `Study`'s methods share: run a study, read its results, write its report."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.errors import UserError
from xstilts.executors import get_executor
from xstilts.graph import Arm, Plan
from xstilts.plan import plan
from xstilts.schedule import Outcome as Scheduled
from xstilts.schedule import Watcher, schedule
from xstilts.steps.predict import Predict
from xstilts.steps.prepare import Prepare
from xstilts.store import Store, versions
from xstilts.study import Study
from xstilts.tasks import get_task

if TYPE_CHECKING:
    from xstilts.report.frames import Results

DEMO = Path(__file__).parent / "sources" / "microworld" / "demo.yaml"
"""The embedded study."""

ORACLE = (
    "Checkpoints of the targets were chosen by dev rows of the evaluated languages (select: oracle). The scores are an "
    "upper bound and not zero-shot."
)
"""What a report says first where the selection has seen labels of the evaluated languages."""

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


def report_folder(study: Study, out: str | Path | None) -> Path:
    """`out`, else `reports/STUDY-NAME`."""
    return Path(out) if out else Path("reports") / study.name


def run_study(
    study: Study, store: str | Path | None = None, out: str | Path | None = None, executor: str = "pool",
    watcher: Watcher | None = None,
) -> Outcome:  # fmt: skip
    """Run what is not done, then write the report. Raises `UserError` for wrong input; failed steps are in the
    outcome."""
    graph = plan(study)
    opened = find_store(store).open()
    folder = _writable(report_folder(study, out))
    engine = get_executor(executor, opened)
    with _log_file(opened, study), closing(engine):
        scheduled = schedule(graph, opened, engine, watcher)
    return Outcome(scheduled, _write(graph, opened, folder))


def report_study(study: Study, store: str | Path | None = None, out: str | Path | None = None) -> Path:
    """Write the report of what the store holds; returns the path of `report.html`."""
    graph = plan(study)
    return _write(graph, find_store(store), _writable(report_folder(study, out)))


def collect(study: Study, store: str | Path | None = None) -> Results:
    """What the store holds of a study, as data frames."""
    return collect_plan(plan(study), find_store(store))


def collect_plan(graph: Plan, store: Store) -> Results:
    """What the store holds of a plan: contributions of all cells that are scored, steps, environment."""
    import pandas as pd

    from xstilts.report.frames import Results

    state = {key: store.has(step) for key, step in graph.steps.items()}
    steps, created, precisions = [], "", set()
    for key, step in graph.steps.items():
        manifest = store.manifest(step) if state[key] else {}
        failure = None if state[key] else store.failure(step)
        created = max(created, manifest.get("created", ""))
        precisions |= {manifest["precision"]} if "precision" in manifest else set()
        steps.append(
            {
                "key": key, "kind": step.kind, "label": graph.labels[key], "seconds": manifest.get("seconds", 0.0),
                "state": "done" if manifest else "failed" if failure else "not run",
                "error": failure["error"] if failure else "",
            }
        )  # fmt: skip
    frames = [_contributions(graph, cell, store) for cell in graph.cells if state[cell.score]]
    environment = {
        "versions": versions(), "host cpu": _cpu(), "cores": os.cpu_count(), "precision": ", ".join(sorted(precisions)),
        "git commit": _git_commit(), "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return Results(describe(graph), frame, pd.DataFrame(steps), environment)


def _contributions(graph: Plan, cell: Any, store: Store) -> Any:
    import pandas as pd

    frame = pd.read_parquet(store.path("Score", cell.score) / "scores.parquet")
    task, seen = get_task(cell.target), set(graph.study.encoder_languages)
    frame = frame.assign(
        intermediate=cell.arm.name, category=cell.arm.category, control=cell.arm.control, target=cell.target,
        level=task.level, shape=task.shape, perturbation=cell.perturbation, seed=cell.seed,
        primary=frame["metric"] == task.metrics[0],
        seen=frame["language"].isin(seen) if seen else True,
    )  # fmt: skip
    constant = ["intermediate", "category", "control", "target", "level", "shape", "perturbation"]
    return frame.astype({name: "category" for name in constant}).astype({name: object for name in constant})


def describe(graph: Plan) -> dict[str, Any]:
    """The study in words, for its report."""
    study = graph.study
    arms = {cell.arm.name: cell.arm for cell in graph.cells}
    return {
        "name": study.name,
        "question": study.question,
        "model": graph.model.description,
        "languages": sorted({code for s in graph.steps.values() if isinstance(s, Predict) for code, _ in s.data}),
        "seeds": list(study.seeds),
        "intermediates": [name for name in arms if name != "none"],
        "targets": [{"name": name, "title": get_task(name).title} for name in study.targets],
        "stand_ins": [*(_arm_sentence(arm) for name, arm in arms.items() if name != "none"), *graph.notes],
        "cautions": [ORACLE] if study.select == "oracle" else [],
        "settings": {"preset": study.preset, **study.settings} if study.preset else study.settings,
        "data": [
            {"task": s.task, "split": s.split, "language": s.language, "source": s.source, "identity": s.content}
            for s in graph.steps.values()
            if isinstance(s, Prepare)
        ],
        "command": "xstilts demo" if study.file == str(DEMO) else f"xstilts run {study.file or study.name + '.yaml'}",
    }


def _arm_sentence(arm: Arm) -> str:
    """What an arm is trained on, for the description of the study."""
    titles = " and ".join(get_task(name).title for name in arm.tasks)
    if arm.control == "shuffled":
        return f"shuffled is trained on {titles} with permuted labels: it must not help."
    if arm.control == "oracle":
        return "oracle is trained on more rows of each target's own skill: it must help."
    return f"{arm.name} is trained on {titles} ({arm.category})."


def _write(graph: Plan, store: Store, folder: Path) -> Path:
    from xstilts.report.html import write_report

    path = write_report(collect_plan(graph, store), folder)
    predictions(graph, store).to_parquet(folder / "predictions.parquet", index=False)
    return path


def predictions(graph: Plan, store: Store) -> Any:
    """Every stored prediction of a plan: columns intermediate, seed, perturbation and those of `Predict`."""
    import pandas as pd

    frames = []
    for cell in graph.cells:
        if store.has(graph.steps[cell.score]):
            (key,) = graph.steps[cell.score].inputs()
            frame = pd.read_parquet(store.path("Predict", key) / "predictions.parquet")
            where: dict[str, Any] = {
                "intermediate": cell.arm.name,
                "seed": cell.seed,
                "perturbation": cell.perturbation,
            }
            frames.append(frame.assign(**where)[[*where, *frame.columns]])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot write the report to {folder} ({error.strerror})"
        raise UserError(what, remedy="name another folder with --out") from None
    return folder


@contextmanager
def _log_file(store: Store, study: Study) -> Iterator[None]:
    """Append what happens to STORE/logs/STUDY.log."""
    folder = store.root / "logs"
    folder.mkdir(exist_ok=True)
    handler = logging.FileHandler(folder / f"{study.name}.log", encoding="utf-8")
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
        handler.close()


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str:
    """The commit of the checkout that xstilts runs from; empty where it is an installed package."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=5,  # fmt: skip
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
