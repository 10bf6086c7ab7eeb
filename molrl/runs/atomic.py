"""Files that are written whole or not at all."""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")  # names of what a kill leaves half written


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, sync it, and put it in its place.

    A crash leaves the old file or the new one, never half of one. Who may read it is the umask's to
    say, as for any new file.
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
    """Write a text file whole or not at all, the same bytes on every system."""
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()))


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, outlast a loss of power."""
    folder = path.is_dir()
    if folder and os.name == "nt":
        return  # Windows opens no folders; its file system keeps a journal of the names itself
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
