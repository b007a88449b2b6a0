"""JSON lines, one record a line, against a declared layout: every fault named with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from xstilts.errors import UserError


class Line(BaseModel):
    """What a line must hold, types as JSON has them; other members are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("empty")
    return text


Filled = Annotated[str, AfterValidator(_not_blank)]
"""Text that is not blank."""

Layout = TypeVar("Layout", bound=Line)


def records(lines: Iterable[str], layout: type[Layout], path: Path) -> Iterator[tuple[int, Layout]]:
    """Every line's number (from 1) and content; `UserError` for the first that does not fit `layout`."""
    for number, line in enumerate(lines, start=1):
        try:
            yield number, layout.model_validate_json(line)
        except ValidationError as error:
            what, remedy = _first_problem(error)
            raise UserError(what, file=path, line=number, remedy=remedy) from error


def _first_problem(error: ValidationError) -> tuple[str, str | None]:
    problem = error.errors(include_url=False, include_input=False)[0]
    member = ".".join(map(str, problem["loc"]))
    if problem["type"] == "json_invalid":
        return f"not JSON ({problem['msg'].removeprefix('Invalid JSON: ')})", None
    if problem["type"] == "missing":
        return f"no {member!r}", "give the labelled file, in its publisher's layout"
    if not member:
        return "not a JSON object", None
    return f"{member!r}: {problem['msg'].removeprefix('Value error, ')}", None
