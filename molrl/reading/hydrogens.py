"""Hydrogens that the bonds of a molecule imply, but that are not in the file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from molrl.errors import InputError

if TYPE_CHECKING:
    from rdkit.Chem import Atom, Mol

BONDED = 1.3  # of the sum of the covalent radii
TRIPLE = 1.25  # Å; longer bonds of carbon or nitrogen are not triple
LINEAR = -0.87  # cosine of 150 degrees, between the only two bonds of carbon
ORGANIC = {6, 7, 8, 15, 16}


def check_hydrogens(mol: "Mol", *explained: int) -> None:
    """Check that a molecule has all the hydrogens that its bonds imply.

    A molecule of several atoms without any bond implies none.

    Args:
        mol: a molecule with bonds and formal charges, not sanitised.
        *explained: numbers of hydrogens that may be missing, because charges or unpaired electrons
            that ``mol`` has not are in their places.

    Raises:
        InputError: if hydrogens are missing; the message says how many.
    """
    missing = missing_hydrogens(mol)
    if missing not in (0, *explained):
        raise InputError(
            f"it lacks {missing} hydrogen{'s' * (missing > 1)} that its bonds imply; add hydrogens "
            "with coordinates, or mark radicals (M  RAD)"
        )


def missing_hydrogens(mol: "Mol") -> int:
    """Return how many hydrogens the bonds of a molecule imply beyond those it has.

    Raises:
        InputError: if its atoms have no valences.
    """
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    if mol.GetNumAtoms() > 1 and not mol.GetNumBonds():
        return 0
    silent = BlockLogs()
    try:
        copy = Chem.Mol(mol)
        try:
            Chem.Kekulize(copy, clearAromaticFlags=True)
        except Chem.MolSanitizeException:  # RDKit's rules for aromatic atoms do then
            copy = Chem.Mol(mol)
        copy.UpdatePropertyCache(strict=False)
        heavy = [atom for atom in copy.GetAtoms() if atom.GetAtomicNum() > 1]
        return sum(atom.GetTotalNumHs() for atom in heavy if not _is_carbide(atom))
    except RuntimeError:
        raise InputError("it is corrupted: RDKit finds no valences for its atoms") from None
    finally:
        del silent


def _is_carbide(atom: "Atom") -> bool:
    """Return whether an atom is the carbon of CO or an isonitrile, drawn without charges."""
    from rdkit.Chem import BondType

    bonds = atom.GetBonds()
    if atom.GetAtomicNum() != 6 or len(bonds) != 1 or bonds[0].GetBondType() != BondType.TRIPLE:
        return False
    other = bonds[0].GetOtherAtom(atom)
    valence = sum(bond.GetBondTypeAsDouble() for bond in other.GetBonds())
    return (other.GetAtomicNum(), valence - other.GetFormalCharge()) in ((7, 4), (8, 3))


def check_coordination(numbers: Sequence[int], positions: np.ndarray) -> None:
    """Check that no atom of a structure without known bonds evidently lacks hydrogens.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Å.

    Raises:
        InputError: if an atom of an organic element is alone, carbon or nitrogen has one bond
            that is not triple, or carbon two bonds at an angle.
    """
    from ase.data import covalent_radii

    if len(numbers) == 1 or not np.isfinite(positions).all():
        return
    radii = covalent_radii[list(numbers)]
    order = np.argsort(positions[:, 0])
    along = positions[order, 0]
    for i, number in enumerate(numbers):
        if number not in ORGANIC:
            continue
        reach = BONDED * (radii[i] + radii.max())
        first, last = np.searchsorted(along, positions[i, 0] + [-reach, reach])
        near = order[first:last]
        vectors = positions[near] - positions[i]
        lengths = np.linalg.norm(vectors, axis=1)
        bonds = vectors[(lengths < BONDED * (radii[near] + radii[i])) & (near != i)]
        if not len(bonds) or _is_open(number, bonds):
            raise InputError(f"atom {i + 1} lacks hydrogens; add all hydrogens with coordinates")


def _is_open(number: int, bonds: np.ndarray) -> bool:
    """Return whether carbon or nitrogen with these bond vectors lacks hydrogens."""
    lengths = np.linalg.norm(bonds, axis=1)
    if len(bonds) == 1:
        return number in (6, 7) and bool(lengths[0] > TRIPLE)
    return number == 6 and len(bonds) == 2 and bool(bonds[0] @ bonds[1] > LINEAR * lengths.prod())
