"""Reward terms from the similarity to reference molecules."""

from typing import ClassVar, Literal

import numpy as np
import torch

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel
from molrl.energy.descriptors import SimilarityKernel, load_descriptors
from molrl.errors import InputError
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch
from molrl.rewards.interface import Floats, PlacedAtoms

_SIZE = 256  # molecules of the shipped set


class SimilarityReward:
    """Reward at the end: how similar the atoms are to those of reference molecules.

    It is the mean over all atoms, hydrogens too, of exp(-s d² / 2), where d² is the squared
    distance of the atom's descriptors from the nearest reference atom's, in units of their mean
    squared norm: 1 if every environment is one of the reference's, 0 if none is near. The
    descriptors are those of the first layer of ``descriptors``, as in SiMGen (Elijošius et al.
    2025). ``novelty`` is 1 minus this.

    Args:
        model: energy model of the environment, not used.
        reference: file of molecules; empty for 256 of the shipped molecule set.
        descriptors: energy model whose descriptors are compared, a network.
        sharpness: s, above 0.
        of: ``"similarity"`` or ``"novelty"``.

    Raises:
        InputError: if the file cannot be read, or an option is invalid.

    Example:
        >>> gym.make(  # doctest: +SKIP
        ...     "MolDesign-v0", reward={"energy": 1.0, "similarity": {"reference": "mine.sdf"}}
        ... )
    """

    at_end: ClassVar[bool] = True

    def __init__(
        self,
        model: EnergyModel,
        reference: str = "",
        descriptors: str = "mace",
        sharpness: float = 120.0,
        of: Literal["similarity", "novelty"] = "similarity",
    ) -> None:
        if not 0 < sharpness < np.inf:
            raise InputError(f"sharpness must be above 0, not {sharpness}")
        if of not in ("similarity", "novelty"):
            raise InputError(f"of must be 'similarity' or 'novelty', not {of!r}")
        self._sharpness, self._of = sharpness, of
        self._descriptors = load_descriptors(descriptors, str(model.device))
        known = _reference(reference).to(self._descriptors.device, torch.float32)
        known.check(self._descriptors.elements)
        self._kernel = SimilarityKernel(self._descriptors(known))

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, 0 to 1."""
        similar = self.similarity(placed.molecules)
        return similar if self._of == "similarity" else 1 - similar

    def similarity(self, molecules: MoleculeBatch) -> Floats:
        """Compute the similarity of molecules to the reference.

        Args:
            molecules: of elements that the descriptors know.

        Returns:
            ``(n_molecules,)`` float64, 0 to 1.
        """
        molecules = molecules.to(self._descriptors.device, torch.float32)
        molecules.check(self._descriptors.elements)
        with torch.no_grad():
            squared = self._kernel.squared_distance(self._descriptors(molecules)).double()
        near = torch.exp(-0.5 * self._sharpness * squared)
        mean = molecules.sum_atoms(near) / molecules.n_atoms.clamp(min=1)
        found: Floats = mean.cpu().numpy()
        return found


def _reference(source: str) -> MoleculeBatch:
    if source:
        return read_molecules(source).require_molecules("similarity")
    train = shipped_molecules().of_split("train").molecules
    return train[np.linspace(0, len(train) - 1, _SIZE).astype(int)]
