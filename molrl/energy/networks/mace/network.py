"""A MACE with scalar features and harmonics up to l = 2, as few and as plain matrix products.

Batatia et al., NeurIPS 2022. It is the function that mace-torch's ``ScaleShiftMACE`` computes for
``hidden_irreps="Cx0e"``, ``max_ell=2``, ``correlation=3`` (a test holds it to that), in a tenth of
the kernels and of the memory traffic: radial functions are evaluated once a pair, sums over
neighbours are matrix products, and the symmetric contraction to a scalar is written out, for with
l up to 2 there are one, three and five invariants of degree 1, 2 and 3.
"""

import math
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from molrl.energy.networks.interface import Network, NetworkConfig, Prediction
from molrl.energy.networks.mace.graph import MaceGraph, sort_by_element
from molrl.energy.networks.mace.widening import DEGREES, widen
from molrl.molecules import MoleculeBatch

_SILU = 1.6791767923989418  # brings the second moment of silu(x), x normal, to 1; e3nn's digits
_N_INVARIANTS = (1, 3, 5)  # of degree 1, 2, 3


class MaceConfig(NetworkConfig):
    """The shape of a MACE.

    Attributes:
        elements: atomic numbers it knows, ascending.
        cutoff: Å.
        channels: scalar features of an atom.
        layers: message-passing layers.
        n_bessel: radial basis functions.
        envelope: power of the polynomial cutoff.
        radial_mlp: hidden sizes of the radial network.
        readout: hidden size of the last readout.
        avg_neighbors: normalises the sums over neighbours.
        scale: eV, multiplies the learned part of the energy.
    """

    architecture: Literal["mace"] = "mace"
    channels: int = Field(32, ge=1)
    layers: int = Field(2, ge=2, le=4)
    n_bessel: int = Field(8, ge=1)
    envelope: int = Field(5, ge=2)
    radial_mlp: tuple[int, ...] = (64, 64, 64)
    readout: int = Field(16, ge=1)
    avg_neighbors: float = Field(8.0, gt=0)
    scale: float = Field(1.0, gt=0)


class Mace(Network):
    """Interaction energies of molecules, randomly initialised, float32.

    The first layer has no self-connection and nothing is added at the end, so an isolated atom has
    exactly its own energy. Parameters are drawn from a unit normal distribution and normalised by
    their fan-in where they are used, as in e3nn.

    Args:
        config: the shape.
    """

    Config = MaceConfig
    config: MaceConfig

    def __init__(self, config: MaceConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.embedding = nn.Parameter(torch.randn(len(config.elements), channels))
        self.layers = nn.ModuleList(
            _Layer(config, first=index == 0) for index in range(config.layers)
        )
        self.readouts = nn.ParameterList(torch.randn(channels, 1) for _ in range(config.layers - 1))
        self.readout_in = nn.Parameter(torch.randn(channels, config.readout))
        self.readout_out = nn.Parameter(torch.randn(config.readout, 1))

    def graph(self, molecules: MoleculeBatch, dtype: torch.dtype) -> MaceGraph:
        """Return the graph, its atoms sorted by element; see :meth:`Network.graph`."""
        return sort_by_element(super().graph(molecules, dtype), len(self.config.elements))

    def forward(self, graph: MaceGraph) -> Prediction:  # type: ignore[override]  # of its own kind
        """Predict energies and features.

        The features are the invariant ones of each atom after each layer, side by side:
        ``(n_atoms, layers * channels)``.
        """
        config = self.config
        vectors = graph.vectors()
        lengths = vectors.norm(dim=-1, keepdim=True)
        basis = _bessel(lengths, config)
        harmonics = _slot_harmonics(vectors / lengths, graph)
        # (1 / sqrt(E): the normalisation of a product with a one-hot vector)
        features = _by_element(self.embedding, graph.counts) / len(config.elements) ** 0.5
        every, atom_energy = [], features.new_zeros(len(features), 1)
        for layer, readout in zip(self.layers, [*self.readouts, None], strict=True):
            features = layer(features, basis, harmonics, graph)
            every.append(features)
            atom_energy = atom_energy + self._read(features, readout)
        energy = vectors.new_zeros(graph.n_molecules)
        molecule = graph.molecule[graph.order]
        energy = energy.index_add(0, molecule, config.scale * atom_energy.squeeze(-1))
        unsorted = torch.empty_like(graph.order)
        unsorted[graph.order] = torch.arange(len(graph.order), device=graph.order.device)
        return Prediction(energy, torch.cat(every, dim=-1)[unsorted])

    def final_features(self, features: Tensor) -> Tensor:
        """Return the features ``(n_atoms, channels)`` after the last layer."""
        return features[:, -self.config.channels :]

    @torch.no_grad()
    def start_from(self, other: Network) -> None:
        """Take over the weights of a MACE of as many channels or fewer.

        Raises:
            InputError: if the two differ in more than that.
        """
        assert isinstance(other, Mace)
        narrower = other.config.channels < self.config.channels
        self.check_same(other, ("channels",) if narrower else ())
        widen(dict(self.named_parameters()), dict(other.named_parameters()), other.config.channels)

    def matrices(self) -> tuple[str, ...]:
        """Name the parameters that map features to features."""
        return tuple(
            name
            for name, _ in self.named_parameters()
            if name.startswith("layers.") and not name.endswith(".product")
        )

    def _read(self, features: Tensor, readout: Tensor | None) -> Tensor:
        if readout is not None:
            return features @ _scaled(readout)
        return _mlp(features, [self.readout_in, self.readout_out])


class _Layer(nn.Module):
    """Messages from the neighbours, their products, and a self-connection (not in the first).

    Args:
        config: of the network.
        first: whether it is the first layer, whose messages are mixed element by element instead.
    """

    def __init__(self, config: MaceConfig, first: bool) -> None:
        super().__init__()
        n_elements, channels = len(config.elements), config.channels
        self.config, self.first = config, first
        self.up = nn.Parameter(torch.randn(channels, channels))
        sizes = (config.n_bessel, *config.radial_mlp, DEGREES * channels)
        self.radial = nn.ParameterList(torch.randn(a, b) for a, b in pairwise(sizes))
        self.linear = nn.Parameter(torch.randn(DEGREES, channels, channels))
        skip = (
            (n_elements, DEGREES, channels, channels) if first else (n_elements, channels, channels)
        )
        self.skip = nn.Parameter(torch.randn(skip))
        self.product = nn.Parameter(
            torch.cat([torch.randn(n_elements, n, channels) / n for n in _N_INVARIANTS], dim=1)
        )
        self.mix = nn.Parameter(torch.randn(channels, channels))

    def forward(
        self, features: Tensor, basis: Tensor, harmonics: list[Tensor], graph: MaceGraph
    ) -> Tensor:
        """``(n_atoms, channels)`` features after the layer."""
        channels, n_elements = self.config.channels, len(self.config.elements)
        radial = _mlp(basis, list(self.radial)).view(-1, DEGREES, channels)
        sent = (features @ _scaled(self.up))[graph.slot_sender]
        linear = _scaled(self.linear) / self.config.avg_neighbors
        messages = []
        for degree in range(DEGREES):
            weighted = radial[:, degree][graph.slot_pair] * sent
            messages.append(harmonics[degree] @ weighted @ linear[degree])
        one_hot = (channels * n_elements) ** -0.5
        if self.first:
            messages = [
                _matmul_by_element(message, self.skip[:, degree] * one_hot, graph.counts)
                for degree, message in enumerate(messages)
            ]
        products = invariants(*messages)
        weights = _by_element(self.product, graph.counts)
        out = (products * weights).sum(1) @ _scaled(self.mix)
        if self.first:
            return out
        return out + _matmul_by_element(features, self.skip * one_hot, graph.counts)


def _bessel(lengths: Tensor, config: MaceConfig) -> Tensor:
    """``(n_pairs, n_bessel)``: Bessel functions times the polynomial cutoff.

    Eq. 7 and 8 of Gasteiger et al., ICLR 2020.
    """
    x, p = lengths / config.cutoff, config.envelope
    order = torch.arange(1, config.n_bessel + 1, dtype=lengths.dtype, device=lengths.device)
    waves = (2 / config.cutoff) ** 0.5 * torch.sin(order * math.pi * x) / lengths
    cut = x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))
    bessel: Tensor = waves * (1 - cut)
    return bessel


def _slot_harmonics(units: Tensor, graph: MaceGraph) -> list[Tensor]:
    """For each l ``(n_atoms, 2l + 1, n_slots)``, 0 in empty slots.

    Real harmonics in e3nn's order and component normalisation.
    """
    x, y, z = units.unbind(-1)
    first = 3**0.5 * units
    second = 5**0.5 * torch.stack(
        [
            3**0.5 * x * z,
            3**0.5 * x * y,
            y * y - 0.5 * (x * x + z * z),
            3**0.5 * y * z,
            3**0.5 / 2 * (z * z - x * x),
        ],
        dim=-1,
    )
    sign = graph.slot_sign.unsqueeze(-1)
    there = sign.abs()
    return [
        there.transpose(1, 2),
        (first[graph.slot_pair] * sign).transpose(1, 2),
        (second[graph.slot_pair] * there).transpose(1, 2),
    ]


def invariants(scalar: Tensor, vector: Tensor, tensor: Tensor) -> Tensor:
    """``(n_atoms, 9, channels)``: the invariants of degree 1, 2 and 3 of l = 0, 1, 2 features.

    With s the scalar, v the vector and T the symmetric traceless matrix that the l = 2 features
    are components of: s; s², |v|², |T|²; s³, s|v|², s|T|², vᵀTv, det T; each divided by its
    root mean square for normal features.

    Args:
        scalar: ``(n_atoms, 1, channels)``.
        vector: ``(n_atoms, 3, channels)``.
        tensor: ``(n_atoms, 5, channels)``.
    """
    s = scalar.squeeze(1)
    x, y, z = vector.unbind(1)
    half = 3**0.5 / 2
    xz, xy, yz = half * tensor[:, 0], half * tensor[:, 1], half * tensor[:, 3]
    yy, across = tensor[:, 2], half * tensor[:, 4]
    xx, zz = -0.5 * yy - across, -0.5 * yy + across
    v2, t2 = vector.square().sum(1), tensor.square().sum(1)
    vtv = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + xz * x * z + yz * y * z)
    det = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    s2 = s * s
    return torch.stack(
        [
            s,
            s2 / 3**0.5,
            v2 / 15**0.5,
            t2 / 35**0.5,
            s2 * s / 15**0.5,
            s * v2 / 15**0.5,
            s * t2 / 35**0.5,
            vtv / 15**0.5,
            det / 2.2**0.5,
        ],
        dim=1,
    )


def _mlp(x: Tensor, weights: list[Tensor]) -> Tensor:
    x = x @ _scaled(weights[0])
    for weight in weights[1:]:
        x = nn.functional.silu(x) @ (_scaled(weight) * _SILU)
    return x


def _scaled(weight: Tensor) -> Tensor:
    """A weight matrix over the square root of its fan-in."""
    scale: float = weight.shape[-2] ** 0.5
    return weight / scale


def _by_element(values: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Row ``e`` of the values for each atom of element ``e``, atoms sorted by element."""
    return torch.cat([row.expand(n, *row.shape) for row, n in zip(values, counts, strict=True)])


def _matmul_by_element(x: Tensor, weights: Tensor, counts: tuple[int, ...]) -> Tensor:
    """``x`` of each atom times the matrix of its element, atoms sorted by element."""
    parts = torch.split(x, list(counts))
    return torch.cat([part @ weight for part, weight in zip(parts, weights, strict=True)])
