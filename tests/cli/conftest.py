import signal

import pytest

from molrl.cli.main import main
from molrl.runs.progress import _Lines


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_signalled(monkeypatch, capsys):
    """``run_signalled(number, step, *arguments)``: exit code and last line of a command.

    This process sends itself the signal at the given step of the command.
    """

    def run(number, step, *arguments):
        update = _Lines.update

        def update_and_signal(lines, done, **figures):
            update(lines, done, **figures)
            if done == step:
                signal.raise_signal(number)

        # A signal that the command leaves alone fails the test, and does not end the tests.
        before = signal.signal(number, fail_unhandled)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(_Lines, "update", update_and_signal)
                code = main([*map(str, arguments)])
            assert signal.getsignal(number) == fail_unhandled
        finally:
            signal.signal(number, before)
        return code, capsys.readouterr().err.splitlines()[-1]

    return run


def fail_unhandled(number, frame):
    pytest.fail(f"signal {number} was not handled")
