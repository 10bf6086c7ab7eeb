"""The small forms of the reliability benchmarks."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks" / "reliability"
RESUMED = (
    "kills",
    "damage",
    "workers",
    "two_ranks",
)  # compared bit for bit with an uninterrupted run


@pytest.fixture
def run_small():
    """``run_small(name)``: exit code and output; all of its processes end with the test."""
    with contextlib.ExitStack() as ends:

        def run(name):
            process = subprocess.Popen(
                [sys.executable, str(FOLDER / f"{name}.py"), "--small"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            ends.callback(end_group, process.pid)
            last_resort = threading.Timer(600, end_group, (process.pid,))
            ends.callback(last_resort.cancel)
            last_resort.start()
            said, _ = process.communicate()
            return process.returncode, said

        yield run


def end_group(number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)


@pytest.mark.parametrize(
    "name",
    [
        "hostile",
        *(pytest.param(name, marks=pytest.mark.bitwise) for name in RESUMED),
        pytest.param("kinds", marks=[pytest.mark.bitwise, pytest.mark.slow]),
    ],
)
def test_reliability_benchmark_finds_no_failure(run_small, name):
    code, said = run_small(name)
    assert code == 0, said
