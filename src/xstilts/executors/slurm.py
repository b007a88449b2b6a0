"""Slurm: each step is a job of a cluster's queue; steps that are ready together and ask for the same are one array.

    STORE/slurm/<run>/<job id>_...     what submitit hands over, logs (`_log.out`), progress; gone once all went well

Nothing asks the accounting database: a job has ended when its result file is there, or when squeue does not know it as
waiting or running any more.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xstilts.errors import StepFailed, UserError
from xstilts.executors.engine import Engine
from xstilts.executors.job import Job, again, is_memory, overdue
from xstilts.executors.slurm_job import SlurmJob, hang_file, progress_file
from xstilts.executors.slurm_options import LONGEST_ARRAY, check, parameters
from xstilts.executors.slurm_queue import ENDED, WAITS, scancel, squeue
from xstilts.step import Step
from xstilts.store import Store

log = logging.getLogger("xstilts")

_RESTARTS = 20
"""How often one step is started anew because its job's time was over."""
_LOOKS = (0.25, 5.0)
"""Seconds between two looks at the job files: after news, and when there have been none for long."""
_QUESTIONS = (2.0, 60.0)
"""Seconds between two calls of squeue, likewise."""
_PATIENCE = 600.0
"""Seconds for which jobs that cannot be sent are tried again before a run is given up."""
_LATER = re.compile(r"Unable to contact|Socket timed out|temporarily|Zero Bytes were transmitted")
"""What sbatch says where it is worth trying again."""
_LIMIT = "accounting/QOS policy"
"""What it says where a person has too many jobs, among other things."""


@dataclass
class _Launch:
    job: Job
    progress: Callable[[int, int], None]
    restarts: int = 0
    handle: Any = None
    """submitit's job, once sent."""
    seen: int = 0
    """Time of the progress that was passed on last."""
    missed: bool = False
    """Whether it was not in the queue when last asked for."""


class Slurm:
    """Sends steps as jobs, and waits for what comes of them.

    A job that is pre-empted, or whose time is over, is requeued and its step goes on from its saved state. Jobs outlive
    a run that is killed and publish what they do; `close` cancels them. Raises `UserError` where submitit or Slurm is
    not installed, and where a step asks for parts of GPUs.
    """

    def __init__(self, store: Store, engine: Engine) -> None:
        check(engine)
        self.store, self.engine = store, engine
        self.capacity = engine.workers or LONGEST_ARRAY
        self._gathered: list[_Launch] = []
        self._sent: dict[str, _Launch] = {}
        self._ended: deque[tuple[str, Exception | None]] = deque()
        self._folder: Path | None = None
        self._kept = False
        """Whether something is left in the folder that a person may want to read."""
        self._news = self._asked = self._send_at = time.monotonic()
        self._refused_since: float | None = None
        self._said: set[str] = set()

    def submit(self, step: Step, label: str, progress: Callable[[int, int], None]) -> None:
        """Gather the step; the next `wait` sends all that have gathered."""
        job = Job.of(self.store, step, label, self.engine)
        self._gathered.append(_Launch(replace(job, root=self.store.root.absolute()), progress))

    def wait(self, seconds: float | None = None) -> tuple[str, Exception | None] | None:
        """Send what has gathered and pass progress on until a step ends. Raises `UserError` where sbatch refuses a
        job, for one that asks for what the cluster does not have."""
        until = math.inf if seconds is None else time.monotonic() + seconds
        # nothing is sent while ends are left to report: what becomes ready by them goes into one array
        while not self._ended:
            self._send()
            self._look()
            rest = until - time.monotonic()
            if self._ended or rest <= 0:
                break
            time.sleep(min(self._pace(_LOOKS, 10), rest))
        return self._ended.popleft() if self._ended else None

    def close(self) -> None:
        """Cancel what still waits or runs; remove the job files if there is nothing in them to read."""
        if self._sent:
            scancel(list(self._sent))
        elif self._folder is not None and not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._sent.clear()

    def _pace(self, bounds: tuple[float, float], patience: float) -> float:
        """Seconds to the next look: more, the longer there have been no news."""
        return min(bounds[1], max(bounds[0], (time.monotonic() - self._news) / patience))

    def _send(self) -> None:
        """Send what has gathered: an array for each kind of resources."""
        if not self._gathered or time.monotonic() < self._send_at:
            return
        groups = defaultdict(list)
        for launch in self._gathered:
            step = launch.job.step
            groups[int(self.engine.gpus_of(step)), self.engine.cpus * launch.job.processes].append(launch)
        for (gpus, cpus), group in groups.items():
            for first in range(0, len(group), LONGEST_ARRAY):
                array = group[first : first + LONGEST_ARRAY]
                if not self._sbatch(array, gpus, cpus):
                    return
                self._gathered = [launch for launch in self._gathered if launch.handle is None]
        self._refused_since = None

    def _sbatch(self, array: list[_Launch], gpus: int, cpus: int) -> bool:
        """Send launches as one array. False where it is worth trying again later."""
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError

        if self._folder is None:
            folder = self.store.root.absolute() / "slurm"
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=folder))
        executor = SlurmExecutor(self._folder, max_num_timeout=_RESTARTS)
        kinds = {launch.job.step.kind for launch in array}
        name = f"xstilts-{kinds.pop().lower()}" if len(kinds) == 1 else "xstilts"
        executor.update_parameters(**parameters(self.engine, name, gpus, cpus))
        try:
            handles = executor.submit_array([SlurmJob(launch.job, self.engine.time_limit) for launch in array])
        except FailedJobError as error:
            self._refused(" ".join(str(error).split()))
            return False
        for launch, handle in zip(array, handles, strict=True):
            launch.handle, launch.seen, launch.missed = handle, 0, False
            self._sent[handle.job_id] = launch
        self._news = self._asked = time.monotonic()
        return True

    def _refused(self, words: str) -> None:
        """What sbatch refuses is tried again where that may help. Raises `UserError` where it does not."""
        now = time.monotonic()
        self._refused_since = self._refused_since or now
        if not (_LATER.search(words) and now - self._refused_since < _PATIENCE or _LIMIT in words and self._sent):
            raise UserError(
                f"Slurm takes no job ({words})",
                remedy="see `slurm:` in the engine file; `--workers 100` sends fewer jobs at a time",
            )
        self._send_at = now + _QUESTIONS[0]
        self._say_once(f"Slurm takes no job now ({words}); it is tried again")

    def _look(self) -> None:
        """See which jobs have ended, how far the others are, and now and then what Slurm knows of them."""
        if self._folder is None or not self._sent:
            return
        with suppress(OSError):
            # a network folder is listed from memory for a while unless it was touched
            self._folder.chmod(self._folder.stat().st_mode)
        ask = time.monotonic() - self._asked >= self._pace(_QUESTIONS, 5)
        # asked before the files are looked at: whatever has ended by then has written its result
        states = self._ask() if ask else None
        files = {entry.name: entry for entry in os.scandir(self._folder)}
        for job_id, launch in list(self._sent.items()):
            self._pass_progress_on(launch, files.get(progress_file(self._folder, job_id).name))
            if launch.handle.paths.result_pickle.name in files:
                self._end(job_id, self._result(launch))
            elif states is not None:
                self._check(job_id, launch, states.get(job_id, ""))

    def _pass_progress_on(self, launch: _Launch, file: os.DirEntry[str] | None) -> None:
        if file is None or file.stat().st_mtime_ns == launch.seen:
            return
        # a file that is being written is read at the next look
        with suppress(OSError, ValueError):
            done, total = Path(file.path).read_text("utf-8").split()
            launch.seen = file.stat().st_mtime_ns
            launch.progress(int(done), int(total))

    def _ask(self) -> dict[str, str] | None:
        """What Slurm says of each job. None where it does not answer: then nothing is concluded."""
        self._asked = time.monotonic()
        answer = squeue(sorted({job_id.partition("_")[0] for job_id in self._sent}))
        if isinstance(answer, str):
            self._say_once(f"Slurm does not answer ({answer}); jobs go on, and it is asked again")
            return None
        for reason in sorted({reason for state, reason in answer.values() if state == "PENDING"} - WAITS):
            self._say_once(f"jobs wait in Slurm's queue: {reason}")
        return {job_id: state for job_id, (state, _) in answer.items()}

    def _say_once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            log.warning("%s", words)

    def _check(self, job_id: str, launch: _Launch, state: str) -> None:
        """Take note of a job without a result that does not wait or run: at the second time, since its files may take
        a moment to be seen from here, and a job that is being requeued to be in the queue again."""
        if state and state not in ENDED:
            launch.missed = False
        elif not launch.missed:
            launch.missed = True
            self._news = time.monotonic()  # ask again soon
        else:
            self._end(job_id, self._death(job_id, launch, state))

    def _result(self, launch: _Launch) -> Job | Exception | None:
        """What a job left: None if its step is done, else its failure, or what to launch next."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            failure = launch.handle.result()
            error = None if failure is None else failure.error()
        except FailedJobError as failed:
            trace = str(failed).split("-" * 22)[1].strip()
            error = StepFailed(f"its job failed before the step began ({trace.splitlines()[-1]})", remedy=_see(launch))
        if isinstance(error, UncompletedJobError):
            return self._no_end(launch)
        return again(launch.job, out_of_memory=True) if error is not None and is_memory(error) else error

    def _death(self, job_id: str, launch: _Launch, state: str) -> Job | Exception:
        """What follows from the end of a job that left no result."""
        hang = hang_file(launch.handle.paths.folder, job_id)
        if self.engine.time_limit is not None and hang.exists() and hang.stat().st_size:
            error = overdue(self.engine.time_limit)
            error.add_note(f"where it stood: {hang}")
            return error
        if state in ("TIMEOUT", "PREEMPTED"):
            # not requeued: it did not hear the signal, or the site does not allow it
            launch.restarts += 1
            return launch.job if launch.restarts <= _RESTARTS else self._no_end(launch)
        following = again(launch.job, state == "OUT_OF_MEMORY", how=f"Slurm says {state or 'nothing of it'}")
        if isinstance(following, StepFailed):
            return StepFailed(str(following), remedy=_see(launch) if state != "OUT_OF_MEMORY" else following.remedy)
        log.warning(
            "%s: its job %s ended (%s) and is sent again", launch.job.label, job_id, state or "unknown to Slurm"
        )
        return following

    def _no_end(self, launch: _Launch) -> StepFailed:
        minutes = math.ceil(self.engine.slurm.time / 60)
        return StepFailed(
            f"it was started {_RESTARTS + 1} times for {minutes} min each and is not done",
            remedy=f"raise the time of a job in the engine file: `slurm: {{time: {2 * minutes} min}}`; {_see(launch)}",
        )

    def _end(self, job_id: str, following: Job | Exception | None) -> None:
        """A job is over: report its step, or launch it again."""
        launch = self._sent.pop(job_id)
        self._news = time.monotonic()
        if following is not None and self.store.has(launch.job.step):
            following = None  # it had published before it died, or another run did
        if isinstance(following, Job):
            self._gathered.append(_Launch(following, launch.progress, launch.restarts))
            self._kept = True
            return
        if following is None:
            paths, folder = launch.handle.paths, launch.handle.paths.folder
            for path in (paths.submitted_pickle, paths.result_pickle, paths.stdout, progress_file(folder, job_id),
                         hang_file(folder, job_id)):  # fmt: skip
                path.unlink(missing_ok=True)
        else:
            following.add_note(f"log: {launch.handle.paths.stdout}")
            self._kept = True
        self._ended.append((launch.job.step.key, following))


def _see(launch: _Launch) -> str:
    return f"see {launch.handle.paths.stdout}"
