"""From a store to what a report is made from: scores and predictions of a plan's cells, how its steps went."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.analysis.perturbations import CLEAN, setting_of
from xstilts.claims import facts
from xstilts.errors import StepFailed, UserError
from xstilts.forecast import forecasts_of, read_forecasts
from xstilts.graph import Arm, Cell, Plan
from xstilts.plan import learns_target
from xstilts.steps.predict import Predict
from xstilts.steps.prepare import Prepare
from xstilts.store import Store, versions
from xstilts.store.manifest import git_commit
from xstilts.tasks import get_task
from xstilts.training.degenerate import RULE

if TYPE_CHECKING:
    from xstilts.report.frames import Results

DEMO = Path(__file__).parent / "sources" / "microworld" / "demo.yaml"
"""The embedded study."""

ORACLE = (
    "Checkpoints of the targets were chosen by dev rows of the evaluated languages (select: oracle). The scores are an "
    "upper bound and not zero-shot."
)
"""What a report says first where the selection has seen labels of the evaluated languages."""


def collect_plan(graph: Plan, store: Store) -> Results:
    """What the store holds of a plan: contributions of all cells that are scored, steps, environment,
    forecasts."""
    import pandas as pd

    from xstilts.report.frames import Results

    done = store.done(graph.steps.values())
    # of a checkpoint that was dropped its manifest is left
    manifests = {key: store.record(step) or {} for key, step in graph.steps.items()}
    steps, precisions = [], set()
    for key, step in graph.steps.items():
        manifest = manifests[key]
        failure = None if manifest else store.failure(step)
        precisions |= {manifest["precision"]} if "precision" in manifest else set()
        steps.append(
            {
                "key": key, "kind": step.kind, "label": graph.labels[key], "seconds": manifest.get("seconds", 0.0),
                "created": manifest.get("created", ""),
                "state": "done" if manifest else "failed" if failure else "not run",
                "error": failure["error"] if failure else "",
            }
        )  # fmt: skip
    frames = [_contributions(graph, cell, cell.score, store) for cell in graph.cells if cell.score in done]
    dev = [_contributions(graph, cell, cell.dev, store) for cell in graph.cells if cell.dev and cell.dev in done]
    rates = [_rates(graph, target, name, key, store) for target, name, key in _settings(graph) if key in done]
    environment = {
        "versions": versions(), "host cpu": _cpu(), "cores": os.cpu_count(), "precision": ", ".join(sorted(precisions)),
        "git commit": git_commit(),
    }  # fmt: skip
    scored, chosen, reached = (
        pd.concat(part, ignore_index=True) if part else pd.DataFrame() for part in (frames, dev, rates)
    )
    return Results(
        describe(graph), scored, pd.DataFrame(steps), environment, dev=chosen, degenerate=_degenerate(graph, manifests),
        forecasts=read_forecasts(forecasts_of(graph), store), rates=reached,
        golds=_golds(graph, done, store),
    )  # fmt: skip


def _degenerate(graph: Plan, manifests: dict[str, dict[str, Any]]) -> Any:
    """A row for each cell and degenerate training that it rests on: see `Results.degenerate`."""
    import pandas as pd

    rows = []
    for cell in graph.cells:
        if cell.perturbation != CLEAN:  # the same trainings again
            continue
        for phase, key in (("intermediate", cell.base), ("target", cell.training)):
            attempts = manifests[key].get("attempts") if key is not None else None
            if attempts:
                reasons = [attempt["degenerate"] for attempt in attempts if attempt["degenerate"]]
                rows.append((cell.arm.name, cell.target, cell.seed, phase, reasons[-1], len(attempts) - 1,
                             not attempts[-1]["degenerate"], key))  # fmt: skip
    names = ["intermediate", "target", "seed", "phase", "reason", "restarts", "remedied", "key"]
    return pd.DataFrame(rows, columns=names)


def _contributions(graph: Plan, cell: Cell, key: str, store: Store) -> Any:
    """The scores of step `key`, with where `cell` stands in the study."""

    frame = _of_setting(_output(store, "Score", key), "scores.parquet", cell.perturbation)
    task, seen = get_task(cell.target), set(graph.study.encoder_languages)
    frame = frame.assign(
        intermediate=cell.arm.name, category=cell.arm.category, control=cell.arm.control, target=cell.target,
        level=task.level, shape=task.shape, perturbation=cell.perturbation, seed=cell.seed,
        primary=frame["metric"] == task.metrics[0],
        seen=frame["language"].isin(seen) if seen else True,
    )  # fmt: skip
    constant = ["intermediate", "category", "control", "target", "level", "shape", "perturbation"]
    return frame.astype({name: "category" for name in constant}).astype({name: object for name in constant})


def _output(store: Store, kind: str, key: str) -> Path:
    """Where a step's output is, once its files were compared with its manifest: no number comes from a damaged file.
    Raises `UserError` where one is damaged."""
    try:
        return store.input(kind, key)
    except StepFailed as error:
        raise UserError(str(error), remedy=error.remedy) from None


def _of_setting(folder: Path, file: str, perturbation: str) -> Any:
    """What a step has stored of one setting: `file` of the clean rows, `perturbed.parquet` of all others."""
    import pandas as pd

    if perturbation == CLEAN:
        return pd.read_parquet(folder / file)
    chosen = [("perturbation", "==", perturbation)]
    return pd.read_parquet(folder / "perturbed.parquet", filters=chosen).drop(columns="perturbation")


def _settings(graph: Plan) -> list[tuple[str, str, str]]:
    """(target, setting, key of the step that makes its rows), each once."""
    found = {
        (step.task, name, key): None
        for step in graph.steps.values() if isinstance(step, Predict)
        for name, key in step.perturbed
    }  # fmt: skip
    return list(found)


def _rates(graph: Plan, target: str, name: str, key: str, store: Store) -> Any:
    """How much of each row was changed: see `Results.rates`."""
    import pandas as pd

    setting = setting_of(name)
    frame = pd.read_parquet(_output(store, graph.steps[key].kind, key) / "rates.parquet")
    about: dict[str, Any] = {"target": target, "perturbation": name, "kind": setting.kind,
             "asked": float("nan") if setting.rate is None else setting.rate}  # fmt: skip
    return frame.assign(**about)[["target", "language", "perturbation", "kind", "asked", "id", "edits", "units"]]


def _golds(graph: Plan, done: set[str], store: Store) -> Any:
    """The right answers of every target's clean rows: see `Results.golds`. All checkpoints have the same."""
    import pandas as pd

    found = {}
    for cell in graph.cells:
        (key,) = graph.steps[cell.score].inputs()
        if cell.target not in found and key in done:
            file = _output(store, "Predict", key) / "predictions.parquet"
            frame = pd.read_parquet(file, columns=["language", "gold"])
            frame["gold"] = [json.loads(gold) for gold in frame["gold"]]
            found[cell.target] = frame.assign(target=cell.target)
    return pd.concat(found.values(), ignore_index=True) if found else None


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
        **facts(study, graph.model.identity),
        "own_tasks": sorted(
            {(cell.arm.name, cell.target) for cell in graph.cells if learns_target(cell.arm, get_task(cell.target))}
        ),
        "varies": {arm.name: arm.base for arm in study.arms if arm.base},
        "degenerate_rule": RULE,
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
    return f"{arm.name} is trained on {titles} ({arm.category})." if arm.options.plain else _variant_sentence(arm)


def _variant_sentence(arm: Arm) -> str:
    """What an arm that varies something is trained on, and what it varies."""
    options, titles = arm.options, " and ".join(get_task(name).title for name in arm.tasks)
    words = [titles or "text alone"]
    if options.translate is not None:
        how = f"from files in {', '.join(options.translate.to)}" if options.translate.files else (
            f"in {', '.join(options.translate.to)}, translated by {options.translate.backend}")  # fmt: skip
        words.append(how + (" beside English" if options.translate.keep_english else ""))
    if options.perturb is not None:
        how = f"perturbed by {options.perturb.kind.replace('_', ' ')} at {100 * options.perturb.rate:g} %"
        words.append(how + (", beside the clean rows" if options.perturb.keep_clean else ""))
    if options.sampler is not None:
        fields = options.sampler.model_dump(exclude_defaults=True)
        words.append(f"drawn by {fields}" if fields else "drawn in proportion to their rows")
    if options.mlm is not None:
        words.append(f"{options.mlm.weight:g} steps of masked language modelling per step of it")
    if options.settings:
        words.append(", ".join(f"{name} {value}" for name, value in options.settings.items()))
    if options.alpha != 1:
        words.append(f"targets start at {options.alpha:g} of the way from the pretrained to the intermediate encoder")
    if options.reuse_head:
        words.append("targets of the same labels start from its head")
    return f"{arm.name} is trained on {'; '.join(words)}."


def predictions(graph: Plan, store: Store) -> Any:
    """Every stored prediction of a plan: columns intermediate, seed, perturbation and those of `Predict`."""
    import pandas as pd

    done = store.done(graph.steps.values())
    frames = []
    for cell in graph.cells:
        (key,) = graph.steps[cell.score].inputs()
        if cell.score in done and key in done:
            frame = _of_setting(_output(store, "Predict", key), "predictions.parquet", cell.perturbation)
            where: dict[str, Any] = {
                "intermediate": cell.arm.name,
                "seed": cell.seed,
                "perturbation": cell.perturbation,
            }
            frames.append(frame.assign(**where)[[*where, *frame.columns]])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
