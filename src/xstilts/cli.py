"""The command line. Every verb imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xstilts.data_commands import data_app
from xstilts.errors import UserError
from xstilts.flags import (
    EngineOption,
    ExecutorOption,
    JsonOption,
    OutOption,
    SaveEveryOption,
    SelectOption,
    StoreOption,
    StudyFile,
    TimeLimitOption,
    WorkersOption,
)
from xstilts.store_commands import store_app

if TYPE_CHECKING:
    from xstilts.api import Outcome
    from xstilts.executors.engine import Engine
    from xstilts.study import Study

app = typer.Typer(
    help="Plan, run and explain intermediate-task transfer studies: pretrained encoder, English intermediate "
    "task, English target task, zero-shot evaluation in many languages.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
)  # fmt: skip
app.add_typer(data_app, name="data")
app.add_typer(store_app, name="store")


def main() -> None:
    """Entry point. A person's mistakes end in one line each and exit code 2."""
    try:
        app()
    except UserError as error:
        _fail(error)
    except BrokenPipeError:
        # the reader of our output went away (`xstilts tasks | head`)
        sys.stderr.close()
        sys.exit(0)


def _fail(error: UserError) -> None:
    for single in getattr(error, "errors", [error]):
        print(f"xstilts: {single}", file=sys.stderr)
    sys.exit(2)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


@app.command()
def demo(store: StoreOption = None, out: OutOption = None, as_json: JsonOption = False) -> None:
    """Run the embedded study (generated data, shipped encoder, no network) and write its report."""
    from xstilts.collect import DEMO
    from xstilts.study import Study

    _run(Study.load(DEMO), store, out, as_json, "pool")


@app.command()
def plan(
    study: StudyFile,
    store: StoreOption = None,
    select: SelectOption = None,
    as_json: JsonOption = False,
    steps: Annotated[bool, typer.Option("--steps", help="List every step, however many there are.")] = False,
) -> None:
    """Show what a study will do, what sharing saves, its disk and time, and what of its data is not at hand."""
    from xstilts.api import find_store, plan_anywhere
    from xstilts.screens import plan_facts, print_plan
    from xstilts.study import Study

    facts = plan_facts(plan_anywhere(Study.load(study, select)), find_store(store))
    if as_json:
        _print_json(facts)
    else:
        print_plan(facts, steps)


@app.command()
def run(
    study: StudyFile,
    store: StoreOption = None,
    out: OutOption = None,
    select: SelectOption = None,
    as_json: JsonOption = False,
    executor: ExecutorOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = None,
    save_every: SaveEveryOption = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the curves of all trainings there for TensorBoard.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run on in the background, also when this terminal is closed.")
    ] = False,
) -> None:
    """Run what is not yet done of a study, then write its report."""
    from xstilts.study import Study

    loaded = Study.load(study, select)
    how = _engine(executor, engine, workers, time_limit, save_every)
    if detach:
        _detach(loaded, study, store, out, how, tensorboard, as_json)
    else:
        _run(loaded, store, out, as_json, how, tensorboard)


def _engine(
    executor: str | None, file: Path | None, workers: int | None, time_limit: str | None, save_every: str | None
) -> Engine:
    from xstilts.executors.engine import Engine

    return Engine.load(file, executor=executor, workers=workers, time_limit=time_limit, save_every=save_every)


def _run(
    study: Study, store: Path | None, out: Path | None, as_json: bool, engine: Engine | str,
    tensorboard: Path | None = None,
) -> None:  # fmt: skip
    from xstilts.api import find_store, run_study
    from xstilts.detach import stoppable
    from xstilts.events import Watchers
    from xstilts.screens import live

    with stoppable(), live(quiet=as_json) as watcher:
        if tensorboard is not None:
            from xstilts.tensorboard import Curves

            watcher = Watchers(watcher, Curves(tensorboard, find_store(store)))
        outcome = run_study(study, store, out, engine, watcher)
    _report_outcome(outcome, as_json)
    if not outcome.ok:
        sys.exit(1)


def _detach(
    study: Study, file: Path, store: Path | None, out: Path | None, engine: Engine, tensorboard: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """What is wrong is said here, in this terminal; then the same command goes on by itself."""
    from xstilts.api import check_run
    from xstilts.detach import detach
    from xstilts.events import events_file

    graph, opened = check_run(study, store, out, engine)
    if tensorboard is not None:
        from xstilts.tensorboard import Curves

        Curves(tensorboard, opened)
    output = opened.root / "logs" / f"{study.name}.out"
    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    pid = detach(arguments, output, events_file(opened, study.name))
    watch = f"xstilts status {file} --watch" + (f" --store {store}" if store else "")
    if as_json:
        _print_json({"pid": pid, "output": str(output), "watch": watch})
        return
    print(f"{study.name}: {len(graph.steps)} steps, run by process {pid}; this terminal may be closed")
    print(f"watch it:   {watch}\nend it:     kill {pid}\nits output: {output}")


def _report_outcome(outcome: Outcome, as_json: bool) -> None:
    steps = outcome.steps
    if as_json:
        _print_json(
            {
                "done": len(steps.done), "reused": len(steps.reused), "failed": steps.failed,
                "remedies": steps.remedies, "blocked": steps.blocked, "report": str(outcome.report),
            }
        )  # fmt: skip
        return
    print(f"{len(steps.done)} steps done, {len(steps.reused)} reused, {len(steps.failed)} failed", end="")
    print(f", {len(steps.blocked)} not run because an input failed" if steps.blocked else "")
    for key, reason in steps.failed.items():
        print(f"failed {key[:12]}: {reason}", file=sys.stderr)
        if key in steps.remedies:
            print(f"  what to do: {steps.remedies[key]}", file=sys.stderr)
    print(f"report: {outcome.report}")


@app.command()
def status(
    study: StudyFile,
    store: StoreOption = None,
    select: SelectOption = None,
    as_json: JsonOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again until the study is done. Ctrl-C ends it, not the run.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long --watch waits between two looks.")
    ] = 5.0,
) -> None:
    """Say how far a study is: steps by kind and state, what runs, speed, time left, failures and what to do."""
    from xstilts.api import find_store
    from xstilts.plan import plan as make_plan
    from xstilts.study import Study
    from xstilts.watch import Watch
    from xstilts.watch_screen import follow, print_status

    looking = Watch(make_plan(Study.load(study, select)), find_store(store))
    gc.freeze()  # a plan of 100,000 steps has no garbage, and to search it takes its time
    if watch:
        try:
            sys.exit(0 if follow(looking, interval, as_json) else 1)
        except KeyboardInterrupt:
            sys.exit(0)
    facts = looking.look()
    if as_json:
        _print_json(facts)
    else:
        print_status(facts)


@app.command()
def report(
    study: StudyFile,
    store: StoreOption = None,
    out: OutOption = None,
    select: SelectOption = None,
    claims: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge the hypotheses of this file instead of the study's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of what the store holds of a study."""
    from xstilts.api import report_study
    from xstilts.study import Study

    path = report_study(Study.load(study, select), store, out, claims)
    if as_json:
        _print_json({"report": str(path)})
    else:
        print(f"report: {path}")


@app.command()
def bench(
    study: Annotated[
        Path | None, typer.Argument(metavar="STUDY", help="Measure its encoder, with its hyper-parameters.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A model folder or a known name; xlm-roberta-base where not given."),
    ] = None,
    store: StoreOption = None,
    dry: Annotated[bool, typer.Option("--dry", help="Write nothing.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure, about.")] = 140,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine trains and predicts; `plan` then estimates by it. It takes two to three minutes."""
    from xstilts.api import find_store, plan_anywhere
    from xstilts.bench.measure import measure, write
    from xstilts.bench.screen import meaning, print_bench, telling
    from xstilts.bench.subject import DEFAULT, subject_of
    from xstilts.study import Study

    if study is not None and model is not None:
        raise UserError("a study names its own encoder", remedy="leave out --model or the study")
    loaded = None if study is None else Study.load(study)
    graph = None if loaded is None else plan_anywhere(loaded)
    subject, opened = subject_of(model or DEFAULT, loaded), find_store(store)
    with telling(quiet=as_json) as say:
        found = measure(subject, seconds, None if dry else opened.open().root, say)
    written = None if dry else str(write(found, opened))
    sentence, takes = meaning(found, graph, opened)
    if as_json:
        _print_json({**found, "written": written, "meaning": sentence, "meaning_seconds": takes})
    else:
        print_bench(found, written, sentence)


@app.command("predict-gain")
def predict_gain(
    study: StudyFile,
    store: StoreOption = None,
    select: SelectOption = None,
    as_json: JsonOption = False,
    executor: ExecutorOption = None,
    engine: EngineOption = None,
    workers: WorkersOption = None,
    time_limit: TimeLimitOption = None,
    save_every: SaveEveryOption = None,
) -> None:
    """Rank the intermediates for each target without training a target, and say how well that foretold known gains."""
    from xstilts.api import predict_gain as foretell
    from xstilts.detach import stoppable
    from xstilts.forecast import forecast_facts
    from xstilts.forecast_screen import print_forecasts
    from xstilts.screens import live
    from xstilts.study import Study

    how = _engine(executor, engine, workers, time_limit, save_every)
    with stoppable(), live(quiet=as_json) as watcher:
        steps, results = foretell(Study.load(study, select), store, how, watcher)
    facts = forecast_facts(results) | {"failed": steps.failed, "blocked": len(steps.blocked)}
    if as_json:
        _print_json(facts)
    else:
        print_forecasts(facts)
    if steps.failed:
        sys.exit(1)


@app.command()
def submit(
    study: StudyFile,
    intermediate: Annotated[str, typer.Option(metavar="NAME", help="Whose predictions: an intermediate, or none.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist or be empty.")],
    seed: Annotated[int | None, typer.Option(help="Which seed, where the study has several.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a study's predictions as a submission to XTREME, and check it."""
    from xstilts.api import find_store
    from xstilts.study import Study
    from xstilts.submission import write_submission
    from xstilts.submission.show import print_submission

    facts = write_submission(Study.load(study), find_store(store), intermediate, out, seed).as_dict()
    if as_json:
        _print_json(facts)
    else:
        print_submission(facts)


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="A folder in XTREME's layout.")],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="The gold labels in the same layout.")],
    as_json: JsonOption = False,
) -> None:
    """Score a folder of predictions in XTREME's submission format, as its evaluator does."""
    from xstilts.submission import score_submission
    from xstilts.submission.show import print_scores

    facts = score_submission(predictions, labels).as_dict()
    if as_json:
        _print_json(facts)
    else:
        print_scores(facts)


@app.command()
def tasks(
    name: Annotated[str | None, typer.Argument(help="Show this task in full, with an encoded row.")] = None,
    model: Annotated[str, typer.Option(help="The encoder whose tokenizer reads the row.")] = "microworld",
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Take the row from this data folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the tasks, or show one."""
    from xstilts.screens import print_task, print_tasks
    from xstilts.tasks import TASKS, get_task
    from xstilts.tasks.examples import encode, example
    from xstilts.tasks.intermediate import MIXTURES

    if name is None:
        if as_json:
            _print_json([task.model_dump() for task in TASKS.values()])
        else:
            print_tasks(list(TASKS.values()), MIXTURES)
        return
    if name in MIXTURES:
        members = ", ".join(MIXTURES[name])
        raise UserError(
            f"{name} is the mixture of {members}", remedy=f"name one of them: xstilts tasks {MIXTURES[name][0]}"
        )
    task = get_task(name)
    row, where = example(task, data)
    encoded = encode(task, row, model)
    if as_json:
        _print_json([{**task.model_dump(), "example": {"row": row, "from": where, "encoded": encoded}}])
    else:
        print_task(task, row, where, encoded, model)
