"""Molecules as a denoiser sees them: padded positions and continuous features of elements."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from molrl.molecules import MIN_DISTANCE, MoleculeBatch

FEATURE_SCALE = 0.25  # of one-hot elements, beside positions in Å (Hoogeboom et al. 2022)


@dataclass(frozen=True)
class Cloud:
    """Noisy or clean molecules, padded to the same number of atoms.

    Attributes:
        positions: ``(n_molecules, n_slots, 3)`` floating, Å; 0 in padding.
        features: ``(n_molecules, n_slots, n_elements)`` floating; of a clean atom 0.25 at its
            element and 0 elsewhere, as in padding.
        mask: ``(n_molecules, n_slots)`` bool, where there is an atom.
        placed: ``(n_molecules, n_slots)`` bool, atoms whose position is known and without noise.
        named: ``(n_molecules, n_slots)`` bool, atoms whose element is known and without noise.

    Example:
        >>> from ase.build import molecule
        >>> water = MoleculeBatch.from_ase(molecule("H2O"))
        >>> Cloud.of_molecules(water, elements=(1, 8)).features[0, 0]
        tensor([0.0000, 0.2500], dtype=torch.float64)
    """

    positions: Tensor
    features: Tensor
    mask: Tensor
    placed: Tensor
    named: Tensor

    @classmethod
    def of_molecules(cls, molecules: MoleculeBatch, elements: Sequence[int]) -> Self:
        """Return clean molecules, centred, whose elements and positions count as unknown.

        Args:
            molecules: of these elements.
            elements: atomic numbers, ascending.
        """
        padded = molecules.to_padded()
        numbers, positions = padded["numbers"], padded["positions"]
        known = torch.tensor(elements, device=numbers.device)
        hot = (numbers[..., None] == known).to(positions.dtype)
        mask = numbers > 0
        unknown = torch.zeros_like(mask)
        made = cls(positions, FEATURE_SCALE * hot, mask, unknown, unknown)
        return made.at(made.centred(positions))

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, index: Tensor | slice) -> Self:
        """Return the molecules at indices, which may occur more than once."""
        return replace(
            self, **{each.name: getattr(self, each.name)[index] for each in fields(self)}
        )

    @property
    def n_atoms(self) -> Tensor:
        """``(n_molecules,)`` int64, the number of atoms of each molecule."""
        return self.mask.sum(-1)

    def at(self, positions: Tensor, features: Tensor | None = None) -> Self:
        """Return the cloud with other positions, and other features unless None."""
        return replace(
            self, positions=positions, features=self.features if features is None else features
        )

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on another device."""
        moved = {each.name: getattr(self, each.name).to(device) for each in fields(self)}
        return replace(self, **moved)

    def centred(self, vectors: Tensor) -> Tensor:
        """Return ``(n_molecules, n_slots, 3)`` vectors minus the mean over each molecule.

        Where a molecule has placed atoms, the mean is over those.
        """
        counted = torch.where(self.placed.any(-1, keepdim=True), self.placed, self.mask)
        weight = counted[..., None].to(vectors.dtype)
        mean = (vectors * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        centred: Tensor = (vectors - mean) * self.mask[..., None]
        return centred

    def to_molecules(self, elements: Sequence[int]) -> MoleculeBatch:
        """Return the molecules, each atom of the element with the largest feature.

        Args:
            elements: atomic numbers, as the features have them.
        """
        known = torch.tensor(elements, device=self.features.device)
        numbers = known[self.features.argmax(-1)] * self.mask
        return MoleculeBatch.from_padded(numbers, self.positions)


def is_broken(cloud: Cloud) -> Tensor:
    """Return ``(n_molecules,)`` bool: a coordinate is not finite, or two atoms are in one place."""
    mask, positions = cloud.mask, cloud.positions
    finite = torch.isfinite(positions).all(-1)
    pairs = mask[:, None] & mask[:, :, None]
    pairs = pairs & ~torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    near = (positions[:, None] - positions[:, :, None]).norm(dim=-1) < 2 * MIN_DISTANCE
    broken: Tensor = (~finite & mask).any(-1) | (near & pairs).any((1, 2))
    return broken
