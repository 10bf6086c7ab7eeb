"""Fine-tuning of the model that ships to labels of another method, by the command line alone.

python experiments/benchmarks/finetune.py [--method GFN1-xTB] [--structures 600]

Distorted molecules of the shipped set are labelled by another method of tblite and written to an
extended XYZ file; ``molrl energy fit`` starts from ``mace``, and from nothing. Errors are those of
the validation split, of molecules that are in no other, with isolated atoms by least squares.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from record import record
from tblite.ase import TBLite

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.cli.main import main as molrl
from molrl.runs.progress import progress

STEPS = 3000
SEED = 0


def label(n: int, method: str) -> list[Atoms]:
    """Return molecules of the shipped set, distorted by 0.03 to 0.1 Å, with energies and forces."""
    rng = np.random.default_rng(SEED)
    molecules = shipped_molecules().molecules
    images = []
    with progress(n, f"label by {method}") as bar:
        for i in rng.choice(len(molecules), n, replace=False):
            (atoms,) = molecules[int(i)].to_ase()
            atoms.rattle(rng.uniform(0.03, 0.1), rng=rng)
            atoms.calc = TBLite(method=method, verbosity=0)
            atoms.get_forces()
            images.append(atoms)
            bar.update(len(images))
    return images


def fit(folder: Path, name: str, *settings: str) -> dict[str, float]:
    """Fit by the command line; return the summary."""
    fixed = [f"data={folder / 'mine.extxyz'}", "batch_size=8", "warmup=100", "ema=0.99"]
    weights = ["energy_weight=12.0", "force_weight=5.0", "checkpoint_every=500"]
    arguments = [*fixed, *weights, *settings, f"run_dir={folder / name}"]
    assert molrl(["energy", "fit", *arguments]) == 0
    summary = (folder / name / "summary.json").read_text(encoding="utf-8")
    found: dict[str, float] = json.loads(summary)
    return found


def row(name: str, summary: dict[str, float], ending: str = "") -> dict[str, object]:
    return {
        "model": name,
        "energy MAE, meV/atom": 1e3 * summary[f"valid_energy_mae{ending}"],
        "force MAE, meV/Å": 1e3 * summary[f"valid_force_mae{ending}"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="GFN1-xTB")
    parser.add_argument("--structures", type=int, default=600)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder / "mine.extxyz", label(arguments.structures, arguments.method))
        tuned = fit(folder, "tuned", "start=mace", f"steps={STEPS}", "learning_rate=0.003")
        fresh = fit(
            folder, "fresh", f"steps={STEPS}", "learning_rate=0.01", "network={channels: 64}"
        )
    rows = [
        row("mace, as it ships", tuned, "_at_start"),
        row(f"mace, after {STEPS} steps", tuned),
        row(f"a MACE of 64 channels, after {STEPS} steps from nothing", fresh),
    ]
    n, method = arguments.structures, arguments.method
    record("finetune", f"Errors against {method}, fitted to {n} structures from a file", rows)


if __name__ == "__main__":
    main()
