"""Configs: read from YAML, overridden from the command line, validated by a pydantic schema."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from molrl.errors import InputError
from molrl.plugins import import_plugins
from molrl.runs.yaml_text import MAX_BYTES, read_yaml, write_yaml
from molrl.validation import as_json, one_line, wrong_keys

COMMAND_LINE = "command line"  # what error messages call the overrides
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Config(BaseModel):
    """Base class of every config: strict, immutable, without unknown keys or NaN.

    Args:
        values: the fields.

    Attributes:
        former_keys: keys of earlier versions, each with the line that says what to write now.

    Raises:
        InputError: if a field is unknown, missing or invalid; one line that names each of them.

    Example:
        >>> class Settings(Config):
        ...     seed: int = 0
        >>> parse_config({"seed": 3}, Settings, where="settings")
        Settings(seed=3)
    """

    former_keys: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - checked by the schema
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(
                f"{type(self).__name__}: {one_line(error, values, type(self))}"
            ) from None

    # Where a config is part of another, pydantic validates it without a call of __init__, so that
    # the error has the keys of both.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pydantic's own mark


def check_ascending(config: Config, *pairs: tuple[str, str]) -> None:
    """Check that of each pair of fields the first is at most the second.

    Args:
        config: with numbers.
        pairs: names of fields.

    Raises:
        InputError: if one is not.
    """
    for low, high in pairs:
        if getattr(config, low) > getattr(config, high):
            raise InputError(f"{low} must be at most {high}, {getattr(config, high):g}")


class RunConfig(Config):
    """Base class of the configs of commands, which may name parts that plugins register.

    Attributes:
        plugins: modules that are imported before the config is read, installed or in the current
            folder; see :func:`molrl.register`.
    """

    plugins: tuple[str, ...] = ()

    @field_validator("run_dir", check_fields=False)
    @classmethod
    def _check_run_dir(cls, run_dir: Any) -> Any:  # noqa: ANN401 - a path or its text
        if _CONTROL.search(str(run_dir)):
            raise ValueError(f"run_dir must hold no control characters, not {str(run_dir)!r}")
        # a shell does not expand the ~ of run_dir=~/runs/a
        return type(run_dir)(os.path.expanduser(run_dir))


ConfigT = TypeVar("ConfigT", bound=Config)


def load_config(path: Path | str, overrides: Sequence[str], schema: type[ConfigT]) -> ConfigT:
    """Read a YAML config, apply overrides, and validate it.

    Args:
        path: a YAML file that holds a mapping.
        overrides: ``key.sub=value`` each, the value in YAML.
        schema: the class of the config.

    Returns:
        The config, with the defaults filled in.

    Raises:
        InputError: one line that names the file, the dotted key, what is wrong and what would be
            right; also if two overrides have one key.
    """
    data = read_mapping(Path(path))
    _override_all(data, overrides)
    keys = [_key(override) for override in overrides]
    return _parse_with_plugins(data, schema, str(path), keys)


def config_from_overrides(overrides: Sequence[str], schema: type[ConfigT]) -> ConfigT:
    """Return a config given by ``key.sub=value`` overrides alone; see :func:`load_config`."""
    return _parse_with_plugins(read_overrides(overrides), schema, COMMAND_LINE)


def read_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the mapping that overrides describe.

    Args:
        overrides: ``key.sub=value`` each, the value in YAML.

    Raises:
        InputError: if one is written otherwise, or two have one key.

    Example:
        >>> read_overrides(["steps=100", "network.channels=16"])
        {'steps': 100, 'network': {'channels': 16}}
    """
    data: dict[str, Any] = {}
    _override_all(data, overrides)
    return data


def parse_config(data: Mapping[str, Any], schema: type[ConfigT], where: str) -> ConfigT:
    """Validate plain data against a schema.

    Args:
        data: plain YAML or JSON data.
        schema: the class of the config.
        where: what error messages call the data.

    Returns:
        The config, with the defaults filled in.

    Raises:
        InputError: if the data do not fit; one line, as in :func:`load_config`.
    """
    return _parse(data, schema, where)


def _parse(
    data: Mapping[str, Any], schema: type[ConfigT], where: str, overridden: Sequence[str] = ()
) -> ConfigT:
    """Validate plain data; an error in ``overridden`` keys alone is one of the command line."""
    for key, text in _texts(data):
        if not _is_unicode(text):
            where = COMMAND_LINE if _is_within(key, overridden) else where
            raise InputError(f"{where}: {key} holds {text!r}, which is no Unicode; write it anew")
    try:
        text = as_json(data)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        if all(_is_within(key, overridden) for key in wrong_keys(error, data)):
            where = COMMAND_LINE
        raise InputError(f"{where}: {one_line(error, data, schema)}") from None


def _texts(data: Any, key: str = "it") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - plain data
    """Yield each text in plain data, and each key of it, with the dotted key of where it is."""
    if isinstance(data, str):
        yield key, data
    elif isinstance(data, list | Mapping):
        items = data.items() if isinstance(data, Mapping) else enumerate(data)
        for name, value in items:
            yield key, str(name)
            yield from _texts(value, str(name) if key == "it" else f"{key}.{name}")


def _is_unicode(text: str) -> bool:
    """Return whether a text has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_within(key: str, sections: Sequence[str]) -> bool:
    return any(f"{key}.".startswith(f"{section}.") for section in sections)


def _parse_with_plugins(
    data: Mapping[str, Any], schema: type[ConfigT], where: str, overridden: Sequence[str] = ()
) -> ConfigT:
    """Validate a config after importing its plugins, which may register what it names."""
    if issubclass(schema, RunConfig):
        plugins = {"plugins": data.get("plugins", [])}
        parsed = _parse(plugins, RunConfig, where, overridden)
        import_plugins(parsed.plugins, f"{where}: plugins")
    return _parse(data, schema, where, overridden)


def dump_config(config: Config) -> str:
    """Return the resolved config as YAML, with all defaults written out."""
    return write_yaml(config.model_dump(mode="json"))


def read_mapping(path: Path) -> dict[str, Any]:
    """Read the mapping that a YAML file holds.

    Args:
        path: the file.

    Raises:
        InputError: if it is no such file.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} is not a file; give the path of a YAML config")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes, the limit for a config")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file; give a YAML config") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    data = read_yaml(text, str(path))
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no keys; a config is lines of `key: value`")
    return data


def override_defaults(defaults: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return overrides, after those defaults whose keys they do not give.

    Args:
        defaults: ``key.sub=value`` each.
        given: likewise.

    Example:
        >>> override_defaults(["seed=0", "steps=100"], ["seed=1"])
        ['steps=100', 'seed=1']
    """
    keys = {_key(override) for override in given}
    return [*(default for default in defaults if _key(default) not in keys), *given]


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _override_all(data: dict[str, Any], overrides: Sequence[str]) -> None:
    given: dict[str, str] = {}
    for i, override in enumerate(overrides):
        key = _key(override)
        if key in given:
            raise InputError(f"{key} is given twice, as {given[key]!r} and {override!r}; leave one")
        given[key] = override
        try:
            _override(data, override)
        except InputError as error:
            raise InputError(f"{error}{_quoting_hint(overrides[i:])}") from None


def _quoting_hint(overrides: Sequence[str]) -> str:
    """Return a hint if the shell has split one override at its spaces, else an empty string."""
    if not re.search(r"=.*[\[{]", overrides[0]):
        return ""
    for n in range(2, len(overrides) + 1):
        whole = " ".join(overrides[:n])
        try:
            read_overrides([whole])
        except InputError:
            continue
        return f"; quote it for the shell: {shlex.quote(whole)}"
    return ""


def _override(data: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise InputError(f"invalid override {override!r}; write key.sub=value")
    value = read_yaml(text, f"override {override!r}")
    section = data
    for i, key in enumerate(keys[:-1]):
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise InputError(
                f"override {override!r}: {'.'.join(keys[: i + 1])} is not a section of keys"
            )
    section[keys[-1]] = value
