"""A layer of a MACE."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from molrl.energy.networks.mace.config import MaceConfig
from molrl.energy.networks.mace.graph import MaceGraph
from molrl.energy.networks.mace.linear import by_element, matmul_by_element, mlp, scaled, silu
from molrl.energy.networks.mace.products import N_INVARIANTS, invariants
from molrl.energy.networks.mace.widening import DEGREES

UNIT = 5.0  # messages of a fitted network are about a fifth; products of them would be small


class AtomFeatures(NamedTuple):
    """The features of atoms between two layers, atoms sorted by element.

    Attributes:
        scalars: ``(n_atoms, channels)``.
        vectors: ``(n_atoms, 3, channels)``, the messages with l = 1 that they were made of.
        tensors: ``(n_atoms, 5, channels)``, those with l = 2.

    Example:
        >>> features = AtomFeatures(torch.zeros(2, 8), torch.zeros(2, 3, 8), torch.zeros(2, 5, 8))
    """

    scalars: Tensor
    vectors: Tensor
    tensors: Tensor


class Layer(nn.Module):
    """A layer: messages from neighbours, their products, and a self-connection.

    Args:
        config: the settings of the network.
        first: whether it is the first layer, which has no self-connection and mixes the messages
            by element instead.

    Example:
        >>> layer = Layer(MaceConfig(elements=(1, 8), channels=8), first=True)
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
            torch.cat([torch.randn(n_elements, n, channels) / n for n in N_INVARIANTS], dim=1)
        )
        self.mix = nn.Parameter(torch.randn(channels, channels))
        self.turned = None if first or not config.vector_channels else TurnedMessages(config)

    def forward(
        self, features: AtomFeatures, basis: Tensor, harmonics: list[Tensor], graph: MaceGraph
    ) -> AtomFeatures:
        """Return the features of atoms after the layer.

        Args:
            features: before the layer; the first layer reads their scalars only.
            basis: ``(n_pairs, n_bessel)``, radial basis functions.
            harmonics: of each slot, ``(n_atoms, 2l + 1, n_slots)`` for each l.
            graph: of the atoms.
        """
        channels, n_elements = self.config.channels, len(self.config.elements)
        hidden = silu(mlp(basis, list(self.radial)[:-1]))
        radial = (hidden @ scaled(self.radial[-1])).view(-1, DEGREES, channels)
        sent = (features.scalars @ scaled(self.up))[graph.slot_sender]
        linear = scaled(self.linear) / self.config.avg_neighbors
        messages = []
        for degree in range(DEGREES):
            weighted = radial[:, degree][graph.slot_pair] * sent
            messages.append(harmonics[degree] @ weighted @ linear[degree])
        one_hot = (channels * n_elements) ** -0.5
        if self.first:
            messages = [
                matmul_by_element(message, self.skip[:, degree] * one_hot, graph.counts)
                for degree, message in enumerate(messages)
            ]
        if self.turned is not None:
            messages = self.turned(messages, features, hidden, harmonics, graph)
        products = invariants(*messages)
        weights = by_element(self.product, graph.counts)
        out = (products * weights).sum(1) @ scaled(self.mix)
        if not self.first:
            skip = self.skip * one_hot
            out = out + matmul_by_element(features.scalars, skip, graph.counts)
        return AtomFeatures(out, messages[1], messages[2])


class TurnedMessages(nn.Module):
    """Messages that tell how a neighbour is turned: of its vectors u and tensors w, l = 1 and 2.

    With K channels and learnt radial functions R, atom i receives

        U = sum_j R(r_ij) u_j,  W = sum_j R(r_ij) w_j,
        X = sum_j R(r_ij) u_j . Y1(r_ij),  Z = sum_j R(r_ij) w_j . Y2(r_ij).

    U and W are added to its messages of the same degree, and X, Z, u_i . U and w_i . W, which tell
    the dihedral angle about the bond i-j, to its scalar message: paths of a MACE with the hidden
    features C x 0e + K x 1o + K x 2e (Batatia et al., NeurIPS 2022, Eq. 8). The last linear maps
    start at 0, so that a network fitted without these messages can go on with them.

    Args:
        config: the settings of the network.

    Example:
        >>> messages = TurnedMessages(MaceConfig(channels=8, vector_channels=4))
    """

    def __init__(self, config: MaceConfig) -> None:
        super().__init__()
        channels, k = config.channels, config.vector_channels
        self.avg_neighbors = config.avg_neighbors
        self.down = nn.Parameter(torch.randn(2, channels, k))
        self.radial = nn.Parameter(torch.randn(config.radial_mlp[-1], 4 * k))
        self.to_scalar = nn.Parameter(torch.zeros(4 * k, channels))
        self.to_vector = nn.Parameter(torch.zeros(k, channels))
        self.to_tensor = nn.Parameter(torch.zeros(k, channels))

    def forward(
        self,
        messages: list[Tensor],
        features: AtomFeatures,
        hidden: Tensor,
        harmonics: list[Tensor],
        graph: MaceGraph,
    ) -> list[Tensor]:
        """Return the messages with those of the neighbours' vectors and tensors added.

        Args:
            messages: ``(n_atoms, 2l + 1, channels)`` for each l.
            features: of the atoms.
            hidden: ``(n_pairs, n)``, last hidden layer of the radial network.
            harmonics: of each slot, ``(n_atoms, 2l + 1, n_slots)`` for each l.
            graph: of the atoms.
        """
        down = UNIT * scaled(self.down)
        u, w = features.vectors @ down[0], features.tensors @ down[1]
        # In padding, where there is no neighbour, the harmonic with l = 0 is 0, and 1 elsewhere.
        filled = harmonics[0].transpose(1, 2) / self.avg_neighbors**0.5
        radial = (hidden @ scaled(self.radial))[graph.slot_pair] * filled
        of_u, of_w, of_x, of_z = radial.chunk(4, dim=-1)
        u_sent, w_sent = u[graph.slot_sender], w[graph.slot_sender]  # (n_atoms, slots, 2l + 1, K)
        x = (u_sent * harmonics[1].transpose(1, 2).unsqueeze(-1)).sum(2)
        z = (w_sent * harmonics[2].transpose(1, 2).unsqueeze(-1)).sum(2)
        u_received = (of_u.unsqueeze(2) * u_sent).sum(1)
        w_received = (of_w.unsqueeze(2) * w_sent).sum(1)
        scalars = torch.cat(
            [
                (of_x * x).sum(1),
                (of_z * z).sum(1),
                (u * u_received).sum(1),
                (w * w_received).sum(1),
            ],
            dim=-1,
        )
        return [
            messages[0] + (scalars @ scaled(self.to_scalar)).unsqueeze(1),
            messages[1] + u_received @ scaled(self.to_vector),
            messages[2] + w_received @ scaled(self.to_tensor),
        ]
