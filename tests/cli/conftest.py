import subprocess
import sys

import pytest

# A command whose process sends itself a signal at a given step.
SIGNALLED = """
import signal, sys
from molrl.cli.main import run
from molrl.runs.progress import _Lines

update, number, step = _Lines.update, int(sys.argv.pop(1)), int(sys.argv.pop(1))

def update_and_signal(lines, done, **figures):
    update(lines, done, **figures)
    if done == step:
        signal.raise_signal(number)

_Lines.update = update_and_signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
sys.exit(run())
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_signalled():
    """``run_signalled(number, step, *arguments)``: exit code and last line of a command."""

    def run(number, step, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", SIGNALLED, str(int(number)), str(step), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return done.returncode, done.stderr.splitlines()[-1]

    return run
