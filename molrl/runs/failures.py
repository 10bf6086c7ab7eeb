"""Unexpected errors and the files that hold their tracebacks."""

import tempfile
import traceback
from pathlib import Path


class RunFailed(Exception):
    """A run that ended with an unexpected error, which is the ``__cause__`` of this one.

    Args:
        log: the file that holds the traceback.
    """

    def __init__(self, log: Path) -> None:
        super().__init__(f"the traceback is in {log}")
        self.log = log


def write_traceback(error: BaseException, log: Path | None = None) -> Path:
    """Write the traceback of an error to a file.

    Args:
        error: the exception.
        log: the file; a temporary file if None, or if that cannot be written (a full disk).

    Returns:
        The file that holds the traceback.
    """
    text = "".join(traceback.format_exception(error))
    if log:
        try:
            log.write_text(text, encoding="utf-8")
        except OSError:
            return write_traceback(error)
        return log
    handle, name = tempfile.mkstemp(prefix="molrl-error-", suffix=".log")
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)
