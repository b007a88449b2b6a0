"""Reading a YAML file into a pydantic model with errors that name file, line and remedy."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from xstilts.errors import UserError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, model: type[Model], given: dict[str, Any]) -> Model:
    """The validated content of a YAML file, environment variables replaced; fields of `given` go before the file's.

    Raises `UserError` for a missing or unreadable file, invalid YAML, a repeated key, a field that the model
    does not know or that does not validate.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", file=path, remedy="check the path") from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text", file=path, remedy="save it as UTF-8") from None
    lines = [substitute(line, path, number) for number, line in enumerate(text.splitlines(), 1)]
    try:
        root = yaml.compose("\n".join(lines), Loader=yaml.SafeLoader)
        content = yaml.safe_load("\n".join(lines))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UserError(
            f"invalid YAML: {getattr(error, 'problem', None) or error}", file=path,
            line=mark.line + 1 if mark else None, remedy="mind indentation, quotes and colons",
        ) from None  # fmt: skip
    if not isinstance(root, yaml.MappingNode) or not isinstance(content, dict):
        remedy = f"write one field a line, such as '{next(iter(model.model_fields))}: ...'"
        raise UserError("is not a mapping of fields", file=path, line=1, remedy=remedy)
    _refuse_repeats(root, path)
    try:
        return model.model_validate({**content, **given, "file": str(path)})
    except ValidationError as error:
        line = _line_of(root, error)
        raise UserError(first_problem(error, model), file=path, line=line) from None


def _refuse_repeats(node: yaml.Node, path: Path) -> None:
    """YAML lets a later key win in silence; a study must not."""
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.value in seen:
                raise UserError(
                    f"field {key.value!r} is given twice (first in line {seen[key.value]})", file=path,
                    line=key.start_mark.line + 1, remedy="keep one of them",
                )  # fmt: skip
            seen[key.value] = key.start_mark.line + 1
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = list(node.value)
    for child in children:
        _refuse_repeats(child, path)


def _line_of(root: yaml.Node, error: ValidationError) -> int:
    """The 1-based line of the first problem: of its field, or of the misspelt word that the message quotes."""
    problem = error.errors()[0]
    node, line = root, root.start_mark.line + 1
    for part in problem["loc"]:
        if isinstance(node, yaml.MappingNode):
            match = [(key, value) for key, value in node.value if key.value == str(part)]
            if not match:
                break
            line, node = match[0][0].start_mark.line + 1, match[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            # `none` in a list stands for nothing, and what is validated does not hold it
            items = [item for item in node.value if item.value != "none"]
            if part >= len(items):
                break
            node = items[part]
            line = node.start_mark.line + 1
        else:
            break
    if problem["type"] == "value_error":
        # checks across fields quote the word they refuse; of two equal words the later one is the mistake
        for word in re.findall(r"'([^']+)'", problem["msg"].partition(";")[0]):
            # of a field within a field the message has the way to it
            sought = {word, word.rpartition(".")[2]}
            lines = [s.start_mark.line + 1 for s in _scalars(node) if sought & {s.value, *s.value.split("+")}]
            if lines:
                return int(lines[-1])
    return line


def _scalars(node: yaml.Node) -> list[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        return [node]
    if isinstance(node, yaml.MappingNode):
        return [scalar for pair in node.value for child in pair for scalar in _scalars(child)]
    return [scalar for child in node.value for scalar in _scalars(child)]


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem of a validation error as words with a remedy."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        return f"unknown field {where!r}; {did_you_mean(name, _model_at(model, problem['loc'][:-1]).model_fields)}"
    if problem["type"] == "missing":
        return f"field {where!r} is missing"
    message = re.sub("^Value error, ", "", problem["msg"])
    return message if problem["type"] == "value_error" else f"{where!r}: {message}"


def _model_at(model: type[BaseModel], where: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of a nested mapping: that of the innermost field on the way to it that has one."""
    for part in where:
        field = model.model_fields.get(str(part))
        inner = [field.annotation] if field is not None else []
        while inner:
            kind = inner.pop()
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
                break
            inner += get_args(kind)
    return model


def substitute(text: str, file: Path, line: int) -> str:
    """Replace `${NAME}` and `${NAME:-default}` by the environment. Raises `UserError` for a name not set."""

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        found = os.environ.get(name) or default
        if found is None:
            raise UserError(
                f"environment variable {name} is not set", file=file, line=line,
                remedy=f"export {name}=... or write ${{{name}:-default}}",
            )  # fmt: skip
        return found

    return re.sub(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}", value, text)
