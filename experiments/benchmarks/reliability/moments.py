"""Times at which processes are killed: random times, or random operations on files.

A process is started by ``start(before)``, which forks, calls ``before`` in the fork, and returns
the process id.
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
    """Times at which processes that do the same work are killed."""

    def measure(self, start: Start) -> int:
        """Run one process to its end, to measure its length, and return its exit code."""
        ...

    def kill(self, start: Start) -> bool:
        """Kill one process with -9, and return False if it had ended before."""
        ...


class RandomTimes:
    """Random times between start and end, which differ from run to run of a benchmark.

    Args:
        seed: random seed.
    """

    def __init__(self, seed: int) -> None:
        self._draw, self._seconds = random.Random(seed), 0.0

    def measure(self, start: Start) -> int:
        """Measure the time of one process, and return its exit code."""
        began = time.monotonic()
        code = tiny.finish(start(lambda: None))
        self._seconds = time.monotonic() - began
        return code

    def kill(self, start: Start) -> bool:
        """Kill one process at a random time, and return False if it had ended before."""
        pid = start(lambda: None)
        end = time.monotonic() + self._draw.uniform(0, self._seconds)
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return False
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        return tiny.finish(pid) == -signal.SIGKILL


class FileOperations:
    """Random operations on files in a folder, before which the process kills itself.

    Between two of them nothing on the disk changes except the ends of open files, so the moments do
    not depend on how busy the machine is.

    Args:
        folder: where the processes work.
        seed: random seed.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._draw, self._total = folder, random.Random(seed), 0

    def measure(self, start: Start) -> int:
        """Count the operations of one process, and return its exit code."""
        with mmap.mmap(-1, 8) as shared:

            def note(number: int) -> None:
                shared[:] = number.to_bytes(8, "little")

            code = tiny.finish(start(lambda: at_operations(self._folder, note)))
            self._total = int.from_bytes(shared[:], "little")
        return code

    def kill(self, start: Start) -> bool:
        """Have one process kill itself, and return False if it had too few operations."""
        last = self._draw.randint(1, self._total)

        def end(number: int) -> None:
            if number == last:
                os.kill(os.getpid(), signal.SIGKILL)

        pid = start(lambda: at_operations(self._folder, end))
        return tiny.finish(pid) == -signal.SIGKILL


def at_operations(folder: Path, call: Callable[[int], object]) -> None:
    """Call ``call(n)`` before the main thread does its n-th operation on files in a folder.

    The hook cannot be removed from the process.
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
