"""One lazy registry: names to `module:attribute`, imported on first use, open to plug-ins by entry points."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from xstilts.errors import UserError, did_you_mean


@cache
def _plugins(group: str) -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=f"xstilts.{group}")}


class Registry:
    """Things of one kind by name. Plug-ins add to it by an entry point in the group `xstilts.<group>`."""

    def __init__(self, group: str, what: str, builtin: dict[str, str]) -> None:
        self.group, self.what, self._builtin = group, what, builtin

    def targets(self) -> dict[str, str]:
        """All names and the `module:attribute` behind each; the built-in ones cannot be replaced."""
        return {**_plugins(self.group), **self._builtin}

    def get(self, name: str) -> Any:
        """The thing called `name`, imported now. Raises `UserError` with the nearest names if there is none."""
        targets = self.targets()
        if name not in targets:
            raise UserError(f"unknown {self.what} {name!r}", remedy=did_you_mean(name, targets))
        module, _, attribute = targets[name].partition(":")
        return getattr(import_module(module), attribute)
