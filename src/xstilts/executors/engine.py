"""How a study is run, as a person says it: which executor, how many steps at a time, with what. Never part of a key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from xstilts.errors import UserError, did_you_mean
from xstilts.step import EVERY_FIVE_MINUTES, FORETELLING, KINDS, Interval, Step
from xstilts.yaml_input import first_problem, read_yaml

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
MODELS = ("Translate", "Pretrain", "Perturb", "Train", "Predict", "Embed")
"""Kinds that run a model."""


def read_duration(value: Any) -> float:
    """Seconds of `90`, `90 s`, `10 min`, `4 h` or `2 d`. Raises `ValueError` for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)?", str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is no duration; write 90 s, 10 min, 4 h or 2 d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def in_units(seconds: float) -> tuple[float, str]:
    """(number, unit) that `read_duration` reads as so many seconds: the largest unit that they are whole in."""
    unit, size = next((u for u in reversed(_UNITS.items()) if seconds % u[1] == 0), ("s", 1))
    return seconds / size, unit


def read_interval(value: Any) -> Any:
    """The fields of an `Interval`, of a duration or of `200 steps`."""
    if isinstance(value, dict | Interval):
        return value
    match = re.fullmatch(r"(\d+)\s*steps?", str(value).strip())
    return {"steps": int(match[1])} if match else {"seconds": read_duration(value)}


Duration = Annotated[float, BeforeValidator(read_duration), Field(gt=0)]


class Slurm(BaseModel):
    """What `sbatch` is told. Everything a site asks for that has no field of its own goes into `more`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: Duration = 4 * 3600.0
    """Longest that a job may run. A step that is not done by then is requeued and goes on."""
    setup: tuple[str, ...] = ()
    """Shell lines before a step, such as `module load cuda`."""
    more: dict[str, str | int | bool] = {}
    """Other options of `sbatch` by their long names: `{nice: 100, exclusive: true}`."""


class Engine(BaseModel):
    """Where and how steps run. Read one with `Engine.load("engine.yaml")`; every field has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: str = "pool"
    """`inline`, `pool`, `ray`, `slurm`, or one that a package adds."""
    workers: int | None = Field(default=None, ge=1)
    """Steps at a time; what suits the executor where not given."""
    time_limit: Duration | None = None
    """Longest that a step may run before it is taken to hang: it is ended and fails. No limit where not given."""
    save_every: Annotated[Interval, BeforeValidator(read_interval)] = EVERY_FIVE_MINUTES
    """How often a training saves its state: a duration, or `200 steps`."""
    gpus: dict[str, float] = {}
    """GPUs of a step by its kind, fractions allowed where the executor schedules them (`ray`): `{Train: 1, Predict:
    0.25}`."""
    processes: dict[str, int] = {}
    """Processes of a step by its kind, each with one GPU where there are some, under torchrun: `{Train: 4}`."""
    cpus: int = Field(default=1, ge=1)
    """Processors of a step."""
    memory: float | None = Field(default=None, gt=0)
    """Memory of a step in GiB, where the executor schedules it."""
    address: str | None = None
    """Ray: the cluster's address (`auto`: the one on this machine); a local one is started where not given."""
    slurm: Slurm = Slurm()
    file: str | None = None
    """The file it was read from."""

    @classmethod
    def load(cls, path: Path | None, **given: Any) -> Engine:
        """Read and validate an engine file; what is `given` and not None goes before it. Raises `UserError` naming
        file, line and remedy."""
        chosen = {name: value for name, value in given.items() if value is not None}
        try:
            engine = cls.model_validate(chosen)
        except ValidationError as error:
            raise UserError(first_problem(error, cls)) from None
        return engine if path is None else read_yaml(path, cls, chosen)

    @field_validator("gpus", "processes")
    @classmethod
    def _kinds_exist(cls, value: dict[str, float]) -> dict[str, float]:
        for kind, count in value.items():
            if kind not in (known := (*KINDS, *FORETELLING)):
                raise ValueError(f"there are no steps of kind {kind!r}; {did_you_mean(kind, known)}")
            if count < 0:
                raise ValueError(f"{kind}: {count} is less than none")
        return value

    def gpus_of(self, step: Step) -> float:
        """GPUs that a step is given: what is said of its kind. Where something is said, but not of its kind, one for
        each of its processes if it runs a model."""
        if step.kind in self.gpus:
            return self.gpus[step.kind]
        return float(self.processes_of(step)) if self.gpus and step.kind in MODELS else 0.0

    def processes_of(self, step: Step) -> int:
        """Processes that a step runs in."""
        return self.processes.get(step.kind, 1)
