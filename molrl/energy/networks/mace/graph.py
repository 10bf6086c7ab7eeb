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

    Attributes:
        elements: the same, as a tensor.
        cutoff: the same.
    """

    def __init__(self, elements: tuple[int, ...], cutoff: float) -> None:
        self.elements = torch.tensor(elements)
        self.cutoff = cutoff

    def __call__(self, molecules: MoleculeBatch, dtype: torch.dtype) -> Graph:
        """The graph; its positions are a copy of type ``dtype``."""
        positions = molecules.positions.detach().to(dtype, copy=True)
        element = torch.searchsorted(self.elements.to(positions.device), molecules.numbers)
        order = torch.argsort(element, stable=True)
        pairs = neighbor_pairs(positions, molecules.n_atoms, self.cutoff)
        row = torch.empty_like(order)
        row[order] = torch.arange(len(order), device=order.device)
        slot_pair, slot_sender, slot_sign = _slots(pairs, len(order), dtype)
        return Graph(
            positions=positions,
            order=order,
            counts=tuple(torch.bincount(element, minlength=len(self.elements)).tolist()),
            molecule=molecules.molecule[order],
            n_molecules=len(molecules),
            pairs=row[pairs],
            slot_pair=slot_pair[order],
            slot_sender=row[slot_sender][order],
            slot_sign=slot_sign[order],
        )


def _slots(pairs: Tensor, n_atoms: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Slots of each atom's neighbours: first those before it, then those after it.

    Args:
        pairs: ``(2, n_pairs)``, sorted by the second atom.
        n_atoms: how many.
        dtype: of the signs.
    """
    count = torch.arange(pairs.shape[1], device=pairs.device)
    by_lower = torch.argsort(pairs[0], stable=True)
    lower, upper = pairs[0][by_lower], pairs[1]
    n_before = torch.bincount(upper, minlength=n_atoms)
    n_after = torch.bincount(lower, minlength=n_atoms)
    width = int((n_before + n_after).max()) if n_atoms else 0
    before = count - (n_before.cumsum(0) - n_before)[upper]
    after = count - (n_after.cumsum(0) - n_after - n_before)[lower]
    # Flat, so that one index serves all.
    place = torch.cat([upper, lower]) * width + torch.cat([before, after])
    slot_pair, slot_sender = pairs.new_zeros(2, n_atoms * width)
    slot_pair[place] = torch.cat([count, by_lower])
    slot_sender[place] = torch.cat([pairs[0], upper[by_lower]])
    slot_sign = torch.zeros(n_atoms * width, dtype=dtype, device=pairs.device)
    slot_sign[place[: len(count)]] = 1
    slot_sign[place[len(count) :]] = -1
    shape = (n_atoms, width)
    return slot_pair.view(shape), slot_sender.view(shape), slot_sign.view(shape)
