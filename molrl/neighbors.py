"""Neighbour pairs of many molecules at once: tensors only, linear in the pairs present."""

import torch
from torch import Tensor


def all_pairs(n_atoms: Tensor) -> Tensor:
    """All ordered pairs of distinct atoms of the same molecule.

    Args:
        n_atoms: ``(n_molecules,)`` int64, atoms per molecule, zeros allowed.

    Returns:
        ``(2, n_pairs)`` int64: senders, then receivers, sorted by receiver.
    """
    per_atom = torch.repeat_interleave(n_atoms, n_atoms)
    receivers = torch.repeat_interleave(per_atom)
    molecule_start = torch.repeat_interleave(n_atoms.cumsum(0) - n_atoms, n_atoms)
    pair_start = per_atom.cumsum(0) - per_atom
    rank = torch.arange(len(receivers), device=n_atoms.device) - pair_start[receivers]
    senders = molecule_start[receivers] + rank
    distinct = senders != receivers
    return torch.stack([senders[distinct], receivers[distinct]])


def neighbor_pairs(positions: Tensor, n_atoms: Tensor, cutoff: float) -> Tensor:
    """The ordered pairs of atoms of the same molecule that are closer than the cutoff.

    Args:
        positions: ``(n_atoms_total, 3)`` Å.
        n_atoms: ``(n_molecules,)`` int64.
        cutoff: Å.

    Returns:
        ``(2, n_pairs)`` int64: senders, then receivers, sorted by receiver.
    """
    pairs = all_pairs(n_atoms)
    vectors = positions[pairs[1]] - positions[pairs[0]]
    return pairs[:, vectors.square().sum(-1) < cutoff**2]
