"""A pool of worker processes that survives workers that crash, hang or raise."""

import contextlib
import os
import subprocess
import sys
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock, current_thread, main_thread
from typing import Any

from molrl.energy import pool_worker
from molrl.energy.pool_worker import (
    DONE,
    ENDS_WITH_PARENT,
    RAISED,
    READY,
    UNLOADABLE,
    Connection,
)
from molrl.errors import InputError

__all__ = ["DIED", "HUNG", "RAISED", "Pool", "cores_of_this_rank"]

_SCRIPT = Path(pool_worker.__file__)
_CHUNK = 16
_START = 60.0  # s that a worker may take to load, in addition to the time of its first task
DIED, HUNG = "worker died", "worker hung"


@dataclass
class _Worker:
    """A worker process and its unfinished tasks.

    Attributes:
        process: the process.
        tasks: indices of the tasks that it was sent and has not answered, in order.
        deadline: monotonic time, s, by which its next answer must arrive.
    """

    process: "subprocess.Popen[bytes]"
    tasks: deque[int] = field(default_factory=deque)
    deadline: float = 0.0


class Pool:
    """A pool of processes that apply the function ``work`` of one module to tasks.

    The module is loaded from its file, so that a worker imports what the module imports and
    nothing else. A task whose worker dies, raises or hangs is tried once more, alone, in a new
    worker; if it fails again, its result is the reason. Workers end with their parent, even those
    that hang (unless a library that holds the GIL hangs in one that another thread than the main
    one started). Calls of several threads wait for each other.

    Args:
        worker: file of the module that defines ``work(*task)``.
        n_workers: how many processes.
        seconds: time limit of a task, after which its worker counts as hung; :meth:`map` can grant
            a multiple of it.

    Attributes:
        faults: how often workers died, hung or raised.

    Example:
        >>> import numpy as np
        >>> from molrl.energy import xtb_worker
        >>> pool = Pool(Path(xtb_worker.__file__), n_workers=1, seconds=60.0)
        >>> helium = (np.array([2]), np.zeros((1, 3)), 0, 0, 100)
        >>> ((energy, gradient, further),) = pool.map([helium])
        >>> round(energy, 3)  # Hartree
        -1.743
        >>> pool.close()
    """

    def __init__(self, worker: Path, n_workers: int, seconds: float) -> None:
        self._worker = worker
        self._n_workers = n_workers
        self._seconds = seconds
        self.faults: Counter[str] = Counter()
        self._workers: dict[Connection, _Worker] = {}
        self._owner = os.getpid()
        self._one_at_a_time = Lock()  # or a thread would read the answers to another's tasks
        self._finalizer = weakref.finalize(self, _end, self._workers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle or copy the pool as one with the same settings and new workers."""
        return Pool, (self._worker, self._n_workers, self._seconds)

    def map(
        self,
        tasks: list[tuple[Any, ...]],
        report: Callable[[int], None] = lambda _: None,
        patience: Sequence[float] | None = None,
    ) -> list[Any]:
        """Compute ``work(*task)`` of every task.

        Args:
            tasks: the arguments of each call; they are pickled.
            report: called with how many of them have a result, whenever there are more.
            patience: ``(n_tasks,)``, the time limit of each task over that of the pool; 1 if None.

        Returns:
            The results in the order of the tasks; a string where a task failed, with the reason.

        Raises:
            InputError: if the worker's module cannot be loaded.
        """
        self._drop_inherited_workers()
        patience = [1.0] * len(tasks) if patience is None else patience
        with self._one_at_a_time:
            try:
                return self._map(tasks, report, [self._seconds * factor for factor in patience])
            except BaseException:  # an interrupt: late answers must not be read by the next call
                for connection in [c for c, worker in self._workers.items() if worker.tasks]:
                    self._kill(connection)
                raise

    def _map(
        self, tasks: list[tuple[Any, ...]], report: Callable[[int], None], seconds: list[float]
    ) -> list[Any]:
        """Run the tasks in chunks, repeating once what fails, until each has a result."""
        results: list[Any] = [None] * len(tasks)
        size = max(1, min(_CHUNK, -(-len(tasks) // self._n_workers)))
        todo = deque(list(range(i, min(i + size, len(tasks)))) for i in range(0, len(tasks), size))
        failed: set[int] = set()
        done = 0
        while todo or any(worker.tasks for worker in self._workers.values()):
            self._hand_out(todo, tasks, seconds)
            for connection, worker in self._answering():
                kind, answer = _answer(connection, worker)
                if kind == READY:
                    worker.deadline = time.monotonic() + seconds[worker.tasks[0]]
                    continue
                if kind == UNLOADABLE:
                    raise InputError(f"{self._worker.stem} cannot be loaded: {answer}")
                first = worker.tasks.popleft()
                if worker.tasks:
                    worker.deadline = time.monotonic() + seconds[worker.tasks[0]]
                if kind == DONE:
                    results[first] = answer
                    report(done := done + 1)
                    continue
                self.faults[kind] += 1
                if first in failed:
                    results[first] = f"{kind} twice: {answer}"
                    report(done := done + 1)
                else:
                    failed.add(first)
                    todo.appendleft([first])
                if worker.tasks:
                    todo.append(list(worker.tasks))
                self._kill(connection)
        return results

    def _hand_out(
        self, todo: deque[list[int]], tasks: list[tuple[Any, ...]], seconds: list[float]
    ) -> None:
        """Send chunks to idle workers, and start workers up to their number."""
        while todo:
            idle = next((c for c, worker in self._workers.items() if not worker.tasks), None)
            if idle is None:
                if len(self._workers) == self._n_workers:
                    return
                idle = self._start()
            worker = self._workers[idle]
            worker.tasks.extend(todo.popleft())
            limit = time.monotonic() + seconds[worker.tasks[0]]
            worker.deadline = max(worker.deadline, limit)
            with contextlib.suppress(OSError):  # it died idle: the closed pipe reports it
                idle.send([tasks[i] for i in worker.tasks])

    def _answering(self) -> list[tuple[Connection, _Worker]]:
        """Wait for busy workers that answer, die or pass their deadline, and return them."""
        busy = {c: worker for c, worker in self._workers.items() if worker.tasks}
        earliest = min(worker.deadline for worker in busy.values())
        ready = wait(list(busy), max(0.0, earliest - time.monotonic()))
        now = time.monotonic()
        return [(c, w) for c, w in busy.items() if c in ready or now > w.deadline]

    def _start(self) -> Connection:
        """Start a worker and return our end of its pipe."""
        ours, theirs = Pipe()
        # What Linux ends with its parent, it ends with the thread that started it.
        tied = [ENDS_WITH_PARENT] if current_thread() is main_thread() else []
        process = subprocess.Popen(
            # -P keeps the script's folder off the import path, where its modules would shadow
            # those of libraries with the same name.
            [sys.executable, "-P", str(_SCRIPT), str(theirs.fileno()), str(self._worker), *tied],
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            **_inheriting(theirs),
        )
        theirs.close()
        self._workers[ours] = _Worker(process, deadline=time.monotonic() + _START + self._seconds)
        return ours

    def _drop_inherited_workers(self) -> None:
        """Drop the parent's workers in a forked process: a shared pipe would mix up answers."""
        if self._owner != os.getpid():
            for connection in self._workers:
                connection.close()
            self._workers.clear()
            self._owner = os.getpid()
            self._one_at_a_time = Lock()  # a thread of the parent may have held the other

    def _kill(self, connection: Connection) -> None:
        """Kill a worker and forget it."""
        worker = self._workers.pop(connection)
        connection.close()
        worker.process.kill()
        worker.process.wait()

    def close(self) -> None:
        """End all workers."""
        _end(self._workers)


def cores_of_this_rank() -> int:
    """Return how many cores each of the ranks on this machine may use, at least 1."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, _usable_cores() // ranks)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _inheriting(connection: Connection) -> dict[str, Any]:
    """Return options of ``Popen`` that let the child inherit this connection and no other."""
    if sys.platform == "win32":
        os.set_handle_inheritable(connection.fileno(), True)
        handles = {"handle_list": [connection.fileno()]}
        return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList=handles)}
    return {"pass_fds": [connection.fileno()]}


def _answer(connection: Connection, worker: _Worker) -> tuple[str, Any]:
    """Read the answer of a worker as its kind and content, or what went wrong with it."""
    if not connection.poll():
        return HUNG, "no answer in time"
    try:
        answer: tuple[str, Any] = connection.recv()
    except (EOFError, OSError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(timeout=1)
        return DIED, f"exit code {worker.process.returncode}"
    return answer


def _end(workers: dict[Connection, _Worker]) -> None:
    """End all workers: close their pipes, and kill those that do not exit within 2 s."""
    while workers:
        connection, worker = workers.popitem()
        connection.close()
        try:
            worker.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
