"""Moves of basin hopping: from a minimum to a start near it."""

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from molrl.generators.search.placement import Geometry, is_apart, relative_distances
from molrl.structures.structure import draw_direction, draw_rotation, side_of_bond

_SHAKE = 0.35  # Å, standard deviation of a displacement
_APART = 0.65  # of the sum of covalent radii: closer atoms would be torn apart by the relaxation
_BONDED = 1.3  # the same: closer atoms are bonded
_BOND = (0.9, 1.1)  # the same: of a new bond
_TRIES = 100


def hop(geometry: Geometry, rng: np.random.Generator) -> Geometry:
    """Return a start near a minimum.

    One of four moves, equally likely: all atoms displaced, two atoms of different elements
    exchanged, one atom moved to another, or a fragment, one side of a bond, turned or moved to
    another atom. Fixed atoms stay.

    Args:
        geometry: the minimum.
        rng: the random numbers.

    Returns:
        The start; no two atoms clash. The minimum itself if no move is found, as for one atom.
    """
    moves = (_displace, _exchange, _move_atom, _move_fragment)
    for _ in range(_TRIES):
        moved = moves[rng.integers(len(moves))](geometry, rng)
        if moved is not None and is_apart(geometry.numbers, moved, _APART):
            return geometry.at(moved)
    return geometry


def _displace(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64]:
    moved = geometry.positions.copy()
    moved[geometry.n_fixed :] += rng.normal(scale=_SHAKE, size=moved[geometry.n_fixed :].shape)
    return moved


def _exchange(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    first, second = _draw_free(geometry, rng), _draw_free(geometry, rng)
    if geometry.numbers[first] == geometry.numbers[second]:
        return None
    moved = geometry.positions.copy()
    moved[[first, second]] = moved[[second, first]]
    return moved


def _move_atom(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    atom = _draw_free(geometry, rng)
    return _attach(geometry, np.array([atom]), atom, rng)


def _move_fragment(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    bonded = relative_distances(geometry.numbers, geometry.positions) < _BONDED
    bonds = np.argwhere(bonded)
    if not len(bonds):
        return None
    inner, outer = bonds[rng.integers(len(bonds))].tolist()
    side = side_of_bond(bonded, outer, inner)
    if side is None or side[: geometry.n_fixed].any():
        return None
    atoms = np.flatnonzero(side)
    if rng.integers(2):
        return _attach(geometry, atoms, outer, rng)
    return _turn(geometry, atoms, inner, rng)


def _attach(
    geometry: Geometry, atoms: NDArray[np.int64], anchor: int, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Turn ``atoms``, and put their ``anchor`` at the length of a bond from one of the others."""
    others = np.setdiff1d(np.arange(len(geometry.numbers)), atoms)
    if not len(others):
        return None
    target = int(rng.choice(others))
    x, moved = geometry.positions, geometry.positions.copy()
    length = rng.uniform(*_BOND) * covalent_radii[geometry.numbers[[anchor, target]]].sum()
    place = x[target] + length * draw_direction(rng)
    moved[atoms] = (x[atoms] - x[anchor]) @ draw_rotation(rng).T + place
    return moved


def _turn(
    geometry: Geometry, atoms: NDArray[np.int64], pivot: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Turn ``atoms`` about the atom ``pivot``."""
    x, moved = geometry.positions, geometry.positions.copy()
    moved[atoms] = (x[atoms] - x[pivot]) @ draw_rotation(rng).T + x[pivot]
    return moved


def _draw_free(geometry: Geometry, rng: np.random.Generator) -> int:
    return int(rng.integers(geometry.n_fixed, len(geometry.numbers)))
