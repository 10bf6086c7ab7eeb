"""Validation of user input by pydantic schemas, with errors of one line."""

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from molrl.errors import InputError, did_you_mean

MAX_ERRORS = 5  # in one line
Schema = TypeVar("Schema", bound=BaseModel)


def validated(schema: type[Schema], values: Mapping[str, object], what: str) -> Schema:
    """Return the schema filled with values.

    Args:
        schema: the class to validate by.
        values: values by key, such as keyword arguments.
        what: what the values describe, for error messages ("rules").

    Raises:
        InputError: if a key is unknown (the message suggests the nearest known one) or a value is
            invalid; the message names each such key.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{what}: {one_line(error, values, schema)}") from None


def one_line(error: ValidationError, values: Mapping[str, object], schema: type[BaseModel]) -> str:
    """Return what is wrong with values, key by key, in one line.

    Args:
        error: the error of the schema.
        values: the values that were validated.
        schema: the class they were validated by.
    """
    lines: dict[str, str] = {}  # by key: each branch of a union reports an error of its own
    for detail in error.errors():
        keys = list(_keys(detail, values))
        lines.setdefault(".".join(keys), _describe(detail, keys, schema))
    more = [f"and {len(lines) - MAX_ERRORS} more"] if len(lines) > MAX_ERRORS else []
    return "; ".join([*list(lines.values())[:MAX_ERRORS], *more])


def wrong_keys(error: ValidationError, values: Mapping[str, object]) -> list[str]:
    """Return the dotted key of each error, as in :func:`one_line`."""
    return [".".join(_keys(detail, values)) for detail in error.errors()]


def _keys(detail: ErrorDetails, data: Any) -> Iterator[str]:  # noqa: ANN401 - plain data
    """Yield the keys of an error, without the names of union branches that pydantic inserts."""
    for i, part in enumerate(detail["loc"]):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            if detail["type"] != "missing" or i + 1 < len(detail["loc"]):
                continue
        yield str(part)


def _describe(detail: ErrorDetails, keys: list[str], schema: type[BaseModel]) -> str:
    key = ".".join(keys) or "it"
    message = detail["msg"]
    match detail["type"]:
        case "extra_forbidden" if key in getattr(schema, "former_keys", ()):
            line: str = schema.former_keys[key]  # type: ignore[attr-defined]  # of a Config
            return line
        case "extra_forbidden":
            return f"unknown key {key!r}; {_nearest(schema, keys)}"
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


def _nearest(schema: type[BaseModel], keys: Sequence[str]) -> str:
    """Return a hint: the first section with a key of that name, or the nearest key beside it."""
    elsewhere = [key for key in _dotted(schema) if key.rpartition(".")[2] == keys[-1]]
    if len(keys) == 1 and elsewhere:
        return f"did you mean {elsewhere[0]!r}?"
    return did_you_mean(keys[-1], _fields(schema, keys[:-1]))


def _dotted(schema: type[BaseModel]) -> list[str]:
    """Return the dotted keys of all sections of a schema, two levels deep, of every kind."""
    return [
        f"{name}.{inner}"
        for name, field in schema.model_fields.items()
        for base in models_of(field)
        for model in _with_kinds(base)
        for inner in model.model_fields
    ]


def _with_kinds(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for kind in model.__subclasses__():
        yield from _with_kinds(kind)


def _fields(schema: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """Return the keys that the section at ``keys`` may have."""
    models = [schema]
    for key in keys:
        inner = [m for model in models for m in models_of(model.model_fields.get(key))]
        models = inner or models  # an index into a list stays with the models of its items
    return [name for model in models for name in model.model_fields]


def models_of(field: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - a field, a type or a part
    """Yield the models in the annotation of a field, however they are nested.

    Args:
        field: a field of a model, an annotation, or None.
    """
    annotation = getattr(field, "annotation", field)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_of(part)
