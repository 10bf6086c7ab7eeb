"""The input of a MACE: a graph sorted by element, with a padded neighbour list."""

from dataclasses import dataclass

import torch
from torch import Tensor

from molrl.energy.networks.interface import Graph


@dataclass(frozen=True)
class MaceGraph(Graph):
    """A graph with rows of atoms sorted by element, and a padded neighbour list.

    Sorted, the weights of an element apply to consecutive rows. Padded to the same number of slots
    for every atom, sums over neighbours are batched matrix products, which need no tensor of the
    size edges x features x harmonics.

    Attributes:
        order: ``(n_atoms,)`` int64; row i is atom ``order[i]`` of the batch.
        row: ``(n_atoms,)`` int64; atom i of the batch is in row ``row[i]``.
        counts: number of atoms of each element, in the network's order.
        slot_pair: ``(n_atoms, n_slots)`` int64, the pair of the neighbour in each slot; 0 in
            padding.
        slot_sender: ``(n_atoms, n_slots)`` int64, the row of the neighbour in each slot; the
            atom's own in padding.
        slot_sign: ``(n_atoms, n_slots)`` floating: 1 where the pair's vector points to the row's
            atom, -1 where it points away, 0 in padding.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.energy.networks.mace.network import Mace, MaceConfig
        >>> from molrl.molecules import MoleculeBatch
        >>> water = MoleculeBatch.from_ase(molecule("H2O"))
        >>> graph = Mace(MaceConfig(elements=(1, 8))).graph(water, torch.float32)
        >>> graph.order, graph.counts, graph.slot_pair.shape
        (tensor([1, 2, 0]), (2, 1), torch.Size([3, 2]))
    """

    order: Tensor
    row: Tensor
    counts: tuple[int, ...]
    slot_pair: Tensor
    slot_sender: Tensor
    slot_sign: Tensor


def sort_by_element(graph: Graph, n_elements: int) -> MaceGraph:
    """Sort the atoms of a graph by element, and pad its neighbour list, on its device.

    Args:
        graph: with pairs sorted by their second atom.
        n_elements: how many elements the network knows.
    """
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
        row=row,
        counts=tuple(torch.bincount(graph.element, minlength=n_elements).tolist()),
        slot_pair=slot_pair[order],
        slot_sender=row[slot_sender][order],
        slot_sign=slot_sign[order],
    )


def _slots(pairs: Tensor, n_atoms: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Build the padded neighbour list, with one row of slots per atom in the order of the batch.

    Each pair fills two slots: one of its second atom, whose neighbour is the first, and one of its
    first atom, whose neighbour is the second. A row holds the neighbours before the atom, then
    those after it, then padding. An atom that neighbours an image of itself is in both halves.

    Args:
        pairs: ``(2, n_pairs)`` int64, sorted by the second atom.
        n_atoms: how many atoms there are.
        dtype: of the signs.

    Returns:
        ``slot_pair``, ``slot_sender`` and ``slot_sign``, ``(n_atoms, n_slots)`` each.
    """
    # The column of a pair is its rank among the pairs of the same atom. A loop over atoms would be
    # slow on a GPU, so ranks come from sorting: in a list sorted by atom, a pair's rank is its
    # position minus that of the first pair of its atom, the cumulative count of those before.
    # Pairs come sorted by the second atom; for the first atoms they are sorted here.
    position = torch.arange(pairs.shape[1], device=pairs.device)
    by_first = torch.argsort(pairs[0], stable=True)
    first, second = pairs[0][by_first], pairs[1]
    n_before = torch.bincount(second, minlength=n_atoms)
    n_after = torch.bincount(first, minlength=n_atoms)
    width = int((n_before + n_after).max()) if n_atoms else 0
    before = position - (n_before.cumsum(0) - n_before)[second]
    after = position - (n_after.cumsum(0) - n_after - n_before)[first]  # behind those before
    # Flat indices of row and column: every slot is written once, so the scatter is deterministic.
    slot = torch.cat([second, first]) * width + torch.cat([before, after])
    slot_pair = pairs.new_zeros(n_atoms * width)
    slot_sender = torch.arange(n_atoms, device=pairs.device).repeat_interleave(width)
    slot_pair[slot] = torch.cat([position, by_first])
    slot_sender[slot] = torch.cat([pairs[0], second[by_first]])
    # A pair's vector points from its first to its second atom: to the row in the first half.
    slot_sign = torch.zeros(n_atoms * width, dtype=dtype, device=pairs.device)
    slot_sign[slot[: len(position)]] = 1
    slot_sign[slot[len(position) :]] = -1
    shape = (n_atoms, width)
    return slot_pair.view(shape), slot_sender.view(shape), slot_sign.view(shape)
