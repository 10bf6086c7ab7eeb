"""Workers of the GFN2-xTB pool that die, hang or raise: the run ends as the one without.

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

# The real worker, which does a deed at one molecule in ten, never twice at the same.
FAULTY = """
import hashlib, importlib.util, os, signal, tempfile, time
from pathlib import Path

spec = importlib.util.spec_from_file_location("xtb", {xtb!r})
xtb = importlib.util.module_from_spec(spec)
spec.loader.exec_module(xtb)
deeds = Path({deeds!r})

def is_first(name):
    try:
        (deeds / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def work(numbers, positions, *rest):
    name = hashlib.sha256(numbers.tobytes() + positions.tobytes()).hexdigest()
    if int(name, 16) % 10 == 0 and len(list(deeds.iterdir())) < {times} and is_first(name):
        {deed}
    return xtb.work(numbers, positions, *rest)
"""
DEEDS = {
    DIED: "os.kill(os.getpid(), signal.SIGKILL)",
    HUNG: "tempfile.mkstemp(dir={hangs!r}); time.sleep(10**6)",
    RAISED: "raise RuntimeError('no way')",
}


def spoil(folder: Path, deed: str, times: int) -> None:
    """Give this process's GFN2-xTB a pool of faulty workers."""
    model = load_energy("gfn2", "cpu")
    assert isinstance(model, GFN2Energy)
    xtb = str(Path(tiny.molrl.__file__).with_name("energy") / "xtb_worker.py")
    deeds, hangs = folder / "deeds", folder / "hangs"
    deeds.mkdir()
    hangs.mkdir()
    worker = folder / "faulty.py"
    done = DEEDS[deed].format(hangs=str(hangs))
    worker.write_text(FAULTY.format(xtb=xtb, deeds=str(deeds), times=times, deed=done))
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
        for deed in DEEDS:
            run, place = folder / deed.replace(" ", "-"), folder / f"{deed}-worker"
            place.mkdir()
            code = tiny.molrl_command(
                *("train", config, f"run_dir={run}"),
                log=log,
                before=lambda p=place, d=deed: spoil(p, d, times),
            )
            faults = json.loads((run / "summary.json").read_text())["energy_faults"]
            same = code == 0 and tiny.outcome(run) == wanted
            told, done = faults.get(deed, 0), len(list((place / "deeds").iterdir()))
            assert done >= times
            rows.append(
                {
                    "what": f"{deed}: counted by the run, whose outcome is that without",
                    "tried": done,
                    "as it should be": told if same else 0,
                }
            )
    tiny.close("workers", "Faulty workers in a training, and what came of it", rows, small)


if __name__ == "__main__":
    main()
