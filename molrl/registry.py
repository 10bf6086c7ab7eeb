"""Registries: names in configs and calls, and the objects they stand for, imported lazily."""

import importlib
from collections.abc import Iterator
from typing import Any

from molrl.errors import InputError, did_you_mean


class Registry:
    """A table of names, each with the import string of an object.

    Nothing is imported before it is loaded.

    Args:
        kind: what the names stand for, for error messages ("energy model").
        entries: ``"package.module:attribute"`` by name.

    Example:
        >>> numbers = Registry("number", {"pi": "math:pi"})
        >>> numbers.load("pi")
        3.141592653589793
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

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
        """Import and return the object called ``name``.

        Args:
            name: a name in the table.

        Raises:
            InputError: if the name is unknown.
        """
        module, _, attribute = self._entries[self.check(name)].partition(":")
        return getattr(importlib.import_module(module), attribute)
