"""Atomic writes: a file is written completely or not at all."""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
