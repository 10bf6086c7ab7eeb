"""Errors of an energy model on labelled structures, by kind of structure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from molrl.energy.interface import EnergyModel
from molrl.fitting.data.dataset import Dataset

GENTLE = 30.0  # eV/Å; what has a larger force on an atom is counted by itself
_CHUNK = 256  # structures between two reports


@dataclass(frozen=True)
class Errors:
    """Errors of an energy model on the structures that it has an energy for.

    Attributes:
        structures: those structures.
        failed: how many others there were.
        energy: ``(n_structures,)`` float64, model less reference, eV.
        interaction: ``(n_structures,)`` float64, the reference's energy less that of the isolated
            atoms, eV.
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
        """``(n_structures,)`` float64, model less reference, eV an atom."""
        return self.energy / self.structures.molecules.n_atoms

    def row(self, name: str, chosen: Tensor) -> dict[str, object]:
        """The errors of some structures as a line of a table; ``chosen (n_structures,)`` bool."""
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
        """A line for all gentle structures, one for each kind among them, one for all others.

        A structure is gentle if no force on an atom is larger than :data:`GENTLE`. A line without
        structures is left out.
        """
        data = self.structures
        gentle = self.gentle()
        groups = {f"all up to {GENTLE:.0f} eV/Å": gentle}
        groups |= {kind: gentle & data.of_kind(kind) for kind in data.kinds}
        groups["all steeper"] = ~gentle
        return [self.row(name, chosen) for name, chosen in groups.items() if chosen.any()]

    def parity(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of each kind the reference's and the model's interaction energies ``(n,)``, eV/atom.

        Structures that are not gentle are left out.
        """
        data, gentle = self.structures, self.gentle()
        reference = self.interaction / data.molecules.n_atoms
        predicted = reference + self.energy_per_atom
        chosen = {kind: gentle & data.of_kind(kind) for kind in data.kinds}
        return {k: (reference[some].numpy(), predicted[some].numpy()) for k, some in chosen.items()}

    def gentle(self) -> Tensor:
        """``(n_structures,)`` bool: which have no force larger than :data:`GENTLE`."""
        return self.structures.largest_force() <= GENTLE


def errors_of(
    model: EnergyModel, data: Dataset, report: Callable[[int], object] = lambda done: None
) -> Errors:
    """Evaluate labelled structures, energies and forces.

    Args:
        model: the energy model.
        data: the structures, labelled by the reference.
        report: is told how many structures are done.

    Raises:
        InputError: if there is an element in them that the model does not know.
    """
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
