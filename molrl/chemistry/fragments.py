"""Fragments of molecules to build on, from SMILES with attachment points or from files."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from molrl.errors import InputError

if TYPE_CHECKING:  # RDKit and PyTorch are imported when a fragment is built, not to check a config
    from rdkit.Chem import Mol

_FILES = (".extxyz", ".xyz", ".sdf", ".mol", ".mol2", ".pdb")
_CAP = 99  # isotope that marks the hydrogens at attachment points; no real one has it


@dataclass(frozen=True)
class Fragment:
    """Atoms at fixed positions.

    Attributes:
        numbers: ``(n,)`` int64, atomic numbers.
        positions: ``(n, 3)`` float64, Å.
        ends: for each attachment point the index of its atom, and the unit vector ``(3,)`` that
            points away from the fragment; a file has none.
        charge: total charge, e.
        spin: multiplicity 2S + 1; the lowest that the number of electrons allows if None.

    Example:
        >>> ammonium = load_fragment("[NH4+]")
        >>> len(ammonium), ammonium.charge
        (5, 1)
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    ends: tuple[tuple[int, NDArray[np.float64]], ...] = ()
    charge: int = 0
    spin: int | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def centered(self) -> "Fragment":
        """Return the fragment with its centre at the origin."""
        return replace(self, positions=self.positions - self.positions.mean(0))


def load_fragment(source: str) -> Fragment:
    """Return a fragment, centred.

    Args:
        source: a SMILES, where ``*`` marks an attachment point (``"*c1ccccc1"`` is phenyl), or a
            file, as of :func:`molrl.read`, whose first frame is taken, of one molecule or several.
            A SMILES is of one molecule, and gives one conformer, always the same; isotopes are read
            as their elements. The charge is that of the SMILES or the file, the multiplicity that
            of the file or the lowest; radicals of an SDF are places for bonds.

    Returns:
        The fragment.

    Raises:
        InputError: if the file cannot be read, or the SMILES is invalid, of several molecules, or
            cannot be embedded.

    Example:
        >>> load_fragment("*C").numbers.tolist()
        [6, 1, 1, 1]
    """
    if Path(source).suffix.lower() not in _FILES:
        return _from_smiles(source)
    from molrl.files import read_molecules

    read = read_molecules(source, open_valences=True)
    molecules = read.require_molecules(f"{source}: a fragment")
    ((numbers, positions), *_) = molecules.arrays()
    charge, spin = int(molecules.charge[0]), int(molecules.spin[0])
    lowest = int(molecules.charged(molecules.charge).spin[0])
    fragment = Fragment(numbers, positions, charge=charge, spin=None if spin == lowest else spin)
    return fragment.centered()


@lru_cache(maxsize=256)
def _from_smiles(source: str) -> Fragment:
    from rdkit import Chem

    from molrl.chemistry.embedding import embed, parse_smiles

    mol = parse_smiles(source)
    embedded = embed(_cap(mol, source), seed=0)
    if embedded is None:
        raise InputError(f"{source!r} cannot be embedded in 3D")
    return replace(_remove_caps(embedded), charge=Chem.GetFormalCharge(mol)).centered()


def face_to_face(first: Fragment, second: Fragment, gap: float) -> Fragment:
    """Combine two fragments, with their first attachment points facing each other.

    Args:
        first: the fragment whose attachment point is turned to +x.
        second: the fragment whose attachment point is turned to -x.
        gap: Å, between the atoms of the two attachment points.

    Returns:
        One fragment, centred, without attachment points. The charges add up, and so do the unpaired
        electrons of a fragment with a multiplicity.

    Raises:
        InputError: if a fragment has no attachment point.

    Example:
        >>> both = face_to_face(load_fragment("*C"), load_fragment("*[NH3+]"), gap=3.0)
        >>> len(both), both.charge
        (8, 1)
    """
    from molrl.chemistry.geometry import align

    parts = []
    for fragment, direction in ((first, 1.0), (second, -1.0)):
        if not fragment.ends:
            raise InputError(
                "a fragment to link must have an attachment point; write it as *: '*C'"
            )
        atom, outwards = fragment.ends[0]
        rotation = align(outwards, np.array([direction, 0.0, 0.0]))
        rotated = (fragment.positions - fragment.positions[atom]) @ rotation.T
        parts.append(rotated - [direction * gap / 2, 0, 0])
    spins = [fragment.spin for fragment in (first, second) if fragment.spin is not None]
    return Fragment(
        np.concatenate([first.numbers, second.numbers]),
        np.concatenate(parts),
        charge=first.charge + second.charge,
        spin=1 + sum(spin - 1 for spin in spins) if spins else None,
    ).centered()


def _cap(mol: "Mol", source: str) -> "Mol":
    """Return the molecule with a marked hydrogen at each attachment point."""
    from rdkit import Chem

    mol = Chem.RWMol(mol)
    if not any(atom.GetAtomicNum() for atom in mol.GetAtoms()):
        raise InputError(f"{source!r}: a fragment must have an atom besides its attachment points")
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            bonds = [bond.GetBondType() for bond in atom.GetBonds()]
            more = atom.GetFormalCharge() or atom.GetTotalNumHs()
            if bonds != [Chem.BondType.SINGLE] or more:
                raise InputError(
                    f"{source!r}: an attachment point * must have exactly one neighbour, by a "
                    "single bond, and no charge or hydrogens"
                )
            atom.SetAtomicNum(1)
            atom.SetIsotope(_CAP)
            atom.SetNoImplicit(True)
    Chem.SanitizeMol(mol)
    return mol.GetMol()


def _remove_caps(mol: "Mol") -> Fragment:
    """Return the fragment without the marked hydrogens, and where they were."""
    atoms = list(mol.GetAtoms())
    positions = mol.GetConformer().GetPositions()
    caps = [atom.GetIdx() for atom in atoms if atom.GetIsotope() == _CAP]
    kept = [atom.GetIdx() for atom in atoms if atom.GetIdx() not in caps]
    ends = []
    for cap in caps:
        (neighbor,) = atoms[cap].GetNeighbors()
        outwards = positions[cap] - positions[neighbor.GetIdx()]
        ends.append((kept.index(neighbor.GetIdx()), outwards / np.linalg.norm(outwards)))
    numbers = np.array([atoms[i].GetAtomicNum() for i in kept], np.int64)
    return Fragment(numbers, positions[kept], tuple(ends))
