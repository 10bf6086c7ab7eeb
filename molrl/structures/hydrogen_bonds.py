"""Donors and acceptors of hydrogen bonds, and molecules placed so that they form one."""

import numpy as np

from molrl.structures.rigid import align, draw_spin, tilt
from molrl.structures.structure import Structure, draw_direction, find_bonds

_NEIGHBOURS = {7: 3, 8: 2, 9: 1, 16: 2}  # element: the most neighbours of one with a lone pair
_LENGTHS = (1.6, 2.4)  # Å, hydrogen to acceptor
_LONGER = {16: 0.5}  # Å, to acceptors of the third period
_LONE_PAIR, _LINEARITY = 0.6, 0.25  # radian; tilts from the lone pair and from a straight bond


def find_donors(structure: Structure) -> np.ndarray:
    """Return ``(n, 2)`` int64 atoms X and H of the bonds X-H whose X is N, O, F or S."""
    polar = np.isin(structure.numbers, list(_NEIGHBOURS))
    return np.argwhere(find_bonds(structure) & polar[:, None] & (structure.numbers == 1))


def find_acceptors(structure: Structure) -> np.ndarray:
    """Return the ``(n,)`` int64 atoms N, O, F or S that have a lone pair."""
    neighbours = find_bonds(structure).sum(1)
    most = np.array([_NEIGHBOURS.get(int(z), -1) for z in structure.numbers])
    return np.flatnonzero(neighbours <= most)


def bond_by_hydrogen(
    donor: Structure, acceptor: Structure, rng: np.random.Generator
) -> Structure | None:
    """Place a molecule so that one of its X-H bonds points to a lone pair of another.

    The hydrogen is 1.6 to 2.4 Å from the acceptor atom (2.1 to 2.9 from sulfur), the angles are
    tilted at random, and the molecule is turned about the bond by any angle. Other atoms of the
    two may overlap.

    Args:
        donor: the molecule that is moved.
        acceptor: the other, which stays.
        rng: the random numbers.

    Returns:
        The first at its place; None if there is no donor or no acceptor.
    """
    donors, acceptors = find_donors(donor), find_acceptors(acceptor)
    if not len(donors) or not len(acceptors):
        return None
    x, h = donors[rng.integers(len(donors))]
    y = int(acceptors[rng.integers(len(acceptors))])
    outward = tilt(_lone_pair(acceptor, y, rng), _LONE_PAIR, rng)
    length = rng.uniform(*_LENGTHS) + _LONGER.get(int(acceptor.numbers[y]), 0.0)
    bond = donor.positions[x] - donor.positions[h]
    straight = tilt(outward, _LINEARITY, rng)
    rotation = draw_spin(straight, rng) @ align(bond / np.linalg.norm(bond), straight)
    at = acceptor.positions[y] + outward * length
    return donor.at((donor.positions - donor.positions[h]) @ rotation.T + at, donor.kind)


def _lone_pair(structure: Structure, atom: int, rng: np.random.Generator) -> np.ndarray:
    """The direction away from the neighbours of an atom, any if they are all around it."""
    near = structure.positions[find_bonds(structure)[atom]] - structure.positions[atom]
    if not len(near):
        return draw_direction(rng)
    away: np.ndarray = -(near / np.linalg.norm(near, axis=-1, keepdims=True)).sum(0)
    size = float(np.linalg.norm(away))
    return away / size if size > 0.2 else draw_direction(rng)
