"""Neighbour lists of many molecules or crystals at once, with periodic shifts.

Small molecules are searched by tensor operations on their own device: all pairs are listed, and
those within the cutoff are kept. Periodic structures and large ones are searched one by one with
matscipy's cell lists on the CPU, in time linear in the number of atoms.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

_BIN = 2.5  # Å, the least width of the bins of a cell list
_LARGE = 400  # atoms; from here on cell lists are faster than all pairs and need far less memory


@dataclass(frozen=True)
class Neighbors:
    """The pairs of atoms of the same molecule within a cutoff, each listed once.

    In a periodic structure an atom pairs with every image of another atom, and of itself, that is
    within the cutoff.

    Attributes:
        pairs: ``(2, n_pairs)`` int64, indices of the first and the second atom of each pair, the
            first never greater than the second; sorted by the second, then by the first.
        images: ``(n_pairs, 3)`` in the cell's floating type, the periodic image of the second atom
            as integer multiples of the cell vectors; None where nothing is periodic.
        n_pairs: ``(n_molecules,)`` int64, how many pairs each molecule has.

    Example:
        >>> positions = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 3]])
        >>> find_neighbors(positions, torch.tensor([3]), cutoff=2.5).pairs
        tensor([[0, 1],
                [1, 2]])
    """

    pairs: Tensor
    images: Tensor | None
    n_pairs: Tensor

    def shifts(self, cell: Tensor) -> Tensor | None:
        """Return the vector from the second atom of each pair to its image within the cutoff.

        Args:
            cell: ``(n_molecules, 3, 3)`` Å, rows are cell vectors.

        Returns:
            ``(n_pairs, 3)`` Å, to add to the second atom's position; None where nothing is
            periodic.
        """
        if self.images is None:
            return None
        of_pair = torch.repeat_interleave(cell, self.n_pairs, dim=0)
        return (self.images[:, None] @ of_pair).squeeze(1)

    def select(self, kept: Tensor) -> Self:
        """Return some of the pairs, in the same order.

        Args:
            kept: ``(n_pairs,)`` bool.
        """
        index = kept.nonzero().squeeze(1)
        # The pairs of a molecule are consecutive: count those kept before the end of each.
        ends = torch.searchsorted(index, self.n_pairs.cumsum(0))
        return replace(
            self,
            pairs=self.pairs.index_select(1, index),
            images=None if self.images is None else self.images.index_select(0, index),
            n_pairs=torch.diff(ends, prepend=ends.new_zeros(1)),
        )

    def take(self, molecules: slice, starts: Tensor) -> Self:
        """Return the pairs of consecutive molecules, with atoms numbered from 0.

        Args:
            molecules: a slice of step 1.
            starts: ``(n_molecules,)`` int64, index of each molecule's first atom, for all
                molecules.
        """
        first, end, _ = molecules.indices(len(self.n_pairs))
        if (first, end) == (0, len(self.n_pairs)):
            return self
        begin = int(self.n_pairs[:first].sum())
        part = slice(begin, begin + int(self.n_pairs[first:end].sum()))
        images = None if self.images is None else self.images[part]
        offset = starts[first] if first < end else 0
        return replace(
            self, pairs=self.pairs[:, part] - offset, images=images, n_pairs=self.n_pairs[first:end]
        )


def find_neighbors(
    positions: Tensor,
    n_atoms: Tensor,
    cutoff: float,
    cell: Tensor | None = None,
    pbc: Tensor | None = None,
) -> Neighbors:
    """List the pairs of atoms of the same molecule that are closer than the cutoff.

    Args:
        positions: ``(n_atoms_total, 3)`` floating, Å.
        n_atoms: ``(n_molecules,)`` int64, atoms per molecule.
        cutoff: Å; may be larger than a periodic cell.
        cell: ``(n_molecules, 3, 3)`` Å, rows are cell vectors; None where nothing is periodic.
        pbc: ``(n_molecules, 3)`` bool, whether each structure is periodic along each cell vector;
            None where nothing is periodic.

    Returns:
        The pairs, on the device of ``positions``.

    Example:
        >>> from ase.build import bulk
        >>> from molrl.molecules import MoleculeBatch
        >>> copper = MoleculeBatch.from_ase(bulk("Cu", a=3.6))  # one atom in the cell
        >>> found = find_neighbors(copper.positions, copper.n_atoms, 3.0, copper.cell, copper.pbc)
        >>> found.n_pairs, found.shifts(copper.cell).norm(dim=-1).max().round(decimals=3)
        (tensor([6]), tensor(2.5460, dtype=torch.float64))
    """
    periodic = pbc is not None and bool(pbc.any())
    if not periodic and not (len(n_atoms) and int(n_atoms.max()) >= _LARGE):
        pairs = all_pairs(n_atoms)
        ends = positions.index_select(0, pairs.flatten()).view(2, -1, 3)
        near = (ends[1] - ends[0]).square().sum(-1) < cutoff**2
        every = Neighbors(pairs, None, n_atoms * (n_atoms - 1) // 2)
        return every.select(near)
    if cell is None or pbc is None:
        cell, pbc = positions.new_zeros(len(n_atoms), 3, 3), n_atoms.new_zeros(len(n_atoms), 3)
    return _one_by_one(positions, n_atoms, cutoff, cell, pbc, periodic)


def neighbor_pairs(positions: Tensor, n_atoms: Tensor, cutoff: float) -> Tensor:
    """Return the pairs of :func:`find_neighbors` for molecules that are not periodic.

    Args:
        positions: ``(n_atoms_total, 3)`` floating, Å.
        n_atoms: ``(n_molecules,)`` int64, atoms per molecule.
        cutoff: Å.

    Returns:
        ``(2, n_pairs)`` int64, as :attr:`Neighbors.pairs`.
    """
    return find_neighbors(positions, n_atoms, cutoff).pairs


def all_pairs(n_atoms: Tensor) -> Tensor:
    """List all pairs of atoms of the same molecule, each once.

    Args:
        n_atoms: ``(n_molecules,)`` int64, atoms per molecule, zeros allowed.

    Returns:
        ``(2, n_pairs)`` int64, as :attr:`Neighbors.pairs`.

    Example:
        >>> all_pairs(torch.tensor([3, 1, 2]))
        tensor([[0, 0, 1, 4],
                [1, 2, 2, 5]])
    """
    starts = torch.repeat_interleave(n_atoms.cumsum(0) - n_atoms, n_atoms)
    # In closed form, because a mask of all atoms with all atoms would grow with the square of the
    # batch, and a loop over molecules would start many small kernels. The atom with index b in its
    # molecule is the second of b pairs, with the atoms 0 to b - 1 of the molecule as the first.
    below = torch.arange(len(starts), device=n_atoms.device) - starts
    second = torch.repeat_interleave(below)
    first = torch.arange(len(second), device=n_atoms.device)
    # A pair's number, less that of the second atom's first pair, counts the first atoms from 0.
    first = first - (below.cumsum(0) - below - starts)[second]
    return torch.stack([first, second])


def both_ways(pairs: Tensor) -> Tensor:
    """Return directed edges in both directions of each pair.

    Args:
        pairs: ``(2, n_pairs)`` int64.

    Returns:
        ``(2, 2 n_pairs)`` int64, senders and receivers: the pairs, then the same pairs reversed.
    """
    return torch.cat([pairs, pairs.flip(0)], dim=1)


def _one_by_one(
    positions: Tensor, n_atoms: Tensor, cutoff: float, cell: Tensor, pbc: Tensor, periodic: bool
) -> Neighbors:
    """Find neighbours with cell lists, structure by structure, on the CPU."""
    ends = np.cumsum(n_atoms.cpu().numpy())[:-1]
    structures = zip(
        np.split(positions.detach().cpu().double().numpy(), ends),
        cell.cpu().double().numpy(),
        pbc.cpu().numpy().astype(bool),
        strict=True,
    )
    pairs, images, counts, start = [], [], [], 0
    for coordinates, vectors, repeated in structures:
        found, offsets = _search(coordinates, cutoff, vectors, repeated)
        pairs.append(found + start)
        images.append(offsets)
        counts.append(len(offsets))
        start += len(coordinates)
    device = positions.device
    shifted = torch.from_numpy(np.concatenate(images)).to(device, cell.dtype) if periodic else None
    return Neighbors(
        torch.from_numpy(np.concatenate(pairs, axis=1)).to(device),
        shifted,
        torch.tensor(counts, device=device),
    )


def _search(
    positions: np.ndarray, cutoff: float, cell: np.ndarray, pbc: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``pairs (2, n_pairs)`` int64 and ``images (n_pairs, 3)`` float64 of one structure."""
    from matscipy.neighbours import neighbour_list

    if not len(positions):
        return np.zeros((2, 0), np.int64), np.zeros((0, 3))
    vectors = _complete(cell, pbc, positions)
    # Cell lists cost memory and time for each bin, which are as wide as the cutoff: with a short
    # cutoff in a large or empty cell they are many. Then the search goes further than asked.
    volume = abs(np.linalg.det(vectors))
    reach = max(cutoff, _BIN, (volume / (64 * len(positions) + 1000)) ** (1 / 3))
    # Without periodicity the cell must hold all atoms, so that its origin moves below the lowest.
    first, second, images = neighbour_list(
        "ijS", positions=positions, cell=vectors, pbc=pbc, cutoff=float(reach),
        cell_origin=None if pbc.any() else positions.min(0) - 0.5,
    )  # fmt: skip
    # matscipy lists each pair in both directions, and consumers expect it once. Keep the direction
    # from the lower to the higher index. An atom and an image of itself have equal indices, and
    # the images of the two directions are opposite: keep the one whose leading entry is positive.
    kept = (first < second) | ((first == second) & (_leading_sign(images) > 0))
    if reach > cutoff:
        steps = positions[second] - positions[first] + images @ vectors
        kept &= np.square(steps).sum(1) < cutoff**2
    first, second, images = first[kept], second[kept], images[kept]
    # The order of the dense search, which networks rely on, made unique by the images.
    order = np.lexsort((*images.T[::-1], first, second))
    return np.stack([first, second]).astype(np.int64)[:, order], images[order].astype(float)


def _leading_sign(images: np.ndarray) -> np.ndarray:
    """Return ``(n,)``, the sign of the first entry that is not 0 of each row ``(n, 3)``."""
    at = (images != 0).argmax(1)  # the first True
    signs: np.ndarray = np.sign(images[np.arange(len(images)), at])
    return signs


def _complete(cell: np.ndarray, pbc: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return a full cell ``(3, 3)`` in Å for a structure periodic along some or no vectors.

    matscipy needs three independent vectors, also where the structure has fewer or where those of
    directions that are not periodic are zero. Vectors that are not periodic are replaced by
    orthogonal ones that are long enough to hold all atoms; as no image lies along them, their
    direction does not matter.
    """
    vectors = np.where(pbc[:, None], cell, 0.0)
    basis = np.linalg.svd(vectors)[2]  # its last rows span the complement of the periodic vectors
    extent = np.ptp(positions, axis=0).max() + 1.0
    for row, direction in zip(np.flatnonzero(~pbc), basis[int(pbc.sum()) :], strict=True):
        vectors[row] = direction * (np.linalg.norm(np.ptp(positions, axis=0)) + extent)
    return vectors
