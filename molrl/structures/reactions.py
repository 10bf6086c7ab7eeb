"""Paths of reactions: bonds stretched with the other end present, hydrogens that move over."""

from dataclasses import replace

import numpy as np
from ase.data import covalent_radii

from molrl.structures.hydrogen_bonds import find_acceptors, find_donors
from molrl.structures.structure import NEAREST, Structure, distances, draw_bond, find_bonds

_STRETCH = (0.8, 3.0)  # of the length at the minimum
_REACH = 3.5  # Å between the atoms that a hydrogen moves from and to
_ANY_DONOR = 0.15  # of the moves take a hydrogen of any atom, carbon too
_OFF_PATH = 0.06  # Å
_NEAR = 0.6  # Å; a hydrogen that moves stays as far from all atoms


def stretch_bond(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """Stretch a random bond in no ring rigidly to 0.8 to 3 times its length, log-uniform.

    Args:
        structure: a molecule.
        rng: the random numbers.

    Returns:
        A structure of kind ``reaction``; None if the bond is in a ring or atoms would overlap.
    """
    drawn = draw_bond(structure, rng)
    if drawn is None:
        return None
    i, j, side = drawn
    factor = np.exp(rng.uniform(*np.log(_STRETCH)))
    shift = (factor - 1) * (structure.positions[j] - structure.positions[i])
    moved = structure.positions + np.where(side[:, None], 0.0, shift)
    return structure.at(moved, "reaction") if distances(moved).min() > NEAREST else None


def move_hydrogen(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """Move a hydrogen on the straight path from the atom that bears it to an acceptor.

    The two are up to 3.5 Å apart, in one molecule or in two. The hydrogen ends anywhere between
    its bond to the one and a bond to the other, at most about 0.1 Å off the path.

    Args:
        structure: a molecule or a complex.
        rng: the random numbers.

    Returns:
        A structure of kind ``reaction``, without parts since a hydrogen may have changed over;
        None if it has no such pair of atoms, or another atom is in the way.
    """
    bonded = find_bonds(structure)
    donors = find_donors(structure)
    if rng.random() < _ANY_DONOR:
        donors = np.argwhere(bonded & (structure.numbers == 1) & (structure.numbers > 1)[:, None])
    acceptors = find_acceptors(structure)
    gaps = distances(structure.positions)[donors[:, 0]][:, acceptors]
    apart = (gaps < _REACH) & ~bonded[donors[:, 0]][:, acceptors]
    pairs = np.argwhere(apart)
    if not len(pairs):
        return None
    row, column = pairs[rng.integers(len(pairs))]
    h, y = donors[row, 1], acceptors[column]
    start, end = structure.positions[h], structure.positions[y]
    back = (start - end) / np.linalg.norm(start - end)
    end = end + back * (covalent_radii[structure.numbers[y]] + covalent_radii[1])
    moved = structure.positions.copy()
    moved[h] = start + rng.random() * (end - start) + rng.normal(size=3) * _OFF_PATH
    if distances(moved)[h].min() < _NEAR:
        return None
    return replace(structure.at(moved, "reaction"), part=None)
