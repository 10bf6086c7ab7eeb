"""The interface of descriptors."""

from typing import Protocol

import torch
from torch import Tensor

from molrl.molecules import MoleculeBatch


class Descriptors(Protocol):
    """Invariant descriptors of atoms' environments, computed in batches.

    Attributes:
        elements: the atomic numbers it knows, ascending.
        device: the device it computes on.
    """

    elements: tuple[int, ...]
    device: torch.device

    def __call__(self, molecules: MoleculeBatch, positions: Tensor | None = None) -> Tensor:
        """Compute the descriptors of every atom.

        Args:
            molecules: of known elements, on the device.
            positions: ``(n_atoms_total, 3)`` floating, Å, of the same atoms and with the same
                neighbours, to differentiate by; None: those of the molecules.

        Returns:
            ``(n_atoms_total, n_features)`` floating, without unit. Invariant under translation and
            rotation; a permutation of the atoms permutes its rows.
        """
        ...
