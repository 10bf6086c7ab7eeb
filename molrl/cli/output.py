"""Output files of commands, checked before the work begins."""

import os
from collections.abc import Sequence
from pathlib import Path

from molrl.errors import InputError


def output_file(name: str, option: str, suffixes: Sequence[str] = ()) -> Path:
    """Check that a file can be written.

    Args:
        name: the file.
        option: the option that names it, for error messages.
        suffixes: the known suffixes; any if empty.

    Returns:
        The path.

    Raises:
        InputError: if it has another suffix, is a folder, or cannot be written.
    """
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file")
    if suffixes and path.suffix not in suffixes:
        raise InputError(f"{option} {path} has an unknown suffix; it must end in {_any(suffixes)}")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path} cannot be written: {folder} is not a writable folder")
    return path


def new_file(name: str, option: str, suffixes: Sequence[str]) -> Path:
    """Check that a file can be written and does not exist yet.

    Args:
        name: the file.
        option: the option that names it, for error messages.
        suffixes: the known suffixes.

    Returns:
        The path.

    Raises:
        InputError: if it exists, or as for :func:`output_file`.
    """
    path = output_file(name, option, suffixes)
    if path.exists():
        raise InputError(f"{option} {path} already exists; name another")
    return path


def _any(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
