"""Progress: a bar on a terminal, a line per interval elsewhere."""

import io
import re
import threading
from types import SimpleNamespace

import pytest

from molrl.runs import progress as module
from molrl.runs.progress import log_message, phases, progress, waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_shows_a_bar_on_a_terminal():
    stream = Terminal()
    with progress(100, "train", done=20, stream=stream) as bar:
        for step in range(30, 101, 10):
            bar.update(step, return_fraction=step / 123, valid=None)
    last = stream.getvalue().rsplit("\r", 1)[-1]
    assert "train: 100%" in last
    assert "100/100" in last
    assert "return fraction 0.813, valid -" in last


def test_progress_prints_no_line_before_the_interval(monkeypatch):
    clock = iter([0.0, 29.9])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    stream = io.StringIO()
    with progress(100, "train", stream=stream) as lines:
        lines.update(50, valid=0.5)
    assert stream.getvalue() == ""


def test_progress_prints_a_line_per_interval(monkeypatch):
    clock = iter([0.0, 10.0, 31.0, 45.0, 62.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    stream = io.StringIO()
    with progress(100, "train", done=10, stream=stream) as lines:
        for step in (20, 41, 50, 72):
            lines.update(step, valid=0.5)
    assert stream.getvalue() == (
        "train: 41/100, valid 0.5, 00:59 left\ntrain: 72/100, valid 0.5, 00:28 left\n"
    )


def test_phases_of_one_name_have_their_own_totals(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(module.sys, "stderr", stream)
    with phases() as report:
        report("relaxing", 38, 38)
        report("relaxing", 5000, 5120)
    assert "38/38" in stream.getvalue()
    assert "5000/5120" in stream.getvalue()


def test_waiting_shows_seconds_on_a_terminal_and_clears_them(monkeypatch):
    shown = threading.Event()

    class Watched(Terminal):
        def write(self, text):
            if re.search(r"sampling: \d+ s", text):
                shown.set()
            return super().write(text)

    stream = Watched()
    monkeypatch.setattr(module.sys, "stderr", stream)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_TICKS", 0.001)
    with waiting("sampling"):
        assert shown.wait(timeout=60)
    assert stream.getvalue().endswith("\r\x1b[K")
    quiet = io.StringIO()
    monkeypatch.setattr(module.sys, "stderr", quiet)
    with waiting("sampling"):
        pass
    assert quiet.getvalue() == ""


def test_waiting_prints_lines_elsewhere(monkeypatch):
    shown = threading.Event()

    class File(io.StringIO):
        def write(self, text):
            if text.endswith("\n"):
                shown.set()
            return super().write(text)

    stream = File()
    monkeypatch.setattr(module.sys, "stderr", stream)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.001)
    with waiting("sampling"):
        assert shown.wait(timeout=60)
    assert all(re.fullmatch(r"sampling: \d+ s", line) for line in stream.getvalue().splitlines())


class ClosedTerminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.mark.parametrize("kind", [io.TextIOWrapper, ClosedTerminal])
def test_progress_goes_on_when_its_pipe_is_closed(closed_pipe, kind, monkeypatch):
    stream = closed_pipe(kind)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    with progress(3, "train", stream=stream) as bar:
        for step in (1, 2, 3):
            bar.update(step, valid=0.5)
    with pytest.raises(BrokenPipeError):
        stream.flush()


@pytest.mark.parametrize("kind", [io.TextIOWrapper, ClosedTerminal])
def test_waiting_and_messages_go_on_when_standard_error_is_closed(closed_pipe, kind, monkeypatch):
    stream = closed_pipe(kind)
    monkeypatch.setattr(module.sys, "stderr", stream)
    log_message("a line")
    with waiting("sampling"):
        log_message("another")
    with pytest.raises(BrokenPipeError):
        stream.flush()
