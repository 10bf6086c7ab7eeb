"""Errors of the shipped energy model on the test split of datasets, by kind of structure.

python experiments/benchmarks/energy_errors.py runs/energy/data.npz [more.npz ...]
"""

import sys

import torch
from record import record

from molrl.energy import load_energy
from molrl.energy.data.dataset import Dataset
from molrl.molecules import MoleculeBatch

MAX_FORCE = 30.0  # eV/Å; steeper structures are counted in a row of their own


def main() -> None:
    model = load_energy("mace")
    data = Dataset.join([Dataset.load(path) for path in sys.argv[1:]])
    test = data[data.split == data.splits.index("test")]
    out = model.evaluate(test.molecules, forces=True)
    assert out.forces is not None
    energy = (out.energy.cpu() - test.energy).abs()
    forces = (out.forces.cpu() - test.forces).abs().mean(-1).float()
    gentle = test.largest_force() < MAX_FORCE
    groups = {kind: gentle & test.of_kind(kind) for kind in test.kinds}
    groups = {"all gentler than 30 eV/Å": gentle, **groups, "all steeper": ~gentle}
    rows = [row(name, mask, test.molecules, energy, forces) for name, mask in groups.items()]
    title = f"mace {model.hash} against GFN2-xTB, molecules not in the fit, forces up to 30 eV/Å"
    record("energy_errors", title, [r for r in rows if r["structures"]])


def row(
    name: str,
    mask: torch.Tensor,
    molecules: MoleculeBatch,
    energy: torch.Tensor,
    forces: torch.Tensor,
) -> dict[str, object]:
    n_atoms = molecules.n_atoms[mask]
    per_atom = 1e3 * energy[mask] / n_atoms
    some = bool(mask.any())
    return {
        "structures": int(mask.sum()),
        "kind": name,
        "energy MAE meV/atom": float(per_atom.mean()),
        "median": float(per_atom.median()) if some else float("nan"),
        "energy MAE eV": float(energy[mask].mean()),
        "force MAE meV/Å": 1e3 * float(forces[mask[molecules.molecule]].mean()),
    }


if __name__ == "__main__":
    main()
