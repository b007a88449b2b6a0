"""The command line. Every verb imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xstilts.errors import UserError

if TYPE_CHECKING:
    from xstilts.api import Outcome
    from xstilts.study import Study

app = typer.Typer(
    help="Plan, run and explain intermediate-task transfer studies: pretrained encoder, English intermediate "
    "task, English target task, zero-shot evaluation in many languages.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich",
)  # fmt: skip
data_app = typer.Typer(help="Look at data folders.", no_args_is_help=True)
app.add_typer(data_app, name="data")

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file, such as studies/natural-smoke.yaml.")]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Where results are kept. [default: $XSTILTS_STORE or .xstilts/store]"),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the report goes. [default: reports/STUDY-NAME]")
]
SelectOption = Annotated[
    Literal["last", "best", "oracle"] | None,
    typer.Option(
        "--select", metavar="HOW", help="Checkpoints: last, best (English dev) or oracle (target-language dev)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


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
    executor: Annotated[str, typer.Option(help="Where steps run: pool (all processors) or inline.")] = "pool",
) -> None:
    """Run what is not yet done of a study, then write its report."""
    from xstilts.study import Study

    _run(Study.load(study, select), store, out, as_json, executor)


def _run(study: Study, store: Path | None, out: Path | None, as_json: bool, executor: str) -> None:
    from xstilts.api import run_study
    from xstilts.screens import live

    with _stoppable(), live(quiet=as_json) as watcher:
        outcome = run_study(study, store, out, executor, watcher)
    _report_outcome(outcome, as_json)
    if not outcome.ok:
        sys.exit(1)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C ends a run in one line."""
    try:
        yield
    except KeyboardInterrupt:
        print("\nstopped; run the same command again to go on where it stopped", file=sys.stderr)
        sys.exit(130)  # 128 + SIGINT, as shells have it


def _report_outcome(outcome: Outcome, as_json: bool) -> None:
    steps = outcome.steps
    if as_json:
        _print_json(
            {
                "done": len(steps.done), "reused": len(steps.reused), "failed": steps.failed,
                "blocked": steps.blocked, "report": str(outcome.report),
            }
        )  # fmt: skip
        return
    print(f"{len(steps.done)} steps done, {len(steps.reused)} reused, {len(steps.failed)} failed", end="")
    print(f", {len(steps.blocked)} not run because an input failed" if steps.blocked else "")
    for key, reason in steps.failed.items():
        print(f"failed {key[:12]}: {reason}", file=sys.stderr)
    print(f"report: {outcome.report}")


@app.command()
def status(
    study: StudyFile, store: StoreOption = None, select: SelectOption = None, as_json: JsonOption = False
) -> None:
    """Say how far a study is: steps by kind and state, failures and their reasons, time left."""
    from xstilts.api import find_store
    from xstilts.plan import plan as make_plan
    from xstilts.screens import plan_facts, print_status
    from xstilts.study import Study

    facts = plan_facts(make_plan(Study.load(study, select)), find_store(store))
    if as_json:
        _print_json({name: facts[name] for name in ("study", "kinds", "failures", "rest")})
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


@app.command("predict-gain")
def predict_gain(
    study: StudyFile,
    store: StoreOption = None,
    select: SelectOption = None,
    as_json: JsonOption = False,
    executor: Annotated[str, typer.Option(help="Where steps run: pool (all processors) or inline.")] = "pool",
) -> None:
    """Rank the intermediates for each target without training a target, and say how well that foretold known gains."""
    from xstilts.api import predict_gain as foretell
    from xstilts.forecast import forecast_facts
    from xstilts.forecast_screen import print_forecasts
    from xstilts.screens import live
    from xstilts.study import Study

    with _stoppable(), live(quiet=as_json) as watcher:
        steps, results = foretell(Study.load(study, select), store, executor, watcher)
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


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A data folder in the official layouts.")],
    task: Annotated[str | None, typer.Argument(help="Look at this task alone, language by language.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say for every task what a data folder holds, per language and split, and what is wrong or missing."""
    from rich.console import Console

    from xstilts.sources.check import check, render, render_task
    from xstilts.tasks import TASKS, get_task

    findings = check(folder, TASKS.values() if task is None else [get_task(task)])
    if as_json:
        _print_json(findings)
    else:
        Console().print(render(findings) if task is None else render_task(findings))
