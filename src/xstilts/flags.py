"""Arguments and options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Where results are kept. [default: $XSTILTS_STORE or .xstilts/store]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file, such as studies/natural-smoke.yaml.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the report goes. [default: reports/STUDY-NAME]")
]
SelectOption = Annotated[
    Literal["last", "best", "oracle"] | None,
    typer.Option(
        "--select", metavar="HOW", help="Checkpoints: last, best (English dev) or oracle (target-language dev)."
    ),
]
ExecutorOption = Annotated[
    str | None,
    typer.Option("--executor", metavar="NAME", help="Where steps run: pool (the default), inline, ray, slurm."),
]
EngineOption = Annotated[
    Path | None, typer.Option("--engine", metavar="FILE", help="How steps run: a file of the fields of docs/scale.md.")
]
WorkersOption = Annotated[int | None, typer.Option("--workers", metavar="N", help="Steps at a time.")]
TimeLimitOption = Annotated[
    str | None,
    typer.Option("--time-limit", metavar="DURATION", help="A step that takes longer hangs and fails: 90 s, 4 h."),
]
SaveEveryOption = Annotated[
    str | None,
    typer.Option("--save-every", metavar="INTERVAL", help="How often a training saves its state: 10 min, 200 steps."),
]
