"""Hydrogens that the bonds of a molecule imply, but that are not in the file."""

from typing import TYPE_CHECKING

from molrl.errors import InputError

if TYPE_CHECKING:
    from rdkit.Chem import Atom, Mol


def check_hydrogens(mol: "Mol") -> None:
    """Check that a molecule has all the hydrogens that its bonds imply.

    A molecule of several atoms without any bond implies none.

    Args:
        mol: a molecule with bonds and formal charges, not sanitised.

    Raises:
        InputError: if hydrogens are missing; the message says how many.
    """
    missing = missing_hydrogens(mol)
    if missing:
        raise InputError(
            f"it lacks {missing} hydrogen{'s' * (missing > 1)} that its bonds imply; add hydrogens "
            "with coordinates, or mark radicals (M  RAD)"
        )


def missing_hydrogens(mol: "Mol") -> int:
    """Return how many hydrogens the bonds of a molecule imply beyond those it has."""
    from rdkit import Chem

    if mol.GetNumAtoms() > 1 and not mol.GetNumBonds():
        return 0
    copy = Chem.Mol(mol)
    try:
        Chem.Kekulize(copy, clearAromaticFlags=True)
    except Chem.KekulizeException:  # RDKit's rules for aromatic atoms do then
        copy = Chem.Mol(mol)
    copy.UpdatePropertyCache(strict=False)
    return sum(
        atom.GetTotalNumHs()
        for atom in copy.GetAtoms()
        if atom.GetAtomicNum() > 1 and not _is_carbide(atom)
    )


def _is_carbide(atom: "Atom") -> bool:
    """Return whether an atom is the carbon of CO or an isonitrile, drawn without charges."""
    from rdkit.Chem import BondType

    bonds = atom.GetBonds()
    if atom.GetAtomicNum() != 6 or len(bonds) != 1 or bonds[0].GetBondType() != BondType.TRIPLE:
        return False
    other = bonds[0].GetOtherAtom(atom)
    valence = sum(bond.GetBondTypeAsDouble() for bond in other.GetBonds())
    return (other.GetAtomicNum(), valence - other.GetFormalCharge()) in ((7, 4), (8, 3))
