"""Output files of commands, checked before the work begins."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from molrl.errors import InputError
from molrl.runs.atomic import check_writable

MOLECULE_FILES = (".extxyz", ".xyz", ".sdf")
"""Suffixes of the files that commands write molecules to; the first two are extended XYZ."""

_READ = ("file", "novel_against", "similar_to")  # arguments that name files which are read


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
    path = check_writable(name, option)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path} has an unknown suffix; it must end in {_any(suffixes)}")
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


def output_files(arguments: Namespace, options: Mapping[str, Sequence[str]]) -> list[Path | None]:
    """Check the files that a command writes, which exist only where ``--force`` is given.

    Args:
        arguments: of the command: ``force`` and an argument for each option.
        options: the known suffixes of each option (any if empty), by its name: ``--csv``, or
            ``-o`` for the argument ``output``.

    Returns:
        The paths, None for each option that was not given.

    Raises:
        InputError: if two name one file, one is a file that the command reads, one exists, or as
            for :func:`output_file`.
    """
    paths: list[Path | None] = []
    read = [Path(given) for key in _READ if (given := getattr(arguments, key, None))]
    for option, suffixes in options.items():
        name = getattr(arguments, "output" if option == "-o" else option.removeprefix("--"))
        path = None if name is None else output_file(name, option, suffixes)
        if path and path in paths:
            raise InputError(f"{option} {path} is named twice; name another")
        if path and path.exists() and any(each.exists() and path.samefile(each) for each in read):
            raise InputError(f"{option} {path} is a file that is read; name another")
        if path and path.exists() and not arguments.force:
            raise InputError(f"{option} {path} already exists; name another, or add --force")
        paths.append(path)
    return paths


def _any(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
