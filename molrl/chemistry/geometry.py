"""Distances between geometries of the same atoms, and the rotation between two vectors."""

import numpy as np
import torch
from torch import Tensor

from molrl.molecules import MoleculeBatch


def rmsd(first: MoleculeBatch, second: MoleculeBatch) -> Tensor:
    """Return the root-mean-square distance of corresponding atoms after optimal superposition.

    All atoms have the same weight, hydrogens included, and keep their order; the superposition
    does not mirror (Kabsch, Acta Cryst. A 34, 827 (1978)).

    Args:
        first: n molecules.
        second: the same atoms in the same order, at other positions.

    Returns:
        ``(n,)`` float64, Å; 0 for a molecule without atoms.

    Raises:
        ValueError: if the atoms differ.

    Example:
        >>> rmsd(molecules, relaxed)  # doctest: +SKIP
        tensor([0.0312, 0.1043], dtype=torch.float64)
    """
    same = torch.equal(first.n_atoms, second.n_atoms)
    if not same or not bool((first.numbers == second.numbers).all()):
        raise ValueError("rmsd compares geometries of the same atoms")
    x, y = _centred(first), _centred(second)
    left, _, right = torch.linalg.svd(first.sum_atoms(x[:, :, None] * y[:, None, :]))
    right[:, 2] *= torch.linalg.det(left @ right).sign()[:, None]  # a proper rotation
    turned = torch.einsum("ij,ijk->ik", x, (left @ right)[first.molecule])
    # The smaller of the distances with and without the rotation, so that a molecule that did not
    # move has exactly 0 and not the rounding error of the rotation.
    squares = torch.minimum(*(first.sum_atoms((z - y).square().sum(-1)) for z in (turned, x)))
    distances: Tensor = (squares / first.n_atoms.clamp(min=1)).sqrt()
    return distances


def align(vector: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the rotation that turns one unit vector into another by the least angle.

    Args:
        vector: ``(3,)``.
        target: ``(3,)``.

    Returns:
        ``(3, 3)`` float64; half a turn about any perpendicular axis for opposite vectors.
    """
    cosine = float(vector @ target)
    if cosine < -1 + 1e-9:
        side = np.eye(3)[np.abs(vector).argmin()]
        axis = np.cross(vector, side)
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    # Rodrigues' formula with the unnormalised axis, whose length is the sine of the angle.
    axis = np.cross(vector, target)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation: np.ndarray = np.eye(3) + cross + cross @ cross / (1 + cosine)
    return rotation


def _centred(molecules: MoleculeBatch) -> Tensor:
    positions = molecules.positions.detach().double()
    middle = molecules.sum_atoms(positions) / molecules.n_atoms.clamp(min=1)[:, None]
    return positions - middle[molecules.molecule]
