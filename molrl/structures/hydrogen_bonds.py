"""Donors and acceptors of hydrogen bonds, and molecules placed so that they form one."""

import numpy as np
from scipy.spatial.transform import Rotation

from molrl.chemistry.geometry import align
from molrl.structures.rigid import draw_spin, draw_spin_up_to, tilt
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


def bond_twice(a: Structure, b: Structure, rng: np.random.Generator) -> Structure | None:
    """Place a molecule so that it gives one hydrogen bond to another and takes one from it.

    As in dimers of acids, amides and bases: in each molecule a bond X-H and an acceptor Y that
    lie side by side are chosen, and the first molecule is laid over the places that both bonds
    want, of 1.6 to 2.4 Å, as well as a rigid body can, in one plane or slightly tilted. Other
    atoms of the two may overlap.

    Args:
        a: the molecule that is moved.
        b: the other, which stays.
        rng: the random numbers.

    Returns:
        The first at its place; None if one has no such pair.
    """
    pairs = [find_side_by_side(molecule) for molecule in (a, b)]
    if not len(pairs[0]) or not len(pairs[1]):
        return None
    (x, h, y), (x_b, h_b, y_b) = (found[rng.integers(len(found))] for found in pairs)
    given, taken = rng.uniform(*_LENGTHS, size=2)
    donor = b.positions[h_b] - b.positions[x_b]
    lone_pair = _lone_pair(b, y_b, rng)
    # The lone pair that is used lies in the plane of both bonds, on the side of the donor.
    inward = donor / np.linalg.norm(donor) + lone_pair
    inward /= np.linalg.norm(inward)
    targets = np.array(
        [
            b.positions[h_b] + taken * donor / np.linalg.norm(donor),  # of its acceptor
            b.positions[y_b] + given * inward,  # of its hydrogen
            b.positions[y_b] + (given + 1.0) * inward,  # of its donor
        ]
    )
    atoms = a.positions[[y, h, x]]
    rotation, _ = Rotation.align_vectors(targets - targets.mean(0), atoms - atoms.mean(0))
    turned = rotation.apply(a.positions - atoms.mean(0))
    spun = draw_spin_up_to(inward, _LINEARITY, rng)
    return a.at(turned @ spun.T + targets.mean(0), a.kind)


def find_side_by_side(structure: Structure) -> np.ndarray:
    """Return ``(n, 3)`` int64 atoms X, H and Y: donors and acceptors that lie side by side.

    H is 1.8 to 3.2 Å from the acceptor Y, which is another atom than X and not bonded to it.
    """
    bonds = find_bonds(structure)
    triples = [
        (x, h, y)
        for x, h in find_donors(structure)
        for y in find_acceptors(structure)
        if y != x
        and not bonds[x, y]
        and 1.8 < np.linalg.norm(structure.positions[h] - structure.positions[y]) < 3.2
    ]
    return np.array(triples, dtype=np.int64).reshape(-1, 3)


def _lone_pair(structure: Structure, atom: int, rng: np.random.Generator) -> np.ndarray:
    """The direction away from the neighbours of an atom, any if they are all around it."""
    near = structure.positions[find_bonds(structure)[atom]] - structure.positions[atom]
    if not len(near):
        return draw_direction(rng)
    away: np.ndarray = -(near / np.linalg.norm(near, axis=-1, keepdims=True)).sum(0)
    size = float(np.linalg.norm(away))
    return away / size if size > 0.2 else draw_direction(rng)
