"""The process of a worker of :class:`molrl.energy.pool.Pool`.

It is run as a script, by its path, so that it imports the standard library and what the worker
module imports, and nothing else of this package.
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

__all__ = ["DONE", "RAISED", "READY", "UNLOADABLE", "Connection"]

READY, DONE, RAISED, UNLOADABLE = "ready", "done", "worker raised", "cannot load"
PARENTS_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")  # sent to all processes of a terminal or a job
_PR_SET_PDEATHSIG = 1

Task = tuple[Any, ...]


def main() -> None:
    """Answer the parent until it has gone; its end of the pipe and the module are the arguments."""
    for name in PARENTS_SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        # The kernel ends even a worker whose library hangs and never lets go of the GIL.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # the parent has gone
        serve(Connection(int(sys.argv[1])), sys.argv[2])


def serve(connection: Connection, path: str) -> None:
    """Load ``work`` and send an answer to each task that comes, until one raises.

    Args:
        connection: gives lists of tasks, and takes pairs of one of :data:`READY`, :data:`DONE`,
            :data:`RAISED` or :data:`UNLOADABLE`, and an answer or a reason.
        path: file of the module that holds ``work(*task)``.
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
                return  # nobody knows what state it is in
            connection.send((DONE, answer))


def load(path: str) -> Callable[..., Any]:
    """Return ``work`` of the module in a file."""
    spec = importlib.util.spec_from_file_location("worker", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    work: Callable[..., Any] = module.work
    return work


def _listen(connection: Connection, given: SimpleQueue[list[Task]]) -> None:
    """Pass on what comes, and end the process with its parent, whatever it is busy with."""
    code = 1  # of a task that cannot be unpickled
    try:
        while True:
            given.put(connection.recv())
    except (EOFError, OSError):
        code = 0
    finally:
        os._exit(code)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


if __name__ == "__main__":
    main()
