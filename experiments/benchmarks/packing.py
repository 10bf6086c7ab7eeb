"""Molecules in random orientations next to each other."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

CONTACT = 2.1  # Å, of the nearest atoms of molecules that are packed


def packed(parts: Sequence[Atoms], rng: np.random.Generator) -> Atoms:
    """Return molecules in random orientations, each pushed in from outside until it touches.

    Of ten ways each takes the one that ends nearest to the centre.
    """
    cluster = turned(parts[0], rng)
    for part in parts[1:]:
        ways = [placed(cluster, turned(part, rng), unit(rng), CONTACT) for _ in range(10)]
        centre = cluster.positions.mean(0)
        cluster += min(ways, key=lambda one: np.linalg.norm(one.positions.mean(0) - centre))
    return cluster


def placed(fixed: Atoms, moved: Atoms, way: np.ndarray, distance: float) -> Atoms:
    """Return a molecule as far along a direction as its nearest atom is at a distance."""
    gap = moved.positions[:, None] - fixed.positions  # before the shift
    along = gap @ way
    across = np.square(gap).sum(-1) - along**2
    reach = np.sqrt(np.maximum(distance**2 - across, 0)) - along
    # The shift at which the last pair of atoms has come to the distance.
    shift = reach[across < distance**2].max()
    out = moved.copy()
    out.positions += shift * way
    return out


def turned(molecule: Atoms, rng: np.random.Generator) -> Atoms:
    """Return a molecule in a random orientation about its centroid, which is at the origin."""
    out = molecule.copy()
    centred = molecule.positions - molecule.positions.mean(0)
    out.positions = Rotation.random(rng=rng).apply(centred)
    return out


def unit(rng: np.random.Generator) -> np.ndarray:
    """Return a direction, uniform on the sphere."""
    vector = rng.normal(size=3)
    out: np.ndarray = vector / np.linalg.norm(vector)
    return out
