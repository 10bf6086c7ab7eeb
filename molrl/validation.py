"""Validation of user input by pydantic schemas, with errors of one line."""

import json
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from molrl.errors import InputError, did_you_mean, nearest

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


def plain(value: Any) -> Any:  # noqa: ANN401 - any value
    """Return a NumPy number as the Python number that schemas take; return all else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def as_json(data: object) -> str:
    """Return plain data as JSON, where strict schemas take a list for a tuple, and text for a path.

    Args:
        data: numbers, of NumPy too, texts, and lists and mappings of them.

    Raises:
        InputError: if it holds anything else.

    Example:
        >>> as_json({"width": np.int64(32), "window": np.array([0.7, 2.0])})
        '{"width": 32, "window": [0.7, 2.0]}'
    """
    return json.dumps(data, default=_listed)


def _listed(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise InputError(f"{value!r} is no plain data; give a number, a text, a list or a mapping")


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
        key = ".".join(keys)
        if key in lines and detail["type"] == "literal_error":
            lines[key] = lines[key].replace(", not ", f" or {detail['ctx']['expected']}, not ", 1)
        lines.setdefault(key, _describe(detail, keys, schema))
    more = [f"and {len(lines) - MAX_ERRORS} more"] if len(lines) > MAX_ERRORS else []
    return "; ".join([*list(lines.values())[:MAX_ERRORS], *more])


def checked_options(
    factory: Callable[..., object], options: Mapping[str, object], what: str
) -> dict[str, object]:
    """Return options as the annotations of what takes them have it, such as tuples for lists.

    Only plain data, as from a command line, is checked, and only by annotations that can be
    resolved; what is an object already is taken as it is.

    Args:
        factory: a class or function with annotated arguments.
        options: keyword arguments for it.
        what: what takes the options, for error messages.

    Raises:
        InputError: if the type of a value is wrong; the message names its key.

    Example:
        >>> def draw(size: tuple[int, int] = (1, 1)) -> None: ...
        >>> checked_options(draw, {"size": [2, 3]}, "draw")
        {'size': (2, 3)}
    """
    try:
        called = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]
        hints = typing.get_type_hints(called)
    except Exception:  # an annotation that only type checkers can resolve, of any error
        return dict(options)
    return {key: _checked(hints, key, value, what) for key, value in options.items()}


def _checked(hints: Mapping[str, Any], key: str, value: object, what: str) -> object:
    plain = value is None or isinstance(value, bool | int | float | str | list | dict)
    if key not in hints or not plain:
        return value
    adapter: TypeAdapter[object] = TypeAdapter(
        hints[key], config=ConfigDict(arbitrary_types_allowed=True)
    )
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise InputError(f"{what}: {key} {_wanted(error.errors()[0])}, not {value!r}") from None


def _wanted(detail: ErrorDetails) -> str:
    """Return what an error of pydantic asks for, to follow the key."""
    message = detail["msg"].replace("Input should be", "must be").replace("to 'inf'", "")
    message = message.partition(", unable to parse")[0]
    return message[0].lower() + message[1:]


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
    message = detail["msg"]
    if not keys and detail["type"] == "value_error":  # several keys are at odds
        return message.removeprefix("Value error, ")
    key = ".".join(keys) or "it"
    match detail["type"]:
        case "extra_forbidden" if key in getattr(schema, "former_keys", ()):
            line: str = schema.former_keys[key]  # type: ignore[attr-defined]  # of a Config
            return line
        case "extra_forbidden":
            return f"unknown key {key!r}; {_nearest(schema, keys)}"
        case "missing":
            return f"{key} is missing and must be given"
        case "value_error":
            text = message.removeprefix("Value error, ").removeprefix(f"{key}: ")
            return text if text.startswith(f"{key} ") else f"{key}: {text}"
        case "too_short":
            return f"{key} must have at least {detail['ctx']['min_length']} item"
        case "model_type":
            wanted = "must be a section of keys"
        case "tuple_type" | "list_type":
            wanted = "must be a list, such as [a, b]"
        case _:
            wanted = _wanted(detail)
    given = repr(detail["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    return f"{key} {wanted}, not {given}"


def _nearest(schema: type[BaseModel], keys: Sequence[str]) -> str:
    """Return a hint: where a key of that name belongs, or the nearest key beside it."""
    known = [*schema.model_fields, *_dotted(schema)]
    by_name = {key.rpartition(".")[2]: key for key in reversed(known)}
    section, beside = "".join(f"{key}." for key in keys[:-1]), _fields(schema, keys[:-1])
    right = nearest(keys[-1], beside)
    if keys[-1] not in by_name and right:
        return f"did you mean {section + right!r}?"
    right = nearest(keys[-1], by_name)
    if right:
        return f"did you mean {by_name[right]!r}?"
    return did_you_mean(keys[-1], beside)


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
