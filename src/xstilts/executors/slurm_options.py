"""What sbatch is told of an engine, and what must be there before it is told anything."""

from __future__ import annotations

import math
import shutil
from importlib.util import find_spec
from typing import Any

from xstilts.errors import UserError
from xstilts.executors.engine import Engine

LONGEST_ARRAY = 1000
"""Jobs in an array: as many as Slurm takes by default (MaxArraySize)."""


def parameters(engine: Engine, name: str, gpus: int, cpus: int) -> dict[str, Any]:
    """What submitit puts into the script of a job."""
    slurm, minutes = engine.slurm, math.ceil(engine.slurm.time / 60)
    given = {"partition": slurm.partition, "account": slurm.account, "qos": slurm.qos, "constraint": slurm.constraint,
             "setup": list(slurm.setup) or None, "gpus_per_node": gpus or None,
             "mem": engine.memory and f"{math.ceil(engine.memory * 1024)}M"}  # fmt: skip
    return {
        "job_name": name, "time": minutes, "nodes": 1, "ntasks_per_node": 1, "cpus_per_task": cpus,
        # long enough before its end to leave, and not at its beginning
        "signal_delay_s": min(90, minutes * 15),
        "array_parallelism": LONGEST_ARRAY, "stderr_to_stdout": True,
        # since Slurm 22.05 srun does not take this over from sbatch
        "srun_args": [f"--cpus-per-task={cpus}"],
        "additional_parameters": {"requeue": True, **slurm.more},
        **{option: value for option, value in given.items() if value is not None},
    }  # fmt: skip


def check(engine: Engine) -> None:
    """Raises `UserError` where there is no way to run on Slurm."""
    if find_spec("submitit") is None:
        raise UserError("the executor slurm needs submitit", remedy="pip install 'xstilts[slurm]'")
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UserError(
            "there is no sbatch on this machine",
            remedy="run it on a login node of a Slurm cluster, or use --executor pool",
        )
    for kind, gpus in engine.gpus.items():
        if gpus != int(gpus):
            raise UserError(
                f"{kind} asks for {gpus:g} GPUs, and Slurm gives out whole ones",
                file=engine.file, remedy=f"write `gpus: {{{kind}: {math.ceil(gpus)}}}`",
            )  # fmt: skip
