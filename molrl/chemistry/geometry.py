"""How far two geometries of the same atoms are from each other."""

import torch
from torch import Tensor

from molrl.molecules import MoleculeBatch


def rmsd(first: MoleculeBatch, second: MoleculeBatch) -> Tensor:
    """Root-mean-square distance of corresponding atoms after the best rigid motion.

    All atoms count alike, hydrogens too, in the order they have; mirror images are not
    superposed (Kabsch, Acta Cryst. A 34, 827 (1978)).

    Args:
        first: n molecules.
        second: the same atoms elsewhere.

    Returns:
        ``(n,)`` float64, Å; 0 without atoms.

    Raises:
        ValueError: if the atoms are not the same.
    """
    same = torch.equal(first.n_atoms, second.n_atoms)
    if not same or not bool((first.numbers == second.numbers).all()):
        raise ValueError("rmsd compares geometries of the same atoms")
    x, y = _centred(first), _centred(second)
    left, _, right = torch.linalg.svd(first.sum_atoms(x[:, :, None] * y[:, None, :]))
    right[:, 2] *= torch.linalg.det(left @ right).sign()[:, None]  # a rotation, no reflection
    turned = torch.einsum("ij,ijk->ik", x, (left @ right)[first.molecule])
    # Not to turn is a rigid motion too, and leaves nothing of what did not move.
    squares = torch.minimum(*(first.sum_atoms((z - y).square().sum(-1)) for z in (turned, x)))
    distances: Tensor = (squares / first.n_atoms.clamp(min=1)).sqrt()
    return distances


def _centred(molecules: MoleculeBatch) -> Tensor:
    positions = molecules.positions.detach().double()
    middle = molecules.sum_atoms(positions) / molecules.n_atoms.clamp(min=1)[:, None]
    return positions - middle[molecules.molecule]
