"""When a process is killed: at a random time, or at a drawn one of its operations on files.

A process is begun by ``start(before)``, which forks, calls ``before`` in the fork, and returns its
process id.
"""

import mmap
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import tiny

Start = Callable[[Callable[[], object]], int]

# Audit events of Python; the first argument of each is a path.
OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}
DIRECTORY_HANDLE = {"os.remove": 1, "os.rmdir": 1}  # the argument that a path is relative to


class Moments(Protocol):
    """Moments at which processes that all do the same work are killed."""

    def measure(self, start: Start) -> int:
        """Let one of the processes come to its end, to know how long that is; its exit code."""
        ...

    def kill(self, start: Start) -> bool:
        """Kill -9 one of the processes on its way; False if it was done before."""
        ...


class RandomTimes:
    """Any time between the beginning and the end, which no two runs of a benchmark share.

    Args:
        seed: of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._draw, self._seconds = random.Random(seed), 0.0

    def measure(self, start: Start) -> int:
        """Time one process."""
        began = time.monotonic()
        code = tiny.finish(start(lambda: None))
        self._seconds = time.monotonic() - began
        return code

    def kill(self, start: Start) -> bool:
        """Kill one process, unless its time has not come when it ends."""
        pid = start(lambda: None)
        end = time.monotonic() + self._draw.uniform(0, self._seconds)
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return False
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        return tiny.finish(pid) == -signal.SIGKILL


class FileOperations:
    """Drawn operations on files in a folder: the process kills itself before it does them.

    Between two of them nothing on the disk changes but the ends of files that are open, so a busy
    machine and an idle one see the same moments.

    Args:
        folder: where the processes work.
        seed: of the draws.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._draw, self._total = folder, random.Random(seed), 0

    def measure(self, start: Start) -> int:
        """Count the operations of one process."""
        with mmap.mmap(-1, 8) as shared:

            def note(number: int) -> None:
                shared[:] = number.to_bytes(8, "little")

            code = tiny.finish(start(lambda: at_operations(self._folder, note)))
            self._total = int.from_bytes(shared[:], "little")
        return code

    def kill(self, start: Start) -> bool:
        """Have one process kill itself, unless it has fewer operations than the one measured."""
        last = self._draw.randint(1, self._total)

        def end(number: int) -> None:
            if number == last:
                os.kill(os.getpid(), signal.SIGKILL)

        pid = start(lambda: at_operations(self._folder, end))
        return tiny.finish(pid) == -signal.SIGKILL


def at_operations(folder: Path, call: Callable[[int], object]) -> None:
    """Before this process's main thread does its n-th operation on files in a folder, call with n.

    This lasts as long as the process.
    """
    inside, main, n = f"{folder.resolve()}{os.sep}", threading.main_thread(), 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal n
        if event not in OPERATIONS or threading.current_thread() is not main:
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike):
            return
        relative = event in DIRECTORY_HANDLE and arguments[DIRECTORY_HANDLE[event]] != -1
        if relative or os.path.abspath(path).startswith(inside):
            n += 1
            call(n)

    sys.addaudithook(hook)
