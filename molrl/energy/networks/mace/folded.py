"""A frozen MACE for inference: constants are multiplied out, and radial functions tabulated."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from molrl.energy.networks.interface import Network, Prediction
from molrl.energy.networks.mace.config import MaceConfig
from molrl.energy.networks.mace.folded_layer import (
    FirstLayer,
    LaterLayer,
    Slots,
    multiply_by_element,
)
from molrl.energy.networks.mace.graph import MaceGraph, sort_by_element
from molrl.energy.networks.mace.linear import scaled, silu
from molrl.energy.networks.mace.radial_table import Knots
from molrl.energy.networks.terms import bonded, covalent_radii
from molrl.molecules import MoleculeBatch


class FoldedMace(Network):
    """A frozen copy of a MACE that computes the same energies, charges and features faster.

    Matrices that are applied one after another are multiplied once, by element where they depend
    on it. The radial network is evaluated on a grid of lengths, once, and interpolated. Each slot
    of the neighbour list is evaluated by itself, so that nothing is gathered but what neighbours
    send. In padding the neighbour is beyond the cutoff, so that its messages are 0.

    Args:
        mace: the network, a :class:`~molrl.energy.networks.mace.network.Mace`; later changes of its
            weights have no effect.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.energy.networks.mace.network import Mace
        >>> network = FoldedMace(Mace(MaceConfig(elements=(1, 8), channels=8)))
        >>> graph = network.graph(MoleculeBatch.from_ase(molecule("H2O")), torch.float32)
        >>> network(graph).features.shape
        torch.Size([3, 16])
    """

    config: MaceConfig
    products_to_harmonics: Tensor
    radii: Tensor
    readout_out: Tensor
    nothing: Tensor
    mix0: Tensor

    def __init__(self, mace: Any) -> None:  # noqa: ANN401 - Mace, whose module imports this one
        super().__init__(mace.config)
        config, like = mace.config, mace.embedding
        self.predicts_charges = config.charges
        self.knots = Knots(config.cutoff)
        exact = copy.deepcopy(mace).to("cpu", torch.float64).requires_grad_(False)
        first, *later = exact.layers
        embedding = exact.embedding / len(config.elements) ** 0.5
        self.layers = nn.ModuleList(
            [FirstLayer(first, embedding, self.knots), *(LaterLayer(x, self.knots) for x in later)]
        )
        self.register_buffer("products_to_harmonics", _products_to_harmonics())
        self.register_buffer("radii", torch.tensor(covalent_radii(config.elements)).double())
        self.register_buffer("readout_out", config.scale * scaled(exact.readout_out))
        self.register_buffer("nothing", torch.zeros(1, dtype=torch.float64))
        for i, (layer, after) in enumerate(zip(exact.layers, _after(exact), strict=True)):
            self.register_buffer(f"mix{i}", scaled(layer.mix))
            self.register_buffer(f"after{i}", after)
        self.to(like.device, like.dtype).requires_grad_(False).eval()

    def graph(self, molecules: MoleculeBatch, dtype: torch.dtype) -> MaceGraph:
        """Build the graph, sorted by element and padded; see :meth:`Network.graph`."""
        return sort_by_element(super().graph(molecules, dtype), len(self.config.elements))

    def forward(self, graph: MaceGraph) -> Prediction:  # type: ignore[override]  # graph makes it
        """Predict energies and features, as :meth:`Mace.forward` does.

        Args:
            graph: from :meth:`graph`.
        """
        config, channels = self.config, self.config.channels
        slots, lengths = self._slots(graph)
        features, carried, skip, read = [], None, self.nothing, self.nothing
        for i, layer in enumerate(self.layers):
            messages, products = layer(carried, slots)
            features.append(torch.addmm(skip, products, getattr(self, f"mix{i}")))
            after = getattr(self, f"after{i}")
            if i < config.layers - 1:
                found = multiply_by_element(features[-1], after, slots.counts)
                sent, skip, more = torch.split(found, [channels, channels, 2], dim=-1)
                later = self.layers[i + 1]
                assert isinstance(later, LaterLayer)
                carried = later.carried(sent, messages)
                read = read + more
        found = features[-1] @ after
        site = silu(found[:, :-1]) @ self.readout_out + read[:, :1]
        outputs = [*features, site]
        if config.charges:
            outputs.append(self._charges(read[:, 1] + found[:, -1], lengths, slots))
        of_atoms = torch.cat(outputs, dim=-1).index_select(0, graph.row)
        n = config.layers * channels
        site_energy = of_atoms[:, n]
        energy = site_energy.new_zeros(graph.n_molecules).index_add(0, graph.molecule, site_energy)
        charges = of_atoms[:, n + 1] if config.charges else None
        return Prediction(energy, of_atoms[:, :n], site_energy=site_energy, charges=charges)

    def first_features(self, graph: MaceGraph, core: float = 0.0) -> Tensor:  # type: ignore[override]  # graph makes it
        """Return ``(n_atoms, channels)``, without evaluating later layers.

        Args:
            graph: from :meth:`graph`.
            core: Å, the distance from which on the radial functions are constant.
        """
        slots, _ = self._slots(graph, core)
        _, products = self.layers[0](None, slots)
        return torch.addmm(self.nothing, products, self.mix0).index_select(0, graph.row)

    def final_features(self, features: Tensor) -> Tensor:
        """Return the features after the last layer; see :meth:`Mace.final_features`."""
        return features[:, -self.config.channels :]

    def _slots(self, graph: MaceGraph, core: float = 0.0) -> tuple[Slots, Tensor]:
        """Return what layers need of the neighbours, and the length of each slot."""
        sender = graph.slot_sender.flatten()
        positions = graph.positions.index_select(0, graph.order)
        senders = positions.index_select(0, sender).view(*graph.slot_sender.shape, 3)
        vectors = positions.unsqueeze(1) - senders
        sign = graph.slot_sign.unsqueeze(-1)
        if graph.shifts is not None:
            vectors = vectors + sign * graph.shifts[graph.slot_pair]
        vectors = torch.where(sign == 0, 2 * self.config.cutoff, vectors)
        lengths = vectors.norm(dim=-1)
        # All products of two of 1, x, y and z; the harmonics with l up to 2 are sums of them.
        units = nn.functional.pad(vectors / lengths.unsqueeze(-1), (1, 0), value=1.0)
        products = (units.unsqueeze(-1) * units.unsqueeze(-2)).flatten(-2)
        harmonics = (products @ self.products_to_harmonics).transpose(1, 2).contiguous()
        element = graph.element.index_select(0, graph.order)
        of_radial = lengths.clamp(min=core) if core else lengths
        rows, place = self.knots(of_radial.flatten())
        return Slots(sender, element, graph.counts, rows, place, harmonics), lengths

    def _charges(self, potential: Tensor, lengths: Tensor, slots: Slots) -> Tensor:
        """Let charge flow along bonds, ``(n_atoms, 1)``; none flows in padding, to itself."""
        per_atom = torch.stack([potential, self.radii.index_select(0, slots.element)], dim=-1)
        of_sender = per_atom.index_select(0, slots.sender).view(*lengths.shape, 2)
        share = bonded(lengths, per_atom[:, 1:] + of_sender[..., 1])
        return (share * (of_sender[..., 0] - per_atom[:, :1])).sum(1, keepdim=True)


def _after(mace: Any) -> list[Tensor]:  # noqa: ANN401 - Mace, whose module imports this one
    """Return what features are multiplied by after each layer.

    Returns:
        For each layer but the last, ``(n_elements, channels, 2 channels + n)`` by element: what is
        sent, the self-connection of the next layer, the energy and, if any, the potential that
        charge flows by; for the last, ``(channels, readout + 1)``: the hidden layer of the readout
        and the potential, which is 0 without charges.
    """
    config = mace.config
    n_elements, channels = len(config.elements), config.channels
    potential = mace.readout_in.new_zeros(config.layers, channels, 1)
    if config.charges:
        potential = scaled(mace.charge_readout).view(config.layers, channels, 1)
    found = []
    for i, readout in enumerate(mace.readouts):
        layer = mace.layers[i + 1]
        skip = layer.skip * (channels * n_elements) ** -0.5
        same = [scaled(layer.up), config.scale * scaled(readout), potential[i]]
        up, energy, charge = (x.expand(n_elements, *x.shape) for x in same)
        found.append(torch.cat([up, skip, energy, charge], dim=-1))
    return [*found, torch.cat([scaled(mace.readout_in), potential[-1]], dim=-1)]


def _products_to_harmonics() -> Tensor:
    """Return the matrix from products of 1, x, y and z to harmonics, ``(16, 9)`` float64.

    In e3nn's order and component normalisation, as in
    :func:`molrl.energy.networks.mace.products.slot_harmonics`.
    """
    one, x, y, z = range(4)
    matrix = torch.zeros(4, 4, 9, dtype=torch.float64)
    matrix[one, one, 0] = 1
    for component, axis in enumerate((x, y, z), start=1):
        matrix[one, axis, component] = 3**0.5
    for component, (a, b) in {4: (x, z), 5: (x, y), 7: (y, z)}.items():
        matrix[a, b, component] = 15**0.5
    for a, factor in ((x, -0.5), (y, 1.0), (z, -0.5)):
        matrix[a, a, 6] = 5**0.5 * factor
    matrix[z, z, 8], matrix[x, x, 8] = 15**0.5 / 2, -(15**0.5) / 2
    return matrix.flatten(0, 1)
