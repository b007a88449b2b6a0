"""A real Slurm cluster of one machine, from Debian's packages, for the tests: `in_reach()` starts it once a process."""

from __future__ import annotations

import atexit
import getpass
import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest

from xstilts.step import Step, Work

CPUS, GPUS = 4, 2
_CONF = """\
ClusterName=toy
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# a requeued job waits for as long as a credential is good: 120 s if it were not said
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
KillWait=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# more processors than the machine may have
SlurmdParameters=config_overrides
GresTypes=gpu
DefMemPerCPU=100
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES State=UP PriorityTier=1
PartitionName=high Nodes=ALL State=UP PriorityTier=10 PreemptMode=OFF
"""


class OnGpu(Step):
    """Publishes which GPUs its job was given. Here, where jobs can import it: test modules have no such name."""

    kind: ClassVar[str] = "OnGpu"
    name: str

    def run(self, work: Work) -> None:
        (work.out / "gpus.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))


@cache
def in_reach() -> None:
    """Start the cluster, or skip the test where that is not possible. Its commands find it by SLURM_CONF."""
    missing = [command for command in ("munged", "slurmctld", "slurmd", "sbatch", "srun") if not _where(command)]
    if missing:
        pytest.skip(f"there is no {missing[0]}; to run this on a real Slurm: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("slurmd can only be started by root; to run this on a real Slurm, run the tests as root")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    atexit.register(_stop, folder, _start(folder))


def _where(command: str) -> str | None:
    # the daemons lie where a person's PATH often does not look
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _start(folder: Path) -> list[subprocess.Popen[bytes]]:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    for i in range(GPUS):
        # GPUs that are none: Slurm only wants to see a device
        os.mknod(folder / f"gpu{i}", 0o020666, os.makedev(1, 3))
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-{GPUS - 1}] Flags=nvidia_gpu_env\n")
    conf = folder / "slurm.conf"
    conf.write_text(
        _CONF.format(host=platform.node(), folder=folder, user=getpass.getuser(), ports=_ports(2), cpus=CPUS, gpus=GPUS)
    )
    os.environ["SLURM_CONF"] = str(conf)
    files = {name: folder / f"munge.{name}" for name in ("socket", "pid", "seed", "log")}
    daemons = [
        ["munged", "--force", "--foreground", f"--key-file={key}", f"--socket={files['socket']}",
         f"--pid-file={files['pid']}", f"--seed-file={files['seed']}", f"--log-file={files['log']}"],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D"],
    ]  # fmt: skip
    running = []
    for command in daemons:
        with (folder / f"{command[0]}.out").open("wb") as out:
            # they end with this process, however it ends
            command = ["setpriv", "--pdeathsig", "TERM", _where(command[0]) or command[0], *command[1:]]
            running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        if len(running) == 1:
            _until(files["socket"].exists, folder)
    _until(lambda: _ask("sinfo", "--noheader", "--format=%T", "--partition=low") == "idle", folder)
    return running


def _stop(folder: Path, daemons: list[subprocess.Popen[bytes]]) -> None:
    _ask("scancel", f"--user={getpass.getuser()}")
    deadline = time.monotonic() + 10
    while _ask("squeue", "--noheader") and time.monotonic() < deadline:
        time.sleep(0.3)
    for daemon in reversed(daemons):
        daemon.terminate()
        daemon.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


def _ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


def _until(true: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + 40
    while not true():
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("*.log")))
            pytest.fail(f"Slurm does not start:\n{logs}")
        time.sleep(0.1)


def _ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
