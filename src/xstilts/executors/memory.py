"""Whether memory ran out: what the kernel says of the processes that it killed for want of it."""

from __future__ import annotations

from pathlib import Path


def oom_kills(root: Path = Path("/")) -> int | None:
    """Processes that the kernel has killed so far for want of memory: of this control group where it counts them, else
    of the machine. None where no such counter can be read. `root` is where `proc` and `sys` lie.

    A process that died of SIGKILL was killed by the kernel if the counter rose: it is raised before the signal is sent
    (`__oom_kill_process` in Linux's mm/oom_kill.c). Counters: `memory.events` (cgroup v2), `memory.oom_control` (cgroup
    v1), /proc/vmstat, all since Linux 4.13.
    """
    for path in (*_of_group(root), root / "proc/vmstat"):
        try:
            lines = path.read_text("utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def _of_group(root: Path) -> list[Path]:
    """Where the counters of this process's control group may lie, those of its own first."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return []
    groups = root / "sys/fs/cgroup"
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            found.append(groups / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            # in a container the path may be that outside of it, while its own group is mounted at the top
            found += [groups / "memory" / path.lstrip("/") / "memory.oom_control", groups / "memory/memory.oom_control"]
    return found
