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


# A process that has imported everything, and runs each benchmark that it is told in a fork.
SERVER = """
import os, runpy, sys

sys.path.insert(0, sys.argv[1])
import tiny

def run_small(name, log):
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = [os.path.join(sys.argv[1], name + ".py"), "--small"]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as done:
        sys.stdout.flush()
        return done.code

for line in sys.stdin:
    name, log = line.rstrip().split("\\t")
    print(tiny.finish(tiny.fork(lambda: run_small(name, log))), flush=True)
"""


@pytest.fixture(scope="module")
def server():
    """The process that runs the benchmarks; all of their processes end with it."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(FOLDER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    end_group(process.pid)
    process.communicate()


@pytest.fixture
def run_small(server, tmp_path):
    """``run_small(name)``: exit code and output."""

    def run(name):
        log = tmp_path / "log"
        last_resort = threading.Timer(600, end_group, (server.pid,))
        last_resort.start()
        try:
            print(name, log, sep="\t", file=server.stdin, flush=True)
            code = server.stdout.readline()
        finally:
            last_resort.cancel()
        return code, log.read_text(encoding="utf-8")

    return run


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
    assert code == "0\n", said
