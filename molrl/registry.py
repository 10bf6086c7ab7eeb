"""Registries: names in configs and calls, and the objects they stand for, imported lazily."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from molrl.errors import InputError, did_you_mean

Target = TypeVar("Target")


class Registry:
    """A table of names, each with an object or the import string of one.

    Nothing is imported before it is loaded.

    Args:
        kind: what the names stand for, for error messages ("energy model").
        entries: ``"package.module:attribute"`` by name.

    Example:
        >>> numbers = Registry("number", {"pi": "math:pi"})
        >>> numbers.register("tau", "math:tau")
        >>> numbers.load("tau")
        6.283185307179586
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries: dict[str, Any] = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def register(self, name: str, target: object, replace: bool = False) -> None:
        """Add a name.

        Args:
            name: the name; letters, digits and ``-``, because a colon ends it.
            target: what it stands for, or its import string ``"package.module:attribute"``.
            replace: whether the name may be taken already.

        Raises:
            InputError: if it is taken, or is no such name.
        """
        if not name.replace("-", "").isalnum():
            raise InputError(f"a name of a {self.kind} is letters, digits and -, not {name!r}")
        if name in self._entries and not replace:
            raise InputError(f"the {self.kind} {name!r} already exists; pass replace=True")
        self._entries[name] = target

    def check(self, name: str) -> str:
        """Return ``name`` if it is known.

        Args:
            name: a name in the table.

        Raises:
            InputError: if it is unknown; the message suggests the nearest known name.
        """
        if name not in self._entries:
            raise InputError(f"unknown {self.kind} {name!r}; {did_you_mean(name, self)}")
        return name

    def load(self, name: str) -> Any:  # noqa: ANN401 - any object can have an entry
        """Return the object called ``name``, imported if need be.

        Args:
            name: a name in the table.

        Raises:
            InputError: if the name is unknown.
        """
        target = self._entries[self.check(name)]
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)


def accepting(*what: str) -> Callable[[Target], Target]:
    """Declare what a target takes when it is loaded.

    Args:
        what: of ``"argument"`` (what follows a colon in its name), ``"device"``, ``"trust"``.
    """

    def declare(target: Target) -> Target:
        target.accepts = frozenset(what)  # type: ignore[attr-defined]  # any function or class
        return target

    return declare


def accepted(target: object) -> frozenset[str]:
    """Return what :func:`accepting` declared; nothing where it did not."""
    return frozenset(getattr(target, "accepts", ()))
