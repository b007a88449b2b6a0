"""Forecasts of a study: which intermediate will help which target, before any target is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xstilts.graph import Arm, Plan
from xstilts.plan import plan
from xstilts.steps.embed import Embed
from xstilts.steps.forecast import Forecast, Method, read_forecast
from xstilts.steps.train import Train
from xstilts.store import Store
from xstilts.study import Study

if TYPE_CHECKING:
    import pandas as pd

    from xstilts.report.frames import Results
    from xstilts.steps.part import Part

ROWS = 1000
"""Training rows of a task that are read. Part of the keys, like `VECTORS`."""
VECTORS = 2000
"""Labelled vectors that are kept of them, 6 MB at width 768: more than twice as many as they have numbers."""
_READING = ("max_length", "stride", "max_query", "max_answer")
"""Settings that say how rows become pieces."""
COLUMNS = ("method", "target", "intermediate", "category", "control", "score")


@dataclass(frozen=True)
class Entry:
    """What one `Forecast` step is the score of."""

    arm: Arm
    target: str
    method: Method
    key: str


@dataclass(frozen=True)
class Forecasts:
    """The steps that foretell a study's gains: rows, intermediate trainings, embeddings and scores, no target's
    training."""

    plan: Plan
    entries: tuple[Entry, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Keys of all scores."""
        return tuple(dict.fromkeys(entry.key for entry in self.entries))


def plan_forecasts(study: Study) -> Forecasts:
    """Expand a study into the steps of its forecasts. Raises `UserError` as `plan` does."""
    return forecasts_of(plan(study))


def forecasts_of(graph: Plan) -> Forecasts:
    """The forecasts for a study's plan: every arm, controls too, for every target that is fine-tuned, first seed.

    `logme` looks at the target's rows through the encoder that the arm has trained (for `none` the pretrained one);
    one seed, because a forecast is worth having only while it is cheap. `similarity` compares what the arm and the
    target are trained on through the pretrained encoder; arms that learn from running text alone have none. Nothing is
    foretold for retrieval, which has no training rows.
    """
    made = Forecasts(Plan(graph.study, graph.model), ())
    entries: dict[tuple[str, str, str], Entry] = {}
    for cell in graph.cells:
        if cell.seed != graph.study.seeds[0] or cell.training is None:
            continue
        fine_tuning = graph.steps[cell.training]
        base = None if cell.base is None else graph.steps[cell.base]
        assert isinstance(fine_tuning, Train) and (base is None or isinstance(base, Train))
        (part,) = fine_tuning.parts
        seen = _embed(graph, made.plan, fine_tuning, part, f"{cell.target} seen after {cell.arm.name}",
                      checkpoint=cell.base, alpha=fine_tuning.alpha, vectors=VECTORS)  # fmt: skip
        steps = [Forecast(method="logme", target=seen)]
        parts = [] if base is None else [part for part in base.parts if part.shape != "mlm"]
        if base is not None and parts:
            target = _embed(graph, made.plan, fine_tuning, part, f"{cell.target} seen after none", vectors=VECTORS)
            texts = tuple(_embed(graph, made.plan, base, part, f"rows of {cell.arm.name}") for part in parts)
            steps.append(Forecast(method="similarity", target=target, texts=texts))
        for step in steps:
            key = made.plan.add(step, f"{step.method} of {cell.arm.name} for {cell.target}")
            entries[step.method, cell.target, cell.arm.name] = Entry(cell.arm, cell.target, step.method, key)
    return Forecasts(made.plan, tuple(entries[name] for name in sorted(entries, key=lambda name: name[0])))


def _embed(graph: Plan, found: Plan, training: Train, part: Part, label: str, **fields: Any) -> str:
    """Key of the step that reads the first rows of a part of a training, put into `found` with all it needs."""
    data, start, stop = part.data, part.start, part.stop
    if not data:  # translated rows alone: the rows they are made from
        translated: Any = graph.steps[part.more[0]]
        data, start, stop = translated.data, translated.start, translated.stop
    options = {name: value for name, value in {**training.recipe, **part.options}.items() if name in _READING}
    step = Embed(
        encoder=training.encoder, pretrained=training.pretrained, shape=part.shape, data=data, start=start,
        stop=start + ROWS if stop is None else min(stop, start + ROWS), options=options,
        model=training.model, precision=training.precision, **fields,
    )  # fmt: skip
    for key in step.inputs():
        _copy(graph, found, key)
    return found.add(step, label, step.stop - step.start)


def _copy(graph: Plan, found: Plan, key: str) -> None:
    """Put a step of `graph` into `found`, after what it needs."""
    if key not in found.steps:
        for needed in graph.steps[key].inputs():
            _copy(graph, found, needed)
        found.add(graph.steps[key], graph.labels[key], graph.examples[key])


def read_forecasts(forecasts: Forecasts, store: Store) -> pd.DataFrame:
    """The scores that the store holds: method, target, intermediate, category, control, score; one row each, in the
    study's order within a method."""
    import pandas as pd

    done = {key: read_forecast(store, key) for key in forecasts.wanted if store.has(forecasts.plan.steps[key])}
    rows = [
        (entry.method, entry.target, entry.arm.name, entry.arm.category, entry.arm.control, done[entry.key])
        for entry in forecasts.entries
        if entry.key in done
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def forecast_facts(results: Results) -> dict[str, Any]:
    """All that `predict-gain` shows, as plain values; `targets` and `methods` (see `analysis.forecasts`) are empty
    where no gain was measured."""
    from xstilts.analysis.forecasts import judge, overall
    from xstilts.analysis.gains import gains

    measured = gains(results.contributions) if len(results.contributions) else None
    return {
        "study": results.study["name"],
        "scores": results.forecasts.to_dict("records"),
        "targets": [] if measured is None else _plain(judge(results.forecasts, measured)),
        "methods": [] if measured is None else _plain(overall(results.forecasts, measured)),
    }


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None for what is not a number."""
    return [{str(k): None if v != v else v for k, v in row.items()} for row in frame.to_dict("records")]
