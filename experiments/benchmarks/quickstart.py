"""The quickstart as a new user runs it: its summary and its pictures.

python experiments/benchmarks/quickstart.py [SEED ...]

The curve and the molecules of the first seed become those of the documentation.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from record import record

ROOT = Path(__file__).parents[2]
FIGURES = (
    "return_fraction",
    "valid_fraction",
    "valid_fraction_per_attempt",
    "median_strain",
    "median_rmsd",
    "n_molecules",
)


def run(seed: int, folder: Path) -> dict[str, object]:
    """Run the quickstart in a process of its own, and return its figures."""
    command = [sys.executable, "-m", "molrl.cli.main", "train", "experiments/quickstart.yaml"]
    start = perf_counter()
    subprocess.run(
        [*command, f"run_dir={folder}", f"seed={seed}"], cwd=ROOT, check=True, stderr=sys.stderr
    )
    seconds = perf_counter() - start
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {"seed": seed} | {key: summary[key] for key in FIGURES} | {"wall s": seconds}


def main() -> None:
    seeds = [int(seed) for seed in sys.argv[1:]] or [0]
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            rows.append(run(seed, Path(scratch) / f"run-{seed}"))
        for picture in ("curve.png", "molecules.png"):
            shutil.copy(Path(scratch) / f"run-{seeds[0]}" / picture, ROOT / "docs" / picture)
    record("quickstart", "molrl train experiments/quickstart.yaml, the whole command", rows)


if __name__ == "__main__":
    main()
