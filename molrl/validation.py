"""Pydantic schemas checked against what a user wrote, with errors of one line."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from molrl.errors import InputError, did_you_mean

Schema = TypeVar("Schema", bound=BaseModel)


def validated(schema: type[Schema], values: Mapping[str, object], what: str) -> Schema:
    """The schema filled with the values.

    Args:
        schema: what the values must fit.
        values: key to value, as they come from keyword arguments or a file.
        what: what the values describe, for error messages ("rules").

    Raises:
        InputError: if a key is not known (the nearest known one is suggested) or a value does not
            fit; the message names the first such key.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(_line(schema, error.errors()[0], what)) from None


def _line(schema: type[BaseModel], detail: ErrorDetails, what: str) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{what} has no key {key!r}; {did_you_mean(key, schema.model_fields)}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{what}: {message}"
    return f"{what}: {key} = {detail['input']!r}: {message}"
