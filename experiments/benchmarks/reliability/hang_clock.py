"""Hangs in a pool of workers without waiting for them: a clock that only a hang moves."""

from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path


class HangClock:
    """The time of a pool: it passes only when every worker that is busy hangs.

    So a worker that hangs is late at once, and one that is slow on a busy machine never. It takes
    the place of ``time`` in ``molrl.energy.pool``, and its :meth:`wait` that of ``wait``.

    Args:
        folder: a worker that hangs makes a new file here first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._over, self._now = 0, 0.0  # hangs that the pool has dealt with; s

    def monotonic(self) -> float:
        """Return the time, s."""
        return self._now

    def wait(self, connections: Sequence[Connection], timeout: float) -> list[object]:
        """Return the connections that have something to say; none, after the time, if all hang."""
        while True:
            # Counted first: what a worker said before it hung is heard below.
            hanging = len(list(self._folder.iterdir())) - self._over
            if said := wait(connections, 0.01):
                return list(said)
            if hanging == len(connections):
                self._over += hanging
                self._now += timeout + 1
                return []
