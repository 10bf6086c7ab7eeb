"""Tests of hanging workers without waiting: a clock that advances only when a worker hangs."""

from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path


class HangClock:
    """The clock of a pool, which advances only when all busy workers hang.

    A worker that hangs is late at once, and one that is slow on a busy machine never. The clock
    replaces ``time`` in ``molrl.energy.pool``, and its :meth:`wait` replaces ``wait``.

    Args:
        folder: where a worker creates a new file before it hangs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._over, self._now = 0, 0.0  # hangs that the pool has handled; s

    def monotonic(self) -> float:
        """Return the time, s."""
        return self._now

    def wait(self, connections: Sequence[Connection], timeout: float) -> list[object]:
        """Return the connections that are ready; none, after the timeout, if all workers hang."""
        while True:
            # Counted first, so that what a worker sent before it hung is received below.
            hanging = len(list(self._folder.iterdir())) - self._over
            if ready := wait(connections, 0.01):
                return list(ready)
            if hanging == len(connections):
                self._over += hanging
                self._now += timeout + 1
                return []
