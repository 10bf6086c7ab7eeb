"""Workers of the GFN2-xTB pool that die, hang or raise: the run ends as one without faults.

python experiments/benchmarks/reliability/workers.py
"""

import json
import os
import tempfile
from pathlib import Path

import tiny
from hang_clock import HangClock

from molrl.energy import pool
from molrl.energy.gfn2 import GFN2Energy
from molrl.energy.pool import DIED, HUNG, RAISED, Pool
from molrl.energy.registry import load_energy

# The real worker, except that it fails at one molecule in ten, never twice at the same.
FAULTY = """
import hashlib, importlib.util, os, signal, tempfile, time
from pathlib import Path

spec = importlib.util.spec_from_file_location("xtb", {xtb!r})
xtb = importlib.util.module_from_spec(spec)
spec.loader.exec_module(xtb)
failed = Path({failed!r})

def is_first(name):
    try:
        (failed / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def work(numbers, positions, *rest):
    name = hashlib.sha256(numbers.tobytes() + positions.tobytes()).hexdigest()
    if int(name, 16) % 10 == 0 and len(list(failed.iterdir())) < {times} and is_first(name):
        {failure}
    return xtb.work(numbers, positions, *rest)
"""
FAILURES = {
    DIED: "os.kill(os.getpid(), signal.SIGKILL)",
    HUNG: "tempfile.mkstemp(dir={hangs!r}); time.sleep(10**6)",
    RAISED: "raise RuntimeError('no way')",
}


def use_faulty_workers(folder: Path, fault: str, times: int) -> None:
    """Replace the workers of GFN2-xTB in this process by faulty ones."""
    model = load_energy("gfn2", "cpu")
    assert isinstance(model, GFN2Energy)
    xtb = str(Path(tiny.molrl.__file__).with_name("energy") / "xtb_worker.py")
    failed, hangs = folder / "failed", folder / "hangs"
    failed.mkdir()
    hangs.mkdir()
    worker = folder / "faulty.py"
    failure = FAILURES[fault].format(hangs=str(hangs))
    worker.write_text(FAULTY.format(xtb=xtb, failed=str(failed), times=times, failure=failure))
    clock = HangClock(hangs)
    pool.time, pool.wait = clock, clock.wait  # type: ignore[assignment]
    model._pool = Pool(worker, len(os.sched_getaffinity(0)), 1.0)


def main() -> None:
    small = tiny.arguments(__doc__).small
    times = 3 if small else 30
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config, log, whole = folder / "train.yaml", folder / "log", folder / "whole"
        config.write_text(tiny.SMALL_TRAIN if small else tiny.TRAIN)
        assert tiny.molrl_command("train", config, f"run_dir={whole}", log=log) == 0
        wanted = tiny.outcome(whole)
        for fault in FAILURES:
            run, place = folder / fault.replace(" ", "-"), folder / f"{fault}-worker"
            place.mkdir()
            code = tiny.molrl_command(
                *("train", config, f"run_dir={run}"),
                log=log,
                before=lambda p=place, f=fault: use_faulty_workers(p, f, times),
            )
            faults = json.loads((run / "summary.json").read_text())["energy_faults"]
            same = code == 0 and tiny.outcome(run) == wanted
            counted, done = faults.get(fault, 0), len(list((place / "failed").iterdir()))
            assert done >= times
            rows.append(
                {
                    "what": f"{fault}: counted by the run, whose result is that without faults",
                    "tried": done,
                    "as it should be": counted if same else 0,
                }
            )
    tiny.close("workers", "Faulty workers in a training", rows, small)


if __name__ == "__main__":
    main()
