"""Typed access to parsed JSON, so that a wrong file is refused and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xstilts.errors import UserError


def parse(text: str, path: Path, line: int | None = None) -> Any:
    """The JSON value of a whole file, or of one line of it; `UserError` with the line if it is not JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = error.lineno if line is None else line
        raise UserError(f"not JSON ({error.msg})", file=path, line=where) from error
    except (RecursionError, ValueError) as error:
        raise UserError(f"not JSON that can be read ({error})", file=path, line=line) from error


def text_field(value: Any, name: str, path: Path, line: int | None = None, where: str = "") -> str:
    """A member that must be text, and text that UTF-8 can hold (JSON can spell half a character)."""
    text = _member(value, name, path, line, where)
    if not isinstance(text, str):
        raise UserError(f"{where}{name!r} is not text", file=path, line=line)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where}{name!r} holds half a surrogate pair", file=path, line=line) from error
    return text


def list_field(value: Any, name: str, path: Path, where: str = "") -> list[Any]:
    """A member that must be a list."""
    items = _member(value, name, path, None, where)
    if not isinstance(items, list):
        raise UserError(f"{where}{name!r} is not a list", file=path)
    return items


def whole_number_field(value: Any, name: str, path: Path, where: str = "") -> int:
    """A member that must be a whole number."""
    number = _member(value, name, path, None, where)
    if not isinstance(number, int) or isinstance(number, bool):
        raise UserError(f"{where}{name!r} is not a whole number", file=path)
    return number


def _member(value: Any, name: str, path: Path, line: int | None, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where}expected an object with {name!r}", file=path, line=line)
    if name not in value:
        raise UserError(f"{where}no {name!r}", file=path, line=line)
    return value[name]
