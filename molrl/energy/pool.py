"""A pool of worker processes that start once, work in chunks, and end with their parent."""

import contextlib
import os
import subprocess
import sys
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

_LOOP = """
import importlib.util, signal, sys
from multiprocessing.connection import Connection
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
connection = Connection(int(sys.argv[1]))
spec = importlib.util.spec_from_file_location("worker", sys.argv[2])
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
while True:
    try:
        tasks = connection.recv()
    except (EOFError, OSError):  # the parent has gone
        break
    answers = [worker.work(*task) for task in tasks]
    try:
        connection.send(answers)
    except OSError:
        break
"""
_CHUNK = 16


class Pool:
    """Processes that apply the function ``work`` of one module to tasks.

    The module is loaded from its file, so that a worker imports what the module imports and no
    more. A worker that dies is started again and its chunk is tried once more; a chunk that
    kills two workers fails, task by task, with a reason. A worker ends when its parent does,
    because its pipe closes.

    Args:
        worker: file of the module that holds ``work(*task)``.
        n_workers: how many processes.

    Attributes:
        deaths: workers that died so far.
    """

    def __init__(self, worker: Path, n_workers: int) -> None:
        self._worker = worker
        self._n_workers = n_workers
        self._workers: dict[Connection, subprocess.Popen[bytes]] = {}
        self.deaths = 0
        self._owner = os.getpid()
        self._finalizer = weakref.finalize(self, _end, self._workers)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy or a pickle is a pool with workers of its own."""
        return Pool, (self._worker, self._n_workers)

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", _LOOP, str(theirs.fileno()), str(self._worker)],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._workers[ours] = process
        return ours

    def map(self, tasks: list[tuple[Any, ...]]) -> list[Any]:
        """``work(*task)`` of every task, in order; a string is the reason of a failure."""
        self._leave_to_parent()
        results: list[Any] = [None] * len(tasks)
        size = max(1, min(_CHUNK, -(-len(tasks) // self._n_workers)))
        todo = [(range(i, min(i + size, len(tasks))), 0) for i in range(0, len(tasks), size)]
        todo.reverse()
        busy: dict[Connection, tuple[range, int]] = {}
        while todo or busy:
            while todo and len(busy) < self._n_workers:
                idle = next((c for c in self._workers if c not in busy), None) or self._start()
                chunk, tries = todo.pop()
                busy[idle] = (chunk, tries)
                with contextlib.suppress(OSError):  # it died idle; the wait below finds out
                    idle.send([tasks[i] for i in chunk])
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                chunk, tries = busy.pop(connection)
                try:
                    answers = connection.recv()
                except (EOFError, OSError):
                    self._bury(connection)
                    if tries == 0:
                        todo.append((chunk, 1))
                        continue
                    answers = ["the worker process died twice on this batch"] * len(chunk)
                for i, answer in zip(chunk, answers, strict=True):
                    results[i] = answer
        return results

    def _leave_to_parent(self) -> None:
        """In a fork, let go of the workers: two processes on one pipe would mix up answers."""
        if self._owner != os.getpid():
            for connection in self._workers:
                connection.close()
            self._workers.clear()
            self._owner = os.getpid()

    def _bury(self, connection: Connection) -> None:
        self.deaths += 1
        process = self._workers.pop(connection)
        connection.close()
        process.kill()
        process.wait()

    def close(self) -> None:
        """End all workers."""
        _end(self._workers)


def _end(workers: dict[Connection, "subprocess.Popen[bytes]"]) -> None:
    while workers:
        connection, process = workers.popitem()
        connection.close()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
