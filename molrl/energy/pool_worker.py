"""The process of a worker of :class:`molrl.energy.pool.Pool`.

It is run as a script by its path, so that it imports only the standard library and what the
worker's module imports, and nothing else of this package.
"""

import contextlib
import ctypes
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

__all__ = ["DONE", "ENDS_WITH_PARENT", "RAISED", "READY", "UNLOADABLE", "Connection"]

READY, DONE, RAISED, UNLOADABLE = "ready", "done", "worker raised", "cannot load"
ENDS_WITH_PARENT = "--ends-with-parent"
PARENTS_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")  # sent to all processes of a terminal or a job
_PR_SET_PDEATHSIG = 1

Task = tuple[Any, ...]


def main() -> None:
    """Serve the parent until it ends.

    The command line holds the file descriptor or handle of the pipe, the worker module's file, and
    maybe :data:`ENDS_WITH_PARENT`, which has effect on Linux.
    """
    for name in PARENTS_SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux" and ENDS_WITH_PARENT in sys.argv[3:]:
        # _listen cannot end a worker whose library hangs with the GIL held; the kernel can.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # the parent has ended
        serve(Connection(int(sys.argv[1])), sys.argv[2])


def serve(connection: Connection, path: str) -> None:
    """Load ``work`` and answer each task that is received, until one raises.

    Args:
        connection: receives lists of tasks, and is sent pairs of :data:`READY`, :data:`DONE`,
            :data:`RAISED` or :data:`UNLOADABLE` and an answer or a reason.
        path: file of the module that defines ``work(*task)``.
    """
    try:
        work = load(path)
    except Exception as error:
        connection.send((UNLOADABLE, _one_line(error)))
        return
    connection.send((READY, None))
    given: SimpleQueue[list[Task]] = SimpleQueue()
    Thread(target=_listen, args=(connection, given), daemon=True).start()
    while True:
        for task in given.get():
            try:
                answer = work(*task)
            except Exception as error:
                connection.send((RAISED, _one_line(error)))
                return  # the state of its library is unknown
            connection.send((DONE, answer))


def load(path: str) -> Callable[..., Any]:
    """Import the module in a file and return its function ``work``."""
    spec = importlib.util.spec_from_file_location("worker", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    work: Callable[..., Any] = module.work
    return work


def _listen(connection: Connection, given: SimpleQueue[list[Task]]) -> None:
    """Queue the tasks that are received, and end the process with its parent, even if busy."""
    code = 1  # kept where a task cannot be unpickled
    try:
        while True:
            given.put(connection.recv())
    except (EOFError, OSError):
        code = 0
    finally:
        os._exit(code)


def _one_line(error: Exception) -> str:
    """Format an exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


if __name__ == "__main__":
    main()
