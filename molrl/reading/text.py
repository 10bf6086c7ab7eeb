"""The text of a file, whatever its encoding and its line ends."""

import codecs
from pathlib import Path

from molrl.errors import InputError

MAX_BYTES = 500_000_000
COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # first bytes
# A binary file may decode as Latin-1, but most of its characters are not ASCII.
MAX_FOREIGN = 0.3


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file.

    UTF-8, and UTF-16 with a byte-order mark, are read, and what is neither as
    Windows-1252, the superset of Latin-1. Lines end in LF, CR LF or CR.

    Args:
        path: the file.

    Raises:
        InputError: if it does not exist, cannot be opened, is too large, compressed, or holds no
            text.
    """
    try:
        if not path.is_file():
            wrong = "is not a regular file; save it as one" if path.exists() else "does not exist"
            raise InputError(f"{path} {wrong}")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES} bytes, the limit; split it")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    text = _decode(content)
    if text is None:
        compressed = content.startswith(COMPRESSED)
        wrong = "is compressed; decompress it" if compressed else "is not a text file"
        raise InputError(f"{path} {wrong}")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _decode(content: bytes) -> str | None:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
        guessed = utf16
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
        guessed = True
    foreign = sum(not char.isascii() for char in text) if guessed else 0
    return None if "\0" in text or foreign > MAX_FOREIGN * len(text) else text
