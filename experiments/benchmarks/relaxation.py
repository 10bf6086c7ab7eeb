"""Batched relaxation against ASE's FIRE and BFGS one by one, with the same MACE, on one CPU thread.

Energies per molecule until no atom feels more than 0.02 eV/Å, and the CPU time that all take: with
one thread the wall time, less what other processes took. The molecules are drawn at random and
start where a force field left them.
"""

import warnings
from collections.abc import Callable
from time import process_time

import numpy as np
import torch
from ase.optimize import BFGS, FIRE
from ase.optimize.optimize import Optimizer
from record import record

from molrl.chemistry.enumeration import random_molecules
from molrl.energy.mace.model import MaceEnergy
from molrl.energy.relaxation import FORCE_TOLERANCE, relax
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

N, SEED, MAX_HEAVY = 50, 0, 7
MOST = 2000  # energies of a molecule
SAME = 1e-3  # eV; farther apart, one has stopped short of the other or elsewhere


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    model = MaceEnergy()
    start = MoleculeBatch.from_rdkit(
        random_molecules(N, SEED, max_heavy=MAX_HEAVY, complete_heavy=2)
    )
    model.evaluate(start, forces=True)  # warm
    began = process_time()
    with progress(N, "batched") as bar:
        done = relax(start, model, max_steps=MOST, report=lambda rest, total: bar.update(rest))
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


def one_by_one(
    name: str, optimizer: Callable[..., Optimizer], start: MoleculeBatch, model: MaceEnergy
) -> dict[str, object]:
    """ASE's optimizer at its defaults, with mace-torch's ASE calculator."""
    # after molrl, which keeps mace-torch from switching safe loading off for the process
    from mace.calculators import MACECalculator

    calculator = MACECalculator(models=[model.network], device="cpu", default_dtype="float32")
    images = start.to_ase()
    steps, converged = [], []
    began = process_time()
    with progress(N, name) as bar:
        for image in images:
            image.calc = calculator
            search = optimizer(image, logfile=None)
            converged.append(bool(search.run(fmax=FORCE_TOLERANCE, steps=MOST)))
            steps.append(1 + search.nsteps)
            bar.update(len(steps))
    seconds = process_time() - began
    energy = model.evaluate(images).energy.numpy()
    return row(name, np.array(steps), np.array(converged), energy) | {"seconds": seconds}


if __name__ == "__main__":
    main()
