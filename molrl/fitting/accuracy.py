"""Errors of an energy model on labelled structures, by kind of structure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molrl.energy.interface import EnergyModel
from molrl.fitting.data.dataset import LOW_FORCE, Dataset

_CHUNK = 256  # structures between two reports


@dataclass(frozen=True)
class Errors:
    """Errors of an energy model on the structures that it gives an energy for.

    Attributes:
        structures: those structures.
        failed: how many others there were.
        energy: ``(n_structures,)`` float64, model minus reference, eV.
        interaction: ``(n_structures,)`` float64, the reference's energy minus that of the
            isolated atoms, eV.
        force: ``(n_atoms_total,)`` float64, mean over the three components of the absolute error
            of the force on an atom, eV/Å.
    """

    structures: Dataset
    failed: int
    energy: Tensor
    interaction: Tensor
    force: Tensor

    @property
    def energy_per_atom(self) -> Tensor:
        """``(n_structures,)`` float64, model minus reference, eV an atom."""
        return self.energy / self.structures.molecules.n_atoms

    def row(self, name: str, chosen: Tensor) -> dict[str, object]:
        """Return the errors of some structures as a row of a table.

        Args:
            name: of the row.
            chosen: ``(n_structures,)`` bool.
        """
        molecules = self.structures.molecules
        per_atom = 1e3 * self.energy_per_atom[chosen].abs()
        return {
            "kind": name,
            "structures": int(chosen.sum()),
            "energy MAE meV/atom": float(per_atom.mean()),
            "median meV/atom": float(per_atom.quantile(0.5)) if len(per_atom) else float("nan"),
            "energy MAE eV": float(self.energy[chosen].abs().mean()),
            "force MAE meV/Å": 1e3 * float(self.force[chosen[molecules.molecule]].mean()),
        }

    def by_kind(self) -> list[dict[str, object]]:
        """Return a row for all low-force structures, for each kind of them, and for all others.

        Rows without structures are left out.
        """
        data = self.structures
        low_force = self.structures.low_force()
        groups = {f"all up to {LOW_FORCE:.0f} eV/Å": low_force}
        groups |= {kind: low_force & data.of_kind(kind) for kind in data.kinds}
        groups[f"all above {LOW_FORCE:.0f} eV/Å"] = ~low_force
        return [self.row(name, chosen) for name, chosen in groups.items() if chosen.any()]

    def parity(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return the reference's and the model's interaction energies ``(n,)``, eV/atom.

        Returns:
            Of each kind the two arrays, without high-force structures.
        """
        data, low_force = self.structures, self.structures.low_force()
        reference = self.interaction / data.molecules.n_atoms
        predicted = reference + self.energy_per_atom
        chosen = {kind: low_force & data.of_kind(kind) for kind in data.kinds}
        return {k: (reference[some].numpy(), predicted[some].numpy()) for k, some in chosen.items()}


def errors_of(
    model: EnergyModel, data: Dataset, report: Callable[[int], object] = lambda done: None
) -> Errors:
    """Compute the errors of a model's energies and forces on labelled structures.

    Args:
        model: the energy model.
        data: the structures, labelled by the reference; bounds are left out.
        report: called with the number of structures done.

    Raises:
        InputError: if the model does not know an element in them.

    Example:
        >>> errors = errors_of(load_energy("mace"), data)  # doctest: +SKIP
        >>> errors.energy_per_atom.abs().mean()  # doctest: +SKIP
    """
    data = data[~data.bound]
    energies = [torch.zeros(0, dtype=torch.float64)]
    forces = [torch.zeros(0, 3, dtype=torch.float64)]
    for start in range(0, len(data), _CHUNK):
        molecules, _, _ = data.take(torch.arange(len(data))[start : start + _CHUNK])
        out = model.evaluate(molecules, forces=True)
        assert out.forces is not None
        energies.append(out.energy.cpu())
        forces.append(out.forces.cpu())
        report(start + len(molecules))
    energy = torch.cat(energies) - data.energy
    force = (torch.cat(forces) - data.forces).abs().mean(-1)
    known = torch.isfinite(energy)
    interaction = data.energy - model.isolated_energy(data.molecules)
    return Errors(
        structures=data[known],
        failed=int((~known).sum()),
        energy=energy[known],
        interaction=interaction[known],
        force=force[known[data.molecules.molecule]],
    )
