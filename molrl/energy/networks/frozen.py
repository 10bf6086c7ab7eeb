"""A potential for inference, with its constants for pairs of elements computed once."""

from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from typing import Self

import torch
from torch import Tensor

from molrl.energy.networks.interface import Graph, PairList
from molrl.energy.networks.potential import Potential
from molrl.energy.networks.repulsion import pair_constants, pair_repulsion
from molrl.energy.networks.terms import (
    bonded,
    covalent_radii,
    overcoordination,
    pair_dispersion,
    smeared_coulomb,
    switch,
)


@dataclass(frozen=True)
class FrozenPotential(Potential):
    """A potential that computes the same energies faster, with its network's form for inference.

    The physical energies share one list of pairs, and one look-up of what the elements of each
    pair determine.

    Example:
        >>> from molrl.energy.networks.config import parse_network
        >>> from molrl.energy.networks.interface import build_network
        >>> network = build_network(parse_network({"elements": [1, 8], "channels": 8}), seed=0)
        >>> frozen = FrozenPotential.of(Potential(network, atomic_energies=(-10.7, -103.1)))
        >>> frozen.constants.shape
        torch.Size([5, 4])
    """

    @classmethod
    def of(cls, potential: Potential) -> Self:
        """Freeze a potential.

        Args:
            potential: on its device; later changes of its weights have no effect.
        """
        values = {f.name: getattr(potential, f.name) for f in fields(potential)}
        frozen = cls(**values | {"network": potential.network.for_inference()})
        # Computed here, because tensors made in inference mode cannot take part in a gradient.
        assert frozen.constants.device == frozen.limits.device == frozen.lowest.device
        return frozen

    @cached_property
    def constants(self) -> Tensor:
        """``(5, n_elements²)`` float32, on the network's device, by the elements of a pair.

        The two constants of the repulsion, the sum of covalent radii, and the C6 and sum of radii
        of the dispersion; 0, or 1 for radii, where the potential has none.
        """
        n = len(self.config.elements)
        first, second = torch.cartesian_prod(torch.arange(n), torch.arange(n)).T

        def pairs_of(rows: tuple[tuple[float, float], ...]) -> Tensor:
            table = torch.tensor(rows or ((0.0, 1.0),) * n, dtype=torch.float64)
            return torch.stack([table[first], table[second]])

        radius = torch.tensor(covalent_radii(self.config.elements), dtype=torch.float64)
        c6, far_radius = pairs_of(self.dispersion).unbind(-1)
        found = [
            *(pair_constants(pairs_of(self.repulsion)) if self.repulsion else far_radius * 0),
            radius[first] + radius[second],
            c6.prod(0).sqrt(),
            far_radius.sum(0),
        ]
        return torch.stack(found).float().to(self._device)

    @cached_property
    def limits(self) -> Tensor:
        """``(n_elements,)`` float32, the bond limits."""
        return torch.tensor(self.bond_limits, dtype=torch.float32, device=self._device)

    @cached_property
    def lowest(self) -> Tensor:
        """``(n_elements,)`` float32 eV, the energies from which on those of atoms saturate."""
        return torch.tensor(self.lowest_site, dtype=torch.float32, device=self._device)

    def _lowest(self, graph: Graph) -> Tensor:
        return self.lowest.index_select(0, graph.element)

    @property
    def _device(self) -> torch.device:
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next(tensors, torch.empty(0)).device

    def _physical(
        self, graph: Graph, charges: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        if not (self.repulsion or self.bond_limits or graph.far):
            return None, None
        near = PairList(graph.pairs, graph.shifts)
        ends = (graph.far or near).pairs.flatten()
        lengths = (graph.far or near).lengths(graph.positions)
        first, second = graph.element.index_select(0, ends).view(2, -1)
        kind = first * len(self.config.elements) + second
        exponent, charge, bond, c6, radius = self.constants.index_select(1, kind).unbind(0)
        energy, electric = torch.zeros_like(lengths), None
        if graph.far is not None:
            share = switch(lengths)
            if self.dispersion:
                energy = pair_dispersion(lengths, c6, radius) * share
            if charges is not None:
                first_charge, second_charge = charges.index_select(0, ends).view(2, -1)
                electric = first_charge * second_charge * smeared_coulomb(lengths) * share
        if self.repulsion:
            energy = energy + pair_repulsion(lengths, exponent, charge)
        bonds = bonded(lengths, bond) * (lengths < self.config.cutoff)
        columns = [0.5 * energy, bonds] + ([] if electric is None else [0.5 * electric])
        of_pairs = torch.stack(columns, dim=-1).repeat(2, 1)
        of_atoms = of_pairs.new_zeros(len(graph.positions), len(columns))
        site, n_bonds, *sums = of_atoms.index_add(0, ends, of_pairs).unbind(-1)
        if self.bond_limits:
            limits = self.limits.index_select(0, graph.element)
            site = site + overcoordination(n_bonds, limits)
        return (sums[0] if sums else None), site
