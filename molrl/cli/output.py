"""The file that a command writes at its end, checked before it begins."""

import os
from collections.abc import Sequence
from pathlib import Path

from molrl.errors import InputError


def output_file(name: str, option: str, suffixes: Sequence[str] = ()) -> Path:
    """A file that can be written.

    Args:
        name: of the file.
        option: what it was named by, for the message.
        suffixes: those that are known; any, if empty.

    Raises:
        InputError: if it ends otherwise, is a folder, or cannot be written where it is.
    """
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file")
    if suffixes and path.suffix not in suffixes:
        raise InputError(f"{option} {path} is of no known kind; it must end in {_any(suffixes)}")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path} cannot be written: {folder} is no folder to write in")
    return path


def new_file(name: str, option: str, suffixes: Sequence[str]) -> Path:
    """A file that can be written and is not there yet.

    Raises:
        InputError: if it is, or as for :func:`output_file`.
    """
    path = output_file(name, option, suffixes)
    if path.exists():
        raise InputError(f"{option} {path} is there already; name another")
    return path


def _any(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
