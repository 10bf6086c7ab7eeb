"""Modules of somebody else's that register parts, imported by name."""

import importlib
import os
import sys
from collections.abc import Iterable

from molrl.errors import InputError


def import_plugins(names: Iterable[str], where: str) -> None:
    """Import modules, installed or in the current folder, that register parts.

    Args:
        names: ``"package.module"`` each.
        where: what names them, for error messages.

    Raises:
        InputError: if one of them cannot be imported.

    Example:
        >>> import_plugins(["my_parts"], where="plugins")  # doctest: +SKIP
    """
    for name in names:
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a module of somebody else's raises
            raise InputError(
                f"{where}: {name} cannot be imported: {type(error).__name__}: {error}"
            ) from None


def plugins_of_environment() -> list[str]:
    """Return the modules that the variable MOLRL_PLUGINS lists, separated by commas.

    Example:
        >>> plugins_of_environment()  # with MOLRL_PLUGINS="my_parts, more" # doctest: +SKIP
        ['my_parts', 'more']
    """
    names = os.environ.get("MOLRL_PLUGINS", "").split(",")
    return [name.strip() for name in names if name.strip()]
