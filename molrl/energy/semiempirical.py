"""The base class of semiempirical energy models, which compute in a pool of processes."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ase.units import Bohr, Hartree

from molrl.energy.interface import EnergyModel, EnergyOutput, Wanted
from molrl.energy.pool import Pool, cores_of_this_rank
from molrl.molecules import MoleculeBatch


class SemiempiricalEnergy(EnergyModel):
    """An energy model that computes molecules one by one in a pool of worker processes.

    Charge and multiplicity are those of the batch, by default neutral and of the lowest spin. A
    molecule whose SCF does not converge is a failure.

    Args:
        n_workers: processes; one per core available to this process, if None.
        seconds: time limit of one attempt at a molecule; each is tried twice.

    Attributes:
        worker: name of the worker module's file in this folder. It defines
            ``work(numbers, positions, charge, *arguments)``, which returns, in atomic units,
            energy, gradient and, where ``implemented_properties`` has it, dipole; or a string
            that says why they failed.

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
        results = self._pool.map([tasks[i] for i in filled])
        energy = np.zeros(len(tasks))
        gradients = [np.full((len(task[0]), 3), np.nan) for task in tasks]
        dipole = np.zeros((len(tasks), 3))
        failures = {}
        for i, result in zip(filled, results, strict=True):
            if isinstance(result, str):
                energy[i], dipole[i], failures[i] = np.nan, np.nan, result
            else:
                energy[i], gradients[i] = result[:2]
                dipole[i] = result[2] if "dipole" in self.implemented_properties else np.nan
        force = None
        if wanted.forces:
            flat = np.concatenate(gradients) if gradients else np.zeros((0, 3))
            force = torch.from_numpy(-flat * Hartree / Bohr).to(molecules.device)
        energies = torch.from_numpy(energy * Hartree).to(molecules.device)
        dipoles = torch.from_numpy(dipole * Bohr).to(molecules.device)
        return EnergyOutput(
            energies,
            forces=force,
            properties=dict.fromkeys(wanted.properties, dipoles),
            failures=failures,
            faults=self._pool.faults - before,
        )

    def close(self) -> None:
        """End the worker processes; they start again when they are needed."""
        self._pool.close()
