"""Pydantic schemas checked against what a user wrote, with errors of one line."""

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from molrl.errors import InputError, did_you_mean

MAX_COMPLAINTS = 5  # of bad values in their one line
Schema = TypeVar("Schema", bound=BaseModel)


def validated(schema: type[Schema], values: Mapping[str, object], what: str) -> Schema:
    """The schema filled with the values.

    Args:
        schema: what the values must fit.
        values: key to value, as they come from keyword arguments.
        what: what the values describe, for error messages ("rules").

    Raises:
        InputError: if a key is not known (the nearest known one is suggested) or a value does not
            fit; the message names each such key.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{what}: {one_line(error, values, schema)}") from None


def one_line(error: ValidationError, values: Mapping[str, object], schema: type[BaseModel]) -> str:
    """What is wrong with values, key by key, in one line.

    Args:
        error: what the schema said of the values.
        values: what was to fit.
        schema: what it was to fit.
    """
    lines: dict[str, str] = {}  # by key: the branches of a union complain about the same one
    for detail in error.errors():
        keys = list(_keys(detail, values))
        lines.setdefault(".".join(keys), _describe(detail, keys, schema))
    more = [f"and {len(lines) - MAX_COMPLAINTS} more"] if len(lines) > MAX_COMPLAINTS else []
    return "; ".join([*list(lines.values())[:MAX_COMPLAINTS], *more])


def _keys(detail: ErrorDetails, data: Any) -> Iterator[str]:  # noqa: ANN401 - plain data
    """The keys of an error, less the names of union branches that pydantic puts between them."""
    for i, part in enumerate(detail["loc"]):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            if detail["type"] != "missing" or i + 1 < len(detail["loc"]):
                continue
        yield str(part)


def _describe(detail: ErrorDetails, keys: list[str], schema: type[BaseModel]) -> str:
    key = ".".join(keys) or "the whole"
    message = detail["msg"]
    match detail["type"]:
        case "extra_forbidden":
            return f"{key} is no key; {did_you_mean(keys[-1], _fields(schema, keys[:-1]))}"
        case "missing":
            return f"{key} is missing and must be given"
        case "value_error":
            return f"{key}: {message.removeprefix('Value error, ')}"
        case "model_type":
            message = "must be a section of keys"
    wanted = message.replace("Input should be", "must be").replace("to 'inf'", "")
    given = repr(detail["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    return f"{key} {wanted[0].lower()}{wanted[1:]}, not {given}"


def _fields(schema: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """The keys that the section at ``keys`` may have."""
    models = [schema]
    for key in keys:
        inner = [m for model in models for m in _models(model.model_fields.get(key))]
        models = inner or models  # an index into a list stays with the models of its items
    return [name for model in models for name in model.model_fields]


def _models(field: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - a field, a type or a part
    """The models in an annotation, whatever it wraps them in."""
    annotation = getattr(field, "annotation", field)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)
