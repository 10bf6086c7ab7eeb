"""How far a run has come: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn, Protocol, TextIO

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0


class Progress(Protocol):
    """Whoever is told how far a run has come."""

    def update(self, done: int, **figures: float | str | None) -> None:
        """Tell it.

        Args:
            done: how many of all the steps are done.
            figures: what to show beside it; None is shown as ``-``.
        """
        ...


def tell(line: str) -> None:
    """Tell whoever looks on something that does not end the run, on standard error."""
    print(f"molrl: {line}", file=sys.stderr, flush=True)


@contextmanager
def progress(
    total: int, description: str, done: int = 0, stream: TextIO | None = None
) -> Iterator[Progress]:
    """Show how far a run has come, what it reports, and the time left.

    Args:
        total: how many steps there are.
        description: what is done.
        done: how many were done before.
        stream: a terminal gets a bar, anything else one line every 30 s; standard error if None.
    """
    stream = stream or sys.stderr
    if stream.isatty():
        bar: tqdm[NoReturn]  # it is told of steps, and iterates over nothing
        with tqdm(total=total, initial=done, desc=description, file=stream) as bar:
            yield _Bar(bar)
    else:
        yield _Lines(total, description, done, stream)


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """Show work in phases, one after the other, a bar for each.

    Yields:
        What to call with what is being done, how much of it is done, and how much there is.
    """
    with ExitStack() as stack:
        bar: dict[str, Progress] = {}  # that of the present phase, by its name

        def report(what: str, done: int, total: int) -> None:
            if what not in bar:
                stack.close()
                bar.clear()
                bar[what] = stack.enter_context(progress(total, what))
            bar[what].update(done)

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
        self._began = self._said = time.monotonic()

    def update(self, done: int, **figures: float | str | None) -> None:
        now = time.monotonic()
        if now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        left = (now - self._began) / max(done - self._first, 1) * (self._total - done)
        shown = f", {_shown(figures)}" if figures else ""
        print(
            f"{self._description}: {done}/{self._total}{shown}, {tqdm.format_interval(left)} left",
            file=self._stream,
            flush=True,
        )


def _shown(figures: dict[str, float | str | None]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_figure(x)}" for name, x in figures.items())


def _figure(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
