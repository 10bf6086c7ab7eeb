"""Registries: tables from a name in a config or a call to a class or function."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from molrl.errors import InputError, did_you_mean

Target = TypeVar("Target")


class Registry:
    """A table from names to objects, or to import strings of objects.

    An import string is imported when its name is first loaded, so that listing names is fast and
    optional packages are needed only by those who use them.

    Args:
        kind: what the names stand for, for error messages ("energy model").
        entries: name to ``"package.module:attribute"``.

    Example:
        >>> shapes = Registry("path", {"posix": "pathlib:PurePosixPath"})
        >>> shapes.register("windows", "pathlib:PureWindowsPath")
        >>> list(shapes), shapes.load("windows").__name__
        (['posix', 'windows'], 'PureWindowsPath')
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries: dict[str, Any] = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def register(self, name: str, target: object, replace: bool = False) -> None:
        """Add a name.

        Args:
            name: letters, digits and ``-``; a colon would separate an argument.
            target: the object, or its import string ``"package.module:attribute"``.
            replace: whether to replace an existing entry.

        Raises:
            InputError: if the name exists already, or has other characters.
        """
        if not name.replace("-", "").isalnum():
            raise InputError(
                f"the name of a {self.kind} must be letters, digits and -, not {name!r}"
            )
        if name in self._entries and not replace:
            raise InputError(f"the {self.kind} {name!r} already exists; pass replace=True")
        self._entries[name] = target

    def check(self, name: str) -> str:
        """Return ``name`` after checking that it is registered.

        Raises:
            InputError: if it is unknown; the message suggests the nearest known name.
        """
        if name not in self._entries:
            raise InputError(f"unknown {self.kind} {name!r}; {did_you_mean(name, self)}")
        return name

    def load(self, name: str) -> Any:  # noqa: ANN401 - any object can be registered
        """Return the object of a name; import it first where an import string is registered.

        Raises:
            InputError: if the name is unknown.
        """
        target = self._entries[self.check(name)]
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)


def accepting(*what: str) -> Callable[[Target], Target]:
    """Return a decorator that declares which options a function or class takes when loaded.

    Args:
        what: any of ``"argument"`` (the text after a colon in the name), ``"device"``, ``"trust"``.

    Example:
        >>> @accepting("argument", "device")
        ... def load(path: str = "", device: str = "cpu") -> str:
        ...     return f"{path} on {device}"
        >>> sorted(accepted(load))
        ['argument', 'device']
    """

    def declare(target: Target) -> Target:
        target.accepts = frozenset(what)  # type: ignore[attr-defined]  # any function or class
        return target

    return declare


def accepted(target: object) -> frozenset[str]:
    """Return the options declared with :func:`accepting`; empty where none were."""
    return frozenset(getattr(target, "accepts", ()))
