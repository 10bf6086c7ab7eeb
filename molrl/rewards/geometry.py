"""Reward terms from distances: to fixed atoms, to a shape, to a sphere."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.rewards.interface import Floats, PlacedAtoms


class FixedAtomDistance:
    """Reward of every atom: minus its distance from the nearest fixed atom, Å.

    Args:
        model: not used.
    """

    at_end: ClassVar[bool] = False
    requires: ClassVar[str] = "fixed"

    def __init__(self, model: EnergyModel) -> None:
        pass

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, Å, never positive."""
        distances = _distances_from_new(placed)
        molecules = placed.molecules
        owner = molecules.molecule.numpy()
        rank = np.arange(len(owner)) - molecules.starts.numpy()[owner]
        fixed = rank < placed.n_fixed[owner]
        nearest = np.full(len(placed), np.inf)
        np.minimum.at(nearest, owner[fixed], distances[fixed])
        return -nearest


class ShapeDistance:
    """Reward of every atom: minus its distance from the shape, Å.

    The distance is the mean of the distances r from the points of the shape, weighted by
    softmax(-sharpness r), which is smooth where the nearest point changes. The prior of SiMGen has
    the same weights (Elijošius et al. 2025).

    Args:
        model: not used.
        sharpness: 1/Å.
        free: Å, subtracted from the distance, which is then at least 0.

    Raises:
        InputError: if ``sharpness`` is not positive or ``free`` is negative.
    """

    at_end: ClassVar[bool] = False
    requires: ClassVar[str] = "shape"

    def __init__(self, model: EnergyModel, sharpness: float = 5.0, free: float = 1.0) -> None:
        self._sharpness, self._free = float(sharpness), float(free)
        if not (0 < self._sharpness < np.inf and 0 <= self._free < np.inf):
            raise InputError("sharpness must be positive, 1/Å, and free at least 0 Å")

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, Å, never positive."""
        r = np.linalg.norm(placed.shape - placed.new[:, None], axis=-1)
        weights = np.exp(-self._sharpness * (r - r.min(1, keepdims=True)))
        mean: Floats = (weights * r).sum(1) / weights.sum(1)
        return -np.maximum(mean - self._free, 0.0)


class ShapeCoverage:
    """Reward at the end: the fraction of the shape's points that are close to an atom.

    Args:
        model: not used.
        reach: Å, distance below which a point is close to an atom.

    Raises:
        InputError: if ``reach`` is not positive.
    """

    at_end: ClassVar[bool] = True
    requires: ClassVar[str] = "shape"

    def __init__(self, model: EnergyModel, reach: float = 1.5) -> None:
        self._reach = float(reach)
        if not 0 < self._reach < np.inf:
            raise InputError(f"reach must be positive, Å, not {reach!r}")

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, between 0 and 1."""
        covered = [
            (np.linalg.norm(points[:, None] - positions, axis=-1).min(1) < self._reach).mean()
            for points, (_, positions) in zip(placed.shape, placed.molecules.arrays(), strict=True)
        ]
        return np.array(covered)


class SphereConfinement:
    """Reward of every atom: minus its distance from a sphere if it is outside, Å.

    Args:
        model: not used.
        radius: Å.
        center: three coordinates, Å.

    Raises:
        InputError: if ``radius`` is not positive or ``center`` is not three finite numbers.
    """

    at_end: ClassVar[bool] = False

    def __init__(
        self, model: EnergyModel, radius: float = 5.0, center: Sequence[float] = (0, 0, 0)
    ) -> None:
        self._radius, self._center = float(radius), np.asarray(center, float)
        finite = self._center.shape == (3,) and np.isfinite([self._radius, *self._center]).all()
        if not finite or self._radius <= 0:
            raise InputError("a sphere needs a radius above 0 and a center of three coordinates, Å")

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, Å, never positive."""
        r: Floats = np.linalg.norm(placed.new - self._center, axis=-1)
        return -np.maximum(r - self._radius, 0.0)


def _distances_from_new(placed: PlacedAtoms) -> Floats:
    """Return ``(n_atoms_total,)`` Å: distance of each atom from the new atom of its canvas."""
    positions = placed.molecules.positions.double().numpy()
    new = placed.new[placed.molecules.molecule.numpy()]
    distances: Floats = np.linalg.norm(positions - new, axis=-1)
    return distances
