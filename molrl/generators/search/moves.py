"""Moves of basin hopping: from a minimum to a start near it."""

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from molrl.chemistry.monovalent import MONOVALENT
from molrl.generators.search.placement import Geometry, is_apart, relative_distances
from molrl.structures.structure import draw_direction, draw_rotation, side_of_bond

_SHAKE = 0.5  # Å, standard deviation of a displacement
_APART = 0.65  # of the sum of covalent radii: closer atoms would be torn apart by the relaxation
_BONDED = 1.3  # the same: closer atoms are bonded
_BOND = (0.9, 1.1)  # the same: of a new bond
_TRIES = 20  # of kinds of moves, and of moves of each kind


def hop(geometry: Geometry, rng: np.random.Generator) -> Geometry:
    """Return a start near a minimum, by one move: :data:`MOVES` gives how likely each is.

    Fixed atoms stay.

    Args:
        geometry: the minimum.
        rng: the random numbers.

    Returns:
        The start; no two atoms clash. The minimum itself if no move is found, as for one atom.
    """
    for _ in range(_TRIES):
        move = list(MOVES)[rng.choice(len(MOVES), p=list(MOVES.values()))]
        for _ in range(_TRIES):  # the same again, or those that fail often would be seldom
            moved = move(geometry, rng)
            if moved is not None and is_apart(geometry.numbers, moved, _APART):
                return geometry.at(moved)
    return geometry


def _displace(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64]:
    """Displace all atoms."""
    moved = geometry.positions.copy()
    moved[geometry.n_fixed :] += rng.normal(scale=_SHAKE, size=moved[geometry.n_fixed :].shape)
    return moved


def _exchange_atoms(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Exchange two atoms of different elements, both with one bond or both with several."""
    pair = rng.integers(geometry.n_fixed, len(geometry.numbers), 2)
    first, second = geometry.numbers[pair].tolist()
    if first == second or MONOVALENT[first] != MONOVALENT[second]:
        return None
    moved = geometry.positions.copy()
    moved[pair] = moved[pair[::-1]]
    return moved


def _move_atom(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Move an atom to another."""
    atom = int(rng.integers(geometry.n_fixed, len(geometry.numbers)))
    return _attach(geometry, np.array([atom]), atom, rng)


def _move_fragment(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Move one side of a bond to another atom."""
    side = _draw_side(geometry, rng)
    return None if side is None else _attach(geometry, side[0], side[1], rng)


def _turn_fragment(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Turn one side of a bond about the atom on the other."""
    side = _draw_side(geometry, rng)
    if side is None:
        return None
    atoms, _, pivot = side
    x, moved = geometry.positions, geometry.positions.copy()
    moved[atoms] = (x[atoms] - x[pivot]) @ draw_rotation(rng).T + x[pivot]
    return moved


def _exchange_fragments(geometry: Geometry, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Exchange one side of a bond with one of another bond, such as methyl with hydrogen.

    All valences stay satisfied, so that most of these moves lead to another isomer.
    """
    one, other = _draw_side(geometry, rng), _draw_side(geometry, rng)
    if one is None or other is None or one[2] == other[2]:
        return None
    both = {*one[0].tolist(), *other[0].tolist()}
    if len(both) < len(one[0]) + len(other[0]) or both & {one[2], other[2]}:
        return None
    if len(both) == 2 and geometry.numbers[one[1]] == geometry.numbers[other[1]]:
        return None
    x, moved = geometry.positions, geometry.positions.copy()
    for (atoms, anchor, pivot), (_, its_anchor, its_pivot) in ((one, other), (other, one)):
        old, new = x[anchor] - x[pivot], x[its_anchor] - x[its_pivot]
        new = new / np.linalg.norm(new)
        middle = old / np.linalg.norm(old) + new
        if (square := middle @ middle) < 1e-6:
            return None
        # Half a turn about the bisector takes the old direction of the bond to the new one.
        half_turn = 2 * np.outer(middle, middle) / square - np.eye(3)
        place = x[its_pivot] + _length(geometry, anchor, its_pivot, rng) * new
        moved[atoms] = (x[atoms] - x[anchor]) @ half_turn + place
    return moved


MOVES = {
    _exchange_fragments: 0.4,
    _move_atom: 0.3,
    _move_fragment: 0.1,
    _exchange_atoms: 0.1,
    _displace: 0.05,
    _turn_fragment: 0.05,
}
"""The moves, and how likely each is."""


def _draw_side(
    geometry: Geometry, rng: np.random.Generator
) -> tuple[NDArray[np.int64], int, int] | None:
    """Draw one side of a bond that is in no ring.

    Returns:
        Its atoms, that of the bond, and the atom at the other end of the bond; None if the bond
        that was drawn is in a ring, or fixed atoms are on this side.
    """
    bonded = relative_distances(geometry.numbers, geometry.positions) < _BONDED
    bonds = np.argwhere(bonded)
    if not len(bonds):
        return None
    anchor, pivot = bonds[rng.integers(len(bonds))].tolist()
    side = side_of_bond(bonded, anchor, pivot)
    if side is None or side[: geometry.n_fixed].any():
        return None
    return np.flatnonzero(side), anchor, pivot


def _attach(
    geometry: Geometry, atoms: NDArray[np.int64], anchor: int, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Turn ``atoms``, and put their ``anchor`` at the length of a bond from one of the others."""
    others = np.setdiff1d(np.arange(len(geometry.numbers)), atoms)
    if not len(others):
        return None
    target = int(rng.choice(others))
    x, moved = geometry.positions, geometry.positions.copy()
    place = x[target] + _length(geometry, anchor, target, rng) * draw_direction(rng)
    moved[atoms] = (x[atoms] - x[anchor]) @ draw_rotation(rng).T + place
    return moved


def _length(geometry: Geometry, first: int, second: int, rng: np.random.Generator) -> float:
    """Draw the length of a new bond, Å."""
    radii = covalent_radii[geometry.numbers[[first, second]]]
    return float(rng.uniform(*_BOND) * radii.sum())
