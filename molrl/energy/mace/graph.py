"""Molecules as the flat graph that a MACE of ours is evaluated on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from molrl.molecules import MoleculeBatch
from molrl.neighbors import neighbor_pairs


@dataclass(frozen=True)
class Graph:
    """Atoms sorted by element, and their neighbours in slots.

    Weights that belong to an element are then applied to consecutive rows, and sums over
    neighbours are matrix products, so nothing of the size edges x features x harmonics is made.

    Attributes:
        positions: ``(n_atoms, 3)`` Å, in the order of the batch; may take a gradient.
        order: ``(n_atoms,)`` int64; row i of the graph is atom ``order[i]`` of the batch.
        counts: how many atoms there are of each element, in the network's order.
        molecule: ``(n_atoms,)`` int64, of each row.
        n_molecules: how many.
        pairs: ``(2, n_pairs)`` int64 rows, each unordered pair within the cutoff once.
        slot_pair: ``(n_atoms, n_slots)`` int64, the pair that a row's neighbour is reached by.
        slot_sender: ``(n_atoms, n_slots)`` int64, the row of the neighbour.
        slot_sign: ``(n_atoms, n_slots)``: 1 where the pair's vector points to the row, -1 where
            from it, 0 where the slot is empty.
    """

    positions: Tensor
    order: Tensor
    counts: tuple[int, ...]
    molecule: Tensor
    n_molecules: int
    pairs: Tensor
    slot_pair: Tensor
    slot_sender: Tensor
    slot_sign: Tensor


class Batcher:
    """Makes the :class:`Graph` of a batch: tensors only, on the batch's device.

    Args:
        elements: the network's atomic numbers, ascending.
        cutoff: Å.
    """

    def __init__(self, elements: tuple[int, ...], cutoff: float) -> None:
        self.cutoff = cutoff
        self._elements = torch.tensor(elements)

    def __call__(self, molecules: MoleculeBatch, dtype: torch.dtype) -> Graph:
        """The graph; its positions are a copy of type ``dtype``."""
        positions = molecules.positions.detach().to(dtype, copy=True)
        element = torch.searchsorted(self._elements.to(positions.device), molecules.numbers)
        order = torch.argsort(element, stable=True)
        edges = neighbor_pairs(positions, molecules.n_atoms, self.cutoff)
        row = torch.empty_like(order)
        row[order] = torch.arange(len(order), device=order.device)
        slot_pair, slot_sender, slot_sign, pairs = _slots(edges, len(order), dtype)
        return Graph(
            positions=positions,
            order=order,
            counts=tuple(torch.bincount(element, minlength=len(self._elements)).tolist()),
            molecule=molecules.molecule[order],
            n_molecules=len(molecules),
            pairs=row[pairs],
            slot_pair=slot_pair[order],
            slot_sender=row[slot_sender][order],
            slot_sign=slot_sign[order],
        )


def _slots(
    edges: Tensor, n_atoms: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Slots of each atom's neighbours, and the unordered pairs, of edges sorted by receiver."""
    sender, receiver = edges
    half = sender < receiver
    pairs = edges[:, half]
    # The pairs are sorted by their larger atom, then by their smaller one, and so are these keys.
    keys = pairs[1] * n_atoms + pairs[0]
    low, high = torch.minimum(sender, receiver), torch.maximum(sender, receiver)
    pair = torch.searchsorted(keys, high * n_atoms + low)
    degree = torch.bincount(receiver, minlength=n_atoms)
    rank = torch.arange(len(receiver), device=edges.device) - (degree.cumsum(0) - degree)[receiver]
    width = int(degree.max()) if n_atoms else 0
    slot_pair = edges.new_zeros(n_atoms, width)
    slot_sender = edges.new_zeros(n_atoms, width)
    slot_sign = torch.zeros(n_atoms, width, dtype=dtype, device=edges.device)
    slot_pair[receiver, rank] = pair
    slot_sender[receiver, rank] = sender
    slot_sign[receiver, rank] = half.to(dtype) * 2 - 1
    return slot_pair, slot_sender, slot_sign, pairs
