"""Neighbour pairs of many molecules at once: tensors only, linear in the pairs of atoms."""

import torch
from torch import Tensor


def all_pairs(n_atoms: Tensor) -> Tensor:
    """All pairs of atoms of the same molecule, each once.

    Args:
        n_atoms: ``(n_molecules,)`` int64, atoms per molecule, zeros allowed.

    Returns:
        ``(2, n_pairs)`` int64: the atom that comes first, the other one; sorted by the other one,
        then by the first.
    """
    starts = torch.repeat_interleave(n_atoms.cumsum(0) - n_atoms, n_atoms)
    below = torch.arange(len(starts), device=n_atoms.device) - starts
    upper = torch.repeat_interleave(below)
    lower = torch.arange(len(upper), device=n_atoms.device)
    lower = lower - (below.cumsum(0) - below - starts)[upper]
    return torch.stack([lower, upper])


def neighbor_pairs(positions: Tensor, n_atoms: Tensor, cutoff: float) -> Tensor:
    """The pairs of atoms of the same molecule that are closer than the cutoff, each once.

    Args:
        positions: ``(n_atoms_total, 3)`` Å.
        n_atoms: ``(n_molecules,)`` int64.
        cutoff: Å.

    Returns:
        ``(2, n_pairs)`` int64, those of :func:`all_pairs`, in their order.
    """
    pairs = all_pairs(n_atoms)
    ends = positions[pairs]
    return pairs[:, (ends[1] - ends[0]).square().sum(-1) < cutoff**2]


def both_ways(pairs: Tensor) -> Tensor:
    """``(2, 2 n_pairs)`` int64, senders and receivers: each pair, then each the other way."""
    return torch.cat([pairs, pairs.flip(0)], dim=1)
