"""Structures to be labelled, and their distances and bonds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase.data import covalent_radii

from molrl.molecules import MoleculeBatch

NEAREST = 0.25  # Å; atoms are never put closer than this: labels there are of no use
_BONDED = 1.3  # atoms closer than this share of the covalent radii's sum are bonded


@dataclass(frozen=True)
class Structure:
    """A structure to be labelled.

    Attributes:
        numbers: ``(n,)`` int64.
        positions: ``(n, 3)`` float64, Å.
        kind: what sort of structure it is.
        identity: the molecule it came from.
        charge: total charge, e.
        spin: multiplicity 2S + 1; None for the lowest that the electrons allow.
        part: ``(n,)`` int64, the molecule that each atom belongs to, from 0 on; None for one
            molecule.
        split: of the molecules it is made of; None: that of its identity.
    """

    numbers: np.ndarray
    positions: np.ndarray
    kind: str
    identity: str
    charge: int = 0
    spin: int | None = None
    part: np.ndarray | None = None
    split: str | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def at(self, positions: np.ndarray, kind: str) -> "Structure":
        """Return the same atoms at other positions."""
        return replace(self, positions=positions, kind=kind)

    def only(self, atoms: np.ndarray | Sequence[int], kind: str) -> "Structure":
        """Return some of the atoms in the order given, with the charge and of the lowest spin."""
        index = np.asarray(atoms)
        return replace(
            self,
            numbers=self.numbers[index],
            positions=self.positions[index],
            kind=kind,
            spin=None,
            part=None if self.part is None else self.part[index],
        )

    def plus(self, numbers: np.ndarray, positions: np.ndarray, kind: str) -> "Structure":
        """Return the structure with more, neutral atoms behind its own, of the lowest spin.

        Where there are parts, the new atoms are one more.
        """
        part = self.part
        if part is not None:
            part = np.concatenate([part, np.full(len(numbers), part.max() + 1)])
        return replace(
            self,
            numbers=np.concatenate([self.numbers, numbers]),
            positions=np.concatenate([self.positions, positions]),
            kind=kind,
            spin=None,
            part=part,
        )


def to_batch(structures: Sequence[Structure], dtype: torch.dtype = torch.float64) -> MoleculeBatch:
    """Return the structures as one batch, with their charges and spins.

    Args:
        structures: what to put together.
        dtype: of the positions.
    """
    batch = MoleculeBatch.from_arrays(((s.numbers, s.positions) for s in structures), dtype)
    batch = batch.charged([s.charge for s in structures])
    lowest = batch.spin.tolist()
    spin = [low if s.spin is None else s.spin for s, low in zip(structures, lowest, strict=True)]
    return replace(batch, spin=torch.tensor(spin, dtype=torch.int64))


def to_structures(
    molecules: MoleculeBatch, kind: str, identities: Sequence[str]
) -> list[Structure]:
    """Return the molecules of a batch as structures, with their charges and spins.

    Args:
        molecules: the batch.
        kind: of all of them.
        identities: of each.
    """
    charges, spins = molecules.charge.tolist(), molecules.spin.tolist()
    return [
        Structure(numbers, positions, kind, identity, charge, spin)
        for (numbers, positions), identity, charge, spin in zip(
            molecules.arrays(), identities, charges, spins, strict=True
        )
    ]


def distances(positions: np.ndarray) -> np.ndarray:
    """Return ``(n, n)`` distances with infinity on the diagonal, Å."""
    out: np.ndarray = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(out, np.inf)
    return out


def guard_ratio(
    numbers: np.ndarray, positions: np.ndarray, new_number: int, new_position: np.ndarray
) -> float:
    """Return the smallest distance of a new atom, as a share of the sum of covalent radii."""
    radii = covalent_radii[numbers] + covalent_radii[new_number]
    return float((np.linalg.norm(positions - new_position, axis=-1) / radii).min())


def draw_direction(rng: np.random.Generator) -> np.ndarray:
    """Draw a unit vector, uniform on the sphere."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def draw_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation matrix, uniform over all."""
    from scipy.spatial.transform import Rotation

    matrix: np.ndarray = Rotation.random(rng=rng).as_matrix()
    return matrix


def find_bonds(structure: Structure) -> np.ndarray:
    """Return ``(n, n)`` bool: which atoms are close enough to be bonded."""
    radii = covalent_radii[structure.numbers]
    near: np.ndarray = distances(structure.positions) < _BONDED * (radii[:, None] + radii[None])
    return near


def draw_bond(structure: Structure, rng: np.random.Generator) -> tuple[int, int, np.ndarray] | None:
    """Draw a bond, and divide the molecule at it.

    Returns:
        The two atoms, and ``(n,)`` bool the atoms on the side of the first; None if there is no
        bond, or the one drawn is in a ring.
    """
    bonded = find_bonds(structure)
    pairs = np.argwhere(np.triu(bonded))
    if not len(pairs):
        return None
    i, j = pairs[rng.integers(len(pairs))].tolist()
    side = side_of_bond(bonded, i, j)
    return None if side is None else (i, j, side)


def side_of_bond(bonded: np.ndarray, i: int, j: int) -> np.ndarray | None:
    """Return ``(n,)`` bool: the atoms on the side of ``i``; None if the bond is in a ring.

    Args:
        bonded: ``(n, n)`` bool, which atoms are bonded.
        i: one atom of the bond.
        j: the other.
    """
    cut = bonded.copy()
    cut[i, j] = cut[j, i] = False
    side = np.zeros(len(bonded), dtype=bool)
    side[i] = True
    while True:  # grow along the remaining bonds; if that reaches j, the bond is in a ring
        grown = side | cut[side].any(0)
        if grown[j]:
            return None
        if (grown == side).all():
            return side
        side = grown
