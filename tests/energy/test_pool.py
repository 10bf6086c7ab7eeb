"""The pool of workers: tasks that fail are repeated and counted, and affect no other task."""

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest

from molrl.energy import pool as pool_module
from molrl.energy.pool import DIED, HUNG, RAISED, Pool
from molrl.energy.pool_worker import READY
from molrl.errors import InputError

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks" / "reliability"))

from hang_clock import HangClock

# A task (value, deed, folder) fails as the deed says: once if a folder is given, else always.
WORKER = """
import ctypes, os, tempfile, time
from pathlib import Path

def work(value, deed, folder):
    done = Path(folder) / str(value) if folder else None
    if deed and not (done and done.exists()):
        if done:
            done.touch()
        if deed == "die":
            os._exit(1)
        if deed.startswith("hang"):
            tempfile.mkstemp(dir=Path(__file__).parent / "hangs")
            os.write(1, b"hanging\\n")  # one system call, because two may write at once
        if deed == "hang":
            time.sleep(10**6)
        if deed == "hang with the GIL":
            ctypes.PyDLL(None).sleep(10**6)
        if deed == "raise":
            raise ValueError("no\\nway")
    return 2 * value
"""
FOREVER = 10**5  # s


@pytest.fixture
def worker(tmp_path):
    (tmp_path / "hangs").mkdir()
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return path


@pytest.fixture
def pool(worker):
    """A pool whose time limit is never reached, however slow the machine is."""
    pool = Pool(worker, 2, FOREVER)
    yield pool
    pool.close()


@pytest.fixture
def timed_pool(pool, tmp_path, monkeypatch):
    """A pool with a clock that advances only when all busy workers hang."""
    clock = HangClock(tmp_path / "hangs")
    monkeypatch.setattr("molrl.energy.pool.time", clock)
    monkeypatch.setattr("molrl.energy.pool.wait", clock.wait)
    return pool


DEEDS = {"die": DIED, "raise": RAISED}


def test_pool_reports_each_task_that_has_a_result(pool):
    reported = []
    pool.map([(i, "raise" if i == 5 else "", "") for i in range(20)], reported.append)
    assert reported == list(range(1, 21))


@pytest.mark.parametrize("deed", DEEDS)
def test_pool_repeats_and_counts_tasks_that_fail_once(pool, tmp_path, deed):
    tasks = [(i, deed if i in (3, 17) else "", str(tmp_path)) for i in range(40)]
    assert pool.map(tasks) == [2 * i for i in range(40)]
    assert pool.faults == Counter({DEEDS[deed]: 2})
    assert pool.map(tasks) == [2 * i for i in range(40)]
    assert pool.faults.total() == 2


@pytest.mark.parametrize("deed", DEEDS)
def test_pool_gives_a_reason_for_a_task_that_fails_twice_and_completes_the_others(pool, deed):
    results = pool.map([(i, deed if i == 5 else "", "") for i in range(20)])
    assert results[:5] + results[6:] == [2 * i for i in range(20) if i != 5]
    assert results[5].startswith(f"{DEEDS[deed]} twice: ")
    assert pool.faults == Counter({DEEDS[deed]: 2})


def test_pool_repeats_and_counts_tasks_that_hang_once(timed_pool, tmp_path):
    tasks = [(i, "hang" if i in (3, 17) else "", str(tmp_path)) for i in range(40)]
    assert timed_pool.map(tasks) == [2 * i for i in range(40)]
    assert timed_pool.faults == Counter({HUNG: 2})


def test_pool_gives_a_reason_for_a_task_that_hangs_twice_and_completes_the_others(timed_pool):
    results = timed_pool.map([(i, "hang" if i == 5 else "", "") for i in range(20)])
    assert results[:5] + results[6:] == [2 * i for i in range(20) if i != 5]
    assert results[5].startswith(f"{HUNG} twice: ")
    assert timed_pool.faults == Counter({HUNG: 2})


def test_pool_waits_for_a_task_as_many_times_longer_as_it_is_told(timed_pool):
    clock = pool_module.time
    timed_pool.map([(0, "hang", "")])
    waited = clock.monotonic()
    timed_pool.map([(0, "hang", "")], patience=[8.0])
    assert clock.monotonic() - waited > 7 * waited > 7 * FOREVER


def test_pool_keeps_the_tasks_of_threads_apart(pool):
    values = [range(first, first + 300) for first in range(0, 1200, 300)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda some: pool.map([(i, "", "") for i in some]), values))
    assert results == [[2 * i for i in some] for some in values]
    assert not pool.faults


def test_pool_keeps_its_workers_when_the_thread_that_started_them_ends(pool):
    thread = Thread(target=pool.map, args=([(i, "", "") for i in range(4)],))
    thread.start()
    thread.join()
    for _ in range(20):  # Linux ends what the thread has started a moment after it
        assert pool.map([(i, "", "") for i in range(40)]) == [2 * i for i in range(40)]
    assert not pool.faults


class Interrupt:
    """An object that raises ``KeyboardInterrupt`` when it is sent to a worker."""

    def __reduce__(self):
        raise KeyboardInterrupt


def test_pool_discards_the_answers_of_an_interrupted_call(pool):
    assert pool.map([(1, "", "")]) == [2]
    tasks = [(i, "", "") for i in range(31)]
    with pytest.raises(KeyboardInterrupt):  # while the first half is computed
        pool.map([*tasks, (31, Interrupt(), "")])
    assert pool.map([(50 + i, "", "") for i in range(32)]) == [2 * (50 + i) for i in range(32)]
    assert not pool.faults


class Unreadable:
    """An object that raises when it is unpickled."""

    def __reduce__(self):
        return int, ("no number",)


def test_pool_gives_a_reason_for_a_task_that_cannot_be_unpickled(pool):
    result = pool.map([(Unreadable(), "", "")])[0]
    assert result == "worker died twice: exit code 1"
    assert pool.map([(1, "", "")]) == [2]


@pytest.mark.parametrize("error", ["import no_such_module", "raise OSError('libno.so is missing')"])
def test_pool_reports_once_that_its_worker_cannot_be_loaded(tmp_path, error):
    path = tmp_path / "broken_worker.py"
    path.write_text(error)
    pool = Pool(path, 2, FOREVER)
    with pytest.raises(InputError, match=r"broken_worker cannot be loaded: .*(no_such|libno)"):
        pool.map([(i,) for i in range(8)])
    pool.close()


def test_pool_replaces_a_worker_that_dies_idle(pool):
    pool.map([(i, "", "") for i in range(8)])
    for worker in pool._workers.values():
        worker.process.kill()
        worker.process.wait()
    assert pool.map([(i, "", "") for i in range(8)]) == [2 * i for i in range(8)]


def test_pool_keeps_its_folder_off_the_import_path_of_workers(pool, worker):
    """A library's ``import interface`` must not find ``molrl/energy/interface.py``."""
    worker.write_text(
        "import importlib.util\ndef work(name): return importlib.util.find_spec(name)"
    )
    assert pool.map([("interface",)]) == [None]


def test_worker_imports_only_what_its_module_imports(pool, worker):
    worker.write_text("import sys\ndef work(): return sorted(sys.modules)")
    (loaded,) = pool.map([()])
    assert not {"molrl", "torch", "numpy", "gymnasium"} & set(loaded)


def test_worker_that_hangs_ends_when_its_pipe_is_closed(pool):
    """Also without the kernel's signal, which only Linux sends: here the parent lives on."""
    connection = pool._start()
    process = pool._workers.pop(connection).process
    connection.send([(1, "", ""), (1, "hang", "")])
    assert connection.recv()[0] == READY
    connection.recv()  # the answer of the first task; the second hangs
    connection.close()
    assert process.wait(timeout=60) == 0


PARENT = """
import sys
from pathlib import Path
from molrl.energy.pool import Pool

pool = Pool(Path(sys.argv[1]), 2, 10**5)
pool.map([(i, sys.argv[2], "") for i in range(4)])
"""


@pytest.mark.parametrize("end", ["kill", "terminate"])
@pytest.mark.parametrize(
    "deed",
    [
        "hang",
        pytest.param(
            "hang with the GIL",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's signal"),
        ),
    ],
)
def test_worker_that_hangs_ends_with_its_parent(worker, deed, end):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(worker), deed], stdout=subprocess.PIPE, text=True
    )
    assert [parent.stdout.readline() for _ in range(2)] == ["hanging\n"] * 2
    getattr(parent, end)()
    assert parent.communicate(timeout=60) == ("", None)  # ends when the workers have ended, too
