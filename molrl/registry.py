"""Names to lazily imported objects: what a string in a config or a call stands for."""

import importlib
from collections.abc import Iterator
from typing import Any

from molrl.errors import InputError, did_you_mean


class Registry:
    """A table of names, each with the import string of what it stands for.

    Nothing is imported before it is asked for, so that a name costs nothing.

    Args:
        kind: what the names name, for error messages ("energy model").
        entries: name to ``"package.module:attribute"``.
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def check(self, name: str) -> str:
        """Return ``name`` if it is known.

        Raises:
            InputError: if it is not; the message suggests the nearest known name.
        """
        if name not in self._entries:
            raise InputError(f"no {self.kind} is called {name!r}; {did_you_mean(name, self)}")
        return name

    def load(self, name: str) -> Any:  # noqa: ANN401 - whatever the string stands for
        """Import and return what ``name`` stands for.

        Raises:
            InputError: if the name is not known.
        """
        module, _, attribute = self._entries[self.check(name)].partition(":")
        return getattr(importlib.import_module(module), attribute)
