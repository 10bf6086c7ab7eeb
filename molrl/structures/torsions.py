"""Rotations about bonds: of amides, conjugated chains, aromatic substituents and all others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import vdw_radii
from rdkit import Chem
from scipy.spatial.transform import Rotation

from molrl.chemistry.bonds import perceive_bonds
from molrl.chemistry.lewis import PerceptionError
from molrl.structures.structure import Structure, find_bonds, side_of_bond, to_batch

_HETERO = {7, 8, 16}
_PREFERRED, _ORDINARY, _DOUBLE = 3.0, 1.0, 0.1  # weights of bonds to turn about
_CLOSEST = 0.5  # of the sum of van der Waals radii, across the bond
_LINEAR = 0.1  # sine of an angle; a bond whose neighbours are all in line with it turns nothing


@dataclass(frozen=True)
class RotatableBond:
    """A bond in no ring, with neighbours out of its line on both sides.

    Attributes:
        ends: the two atoms.
        side: ``(n,)`` bool, the atoms on the side of the first.
        weight: how often to turn about it, beside the others.
    """

    ends: tuple[int, int]
    side: np.ndarray
    weight: float


def rotatable_bonds(structure: Structure) -> list[RotatableBond]:
    """Find the bonds of a relaxed molecule that its two sides can be turned about.

    Bonds that are conjugated (amides, too), at an aromatic ring or between two of N, O and S have
    three times the weight of the others, double bonds a tenth. Where no Lewis structure fits the
    coordinates, all have the same.

    Args:
        structure: a molecule.
    """
    (mol,) = to_batch([structure]).to_rdkit()
    try:
        perceived = perceive_bonds(mol, structure.charge)
    except PerceptionError:
        perceived = None
    bonded = find_bonds(structure)
    found = []
    for i, j in np.argwhere(np.triu(bonded)).tolist():
        bond = perceived and perceived.GetBondBetweenAtoms(i, j)
        weight = bond_weight(bond) if bond else _ORDINARY
        if not weight or not (_bends(structure, bonded, i, j) and _bends(structure, bonded, j, i)):
            continue
        side = side_of_bond(bonded, i, j)
        if side is not None:
            found.append(RotatableBond((i, j), side, weight))
    return found


def bond_weight(bond: Chem.Bond) -> float:
    """Return how often to turn about a bond, beside others; 0 for never."""
    if bond.IsInRing():
        return 0.0
    if bond.GetBondType() != Chem.BondType.SINGLE:
        return _DOUBLE if bond.GetBondType() == Chem.BondType.DOUBLE else 0.0
    ends = (bond.GetBeginAtom(), bond.GetEndAtom())
    hetero = all(atom.GetAtomicNum() in _HETERO for atom in ends)
    if hetero or bond.GetIsConjugated() or any(atom.GetIsAromatic() for atom in ends):
        return _PREFERRED
    return _ORDINARY


def has_preferred_bond(identity: str) -> bool:
    """Return whether a molecule has a conjugated, amide, aryl or hetero bond to turn about.

    Args:
        identity: canonical SMILES.
    """
    mol = Chem.MolFromSmiles(identity)
    return mol is not None and any(
        bond_weight(bond) == _PREFERRED
        and min(bond.GetBeginAtom().GetTotalDegree(), bond.GetEndAtom().GetTotalDegree()) > 1
        for bond in mol.GetBonds()
    )


def turn_random_bond(
    structure: Structure, bonds: Sequence[RotatableBond], rng: np.random.Generator
) -> Structure | None:
    """Turn a molecule about a bond drawn by its weight, by any angle.

    Args:
        structure: the molecule.
        bonds: some of its :func:`rotatable_bonds`.
        rng: the random numbers.

    Returns:
        A structure of kind ``torsion``; None if there is no bond, or the two sides would overlap.
    """
    if not bonds:
        return None
    weights = np.array([bond.weight for bond in bonds])
    bond = bonds[int(rng.choice(len(bonds), p=weights / weights.sum()))]
    return turn_bond(structure, bond, rng.uniform(0, 2 * np.pi))


def turn_bond(structure: Structure, bond: RotatableBond, angle: float) -> Structure | None:
    """Turn one side of a bond about it.

    Args:
        structure: the molecule.
        bond: one of its :func:`rotatable_bonds`.
        angle: radian.

    Returns:
        A structure of kind ``torsion``; None if the two sides would overlap, atoms closer than
        half the sum of their van der Waals radii.
    """
    i, j = bond.ends
    origin = structure.positions[i]
    axis = structure.positions[j] - origin
    rotation = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
    turned = (structure.positions - origin) @ rotation.T + origin
    positions = np.where(bond.side[:, None], structure.positions, turned)
    near, far = (np.flatnonzero(side & _not_at(bond, side)) for side in (bond.side, ~bond.side))
    gaps = np.linalg.norm(positions[near][:, None] - positions[far], axis=-1)
    radii = vdw_radii[structure.numbers]
    if (gaps < _CLOSEST * (radii[near][:, None] + radii[far])).any():
        return None
    return structure.at(positions, "torsion")


def _not_at(bond: RotatableBond, side: np.ndarray) -> np.ndarray:
    free = np.ones(len(side), dtype=bool)
    free[list(bond.ends)] = False
    return free


def _bends(structure: Structure, bonded: np.ndarray, atom: int, other: int) -> bool:
    """Whether an atom has a neighbour that is not in line with its bond to another."""
    near = bonded[atom].copy()
    near[other] = False
    if not near.any():
        return False
    arms = structure.positions[near] - structure.positions[atom]
    axis = structure.positions[other] - structure.positions[atom]
    sines = np.linalg.norm(np.cross(arms, axis), axis=-1)
    sines /= np.linalg.norm(arms, axis=-1) * np.linalg.norm(axis)
    return bool(sines.max() > _LINEAR)
