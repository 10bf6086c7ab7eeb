"""Descriptors that need no data: random mixtures of elements and radial functions.

Tensor-reduced atomic density representations (Darby et al., Phys. Rev. Lett. 131, 028001 (2023)):
instead of one density for each element, there are K densities in each of which all elements have
random weights, so that the size does not depend on the number of elements, and products are taken
within each density only.
"""

import numpy as np
import torch
from torch import Tensor

from molrl.energy.networks.mace.products import bessel, harmonics, invariants
from molrl.molecules import MoleculeBatch
from molrl.neighbors import both_ways

_ENVELOPE = 5  # power of the polynomial cutoff
_N_BESSEL = 8
_AVERAGE = 8.0  # neighbours, by which sums over them are divided
_OWN = 0.5  # weight of an atom's own element


class TensorReducedDescriptors:
    """Invariants of order 1, 2 and 3 of K densities of an atom's neighbours, with l up to 2.

    Args:
        n_densities: K; there are ten descriptors for each.
        cutoff: Å.
        core: Å; atoms that are closer count as being at this distance.
        seed: of the random weights.
        dtype: floating type of the computation.
        device: the device to compute on.

    Example:
        >>> from ase.build import molecule
        >>> batch = MoleculeBatch.from_ase(molecule("C6H6"))
        >>> TensorReducedDescriptors(n_densities=16)(batch).shape
        torch.Size([12, 160])
    """

    def __init__(
        self,
        n_densities: int = 16,
        cutoff: float = 5.0,
        core: float = 0.75,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        self.elements = tuple(range(1, 119))
        self.device, self._dtype = torch.empty(0, device=device).device, dtype
        self._cutoff, self._core = cutoff, core
        rng = np.random.default_rng(seed)
        drawn = [rng.normal(size=(rows, n_densities)) for rows in (119, 119, _N_BESSEL)]
        weights = [torch.from_numpy(x).to(self.device, dtype) for x in drawn]
        self._of_sender, self._of_own, self._of_radial = weights

    def __call__(self, molecules: MoleculeBatch, positions: Tensor | None = None) -> Tensor:
        """Compute ``(n_atoms_total, 10 K)``; see :class:`Descriptors`."""
        x = (molecules.positions if positions is None else positions).to(self._dtype)
        neighbors = molecules.neighbors(self._cutoff)
        receiver, sender = both_ways(neighbors.pairs)
        vectors = x[sender] - x[receiver]
        shifts = neighbors.shifts(molecules.cell)
        if shifts is not None:
            vectors = vectors + torch.cat([shifts, -shifts]).to(self._dtype)
        lengths = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        seen = lengths.clamp(min=self._core)
        basis = bessel(seen, self._cutoff, _N_BESSEL, _ENVELOPE)
        weights = basis @ self._of_radial * self._of_sender[molecules.numbers[sender]]
        first, second = harmonics(vectors / lengths)
        every = torch.cat([torch.ones_like(lengths), first, second], dim=-1)
        of_pairs = every.unsqueeze(-1) * weights.unsqueeze(1) / _AVERAGE**0.5
        nothing = of_pairs.new_zeros(len(x), *of_pairs.shape[1:])
        density = nothing.index_add(0, receiver, of_pairs)
        found = invariants(density[:, :1], density[:, 1:4], density[:, 4:])
        own = _OWN * self._of_own[molecules.numbers]
        # Products of many neighbours have long tails, which would rule distances.
        return torch.cat([torch.asinh(found).flatten(1), own], dim=-1)
