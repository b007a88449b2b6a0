"""All tasks by name. Built on first use, because the microworld's declarations import this package."""

from __future__ import annotations

from functools import cache
from typing import Any

from xstilts.errors import UserError, did_you_mean
from xstilts.tasks.metadata import Task

TASKS: dict[str, Task]
"""Every declared task by name: intermediates, choices, XTREME targets, syntax, aspect sentiment, microworld."""


@cache
def _tasks() -> dict[str, Task]:
    from xstilts.sources.microworld.tasks import MICROWORLD_TASKS as microworld
    from xstilts.tasks.aspects import TASKS as aspects
    from xstilts.tasks.choice import TASKS as choice
    from xstilts.tasks.hub import HUB
    from xstilts.tasks.intermediate import TASKS as intermediate
    from xstilts.tasks.syntax import TASKS as syntax
    from xstilts.tasks.xtreme import TASKS as xtreme

    tasks: dict[str, Task] = {}
    for task in (*intermediate, *choice, *xtreme, *syntax, *aspects, *microworld):
        if task.name in tasks:
            raise RuntimeError(f"two tasks are called {task.name!r}")
        tasks[task.name] = task
    for name, hub in HUB.items():
        if name not in tasks:
            raise RuntimeError(f"a place on the hub for a task that is not: {name!r}")
        sources = (*tasks[name].sources, "hub")
        tasks[name] = Task.model_validate({**dict(tasks[name]), "hub": hub, "sources": sources})
    return tasks


def __getattr__(name: str) -> Any:
    if name == "TASKS":
        return _tasks()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_task(name: str) -> Task:
    """The task called `name`; `UserError` with the nearest names when there is none."""
    tasks = _tasks()
    if name not in tasks:
        raise UserError(f"unknown task {name!r}", remedy=did_you_mean(name, tasks))
    return tasks[name]
