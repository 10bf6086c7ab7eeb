"""Being asked to stop: at once, or as soon as what is under way has been saved."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

REQUEUE = 75  # EX_TEMPFAIL: try again. A scheduler's script requeues a run that ends so.
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
if hasattr(signal, "SIGUSR1"):  # not on Windows
    EXIT_CODES[signal.SIGUSR1] = REQUEUE
_SAME_WISH = 1.0  # s; a terminal and a launcher may both pass on one Ctrl-C


class Stopped(BaseException):
    """A signal asked this process to end.

    Args:
        number: of the signal.
        said: what became of the work and how to go on, if that is known.

    Attributes:
        number: the same.
        said: the same.
        exit_code: what the process ends with.
    """

    def __init__(self, number: int, said: str = "") -> None:
        self.number, self.said = signal.Signals(number), said
        self.exit_code = EXIT_CODES[self.number]
        super().__init__("; ".join(filter(None, [f"stopped by {self.number.name}", said])))


class StopRequest:
    """Whether a signal has come.

    Attributes:
        number: of the signal; 0 while none has come.
    """

    def __init__(self) -> None:
        self.number = 0
        self._when = 0.0

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self.number:
            self.number, self._when = number, now
        elif now - self._when > _SAME_WISH:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Inside, each signal of :data:`EXIT_CODES` raises :class:`Stopped`."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    with _handling(stop):
        yield


@contextmanager
def stopping_when_saved() -> Iterator[StopRequest]:
    """Inside, the first of the signals is noted, for the work to look at between two steps.

    Another, more than a second later, ends the process on the spot.
    """
    request = StopRequest()
    with _handling(request._note):
        yield request
    if request.number:
        raise Stopped(request.number)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    # What the shell told a job in the background to ignore stays ignored.
    heeded = [number for number, old in before.items() if old != signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
