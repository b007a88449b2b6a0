"""The page docs/tasks.md, written from the declarations: `python -m xstilts.tasks.page > docs/tasks.md`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from xstilts.tasks import TASKS
from xstilts.tasks.intermediate import MIXTURES
from xstilts.tasks.metadata import Split, Task

_HEAD = """\
# Tasks

Written from the declarations in `src/xstilts/tasks/` by `python -m xstilts.tasks.page`. `xstilts tasks` prints the same
as a table, `xstilts tasks NAME` one task with an encoded row. For every metric greater is better. `+` after a number of
languages: further ones, read where a study names them. Files are looked for in the data folder in the order given,
plain or gzipped; `data: FOLDER` in a study says where that is. `source: hub` reads the Hugging Face hub instead.
"""


def page(tasks: Iterable[Task]) -> str:
    """Markdown: a table of all tasks, then a section for each with what a reader of its results must know."""
    tasks = list(tasks)
    rows = "\n".join(_row(task) for task in tasks)
    table = f"| task | what | shape | level | category | languages | metrics |\n|---|---|---|---|---|---|---|\n{rows}"
    mixtures = (f"`{name}`, as an intermediate: {' + '.join(names)} on one head." for name, names in MIXTURES.items())
    return "\n\n".join([_HEAD.rstrip(), table, *mixtures, *map(_section, tasks)]) + "\n"


def _row(task: Task) -> str:
    languages = str(len(task.languages)) + (f" + {len(task.more_languages)}" if task.more_languages else "")
    cells = (f"[`{task.name}`](#{task.name})", task.title, task.shape, task.level, task.category, languages,
             ", ".join(task.metrics))  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _section(task: Task) -> str:
    lines = [f"## {task.name}", "", f"{task.description or task.title}."]
    facts = {"languages": " ".join(task.languages), "further languages": " ".join(task.more_languages),
             "labels": _labels(task), "head": task.head, "fine-tuned on": _trains_on(task),
             "oracle": ", ".join(task.oracle or ()), "files": _files(task), "hub": _hub(task),
             "licence": task.licence, "citation": task.citation, "note": task.notes}  # fmt: skip
    return "\n".join([*lines, "", *(f"- {name}: {value}" for name, value in facts.items() if value)])


def _labels(task: Task) -> str:
    return "those of the training rows" if task.open_labels else ", ".join(f"`{label}`" for label in task.labels)


def _trains_on(task: Task) -> str:
    if task.trains_on is None:
        return ""
    return ", ".join(f"`{name}`" for name in task.trains_on) or "nothing"


def _files(task: Task) -> str:
    if task.files is None:
        return ""
    splits = [(split, task.files.patterns(split)) for split in get_args(Split)]
    return "; ".join(f"{split} {' or '.join(f'`{p}`' for p in patterns)}" for split, patterns in splits if patterns)


def _hub(task: Task) -> str:
    if task.hub is None:
        return ""
    splits = ", ".join(f"{split} = {name}" for split in get_args(Split) if (name := task.hub.name_of(split)))
    return f"`{task.hub.dataset}`, configuration `{task.hub.config}`, revision `{task.hub.revision}` ({splits})"


if __name__ == "__main__":
    print(page(TASKS.values()), end="")
