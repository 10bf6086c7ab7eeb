"""A second Ctrl-C ends a training at once, with its workers."""

import os
import signal
import subprocess
import sys
import threading

import pytest

ENDLESS = """
run_dir: run
total_steps: 1000000
task: {bag: C7H16}
energy: gfn2
policy: {width: 16, channels: 4, degree: 2, layers: 1}
algorithm: {name: ppo, num_envs: 32, n_steps: 1000, batch_size: 64}
"""  # it is stopped in its first update

# A command that prints when it handles signals, and when it has noted one. Every signal after the
# first is another request, however soon it comes.
PRINTING = """
import signal, sys
from contextlib import contextmanager
from molrl.cli.main import run
from molrl.runs import signals

handling = signals._handling

@contextmanager
def printing(handler):
    def handle(number, frame):
        handler(number, frame)
        print("noted", flush=True)

    with handling(handle):
        print("handling", flush=True)
        yield

signals._handling, signals._SAME_REQUEST = printing, 0.0
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
sys.exit(run())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no groups of processes")
def test_train_ends_with_its_workers_on_a_second_ctrl_c(tmp_path):
    (tmp_path / "train.yaml").write_text(ENDLESS)
    train = ["train", str(tmp_path / "train.yaml"), f"run_dir={tmp_path / 'run'}"]
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTING, *train],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    last_resort = threading.Timer(600, os.killpg, (process.pid, signal.SIGKILL))
    last_resort.start()
    try:
        assert process.stdout.readline() == "handling\n"  # at once
        assert process.stdout.readline().startswith("training covariant on C7H16")
        assert process.stdout.readline() == "handling\n"  # when it has saved
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        assert process.stdout.readline() == "noted\n"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)  # the workers have closed it, too
        waiting = ("loading PyTorch", "best known isomer of C7H16")  # what takes seconds says so
        said = [line for line in err.splitlines() if not any(what in line for what in waiting)]
        assert (out, said) == ("", [])
        assert process.returncode == -signal.SIGINT
    finally:
        last_resort.cancel()
        process.kill()
