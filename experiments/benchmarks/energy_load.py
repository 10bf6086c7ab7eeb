"""Time of a new process to its first energy, and size of the shipped weights.

Exits with 1 if the first energy takes more than 4 s, or the weights more than 5 MB.
"""

import subprocess
import sys
from time import perf_counter

from record import record

from molrl.energy.networks.energy import SHIPPED

SECONDS, MEGABYTES = 4.0, 5.0
PROCESSES = 3
FIRST_ENERGY = """
from time import perf_counter
from ase.build import molecule
import molrl
start = perf_counter()
energy = float(molrl.load_energy("mace", device="cpu").evaluate(molecule("CH3OH")).energy[0])
print(perf_counter() - start)
"""


def main() -> int:
    inside, whole = [], []
    for _ in range(PROCESSES):
        start = perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", FIRST_ENERGY], check=True, capture_output=True, text=True
        )
        whole.append(perf_counter() - start)
        inside.append(float(done.stdout))
    shipped = SHIPPED["mace"].parent.iterdir()
    size = sum(path.stat().st_size for path in shipped if path.is_file()) / 1e6
    rows: list[dict[str, object]] = [
        row('load_energy("mace") to the first energy', min(inside), "s", SECONDS),
        row("the whole process, including the start of Python and imports", min(whole), "s", None),
        row("shipped weights", size, "MB", MEGABYTES),
    ]
    record("energy_load", f"A new process, least of {PROCESSES}, CPU", rows)
    return 0 if min(inside) <= SECONDS and size <= MEGABYTES else 1


def row(what: str, figure: float, unit: str, at_most: float | None) -> dict[str, object]:
    return {"what": what, "figure": figure, "unit": unit, "at most": at_most}


if __name__ == "__main__":
    sys.exit(main())
