"""Slurm beyond the common contract: arrays, pre-emption, what others do to jobs; on a real cluster, and on a faked
queue where a real one cannot be made to say it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission
from tests import slurm_cluster
from tests.contract.engines import Toy, wait_for
from tests.slurm_cluster import OnGpu

from xstilts.errors import StepFailed, UserError
from xstilts.executors import slurm, slurm_options
from xstilts.executors.engine import Engine
from xstilts.executors.engine import Slurm as Options
from xstilts.executors.job import Job
from xstilts.executors.slurm import Slurm
from xstilts.step import Step
from xstilts.store import Store
from xstilts.store.claims import Claims


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


@pytest.fixture
def executor(store: Store) -> Iterator[Slurm]:
    """On the real cluster."""
    slurm_cluster.in_reach()
    engine = Engine(executor="slurm").model_copy(update={"gpus": {"OnGpu": 1.0}})
    with closing(Slurm(store, engine)) as executor:
        yield executor


def submit(executor: Slurm, *steps: Step) -> None:
    for step in steps:
        executor.submit(step, "a toy", lambda done, total: None)


def ends(executor: Slurm, count: int) -> dict[str, Exception | None]:
    return dict(executor.wait() or pytest.fail("nothing ended") for _ in range(count))


def launches(step: Toy) -> Path:
    return Path(step.scratch) / f"{step.name}-launches"


def count(step: Toy) -> int:
    return len(launches(step).read_text().splitlines())


def scripts(store: Store) -> list[str]:
    return [path.read_text() for path in sorted(store.root.glob("slurm/*/[0-9]*_submission.sh"))]


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def job_of(step: Toy) -> str:
    """The id of the job that runs a step, as the process of its last launch knows it."""
    process = launches(step).read_text().split()[-1]
    variables = dict(v.split("=", 1) for v in Path(f"/proc/{process}/environ").read_text().split("\0") if "=" in v)
    return variables["SLURM_JOB_ID"]


def test_steps_that_ask_for_the_same_are_one_array(executor: Slurm, store: Store) -> None:
    """What is ready together goes to sbatch in one call for each kind of resources, and each job gets its own GPUs."""
    toys, on_gpus = [Toy(name=str(i)) for i in range(4)], [OnGpu(name=str(i)) for i in range(3)]
    submit(executor, toys[0], *on_gpus, *toys[1:])
    outcomes = ends(executor, 1)
    arrays = [[line for line in script.splitlines() if "array" in line or "gpus" in line] for script in scripts(store)]
    assert sorted(arrays) == [["#SBATCH --array=0-2%3", "#SBATCH --gpus-per-node=1"], ["#SBATCH --array=0-3%4"]]
    outcomes |= ends(executor, 6)
    assert outcomes == {step.key: None for step in (*toys, *on_gpus)}
    assert {(store.of(step) / "gpus.txt").read_text() for step in on_gpus} <= {"0", "1"}


def test_nothing_is_left_of_jobs_that_went_well(executor: Slurm, store: Store) -> None:
    """Job files go with their jobs, and the run's folder at its end; of a failure its log is left, and a note says
    where."""
    good, bad = Toy(name="good"), Toy(name="bad", does="fail")
    submit(executor, good)
    ends(executor, 1)
    executor.close()
    assert not list(store.root.glob("slurm/*"))
    with closing(Slurm(store, executor.engine)) as another:
        submit(another, bad)
        error = ends(another, 1)[bad.key]
    assert error is not None
    log = Path(error.__notes__[-1].removeprefix("log: "))
    assert log.is_relative_to(store.root / "slurm") and "broken on purpose" in log.read_text()


def waiting(executor: Slurm, scratch: Path) -> Toy:
    """A step that runs on a node, and waits there for a sign."""
    step = Toy(name="a", does="wait", scratch=str(scratch))
    submit(executor, step)
    assert executor.wait(0.1) is None
    wait_for(launches(step))
    return step


def done_at_its_second_start(executor: Slurm, step: Toy) -> None:
    """Wait until it is started again, and give the sign."""
    until = time.monotonic() + 100
    while count(step) < 2 and time.monotonic() < until:
        assert executor.wait(0.5) is None
    (Path(step.scratch) / "go").touch()
    assert ends(executor, 1) == {step.key: None}


def test_a_pre_empted_step_is_done_at_its_second_start(executor: Slurm, tmp_path: Path) -> None:
    """A job that a more important one pushes out is requeued by Slurm and its step is done, without a try lost."""
    step = waiting(executor, tmp_path)
    run("sbatch", "--partition=high", f"--cpus-per-task={slurm_cluster.CPUS}", "--output=/dev/null", "--wrap=sleep 1")
    done_at_its_second_start(executor, step)
    assert count(step) == 2 and len(scripts(executor.store)) == 1


def test_a_step_whose_time_is_over_goes_on_in_its_requeued_job(executor: Slurm, tmp_path: Path) -> None:
    """At the signal that comes before a job's end it is requeued, and its step is done at the second start."""
    step = waiting(executor, tmp_path)
    run("scancel", "--signal=USR2", job_of(step))
    done_at_its_second_start(executor, step)
    assert count(step) == 2 and len(scripts(executor.store)) == 1


def test_a_job_that_someone_cancels_is_sent_once_more(executor: Slurm, tmp_path: Path) -> None:
    """A job that is taken away without a result costs one more try, as a new job."""
    step = waiting(executor, tmp_path)
    run("scancel", job_of(step))
    done_at_its_second_start(executor, step)
    assert count(step) == 2 and len(scripts(executor.store)) == 2


_DRIVER = """
import sys
from pathlib import Path
from tests.contract.engines import Toy
from xstilts.executors.engine import Engine
from xstilts.executors.slurm import Slurm
from xstilts.store import Store
folder = Path(sys.argv[1])
executor = Slurm(Store(folder / "store"), Engine(executor="slurm"))
for name in ("a", "b"):
    executor.submit(Toy(name=name, does="wait", scratch=str(folder)), "a toy", lambda done, total: None)
executor.wait()
"""


def test_jobs_outlive_the_run_that_sent_them(store: Store, tmp_path: Path) -> None:
    """After the run is killed with -9 its jobs go on, hold their claims, and publish."""
    slurm_cluster.in_reach()
    steps = [Toy(name=name, does="wait", scratch=str(tmp_path)) for name in ("a", "b")]
    with subprocess.Popen([sys.executable, "-c", _DRIVER, str(tmp_path)]) as driver:
        for step in steps:
            wait_for(launches(step))
        driver.send_signal(signal.SIGKILL)
    with closing(Claims(store.root)) as another:
        assert not any(another.take(step.key) for step in steps)
    (tmp_path / "go").touch()
    for step in steps:
        wait_for(store.of(step) / "manifest.json")
    assert [count(step) for step in steps] == [1, 1]


@pytest.fixture
def faked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts an sbatch before all others that numbers jobs from 1 on, and lets squeue say what a test wants."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def command(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    jobs = tmp_path / "jobs"
    command("sbatch", f'echo x >> {jobs}; echo "Submitted batch job $(wc -l < {jobs})"')
    for name in ("srun", "scancel"):
        command(name, "true")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_QUESTIONS", (0.01, 0.01))
    monkeypatch.setattr(slurm, "_LOOKS", (0.01, 0.01))
    return lambda script: command("squeue", script)


def sent(store: Store, job: int) -> Job:
    """What a job was to run."""
    (path,) = store.root.glob(f"slurm/*/{job}_submitted.pkl")
    found = DelayedSubmission.load(path).function.job
    assert isinstance(found, Job)
    return found


@pytest.mark.parametrize(
    ("state", "deaths", "halvings"),
    [("1 OUT_OF_MEMORY OutOfMemory", 0, 1), ("1 NODE_FAIL NodeDown", 1, 0), ("1 BOOT_FAIL None", 1, 0), ("", 1, 0),
     ("1 PREEMPTED None", 0, 0), ("1 TIMEOUT TimeLimit", 0, 0)],
)  # fmt: skip
def test_what_follows_from_the_end_of_a_job(
    state: str, deaths: int, halvings: int, store: Store, faked: Callable[[str], None]
) -> None:
    """A job without a result is sent again: after want of memory with half the batch, after a death of no known reason
    once, after pre-emption or the end of its time as it was. So is one that Slurm knows nothing of any more."""
    faked(f'echo "{state}"; echo "2 RUNNING None"')
    with closing(Slurm(store, Engine(executor="slurm"))) as executor:
        submit(executor, Toy(name="a"))
        assert executor.wait(1.5) is None
        assert len(scripts(store)) == 2
        again = sent(store, 2)
        assert (again.deaths, again.halvings) == (deaths, halvings)


def test_a_controller_that_does_not_answer_ends_no_job(store: Store, faked: Callable[[str], None]) -> None:
    """While squeue fails nothing is concluded; when it answers again the job is still waited for."""
    faked('echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1')
    with closing(Slurm(store, Engine(executor="slurm"))) as executor:
        submit(executor, Toy(name="a"))
        assert executor.wait(0.5) is None
        faked('echo "1 RUNNING None"')
        assert executor.wait(0.5) is None
        assert len(scripts(store)) == 1


def test_the_second_death_fails_the_step(store: Store, faked: Callable[[str], None]) -> None:
    """A step whose jobs end twice for no known reason fails, with what Slurm calls it and where the log is."""
    faked('for i in 1 2; do echo "$i CANCELLED None"; done')
    with closing(Slurm(store, Engine(executor="slurm"))) as executor:
        submit(executor, Toy(name="a"))
        ((_, failure),) = ends(executor, 1).items()
    assert isinstance(failure, StepFailed) and "died twice" in str(failure) and "CANCELLED" in str(failure)
    assert f"see {store.root}/slurm/" in failure.remedy and "2_0_log.out" in failure.remedy


def test_time_that_never_suffices_ends_a_step(
    store: Store, faked: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is not done after so many jobs of the given time fails, and the line says which number to raise."""
    monkeypatch.setattr(slurm, "_RESTARTS", 2)
    faked('for i in 1 2 3 4; do echo "$i TIMEOUT TimeLimit"; done')
    with closing(Slurm(store, Engine(executor="slurm"))) as executor:
        submit(executor, Toy(name="a"))
        ((_, failure),) = ends(executor, 1).items()
    assert isinstance(failure, StepFailed) and "started 3 times for 240 min" in str(failure)
    assert "time: 480 min" in failure.remedy


_HANGS = """
import ctypes, sys
from pathlib import Path
from tests.contract.engines import Toy
from xstilts.executors import slurm_job
from xstilts.executors.engine import Engine
from xstilts.executors.job import Job
from xstilts.store import Store
slurm_job._GRACE = 0.0
job = slurm_job.SlurmJob(Job.of(Store(Path("store")), Toy(name="a"), "a toy", Engine()), time_limit=0.5)
with job._watchdog(Path(sys.argv[1])):
    ctypes.PyDLL(None).sleep(100)  # holds the interpreter: no signal handler and no thread of Python's runs
"""


def test_a_step_that_never_returns_to_python_is_ended(
    store: Store, tmp_path: Path, faked: Callable[[str], None]
) -> None:
    """The watchdog in a job ends it at its time limit and leaves where it stood; the step fails like any that hangs."""
    found = tmp_path / "hang.txt"
    assert subprocess.run([sys.executable, "-c", _HANGS, str(found)], timeout=60).returncode == 1
    assert 'File "<string>", line 12' in found.read_text()
    faked('echo "1 FAILED NonZeroExitCode"')
    with closing(Slurm(store, Engine(executor="slurm", time_limit=8.0))) as executor:
        submit(executor, Toy(name="a"))
        assert executor.wait(0.0) is None
        found.rename(next(store.root.glob("slurm/*")) / "1_hang.txt")
        ((_, failure),) = ends(executor, 1).items()
    assert isinstance(failure, StepFailed) and "time limit of 8 s" in str(failure)


def test_sbatch_is_told_what_the_engine_says(store: Store, faked: Callable[[str], None]) -> None:
    """The script of a job holds every option of the engine file, and nothing but what it says or submitit needs."""
    faked('echo "1 RUNNING None"')
    options = Options.model_validate({
        "partition": "gpu", "account": "nlp", "qos": "normal", "constraint": "a100|h100", "time": "90 min",
        "setup": ("module load cuda",), "more": {"nice": 100, "exclude": "node[1-2]"},
    })  # fmt: skip
    engine = Engine(executor="slurm", slurm=options, cpus=4, memory=7.5).model_copy(
        update={"gpus": {"Toy": 2.0}, "processes": {"Toy": 2}}
    )
    with closing(Slurm(store, engine)) as executor:
        submit(executor, Toy(name="a"))
        assert executor.wait(0.1) is None
        (script,) = scripts(store)
    told = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")]
    folder = next(store.root.glob("slurm/*"))
    assert told == [
        "account=nlp", "constraint='a100|h100'", "cpus-per-task=8", "exclude='node[1-2]'", "gpus-per-node=2",
        "job-name=xstilts-toy", "mem=7680M", "nice=100", "nodes=1", "ntasks-per-node=1", "open-mode=append",
        f"output={folder}/%j_0_log.out", "partition=gpu", "qos=normal", "requeue", "signal=USR2@90", "time=90",
        "wckey=submitit",
    ]  # fmt: skip
    assert "\nmodule load cuda\n" in script
    assert f"--cpus-per-task=8 {sys.executable} -u -m submitit.core._submit {folder}\n" in script


def test_what_slurm_refuses_is_said_in_one_line(store: Store) -> None:
    """An option that the cluster does not have ends the run with what sbatch said."""
    slurm_cluster.in_reach()
    engine = Engine(executor="slurm", slurm=Options(partition="nowhere"))
    with closing(Slurm(store, engine)) as executor:
        submit(executor, Toy(name="a"))
        with pytest.raises(UserError, match="invalid partition specified: nowhere") as refused:
            executor.wait()
    assert "\n" not in str(refused.value)


def test_what_is_missing_is_said_with_what_to_type(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without submitit, without Slurm, or with parts of GPUs, there is one line and what to do."""
    with monkeypatch.context() as patch:
        patch.setattr(slurm_options, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"pip install 'xstilts\[slurm\]'"):
            Slurm(store, Engine(executor="slurm"))
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(UserError, match="no sbatch on this machine; run it on a login node"):
            Slurm(store, Engine(executor="slurm"))


def test_parts_of_gpus_are_refused(store: Store, faked: Callable[[str], None]) -> None:
    """Slurm gives out whole GPUs: a step that asks for a part is refused before anything runs."""
    with pytest.raises(UserError, match=r"Predict asks for 0.25 GPUs.*write `gpus: \{Predict: 1\}`"):
        Slurm(store, Engine(executor="slurm", gpus={"Train": 1, "Predict": 0.25}))
