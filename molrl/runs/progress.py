"""Progress of a run: a bar on a terminal, a line from time to time elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NoReturn, Protocol, TextIO

from tqdm import tqdm

from molrl.errors import in_one_line

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_TICKS = 1.0


class Progress(Protocol):
    """A display of the progress of a run."""

    def update(self, done: int, **figures: float | str | None) -> None:
        """Show the progress.

        Args:
            done: number of steps done.
            figures: metrics to show next to it; None is shown as ``-``.
        """
        ...


def is_first_rank() -> bool:
    """Return whether this process is the first of those that share a training, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def log_message(line: str) -> None:
    """Print a line about something that does not end the run to standard error.

    A line that cannot be printed does not end it either. Line breaks become spaces.
    """
    _show(f"molrl: {in_one_line(line)}\n", sys.stderr)


@contextmanager
def progress(
    total: int, description: str, done: int = 0, stream: TextIO | None = None
) -> Iterator[Progress]:
    """Show the progress of a run, its metrics, and the time left.

    What cannot be shown, such as on a closed pipe or a full disk, is left out.

    Args:
        total: number of steps.
        description: what the run does.
        done: number of steps done before.
        stream: a terminal shows a bar, anything else one line every 30 s; standard error if None.

    Yields:
        The display to update.

    Example:
        >>> with progress(100, "train") as bar:  # doctest: +SKIP
        ...     bar.update(50, return_fraction=0.8)
    """
    stream = stream or sys.stderr
    if stream.isatty():
        bar: tqdm[NoReturn]  # it is updated by hand, and iterates over nothing
        kept = _Unfailing(stream)
        with tqdm(total=total, initial=done, desc=description, file=kept) as bar:
            yield _Bar(bar)
    else:
        yield _Lines(total, description, done, stream)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that work goes on of which no progress is known, and for how long.

    Args:
        what: the command does; a terminal shows the seconds from
            :data:`SECONDS_BETWEEN_TICKS` on, anything else a line each
            :data:`SECONDS_BETWEEN_LINES`.

    Example:
        >>> with waiting("making molecules"):  # doctest: +SKIP
        ...     made = generator.generate("CH4O", n=100, seed=0)
    """
    if not is_first_rank():
        yield
        return
    done, began, stream = threading.Event(), time.monotonic(), sys.stderr
    is_terminal = stream.isatty()
    before, after = ("\r", "") if is_terminal else ("", "\n")
    interval = SECONDS_BETWEEN_TICKS if is_terminal else SECONDS_BETWEEN_LINES

    def show() -> None:
        while not done.wait(interval):
            _show(f"{before}{what}: {time.monotonic() - began:.0f} s{after}", stream)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if is_terminal:
            _show("\r\x1b[K", stream)  # clear the line


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """Show the progress of work in consecutive phases, a bar for each.

    Yields:
        A function to call with the name of the phase, the steps done, and their number.
    """
    with ExitStack() as stack:
        bar: dict[tuple[str, int], Progress] = {}  # that of the current phase

        def report(what: str, done: int, total: int) -> None:
            phase = (what, total)  # two phases may have one name
            if phase not in bar:
                stack.close()
                bar.clear()
                bar[phase] = stack.enter_context(progress(total, what))
            bar[phase].update(done)

        yield report


class _Bar:
    def __init__(self, bar: "tqdm[NoReturn]") -> None:
        self._bar = bar

    def update(self, done: int, **figures: float | str | None) -> None:
        self._bar.set_postfix_str(_shown(figures), refresh=False)
        self._bar.update(done - self._bar.n)


class _Lines:
    def __init__(self, total: int, description: str, done: int, stream: TextIO) -> None:
        self._total = total
        self._description = description
        self._first = done
        self._stream = stream
        self._began = self._printed = time.monotonic()

    def update(self, done: int, **figures: float | str | None) -> None:
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = now
        left = (now - self._began) / max(done - self._first, 1) * (self._total - done)
        shown = f", {_shown(figures)}" if figures else ""
        time_left = tqdm.format_interval(left)
        _show(f"{self._description}: {done}/{self._total}{shown}, {time_left} left\n", self._stream)


class _Unfailing:
    """A stream whose failures are ignored."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what else the stream has
        return getattr(self._stream, name)


def _show(text: str, stream: TextIO) -> None:
    kept = _Unfailing(stream)
    kept.write(text)
    kept.flush()


def _shown(figures: dict[str, float | str | None]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_figure(x)}" for name, x in figures.items())


def _figure(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
