"""Neighbour pairs of many molecules or crystals at once, with periodic shifts.

Small molecules go through tensor operations alone, on their own device: all pairs are listed, and
those within the cutoff kept. Periodic structures and large ones go through matscipy's cell lists,
one by one, in time linear in their atoms.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

_LARGE = 400  # atoms; from here on a cell list is faster than all pairs, and needs far less memory


@dataclass(frozen=True)
class Neighbors:
    """The pairs of atoms of the same molecule within a cutoff, each once.

    In a periodic cell an atom pairs with each image of another, and of itself, that is near.

    Attributes:
        pairs: ``(2, n_pairs)`` int64: the atom that comes first, the other one; sorted by the other
            one, then by the first.
        images: ``(n_pairs, 3)`` in the cell's floating type: the whole numbers of cell vectors by
            which the other atom is away from where it stands; None where nothing is periodic.
        n_pairs: ``(n_molecules,)`` int64.
    """

    pairs: Tensor
    images: Tensor | None
    n_pairs: Tensor

    def shifts(self, cell: Tensor) -> Tensor | None:
        """Return how far the other atom of each pair is moved.

        Args:
            cell: ``(n_molecules, 3, 3)`` Å, rows are cell vectors.

        Returns:
            ``(n_pairs, 3)`` Å, or None where nothing is periodic.
        """
        if self.images is None:
            return None
        of_pair = torch.repeat_interleave(cell, self.n_pairs, dim=0)
        return (self.images[:, None] @ of_pair).squeeze(1)

    def take(self, molecules: slice, starts: Tensor) -> Self:
        """Return those of consecutive molecules, their atoms counted from 0.

        Args:
            molecules: a slice of step 1.
            starts: ``(n_molecules,)`` int64, where each molecule's atoms begin, of all molecules.
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
        positions: ``(n_atoms_total, 3)`` Å.
        n_atoms: ``(n_molecules,)`` int64.
        cutoff: Å; of a periodic structure, may be larger than its cell.
        cell: ``(n_molecules, 3, 3)`` Å, rows are cell vectors.
        pbc: ``(n_molecules, 3)`` bool, along which of them the structure is repeated.

    Example:
        >>> molecules = MoleculeBatch.from_ase(ase.build.bulk("Cu"))
        >>> find_neighbors(
        ...     molecules.positions, molecules.n_atoms, 3.0, molecules.cell, molecules.pbc
        ... )
    """
    periodic = pbc is not None and bool(pbc.any())
    if not periodic and not (len(n_atoms) and int(n_atoms.max()) >= _LARGE):
        pairs = all_pairs(n_atoms)
        ends = positions[pairs]
        near = (ends[1] - ends[0]).square().sum(-1) < cutoff**2
        pairs = pairs[:, near]
        return Neighbors(pairs, None, _count(pairs, n_atoms))
    if cell is None or pbc is None:
        cell, pbc = positions.new_zeros(len(n_atoms), 3, 3), n_atoms.new_zeros(len(n_atoms), 3)
    return _one_by_one(positions, n_atoms, cutoff, cell, pbc, periodic)


def neighbor_pairs(positions: Tensor, n_atoms: Tensor, cutoff: float) -> Tensor:
    """Return the ``(2, n_pairs)`` pairs of :func:`find_neighbors`, of what is not periodic."""
    return find_neighbors(positions, n_atoms, cutoff).pairs


def all_pairs(n_atoms: Tensor) -> Tensor:
    """List all pairs of atoms of the same molecule, each once.

    Args:
        n_atoms: ``(n_molecules,)`` int64, atoms per molecule, zeros allowed.

    Returns:
        ``(2, n_pairs)`` int64: the atom that comes first, the other one; sorted by the other one,
        then by the first.
    """
    starts = torch.repeat_interleave(n_atoms.cumsum(0) - n_atoms, n_atoms)
    # Atom b of its molecule is the other one of b pairs, with atoms 0 to b - 1.
    below = torch.arange(len(starts), device=n_atoms.device) - starts
    upper = torch.repeat_interleave(below)
    lower = torch.arange(len(upper), device=n_atoms.device)
    lower = lower - (below.cumsum(0) - below - starts)[upper]
    return torch.stack([lower, upper])


def both_ways(pairs: Tensor) -> Tensor:
    """``(2, 2 n_pairs)`` int64, senders and receivers: each pair, then each the other way."""
    return torch.cat([pairs, pairs.flip(0)], dim=1)


def _count(pairs: Tensor, n_atoms: Tensor) -> Tensor:
    molecule = torch.repeat_interleave(n_atoms)
    return torch.bincount(molecule[pairs[1]], minlength=len(n_atoms))


def _one_by_one(
    positions: Tensor, n_atoms: Tensor, cutoff: float, cell: Tensor, pbc: Tensor, periodic: bool
) -> Neighbors:
    """:func:`find_neighbors` by cell lists, on the CPU."""
    ends = np.cumsum(n_atoms.cpu().numpy())[:-1]
    structures = zip(
        np.split(positions.detach().cpu().double().numpy(), ends),
        cell.cpu().double().numpy(),
        pbc.cpu().numpy().astype(bool),
        strict=True,
    )
    pairs, images, counts, start = [], [], [], 0
    for places, vectors, repeated in structures:
        found, shifts = _search(places, cutoff, vectors, repeated)
        pairs.append(found + start)
        images.append(shifts)
        counts.append(len(shifts))
        start += len(places)
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
    """``pairs (2, n_pairs)`` int64 and ``images (n_pairs, 3)`` of one structure, each pair once."""
    from matscipy.neighbours import neighbour_list

    if not len(positions):
        return np.zeros((2, 0), np.int64), np.zeros((0, 3))
    vectors = _complete(cell, pbc, positions)
    first, second, images = neighbour_list(
        "ijS", positions=positions, cell=vectors, pbc=pbc, cutoff=float(cutoff),
        cell_origin=None if pbc.any() else positions.min(0) - 0.5,
    )  # fmt: skip
    # It lists each pair both ways. Kept is the one whose first atom comes first; of an atom and an
    # image of itself, the one whose first shift that is not zero is positive.
    kept = (first < second) | ((first == second) & (_leading_sign(images) > 0))
    first, second, images = first[kept], second[kept], images[kept]
    order = np.lexsort((*images.T[::-1], first, second))
    return np.stack([first, second]).astype(np.int64)[:, order], images[order].astype(float)


def _leading_sign(images: np.ndarray) -> np.ndarray:
    """``(n,)``: the sign of the first entry of each row that is not 0."""
    at = (images != 0).argmax(1)
    signs: np.ndarray = np.sign(images[np.arange(len(images)), at])
    return signs


def _complete(cell: np.ndarray, pbc: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The cell with vectors along which nothing is repeated replaced by some that hold all atoms.

    They are at right angles to the others; no image lies along them, so that any will do.
    """
    vectors = np.where(pbc[:, None], cell, 0.0)
    basis = np.linalg.svd(vectors)[2]  # the last rows span what the periodic vectors do not
    extent = np.ptp(positions, axis=0).max() + 1.0
    for row, direction in zip(np.flatnonzero(~pbc), basis[int(pbc.sum()) :], strict=True):
        vectors[row] = direction * (np.linalg.norm(np.ptp(positions, axis=0)) + extent)
    return vectors
