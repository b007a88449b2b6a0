"""What Slurm knows of jobs, and how they are taken back: squeue and scancel, each one call for all jobs."""

from __future__ import annotations

import logging
import subprocess

log = logging.getLogger("xstilts")

ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
         "REVOKED", "TIMEOUT"}  # fmt: skip
"""States of jobs that do not run any more (squeue(1), JOB STATE CODES)."""
WAITS = {"None", "Priority", "Resources", "Dependency", "BeginTime", "JobArrayTaskLimit", "Cleaning", "Prolog"}
"""Reasons for which jobs wait that pass by themselves."""
_TIMEOUT = 60
"""Seconds that a command may take: Slurm's own try for a while when its controller is busy."""


def squeue(jobs: list[str]) -> dict[str, tuple[str, str]] | str:
    """(state, reason) of the tasks of jobs, by id (`12_3` in an array), as far as Slurm still knows them; it forgets
    them some minutes after their end. One line of why where there is no answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(jobs)}", "--format=%i %T %r"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"squeue took more than {_TIMEOUT} s"
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return " ".join(answer.stderr.split()) or f"squeue ended with code {answer.returncode}"
    return read(answer.stdout)


def read(lines: str) -> dict[str, tuple[str, str]]:
    """(state, reason) by id, of squeue's lines."""
    rows = [line.split(maxsplit=2) for line in lines.splitlines()]
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}


def scancel(jobs: list[str]) -> None:
    """Take jobs back. Those that run are interrupted first, so that their steps clean up."""
    for command in (["scancel", "--quiet", "--signal=INT", *jobs], ["scancel", "--quiet", *jobs]):
        try:
            words = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT).stderr.strip()
        except subprocess.TimeoutExpired:
            words = f"scancel took more than {_TIMEOUT} s"
        if words and command[2] != "--signal=INT":
            log.warning("jobs may still run (%s); to end them: scancel %s", " ".join(words.split()), " ".join(jobs))
