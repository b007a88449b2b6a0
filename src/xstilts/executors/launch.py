"""One step in several processes of this machine, under torchrun: `processes: {Train: 4}` in an engine file.

The process that publishes the step starts torchrun and waits. Ranks are told what to do by a file of JSON, and leave
what they have to say in files beside it; rank 0 writes the step's output. Each ends when that process does.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from xstilts.errors import StepFailed, UserError
from xstilts.executors.memory import oom_kills
from xstilts.step import Interval, Step, Work
from xstilts.store import Store

KINDS = {"Train": "xstilts.steps.train"}
"""Kinds of steps that can run in several processes, and their modules. Others run in one, whatever an engine says."""
LAUNCHES = 2
"""Times that a step is launched where a rank dies for no known reason; it goes on from its saved state."""
_GRACE = 3.0
"""Seconds that ranks have to end once they are told to."""


def launch(step: Step, work: Work, processes: int) -> None:
    """Do what `step.run(work)` does, in so many processes. Raises what a rank raised (`UserError`, `StepFailed`,
    `OSError`, or a `StepFailed` with the type and words of anything else), `MemoryError` where memory ran out."""
    folder = work.out / "ranks"
    for launches in range(1, LAUNCHES + 1):
        folder.mkdir()
        _write(folder / "job.json", {
            "root": str(work.store.root), "kind": step.kind, "key": step.key, "fields": step.model_dump(mode="json"),
            "out": str(work.out), "partial": None if work.partial is None else str(work.partial),
            "save_every": work.save_every.model_dump(), "halvings": work.halvings,
        })  # fmt: skip
        kills = oom_kills()
        if _torchrun(folder, processes, work):
            break
        error = _failure(folder, kills, again=launches < LAUNCHES)
        shutil.rmtree(folder)
        if error is not None:
            raise error
        for path in work.out.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    notes = [json.loads((folder / f"notes-{rank}.json").read_text("utf-8")) for rank in range(processes)]
    work.notes.update(notes[0])
    work.notes.update(processes=processes, peak_memory_mb=max(note["peak_memory_mb"] for note in notes))
    shutil.rmtree(folder)


def _torchrun(folder: Path, processes: int, work: Work) -> bool:
    """Run the ranks to their end and pass rank 0's progress on; whether all went well."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
        "--log-dir", str(folder / "log"), "--nproc-per-node", str(processes), "--module", "xstilts.executors.launch",
        str(folder),
    ]  # fmt: skip
    # torchrun would set one thread too, and say so
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with (folder / "stderr.txt").open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment,
            start_new_session=True,
        )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        for line in process.stdout:
            with suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict) and "done" in told:
                    work.progress(told["done"], told["total"])
        return process.wait() == 0
    finally:
        # ranks read this pipe: its end tells them that nobody waits for them
        process.stdin.close()
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            process.kill()
            process.wait()


def _failure(folder: Path, kills: int | None, again: bool) -> Exception | None:
    """Why ranks failed, by the first of those that say; None where one was killed and the step is to be tried again."""
    said = [json.loads(path.read_text("utf-8")) for path in folder.glob("error-*.json")]
    if said:
        first = min(said, key=lambda error: error["time"])
        error = _raised(first)
        error.add_note(f"in rank {first['rank']}:\n{first['trace']}")
        return error
    words = (folder / "stderr.txt").read_text("utf-8", "replace")
    if kills is not None and (oom_kills() or 0) > kills:
        return MemoryError("the kernel killed a process for want of memory")
    if again:
        return None
    codes = re.findall(r"exitcode\s*:\s*(-?\d+)", words)
    how = f" ({signal.Signals(-int(codes[-1])).name})" if codes and int(codes[-1]) < 0 else ""
    error = StepFailed(f"one of its processes died twice{how}", remedy="see the log; then run the study again")
    error.add_note(words[-4000:])
    return error


def _raised(said: dict[str, Any]) -> Exception:
    """What a rank raised, from what it wrote."""
    if said["memory"]:
        return MemoryError(said["words"])
    if said["kind"] == "UserError":
        return UserError(said["words"], file=said["file"], line=said["line"], remedy=said["remedy"])
    if said["kind"] == "StepFailed":
        return StepFailed(said["words"], remedy=said["remedy"])
    if said["kind"] == "OSError":
        return OSError(said["errno"], said["words"], said["file"])
    return StepFailed(said["words"])


def _write(file: Path, content: dict[str, Any]) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content, ensure_ascii=False), "utf-8", errors="replace")
    new.rename(file)


def _say(error: BaseException, rank: int) -> dict[str, Any]:
    """What was raised, as JSON."""
    from xstilts.executors.job import is_memory

    said: dict[str, Any] = {
        "rank": rank, "time": time.time(), "memory": is_memory(error), "kind": "", "remedy": None,
        "words": ": ".join(part for part in (type(error).__name__, str(error).strip().split("\n")[0]) if part),
        "trace": "".join(traceback.format_exception(error)),
    }  # fmt: skip
    if isinstance(error, UserError):
        return said | {"kind": "UserError", "words": error.what, "remedy": error.remedy, "line": error.line,
                       "file": None if error.file is None else str(error.file)}  # fmt: skip
    if isinstance(error, StepFailed):
        return said | {"kind": "StepFailed", "words": str(error), "remedy": error.remedy}
    if isinstance(error, OSError) and error.errno is not None:
        return said | {"kind": "OSError", "words": error.strerror, "errno": error.errno,
                       "file": None if error.filename is None else str(error.filename)}  # fmt: skip
    return said


def _run(folder: Path) -> None:
    """In a rank: its part of the step."""
    from xstilts.training import ranks
    from xstilts.training.forward import faster_in_bfloat16

    told = json.loads((folder / "job.json").read_text("utf-8"))
    kind = getattr(import_module(KINDS[told["kind"]]), told["kind"])
    step: Step = kind.model_validate(told["fields"])
    if step.key != told["key"]:
        raise RuntimeError(f"the step {told['kind']} {told['key'][:12]} is another one when it is read from JSON")
    ranks.initialise()
    if getattr(step, "precision", "") == "auto":
        # each would measure what is faster
        name = "bfloat16" if ranks.agree(faster_in_bfloat16()) else "float32"
        step = step.model_copy(update={"precision": name})
    rank = ranks.rank()
    out = Path(told["out"]) if rank == 0 else folder / f"rank-{rank}"
    out.mkdir(exist_ok=True)
    work = Work(
        Store(Path(told["root"])), out, None if told["partial"] is None else Path(told["partial"]),
        save_every=Interval(**told["save_every"]), halvings=told["halvings"],
    )  # fmt: skip
    if rank == 0:
        work.progress = lambda done, total: print(json.dumps({"done": done, "total": total}), flush=True)
    step.run(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    _write(folder / f"notes-{rank}.json", {**work.notes, "peak_memory_mb": peak})
    ranks.close()


def _follow_parent() -> None:
    """End when the process that wants the step does, even by kill -9: its end of the pipe closes then."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main(folder: Path) -> None:
    """A rank: torchrun has said in the environment which."""
    Thread(target=_follow_parent, daemon=True).start()
    try:
        _run(folder)
    except BaseException as error:
        _write(folder / f"error-{os.environ['RANK']}.json", _say(error, int(os.environ["RANK"])))
        # an orderly end would wait for the other ranks, which wait for this one
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
