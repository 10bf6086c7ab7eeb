"""Names of parts: what a string in a config or a call stands for."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from molrl.errors import InputError, did_you_mean

Target = TypeVar("Target")


class Registry:
    """A table of names, each with what it stands for, or the import string of that.

    Nothing is imported before it is asked for, so that a name costs nothing.

    Args:
        kind: what the names name, for error messages ("energy model").
        entries: name to ``"package.module:attribute"``.

    Example:
        >>> NETWORKS.register("pair", "my_package.networks:PairNetwork")
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

        Raises:
            InputError: if it is not; the message suggests the nearest known name.
        """
        if name not in self._entries:
            raise InputError(f"no {self.kind} is called {name!r}; {did_you_mean(name, self)}")
        return name

    def load(self, name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
        """Return what ``name`` stands for, imported if need be.

        Raises:
            InputError: if the name is not known.
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
