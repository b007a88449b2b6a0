"""The verbs of `xstilts data`: what a data folder holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xstilts.flags import JsonOption

data_app = typer.Typer(help="Look at data folders.", no_args_is_help=True)


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
        print(json.dumps(findings, indent=1, ensure_ascii=False, default=str))
    else:
        Console().print(render(findings) if task is None else render_task(findings))
