"""Pieces of molecules to build on: from SMILES with open ends, or from files."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from molrl.chemistry.enumeration import from_smiles
from molrl.errors import InputError
from molrl.files import read_molecules

_FILES = (".extxyz", ".xyz", ".sdf")


@dataclass(frozen=True)
class Fragment:
    """Atoms that stand where they stand.

    Attributes:
        numbers: ``(n,)`` int64, atomic numbers.
        positions: ``(n, 3)`` float64, Å.
        ends: for each open end the index of its atom, and the unit vector ``(3,)`` that points
            away from the fragment; from a file there are none.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    ends: tuple[tuple[int, NDArray[np.float64]], ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def centered(self) -> "Fragment":
        """The same with its middle at the origin."""
        return replace(self, positions=self.positions - self.positions.mean(0))


@lru_cache(maxsize=256)
def load_fragment(source: str) -> Fragment:
    """A fragment, centred.

    Args:
        source: a SMILES, where ``*`` marks an open end (``"*c1ccccc1"`` is phenyl), or a file
            ``.extxyz``, ``.xyz`` or ``.sdf``, whose first molecule counts. A SMILES gives one
            conformer, always the same.

    Raises:
        InputError: if it is neither, or cannot be embedded.
    """
    if Path(source).suffix in _FILES:
        ((numbers, positions), *_) = read_molecules(source).arrays()
        return Fragment(numbers, positions).centered()
    capped = source.replace("[*]", "*").replace("*", "[2H]")
    block = BlockLogs()
    try:
        mol = from_smiles(capped, seed=0)
    finally:
        del block
    return _opened(mol).centered()


def face_to_face(first: Fragment, second: Fragment, gap: float) -> Fragment:
    """Two fragments with their first open ends towards each other, as one.

    Args:
        first: stays as it is, its end pointing to +x.
        second: is turned and moved.
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


def _opened(mol: Chem.Mol) -> Fragment:
    """The fragment without its caps, which are deuterium."""
    atoms = list(mol.GetAtoms())
    positions = mol.GetConformer().GetPositions()
    caps = [atom.GetIdx() for atom in atoms if atom.GetIsotope() == 2]
    kept = [atom.GetIdx() for atom in atoms if atom.GetIdx() not in caps]
    if not kept:
        raise InputError("a fragment holds an atom besides its open ends")
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
    return np.eye(3) + cross + cross @ cross / (1 + cosine)
