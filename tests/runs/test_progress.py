"""Progress: a bar where somebody looks, a line now and then where nobody does."""

import io

from molrl.runs import progress as module
from molrl.runs.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_steps_and_figures():
    stream = Terminal()
    with progress(100, "train", done=20, stream=stream) as bar:
        for step in range(30, 101, 10):
            bar.update(step, return_fraction=step / 123, valid=None)
    last = stream.getvalue().rsplit("\r", 1)[-1]
    assert "train: 100%" in last
    assert "100/100" in last
    assert "return fraction 0.813, valid -" in last


def test_a_file_gets_no_line_before_its_time():
    stream = io.StringIO()
    with progress(100, "train", stream=stream) as lines:
        lines.update(50, valid=0.5)
    assert stream.getvalue() == ""


def test_a_file_gets_a_line_now_and_then(monkeypatch):
    clock = iter([0.0, 10.0, 31.0, 45.0, 62.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with progress(100, "train", done=10, stream=stream) as lines:
        for step in (20, 41, 50, 72):
            lines.update(step, valid=0.5)
    assert stream.getvalue() == (
        "train: 41/100, valid 0.5, 00:59 left\ntrain: 72/100, valid 0.5, 00:28 left\n"
    )
