"""Signals that ask a process to stop: at once, or after its work has been saved."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

REQUEUE = 75  # EX_TEMPFAIL, "try again": a job script requeues a run that ends with it
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
if hasattr(signal, "SIGUSR1"):  # not on Windows
    EXIT_CODES[signal.SIGUSR1] = REQUEUE
_SAME_REQUEST = 1.0  # s; a terminal and a launcher may both pass on one Ctrl-C


class Stopped(BaseException):
    """A signal that asked this process to end.

    Args:
        number: the signal.
        detail: what was saved and how to resume, if that is known.

    Attributes:
        number: the signal.
        detail: as given.
        exit_code: the exit code of the process.
    """

    def __init__(self, number: int, detail: str = "") -> None:
        self.number, self.detail = signal.Signals(number), detail
        self.exit_code = EXIT_CODES[self.number]
        super().__init__("; ".join(filter(None, [f"stopped by {self.number.name}", detail])))


class StopRequest:
    """Whether a signal has asked the process to stop.

    Attributes:
        number: the signal; 0 while there was none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._when = 0.0

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self.number:
            self.number, self._when = number, now
        elif now - self._when > _SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Raise :class:`Stopped` inside when a signal of :data:`EXIT_CODES` arrives."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    with _handling(stop):
        yield


@contextmanager
def stopping_when_saved() -> Iterator[StopRequest]:
    """Note the first signal inside, so that the work can stop between two of its steps.

    A second signal, more than a second later, ends the process at once.

    Yields:
        The request, which the work checks after each step.

    Raises:
        Stopped: at the end, if a signal arrived.
    """
    request = StopRequest()
    with _handling(request._note):
        yield request
    if request.number:
        raise Stopped(request.number)


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    # A shell has background jobs ignore SIGINT; that stays as it is.
    handled = [number for number, old in before.items() if old != signal.SIG_IGN]
    for number in handled:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
