"""Pieces of molecules to build on: from SMILES with open ends, or from files."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from molrl.chemistry.enumeration import embed
from molrl.errors import InputError
from molrl.files import read_molecules

_FILES = (".extxyz", ".xyz", ".sdf")
_CAP = 99  # isotope of the hydrogens at open ends, which is none of nature's


@dataclass(frozen=True)
class Fragment:
    """Atoms that stand where they stand.

    Attributes:
        numbers: ``(n,)`` int64, atomic numbers.
        positions: ``(n, 3)`` float64, Å.
        ends: for each open end the index of its atom, and the unit vector ``(3,)`` that points
            away from the fragment; from a file there are none.
        charge: total charge, e.
        spin: multiplicity 2S + 1; None: the lowest that the number of electrons allows.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    ends: tuple[tuple[int, NDArray[np.float64]], ...] = ()
    charge: int = 0
    spin: int | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def centered(self) -> "Fragment":
        """The same with its middle at the origin."""
        return replace(self, positions=self.positions - self.positions.mean(0))


def load_fragment(source: str) -> Fragment:
    """A fragment, centred.

    Args:
        source: a SMILES, where ``*`` marks an open end (``"*c1ccccc1"`` is phenyl), or a file
            ``.extxyz``, ``.xyz`` or ``.sdf``, whose first molecule counts. A SMILES gives one
            conformer, always the same.

    Raises:
        InputError: if it is neither, cannot be embedded, or is charged or of a higher spin than
            it must be: what stands on a canvas has neither.
    """
    if Path(source).suffix not in _FILES:
        return _from_smiles(source)
    molecules = read_molecules(source)
    lowest = molecules.charged(torch.zeros_like(molecules.charge)).spin
    if molecules.charge[0] or molecules.spin[0] != lowest[0]:
        raise InputError(
            f"{source}: charge {int(molecules.charge[0])} and multiplicity "
            f"{int(molecules.spin[0])}; what stands on a canvas is neutral and of the lowest spin"
        )
    ((numbers, positions), *_) = molecules.arrays()
    return Fragment(numbers, positions).centered()


@lru_cache(maxsize=256)
def _from_smiles(source: str) -> Fragment:
    block = BlockLogs()
    try:
        mol = Chem.MolFromSmiles(source)
        if mol is None:
            raise InputError(f"{source!r} is no SMILES")
        if Chem.GetFormalCharge(mol):
            raise InputError(
                f"{source!r} has charge {Chem.GetFormalCharge(mol)}; what stands on a canvas is "
                "neutral"
            )
        embedded = embed(_capped(mol, source), seed=0)
    finally:
        del block
    if embedded is None:
        raise InputError(f"{source!r} cannot be embedded in 3D")
    return _opened(embedded).centered()


def face_to_face(first: Fragment, second: Fragment, gap: float) -> Fragment:
    """Two fragments with their first open ends towards each other, as one.

    Args:
        first: is turned and moved so that its end points to +x.
        second: likewise, to -x.
        gap: Å, between the atoms of the two ends.

    Raises:
        InputError: if one has no open end.
    """
    parts = []
    for fragment, direction in ((first, 1.0), (second, -1.0)):
        if not fragment.ends:
            raise InputError("a fragment to be linked has an open end; write it with a *: '*C'")
        atom, outwards = fragment.ends[0]
        turned = (fragment.positions - fragment.positions[atom]) @ _turning(outwards, direction).T
        parts.append(turned - [direction * gap / 2, 0, 0])
    numbers = np.concatenate([first.numbers, second.numbers])
    return Fragment(numbers, np.concatenate(parts)).centered()


def _capped(mol: Chem.Mol, source: str) -> Chem.Mol:
    """The molecule with a hydrogen of its own kind at each open end."""
    mol = Chem.RWMol(mol)
    if not any(atom.GetAtomicNum() for atom in mol.GetAtoms()):
        raise InputError(f"{source!r}: a fragment holds an atom besides its open ends")
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            if atom.GetDegree() != 1:
                raise InputError(f"{source!r}: an open end * has one neighbour, not none or two")
            atom.SetAtomicNum(1)
            atom.SetIsotope(_CAP)
            atom.SetNoImplicit(True)
    Chem.SanitizeMol(mol)
    return mol.GetMol()


def _opened(mol: Chem.Mol) -> Fragment:
    """The fragment without its caps."""
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


def _turning(vector: NDArray[np.float64], direction: float) -> NDArray[np.float64]:
    """The rotation ``(3, 3)`` that takes a unit vector to ``(direction, 0, 0)``."""
    target = np.array([direction, 0.0, 0.0])
    axis, cosine = np.cross(vector, target), float(vector @ target)
    if cosine < -1 + 1e-9:
        return np.diag([-1.0, -1.0, 1.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turning: NDArray[np.float64] = np.eye(3) + cross + cross @ cross / (1 + cosine)
    return turning
