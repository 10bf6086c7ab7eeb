"""Configs: read from YAML, overridden from the command line, checked by a pydantic schema."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from molrl.errors import InputError
from molrl.runs.yaml_text import MAX_BYTES, read_yaml, write_yaml
from molrl.validation import one_line


class Config(BaseModel):
    """The base of every config: no unknown key, no silent conversion, no NaN, no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


ConfigT = TypeVar("ConfigT", bound=Config)


def load_config(path: Path | str, overrides: Sequence[str], schema: type[ConfigT]) -> ConfigT:
    """Read a YAML config, override it, and check it.

    Args:
        path: a YAML file that holds a mapping.
        overrides: ``key.sub=value`` each, the value in YAML.
        schema: what the config must be.

    Raises:
        InputError: one line that names the file, the dotted key, what is wrong and what would be
            right.
    """
    data = _read_mapping(Path(path))
    for override in overrides:
        _override(data, override)
    return parse_config(data, schema, where=str(path))


def config_from_overrides(overrides: Sequence[str], schema: type[ConfigT]) -> ConfigT:
    """Return a config given by ``key.sub=value`` overrides alone; see :func:`load_config`."""
    data: dict[str, Any] = {}
    for override in overrides:
        _override(data, override)
    return parse_config(data, schema, where="command line")


def parse_config(data: Mapping[str, Any], schema: type[ConfigT], where: str) -> ConfigT:
    """Check plain data against a schema.

    Args:
        data: what YAML or JSON can hold.
        schema: what the data must be.
        where: what the data is called in error messages.

    Raises:
        InputError: if it is not; one line, as in :func:`load_config`.
    """
    try:
        # JSON, because its strict reading takes a list for a tuple and a string for a path.
        return schema.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise InputError(f"{where}: {one_line(error, data, schema)}") from None


def dump_config(config: Config) -> str:
    """The resolved config as YAML, every default written out."""
    return write_yaml(config.model_dump(mode="json"))


def _read_mapping(path: Path) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise InputError(f"{path} is no file; give the path of a YAML config")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than the {MAX_BYTES} bytes a config may have")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text file; give a YAML config") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    data = read_yaml(text, str(path))
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no keys; a config is lines of `key: value`")
    return data


def _override(data: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise InputError(f"{override!r} is no override; write key.sub=value")
    value = read_yaml(text, f"override {override!r}")
    section = data
    for i, key in enumerate(keys[:-1]):
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise InputError(f"override {override!r}: {'.'.join(keys[: i + 1])} is no section")
    section[keys[-1]] = value
