"""Reward terms that are distances: from a solute, from a shape, from a sphere."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.rewards.interface import Floats, Placed


class FromFixed:
    """For every new atom: less its distance from the nearest fixed atom, Å."""

    at_end: ClassVar[bool] = False
    needs: ClassVar[str] = "fixed"

    def __init__(self, model: EnergyModel) -> None:
        pass

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` Å, never positive."""
        distances = _from_new(placed)
        molecules = placed.molecules
        owner = molecules.molecule.numpy()
        rank = np.arange(len(owner)) - molecules.starts.numpy()[owner]
        fixed = rank < placed.n_fixed[owner]
        nearest = np.full(len(placed), np.inf)
        np.minimum.at(nearest, owner[fixed], distances[fixed])
        return -nearest


class OutOfShape:
    """For every new atom: less its distance from the shape, Å.

    The mean of its distances r from the shape's points, weighted by softmax(-sharpness r), which
    is smooth where the nearest point changes; SiMGen's prior pulls by the same weights
    (Elijošius et al. 2024).

    Args:
        model: not used.
        sharpness: 1/Å.
        free: Å, a distance that costs nothing.
    """

    at_end: ClassVar[bool] = False
    needs: ClassVar[str] = "shape"

    def __init__(self, model: EnergyModel, sharpness: float = 5.0, free: float = 1.0) -> None:
        self._sharpness, self._free = float(sharpness), float(free)
        if not (0 < self._sharpness < np.inf and 0 <= self._free < np.inf):
            raise InputError("a sharpness is positive, 1/Å, and what is free at least 0 Å")

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` Å, never positive."""
        r = np.linalg.norm(placed.shape - placed.new[:, None], axis=-1)
        weights = np.exp(-self._sharpness * (r - r.min(1, keepdims=True)))
        mean: Floats = (weights * r).sum(1) / weights.sum(1)
        return -np.maximum(mean - self._free, 0.0)


class Coverage:
    """At the end: the fraction of the shape's points that an atom is near.

    Args:
        model: not used.
        reach: Å; nearer than this is near.
    """

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = "shape"

    def __init__(self, model: EnergyModel, reach: float = 1.5) -> None:
        self._reach = float(reach)
        if not 0 < self._reach < np.inf:
            raise InputError(f"a reach is positive, Å, not {reach!r}")

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` between 0 and 1."""
        covered = [
            (np.linalg.norm(points[:, None] - positions, axis=-1).min(1) < self._reach).mean()
            for points, (_, positions) in zip(placed.shape, placed.molecules.arrays(), strict=True)
        ]
        return np.array(covered)


class Within:
    """For every new atom: less how far it is outside a sphere, Å. A soft wall.

    Args:
        model: not used.
        radius: Å.
        center: Å.
    """

    at_end: ClassVar[bool] = False
    needs: ClassVar[str] = ""

    def __init__(
        self, model: EnergyModel, radius: float = 5.0, center: Sequence[float] = (0, 0, 0)
    ) -> None:
        self._radius, self._center = float(radius), np.asarray(center, float)
        finite = self._center.shape == (3,) and np.isfinite([self._radius, *self._center]).all()
        if not finite or self._radius <= 0:
            raise InputError("a sphere has a radius above 0 and a center of three coordinates, Å")

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` Å, never positive."""
        r: Floats = np.linalg.norm(placed.new - self._center, axis=-1)
        return -np.maximum(r - self._radius, 0.0)


def _from_new(placed: Placed) -> Floats:
    """``(n_atoms_total,)`` Å: how far each atom is from its canvas's new one."""
    positions = placed.molecules.positions.double().numpy()
    new = placed.new[placed.molecules.molecule.numpy()]
    distances: Floats = np.linalg.norm(positions - new, axis=-1)
    return distances
