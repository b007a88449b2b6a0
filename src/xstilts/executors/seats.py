"""How many workers a machine has room for, and what each of them sees of it."""

from __future__ import annotations

import math
import os
from pathlib import Path

from xstilts.errors import UserError
from xstilts.executors.engine import Engine

_MOST = 8
"""Workers at most where nobody says how many: each holds an encoder, and memory runs out before processors do."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def seats(engine: Engine, devices: Path = Path("/dev")) -> list[dict[str, str]]:
    """The environment of each worker on this machine; there are `engine.workers`, where given.

    Without GPUs there is a worker to every `engine.cpus` processors, up to eight. With GPUs (those of
    CUDA_VISIBLE_DEVICES, else all in `devices`) there is one worker that sees them all, unless `engine.gpus` says how
    many a step is given: then each worker has the most that any kind of step is given, for itself. A fraction lets so
    many workers share one. Raises `UserError` where there are fewer GPUs than a step is given.
    """
    # what a person has set goes before
    common = {name: os.environ.get(name, str(engine.cpus)) for name in _THREADS}
    common["TOKENIZERS_PARALLELISM"] = os.environ.get("TOKENIZERS_PARALLELISM", "false")
    gpus = _gpus(devices)
    given = max([*engine.gpus.values(), *engine.processes.values()]) if any(engine.gpus.values()) else 0.0
    if given > len(gpus):
        raise UserError(
            f"a step is to have {given:g} GPUs, and this machine has {len(gpus) or 'none'}",
            remedy="change gpus in the engine file",
        )
    if given:
        each = math.ceil(given)
        count = engine.workers or int(len(gpus) / given)
        # with more workers than there are GPUs for, they share
        shares = [[gpus[(seat * each + i) % len(gpus)] for i in range(each)] for seat in range(count)]
        return [common | {"CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]
    # one accelerator serves one step at a time
    room = 1 if gpus else max(1, min(_MOST, len(os.sched_getaffinity(0)) // engine.cpus))
    return [common] * (engine.workers or room)


def _gpus(devices: Path) -> list[str]:
    """What this process sees, as CUDA_VISIBLE_DEVICES names it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(i) for i in range(len(list(devices.glob("nvidia[0-9]*"))))]
    names = [name.strip() for name in visible.split(",")]
    # CUDA stops reading at the first that does not exist: -1 and an empty name are ways to say none
    none = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:none]
