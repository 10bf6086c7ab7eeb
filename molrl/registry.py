"""Registries: names in configs and calls, and the objects they stand for, imported lazily."""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

from molrl.errors import InputError, did_you_mean

Target = TypeVar("Target")

REGISTERS = "plugins=[MODULE] or MOLRL_PLUGINS=MODULE names a module that registers others"

_IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Entry:
    """What a name stands for, and where it comes from.

    Attributes:
        target: the object, or its import string ``"package.module:attribute"``.
        source: the package that brings it; ``"registered"`` for what :meth:`Registry.register`
            added.
    """

    target: object
    source: str


class Registry:
    """A table of names, each with an object or the import string of one.

    Nothing is imported before it is loaded. The entry points of installed packages are read when
    the names are listed, or one is looked up that is not there otherwise.

    Args:
        kind: what the names stand for, for error messages ("energy model").
        entries: ``"package.module:attribute"`` by name, of molrl itself.
        group: group of the entry points that add to it ("molrl.energy"); none if empty.

    Attributes:
        kind: the same.
        group: the same.
        refused: why an entry point was not added, by its name.

    Example:
        >>> numbers = Registry("number", {"pi": "math:pi"})
        >>> numbers.register("tau", "math:tau")
        >>> numbers.load("tau")
        6.283185307179586
    """

    def __init__(self, kind: str, entries: Mapping[str, str], group: str = "") -> None:
        self.kind, self.group = kind, group
        self.refused: dict[str, str] = {}
        self._entries = {name: Entry(target, "molrl") for name, target in entries.items()}
        self._complete = not group

    def __iter__(self) -> Iterator[str]:
        self._add_entry_points()
        return iter(tuple(self._entries))

    def __contains__(self, name: object) -> bool:
        if name not in self._entries:
            self._add_entry_points()
        return name in self._entries

    def register(self, name: str, target: object, replace: bool = False) -> None:
        """Add a name.

        Args:
            name: the name; letters, digits, ``-`` and ``_``, because a colon ends it.
            target: what it stands for, or its import string ``"package.module:attribute"``.
            replace: whether the name may be taken already.

        Raises:
            InputError: if it is taken, or is no such name, or the target is no import string.
        """
        self._check_new(name, target)
        if name in self and not replace:
            raise InputError(f"the {self.kind} {name!r} already exists; pass replace=True")
        self._entries[name] = Entry(target, "registered")

    def source(self, name: str) -> str:
        """Return the package that brings a name; ``"registered"`` if none does.

        Args:
            name: a name in the table.

        Raises:
            InputError: if the name is unknown.
        """
        return self._entries[self.check(name)].source

    def target(self, name: str) -> object:
        """Return the object called ``name``, or its import string, without importing anything.

        Args:
            name: a name in the table.

        Raises:
            InputError: if the name is unknown.
        """
        return self._entries[self.check(name)].target

    def check(self, name: str) -> str:
        """Return ``name`` if it is known.

        Args:
            name: a name in the table.

        Raises:
            InputError: if it is unknown; the message suggests the nearest known name.
        """
        if name not in self:
            hint = did_you_mean(name, self, REGISTERS if self.group else "")
            raise InputError(f"unknown {self.kind} {name!r}; {hint}")
        return name

    def load(self, name: str) -> Any:  # noqa: ANN401 - any object can have an entry
        """Return the object called ``name``, imported if need be.

        Args:
            name: a name in the table.

        Raises:
            InputError: if the name is unknown, or what it stands for cannot be imported.
        """
        entry = self._entries[self.check(name)]
        whose = "" if entry.source in ("molrl", "registered") else f" of {entry.source}"
        return import_target(entry.target, f"the {self.kind} {name!r}{whose}")

    def _check_new(self, name: object, target: object) -> None:
        if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
            raise InputError(f"{self.kind}: a name is letters, digits, - and _, not {name!r}")
        if not callable(target) and not isinstance(target, str):
            raise InputError(
                f"{self.kind} {name!r}: a class, a function or an import string is registered, not "
                f"{target!r}"
            )
        if isinstance(target, str) and not is_import_string(target):
            raise InputError(
                f"{self.kind} {name!r}: {target!r} is no import string; write package.module:Class"
            )

    def _add_entry_points(self) -> None:
        """Add the entry points of the installed packages, once; a name that is taken stays."""
        if self._complete:
            return
        self._complete = True
        for point in entry_points(group=self.group):
            source = point.dist.name if point.dist else point.value
            try:
                self._check_new(point.name, point.value)
            except InputError as error:
                self.refused[point.name] = f"of {source}: {error}"
                continue
            if point.name in self._entries:
                taken = self._entries[point.name].source
                self.refused[point.name] = f"of {source}: the name is taken by {taken}"
                continue
            self._entries[point.name] = Entry(point.value, source)


def import_target(target: object, what: str) -> Any:  # noqa: ANN401 - any object
    """Return a target, imported if it is an import string.

    Args:
        target: the object, or its import string ``"package.module:attribute"``.
        what: what the target is, for the error ("the energy model 'mine'").

    Raises:
        InputError: if it cannot be imported.

    Example:
        >>> import_target("math:tau", "the number")
        6.283185307179586
    """
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except InputError:
        raise
    except Exception as error:  # a module of somebody else's can raise anything
        raise InputError(f"{what} cannot be imported: {type(error).__name__}: {error}") from error


def is_import_string(target: str) -> bool:
    """Return whether a string is ``"package.module:attribute"``."""
    return bool(_IMPORT_STRING.fullmatch(target))


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
