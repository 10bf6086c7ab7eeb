"""Atomic writes: a file is written completely or not at all."""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from molrl.errors import InputError

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")  # names of files that a kill left incomplete


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> None:
    """Fill a temporary file in the same folder, sync it, and rename it to ``path``.

    A crash leaves the old file or the new one, never a part of it. The permissions follow the
    umask, as for any new file.

    Args:
        path: the file to write; missing parent folders are created.
        write: called with the path of the temporary file, which it fills.

    Raises:
        OSError: if the file cannot be written; the old one is unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of a long name only the beginning, since names are limited to 255 bytes.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path | str, what: str = "") -> Path:
    """Return a path after checking that a file can be written there; nothing is changed.

    Args:
        path: the file, which may exist; missing parent folders can be created.
        what: it is, for error messages: ``-o``.

    Raises:
        InputError: if it is a folder, its name is too long or no name of a file, or a folder above
            it is a file or cannot be written.
    """
    path = Path(path)
    named = f"{what} {path}".lstrip()
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise InputError(f"{named} cannot be written: {error.strerror}") from None
    except ValueError:  # a NUL, or half of a character
        raise InputError(f"{str(path)!r} is no name of a file; leave out odd characters") from None
    if path.is_dir():
        raise InputError(f"{named} is a folder; name a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{named} cannot be written: {folder} is not a writable folder")
    return path


def write_text(path: Path | str, text: str) -> None:
    """Write a text file atomically, with the same bytes on every operating system.

    Args:
        path: the file to write.
        text: its content, written as UTF-8 with line breaks unchanged.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()))


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk, so that a power failure keeps them.

    Args:
        path: a file or a folder.
    """
    folder = path.is_dir()
    if folder and os.name == "nt":
        return  # Windows cannot open a folder; NTFS journals its entries
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
