"""Batched relaxation and ASE's FIRE and BFGS one by one, with the same MACE, on one CPU thread.

Measured are the energy evaluations per molecule until no force exceeds 0.02 eV/Å, and the CPU time
of all molecules. They are drawn at random and start at the minimum of a force field.
"""

import warnings
from collections.abc import Callable, Sequence
from time import process_time
from typing import ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS, FIRE
from ase.optimize.optimize import Optimizer
from record import record

from molrl.chemistry.enumeration import random_molecules
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.relaxation import FORCE_TOLERANCE, relax
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

N, SEED, MAX_HEAVY = 50, 0, 7
MAX_STEPS = 2000  # energies of a molecule
SAME = 1e-3  # eV; energies that differ more belong to different geometries


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    model = NetworkEnergy()
    start = MoleculeBatch.from_rdkit(
        random_molecules(N, SEED, max_heavy=MAX_HEAVY, complete_heavy=2)
    )
    model.evaluate(start, forces=True)  # warm
    began = process_time()
    with progress(N, "batched") as bar:
        done = relax(start, model, max_steps=MAX_STEPS, report=lambda rest, total: bar.update(rest))
    seconds = process_time() - began
    ours = done.energy.numpy()
    rows = [row("molrl, BFGS, one batch", 1 + done.steps.numpy(), done.converged.numpy(), ours)]
    rows[0]["seconds"] = seconds
    for name, optimizer in (("ASE BFGS, one by one", BFGS), ("ASE FIRE, one by one", FIRE)):
        rows.append(one_by_one(name, optimizer, start, model))
    for line in rows:
        energy = np.array(line.pop("energy"))
        line["energy within 1 meV"] = int((np.abs(energy - ours) < SAME).sum())
        line["lower"] = int((energy < ours - SAME).sum())
        line["time, batch = 1"] = line.pop("seconds") / seconds
    title = f"{N} molecules of {start.n_atoms.min()} to {start.n_atoms.max()} atoms relaxed to"
    record("relaxation", f"{title} {FORCE_TOLERANCE} eV/Å with mace {model.hash}", rows)


def row(
    name: str, energies: np.ndarray, converged: np.ndarray, energy: np.ndarray
) -> dict[str, object]:
    return {
        "what": name,
        "energies per molecule": float(energies.mean()),
        "median": float(np.median(energies)),
        "most": int(energies.max()),
        "converged": int(converged.sum()),
        "energy": energy,
    }


class OneByOne(Calculator):
    """An energy model as an ASE calculator, which evaluates one molecule at a time.

    Args:
        model: the energy model.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, model: NetworkEnergy) -> None:
        super().__init__()
        self._model = model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy and forces of the atoms."""
        super().calculate(atoms, properties, system_changes)
        output = self._model.evaluate(self.atoms, forces=True)
        assert output.forces is not None
        self.results = {"energy": float(output.energy[0]), "forces": output.forces.numpy()}


def one_by_one(
    name: str, optimizer: Callable[..., Optimizer], start: MoleculeBatch, model: NetworkEnergy
) -> dict[str, object]:
    """Relax with an optimiser of ASE, its defaults, and the same model."""
    images = start.to_ase()
    steps, converged = [], []
    began = process_time()
    with progress(N, name) as bar:
        for image in images:
            image.calc = OneByOne(model)
            search = optimizer(image, logfile=None)
            converged.append(bool(search.run(fmax=FORCE_TOLERANCE, steps=MAX_STEPS)))
            steps.append(1 + search.nsteps)
            bar.update(len(steps))
    seconds = process_time() - began
    energy = model.evaluate(images).energy.numpy()
    return row(name, np.array(steps), np.array(converged), energy) | {"seconds": seconds}


if __name__ == "__main__":
    main()
