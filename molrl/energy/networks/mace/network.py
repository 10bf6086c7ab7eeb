"""MACE with scalar features and spherical harmonics up to l = 2, written as matrix products.

Batatia et al., NeurIPS 2022. It computes the same function as mace-torch's ``ScaleShiftMACE`` with
``hidden_irreps="Cx0e"``, ``max_ell=2`` and ``correlation=3``, as a test checks, with a tenth of the
kernels and of the memory traffic: radial functions are evaluated once per pair, sums over
neighbours are matrix products, and the symmetric contraction to a scalar is written out, because
for l up to 2 there are only one, three and five invariants of degree 1, 2 and 3.
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

# Normalises silu(x) to a second moment of 1 for normal x, with e3nn's digits.
_SILU = 1.6791767923989418
_N_INVARIANTS = (1, 3, 5)  # of degree 1, 2, 3


class MaceConfig(NetworkConfig):
    """The settings of a MACE.

    Attributes:
        elements: the atomic numbers it knows, ascending.
        cutoff: Å.
        channels: number of scalar features of an atom.
        layers: number of message-passing layers.
        n_bessel: number of radial basis functions.
        envelope: power of the polynomial cutoff.
        radial_mlp: hidden sizes of the radial network.
        readout: hidden size of the last readout.
        avg_neighbors: average number of neighbours, by which sums over them are divided.
        scale: eV, factor of the learnt energy.

    Example:
        >>> MaceConfig(elements=(1, 6, 8), channels=64).layers
        2
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
    """A MACE that predicts interaction energies, randomly initialised in float32.

    The first layer has no self-connection and no constant is added, so the interaction energy of an
    isolated atom is exactly 0. Parameters are drawn from a standard normal distribution and
    divided by the square root of their fan-in where they are used, as in e3nn.

    Args:
        config: the settings.

    Example:
        >>> from ase.build import molecule
        >>> network = Mace(MaceConfig(elements=(1, 8), channels=8))
        >>> graph = network.graph(MoleculeBatch.from_ase(molecule("H2O")), torch.float32)
        >>> network(graph).features.shape
        torch.Size([3, 16])
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
        """Build the graph, sorted by element and padded; see :meth:`Network.graph`."""
        return sort_by_element(super().graph(molecules, dtype), len(self.config.elements))

    def forward(self, graph: MaceGraph) -> Prediction:  # type: ignore[override]  # graph makes it
        """Predict energies and features.

        Args:
            graph: from :meth:`graph`.

        Returns:
            Interaction energies, and the features of each atom after each layer, concatenated:
            ``(n_atoms, layers * channels)``.
        """
        config = self.config
        vectors = graph.vectors()
        lengths = vectors.norm(dim=-1, keepdim=True)
        basis = _bessel(lengths, config)
        harmonics = _slot_harmonics(vectors / lengths, graph)
        # 1 / sqrt(E) is e3nn's normalisation of a product with a one-hot vector.
        features = _by_element(self.embedding, graph.counts) / len(config.elements) ** 0.5
        outputs, atom_energy = [], features.new_zeros(len(features), 1)
        for layer, readout in zip(self.layers, [*self.readouts, None], strict=True):
            features = layer(features, basis, harmonics, graph)
            outputs.append(features)
            atom_energy = atom_energy + self._read(features, readout)
        energy = vectors.new_zeros(graph.n_molecules)
        molecule = graph.molecule[graph.order]
        energy = energy.index_add(0, molecule, config.scale * atom_energy.squeeze(-1))
        unsorted = torch.empty_like(graph.order)
        unsorted[graph.order] = torch.arange(len(graph.order), device=graph.order.device)
        return Prediction(energy, torch.cat(outputs, dim=-1)[unsorted])

    def final_features(self, features: Tensor) -> Tensor:
        """Return the features after the last layer.

        Args:
            features: ``(n_atoms, layers * channels)``, from :meth:`forward`.

        Returns:
            ``(n_atoms, channels)``.
        """
        return features[:, -self.config.channels :]

    @torch.no_grad()
    def start_from(self, other: Network) -> None:
        """Copy the weights of a MACE with as many channels or fewer.

        Args:
            other: the MACE to copy from; with fewer channels see
                :func:`molrl.energy.networks.mace.widening.widen`.

        Raises:
            InputError: if the two differ in other settings.
        """
        narrower = isinstance(other, Mace) and other.config.channels < self.config.channels
        self.check_same(other, ("channels",) if narrower else ())
        assert isinstance(other, Mace)
        widen(dict(self.named_parameters()), dict(other.named_parameters()), other.config.channels)

    def matrices(self) -> tuple[str, ...]:
        """Return the names of the parameters that map features to features."""
        return tuple(
            name
            for name, _ in self.named_parameters()
            if name.startswith("layers.") and not name.endswith(".product")
        )

    def _read(self, features: Tensor, readout: Tensor | None) -> Tensor:
        """Read the energies of atoms from a layer: linearly, or in the last by an MLP."""
        if readout is not None:
            return features @ _scaled(readout)
        return _mlp(features, [self.readout_in, self.readout_out])


class _Layer(nn.Module):
    """A layer: messages from neighbours, their products, and a self-connection.

    Args:
        config: the settings of the network.
        first: whether it is the first layer, which has no self-connection and mixes the messages
            by element instead.
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
        """Return the features ``(n_atoms, channels)`` after the layer."""
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
    """Return Bessel functions times the polynomial cutoff, ``(n_pairs, n_bessel)``.

    Eq. 7 and 8 of Gasteiger et al., ICLR 2020.
    """
    x, p = lengths / config.cutoff, config.envelope
    order = torch.arange(1, config.n_bessel + 1, dtype=lengths.dtype, device=lengths.device)
    waves = (2 / config.cutoff) ** 0.5 * torch.sin(order * math.pi * x) / lengths
    cut = x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))
    bessel: Tensor = waves * (1 - cut)
    return bessel


def _slot_harmonics(units: Tensor, graph: MaceGraph) -> list[Tensor]:
    """Return the spherical harmonics of each slot, ``(n_atoms, 2l + 1, n_slots)`` for each l.

    They are real, in e3nn's order and component normalisation, and 0 in padding.
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
    # Evaluated once per pair: seen from the other atom, harmonics of odd l change their sign.
    sign = graph.slot_sign.unsqueeze(-1)
    filled = sign.abs()
    return [
        filled.transpose(1, 2),
        (first[graph.slot_pair] * sign).transpose(1, 2),
        (second[graph.slot_pair] * filled).transpose(1, 2),
    ]


def invariants(scalar: Tensor, vector: Tensor, tensor: Tensor) -> Tensor:
    """Compute the invariants of degree 1, 2 and 3 of features with l = 0, 1 and 2.

    With s the scalar, v the vector and T the symmetric traceless matrix of the l = 2 components,
    they are s; s², |v|², |T|²; s³, s|v|², s|T|², vᵀTv, det T; each divided by its root mean square
    for normal features.

    Args:
        scalar: ``(n_atoms, 1, channels)``.
        vector: ``(n_atoms, 3, channels)``.
        tensor: ``(n_atoms, 5, channels)``.

    Returns:
        ``(n_atoms, 9, channels)``, in the order above.
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
    """Apply a multilayer perceptron without biases, normalised as in e3nn."""
    x = x @ _scaled(weights[0])
    for weight in weights[1:]:
        x = nn.functional.silu(x) @ (_scaled(weight) * _SILU)
    return x


def _scaled(weight: Tensor) -> Tensor:
    """Divide a weight matrix by the square root of its fan-in."""
    scale: float = weight.shape[-2] ** 0.5
    return weight / scale


def _by_element(values: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Return row ``e`` of the values for each atom of element ``e``; atoms sorted by element."""
    return torch.cat([row.expand(n, *row.shape) for row, n in zip(values, counts, strict=True)])


def _matmul_by_element(x: Tensor, weights: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Multiply ``x`` of each atom by the matrix of its element; atoms sorted by element."""
    parts = torch.split(x, list(counts))
    return torch.cat([part @ weight for part, weight in zip(parts, weights, strict=True)])
