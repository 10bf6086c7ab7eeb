"""Names of a package that are imported when they are used, so that importing it costs nothing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attributes_of(package: str, table: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Args:
        package: its name, for error messages.
        table: ``"package.module:attribute"``, or ``"package.module"``, by name.

    Example:
        >>> attributes_of("numbers", {"pi": "math:pi"})("pi")
        3.141592653589793
    """

    def get(name: str) -> Any:  # noqa: ANN401 - an object of any type
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = table[name].partition(":")
        found = import_module(module)
        return getattr(found, attribute) if attribute else found

    return get
