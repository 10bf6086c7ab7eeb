"""The graph that a MACE is evaluated on: atoms sorted by element, neighbours in slots."""

from dataclasses import dataclass

import torch
from torch import Tensor

from molrl.energy.networks.interface import Graph


@dataclass(frozen=True)
class MaceGraph(Graph):
    """A graph with atoms sorted by element, and their neighbours in slots of equal number.

    Weights that belong to an element are then applied to consecutive rows, and sums over
    neighbours are matrix products, so nothing of the size edges x features x harmonics is made.

    Attributes:
        order: ``(n_atoms,)`` int64; row i is atom ``order[i]`` of the batch.
        counts: how many atoms there are of each element, in the network's order.
        slot_pair: ``(n_atoms, n_slots)`` int64, the pair that a row's neighbour is reached by.
        slot_sender: ``(n_atoms, n_slots)`` int64, the row of the neighbour.
        slot_sign: ``(n_atoms, n_slots)``: 1 where the pair's vector points to the row, -1 where
            from it, 0 where the slot is empty.
    """

    order: Tensor
    counts: tuple[int, ...]
    slot_pair: Tensor
    slot_sender: Tensor
    slot_sign: Tensor


def sort_by_element(graph: Graph, n_elements: int) -> MaceGraph:
    """Sort the atoms of a graph and put their neighbours in slots, on its device."""
    order = torch.argsort(graph.element, stable=True)
    row = torch.empty_like(order)
    row[order] = torch.arange(len(order), device=order.device)
    slot_pair, slot_sender, slot_sign = _slots(graph.pairs, len(order), graph.positions.dtype)
    return MaceGraph(
        positions=graph.positions,
        element=graph.element,
        molecule=graph.molecule,
        n_molecules=graph.n_molecules,
        pairs=graph.pairs,
        shifts=graph.shifts,
        order=order,
        counts=tuple(torch.bincount(graph.element, minlength=n_elements).tolist()),
        slot_pair=slot_pair[order],
        slot_sender=row[slot_sender][order],
        slot_sign=slot_sign[order],
    )


def _slots(pairs: Tensor, n_atoms: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Put the neighbours of each atom in slots: first those before it, then those after it.

    An atom that neighbours an image of itself has it in two slots, from either side.

    Args:
        pairs: ``(2, n_pairs)``, sorted by the second atom.
        n_atoms: how many.
        dtype: of the signs.
    """
    # Pairs are sorted by the later atom, so that its place among the pairs of that atom is how far
    # it is from the first of them; sorted by the earlier atom, likewise for the other side.
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
