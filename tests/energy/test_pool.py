"""The pool of workers: what fails is tried again, counted, and touches nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from molrl.energy.pool import Pool
from molrl.errors import InputError

# A task (value, deed, folder): does the deed once, or always where no folder remembers it.
WORKER = """
import os, signal, time
from pathlib import Path

def work(value, deed, folder):
    done = Path(folder) / str(value) if folder else None
    if deed and not (done and done.exists()):
        if done:
            done.touch()
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "hang":
            time.sleep(1000)
        if deed == "raise":
            raise ValueError("no\\nway")
    return 2 * value
"""


@pytest.fixture
def worker(tmp_path):
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return path


@pytest.fixture
def pool(worker):
    pool = Pool(worker, 2, seconds=2)
    yield pool
    pool.close()


DEEDS = {"die": "worker died", "hang": "worker hung", "raise": "worker raised"}


@pytest.mark.parametrize("deed", DEEDS)
def test_what_fails_once_is_put_right_and_counted(pool, tmp_path, deed):
    tasks = [(i, deed if i in (3, 17) else "", str(tmp_path)) for i in range(40)]
    assert pool.map(tasks) == [2 * i for i in range(40)]
    assert pool.faults == Counter({DEEDS[deed]: 2})
    assert pool.map(tasks) == [2 * i for i in range(40)]
    assert pool.faults.total() == 2


@pytest.mark.parametrize("deed", DEEDS)
def test_what_fails_twice_has_a_reason_and_touches_no_other(pool, deed):
    results = pool.map([(i, deed if i == 5 else "", "") for i in range(20)])
    assert results[:5] + results[6:] == [2 * i for i in range(20) if i != 5]
    assert results[5].startswith(f"{DEEDS[deed]} twice: ")
    assert pool.faults == Counter({DEEDS[deed]: 2})


@pytest.mark.parametrize("error", ["import no_such_module", "raise OSError('libno.so is missing')"])
def test_a_worker_that_cannot_be_loaded_is_said_once(tmp_path, error):
    path = tmp_path / "broken_worker.py"
    path.write_text(error)
    pool = Pool(path, 2, seconds=2)
    with pytest.raises(InputError, match=r"broken_worker cannot be loaded: .*(no_such|libno)"):
        pool.map([(i,) for i in range(8)])
    pool.close()


def test_a_worker_that_dies_idle_is_replaced(pool):
    pool.map([(i, "", "") for i in range(8)])
    for worker in pool._workers.values():
        worker.process.kill()
        worker.process.wait()
    assert pool.map([(i, "", "") for i in range(8)]) == [2 * i for i in range(8)]


PARENT = """
import sys
from pathlib import Path
from molrl.energy.pool import Pool

pool = Pool(Path(sys.argv[1]), 2, seconds=1000)
pool.map([(i, "", "") for i in range(4)])
print(*(worker.process.pid for worker in pool._workers.values()), flush=True)
pool.map([(i, "hang", "") for i in range(4)])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_hang_die_with_their_parent(worker, number):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(worker)], stdout=subprocess.PIPE, text=True
    )
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    os.kill(parent.pid, number)
    parent.communicate()
    end = time.monotonic() + 20
    while any(alive(pid) for pid in children):
        assert time.monotonic() < end
        time.sleep(0.01)


def alive(pid):
    """Whether a process runs; one that is dead may wait for an init that never reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
