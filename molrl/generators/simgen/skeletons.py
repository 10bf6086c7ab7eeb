"""The heavy atoms that SiMGen assembles."""

from dataclasses import dataclass

import torch
from torch import Tensor

from molrl.batches import per_atom
from molrl.molecules import MoleculeBatch


@dataclass(frozen=True)
class Skeletons(MoleculeBatch):
    """Molecules without hydrogens, some of whose atoms may stay where they are.

    Attributes:
        fixed: ``(n_atoms_total,)`` bool, atoms that do not move or change.

    Example:
        >>> one = Skeletons(torch.tensor([6, 8]), torch.eye(2, 3), torch.tensor([2]))
        >>> one.repeated(3).n_atoms
        tensor([2, 2, 2])
    """

    fixed: Tensor = per_atom((), lambda batch: torch.zeros_like(batch.numbers, dtype=torch.bool))

    def repeated(self, times: int) -> "Skeletons":
        """Return each molecule several times in a row.

        Args:
            times: how many times.
        """
        return self[torch.arange(len(self), device=self.device).repeat_interleave(times)]

    def slots(self) -> tuple[Tensor, Tensor]:
        """Return which atom is in each slot of a padded table, and which slots hold none.

        Returns:
            ``(n_molecules, n_slots)`` int64, 0 where there is none, and bool.
        """
        width = int(self.n_atoms.max())
        within = torch.arange(width, device=self.device)
        filled = within < self.n_atoms[:, None]
        return torch.where(filled, self.starts[:, None] + within, 0), ~filled


def without_hydrogens(molecules: MoleculeBatch) -> Skeletons:
    """Return the heavy atoms of molecules.

    Args:
        molecules: n molecules.
    """
    heavy = molecules.numbers > 1
    n_atoms = molecules.sum_atoms(heavy.long())
    return Skeletons(molecules.numbers[heavy], molecules.positions[heavy], n_atoms)
