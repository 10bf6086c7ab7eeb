"""The base class of semiempirical energy models, which compute in a pool of processes."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ase.units import Bohr, Hartree

from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput, Wanted
from molrl.energy.pool import Pool, cores_of_this_rank
from molrl.energy.properties import filled, join
from molrl.molecules import MoleculeBatch

_UNITS = {"dipole": Bohr, "energies": Hartree, "charges": 1.0}  # ASE's, in atomic units
MAX_ATOMS = 2000  # the matrices of one molecule fill about 2 GB
_PATIENT_FROM = 400  # atoms; an energy of so many takes about 10 s of one core
_Result = tuple[float, np.ndarray, dict[str, np.ndarray]]


def patience(n_atoms: int) -> float:
    """Return what a time limit is multiplied by for a molecule: diagonalisation is of third order.

    Args:
        n_atoms: number of atoms.

    Example:
        >>> patience(20), patience(800)
        (1.0, 8.0)
    """
    return max(1.0, (n_atoms / _PATIENT_FROM) ** 3)


class SemiempiricalEnergy(EnergyModel):
    """An energy model that computes molecules one by one in a pool of worker processes.

    Charge and multiplicity are those of the batch, by default neutral and of the lowest spin. A
    molecule whose SCF does not converge is a failure.

    Args:
        n_workers: processes; one per core available to this process, if None.
        seconds: time limit of one attempt at a molecule; each is tried twice. It grows with the
            cube of the number of atoms beyond 400.

    Attributes:
        worker: name of the worker module's file in this folder. It defines
            ``work(numbers, positions, charge, *arguments)``, which returns, in atomic units,
            energy, gradient and a mapping that holds the further ``implemented_properties``, of
            ``"dipole"``, ``"energies"`` and ``"charges"``; or a string that says why they failed.

    Example:
        >>> class ThirdOrderEnergy(SemiempiricalEnergy):
        ...     name = hash = "third-order"
        ...     elements = (1, 6, 7, 8)
        ...     worker = "third_order_worker.py"
        ...
        ...     def _worker_arguments(self, spin):
        ...         return (spin,)
    """

    takes_charge = True
    size_limit = MAX_ATOMS

    worker: ClassVar[str]

    def __init__(self, n_workers: int | None = None, seconds: float = 120.0) -> None:
        n_workers = n_workers or cores_of_this_rank()
        worker = Path(__file__).with_name(self.worker)
        self._pool = Pool(worker, n_workers, seconds)

    def _worker_arguments(self, spin: int) -> tuple[Any, ...]:
        """Return the arguments of the worker after the charge, for a multiplicity."""
        raise NotImplementedError

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        tasks = [
            (numbers, positions / Bohr, int(charge), *self._worker_arguments(int(spin)))
            for (numbers, positions), charge, spin in zip(
                molecules.arrays(), molecules.charge.tolist(), molecules.spin.tolist(), strict=True
            )
        ]
        filled = [i for i, task in enumerate(tasks) if len(task[0])]
        before = self._pool.faults.copy()
        results = self._pool.map(
            [tasks[i] for i in filled], patience=[patience(len(tasks[i][0])) for i in filled]
        )
        found = [self._empty(len(task[0])) for task in tasks]
        failures = {}
        for i, result in zip(filled, results, strict=True):
            if isinstance(result, str):
                failures[i] = result
            else:
                found[i] = result
        device = molecules.device
        energy = np.array([energy for energy, _, _ in found]) * Hartree
        force = None
        if wanted.forces:
            flat = np.concatenate([np.zeros((0, 3)), *(gradient for _, gradient, _ in found)])
            force = torch.from_numpy(-flat * Hartree / Bohr).to(device)
        further = {
            name: join(name, [of_molecule[name] * _UNITS[name] for _, _, of_molecule in found])
            for name in wanted.properties
        }
        return EnergyOutput(
            torch.from_numpy(energy).to(device),
            forces=force,
            properties={name: values.to(device) for name, values in further.items()},
            failures=failures,
            faults=self._pool.faults - before,
        )

    def _empty(self, n_atoms: int) -> _Result:
        """Return the result for a molecule without atoms, 0, or without an energy, NaN."""
        value = np.nan if n_atoms else 0.0
        further = {name: filled(name, n_atoms, value) for name in _UNITS}
        return value, np.full((n_atoms, 3), value), further

    def close(self) -> None:
        """End the worker processes; they start again when they are needed."""
        self._pool.close()
