"""Encoder of molecules that is covariant under rotation, reflection and permutation."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from molrl.agents.sphere import harmonics, lebedev
from molrl.molecules import MoleculeBatch
from molrl.neighbors import both_ways, neighbor_pairs

MAX_NUMBER = 118


def mlp(n_in: int, n_hidden: int, n_out: int) -> nn.Sequential:
    """Return two linear layers with a SiLU between them."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.SiLU(), nn.Linear(n_hidden, n_out))


class Encoder(nn.Module):
    r"""Message-passing network on features of natural parity: scalars and spherical functions.

    An atom has ``scalars (n_atoms_total, width)`` and ``features (n_atoms_total,
    (degree + 1)^2, channels)``: per channel the coefficients of a function on the sphere, that is
    irreps ``channels x (0e + 1o + 2e + ...)``. A layer

    1. sends messages :math:`\phi(s_j) W(r_{ij})` times :math:`Y_{lm}(\hat r_{ij})`, and times the
       sender's own features, over all pairs within the cutoff;
    2. multiplies functions pointwise on the sphere (a Gaunt product: Luo, Chen and
       Krishnapriyan, ICLR 2024), exactly, on a Lebedev grid, which couples degrees as
       Clebsch-Gordan products of natural parity do;
    3. updates the scalars from the invariants of the result.

    Every term conserves parity, so the encoder is covariant under reflections too. The bag is added
    to the initial scalars. The cost is proportional to the number of pairs of atoms.

    Args:
        width: number of scalars per atom, and size of the embedding of the bag.
        channels: number of features per degree.
        degree: highest degree l.
        layers: number of message-passing layers.
        cutoff: Å.
        n_radial: number of radial basis functions.
    """

    def __init__(
        self, width: int, channels: int, degree: int, layers: int, cutoff: float, n_radial: int = 16
    ) -> None:
        super().__init__()
        self.degree, self.cutoff, self.channels = degree, cutoff, channels
        self.n_radial = n_radial
        self.element = nn.Embedding(MAX_NUMBER + 1, width)
        self.bag = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            Layer(width, channels, degree, n_radial, first=i == 0) for i in range(layers)
        )

    def forward(
        self,
        molecules: MoleculeBatch,
        bag: Tensor,
        more_scalars: Tensor | None = None,
        more_features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode molecules and the embeddings of their bags.

        Args:
            molecules: positions in float32.
            bag: ``(n_molecules, width)``.
            more_scalars: as ``scalars``, of what the atoms see besides each other; None: nothing.
            more_features: as ``features``, likewise.

        Returns:
            ``scalars (n_atoms_total, width)`` and ``features (n_atoms_total, (degree + 1)^2,
            channels)``.
        """
        positions = molecules.positions
        edges = both_ways(neighbor_pairs(positions, molecules.n_atoms, self.cutoff))
        vectors = positions[edges[0]] - positions[edges[1]]
        lengths = vectors.norm(dim=-1)
        radial = radial_basis(lengths, self.cutoff, self.n_radial)
        angular = harmonics(vectors, self.degree)
        scalars = self.element(molecules.numbers) + self.bag(bag).index_select(
            0, molecules.molecule
        )
        features = positions.new_zeros(len(positions), (self.degree + 1) ** 2, self.channels)
        if more_scalars is not None:
            scalars = scalars + more_scalars
        if more_features is not None:
            features = features + more_features
        for layer in self.layers:
            scalars, features = layer(scalars, features, edges, radial, angular)
        return scalars, features


class Layer(nn.Module):
    """Layer of :class:`Encoder`.

    Args:
        width: number of scalars per atom.
        channels: number of features per degree.
        degree: highest degree l.
        n_radial: number of radial basis functions.
        first: whether it is the first layer, whose messages have no features of the senders.
    """

    def __init__(
        self, width: int, channels: int, degree: int, n_radial: int, *, first: bool
    ) -> None:
        super().__init__()
        self.width, self.channels, self.degree = width, channels, degree
        self.first = first
        per_degree = channels * (degree + 1)
        self.sizes = [width, per_degree] if first else [width, per_degree, per_degree]
        self.filter = nn.Linear(n_radial, sum(self.sizes))
        self.sender = mlp(width, width, sum(self.sizes))
        self.norm = nn.LayerNorm(width)
        self.gaunt = Gaunt(channels, degree)
        self.update = mlp(2 * width + channels * (degree + 2), width, width)
        self.gate = nn.Linear(width, per_degree)
        self.degree_of: Tensor
        self.register_buffer("degree_of", degree_index(degree), persistent=False)

    def forward(
        self, scalars: Tensor, features: Tensor, edges: Tensor, radial: Tensor, angular: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the updated scalars and features; see :class:`Encoder`.

        Args:
            scalars: ``(n_atoms_total, width)``.
            features: ``(n_atoms_total, (degree + 1)^2, channels)``.
            edges: ``(2, n_edges)``, senders and receivers.
            radial: ``(n_edges, n_radial)``.
            angular: ``(n_edges, (degree + 1)^2)``.
        """
        sender, receiver = edges
        message = self.sender(self.norm(scalars)).index_select(0, sender) * self.filter(radial)
        # an atom has a few neighbours: the factor 0.5 keeps the sums near unit variance
        parts = (0.5 * message).split(self.sizes, dim=-1)
        gathered = torch.zeros_like(scalars).index_add_(0, receiver, parts[0])
        by_degree = torch.split(features, [2 * each + 1 for each in range(self.degree + 1)], dim=1)
        features = torch.cat(
            [
                values.index_add(0, receiver, self._moved(degree, parts, values, angular, sender))
                for degree, values in enumerate(by_degree)
            ],
            dim=1,
        )
        product, invariants = self.gaunt(features)
        scalars = scalars + self.update(
            torch.cat([scalars, gathered, invariants.flatten(1)], dim=-1)
        )
        features = features + product * self._by_degree(self.gate(scalars))
        return scalars, features

    def _moved(
        self, degree: int, parts: Sequence[Tensor], values: Tensor, angular: Tensor, sender: Tensor
    ) -> Tensor:
        """Return the messages of one degree, ``(n_edges, 2l + 1, channels)``.

        Degree by degree, so that no weight is repeated for each order m: the time is that of the
        memory.
        """
        orders = slice(degree**2, (degree + 1) ** 2)
        own = slice(degree * self.channels, (degree + 1) * self.channels)
        moved = angular[:, orders, None] * parts[1][:, None, own]
        if self.first:
            return moved
        return torch.addcmul(moved, values.index_select(0, sender), parts[2][:, None, own])

    def _by_degree(self, values: Tensor) -> Tensor:
        """Repeat ``(n, (degree + 1) * channels)`` to ``(n, (degree + 1)^2, channels)``."""
        by_degree = values.view(len(values), self.degree + 1, self.channels)
        return by_degree.index_select(1, self.degree_of)


class Gaunt(nn.Module):
    """Pointwise product of two linear maps of spherical functions, and its invariants.

    Args:
        channels: number of functions per atom.
        degree: highest degree of the factors, and of the product, which is truncated.
    """

    def __init__(self, channels: int, degree: int) -> None:
        super().__init__()
        self.left = DegreeLinear(channels, channels, degree)
        self.right = DegreeLinear(channels, channels, degree)
        self.out = DegreeLinear(channels, channels, degree)
        # exact: both factors and the harmonic they are projected on have degree ``degree`` at most
        points, weights = lebedev(_order(3 * degree))
        table = harmonics(points, degree)
        norms = 2 * degree_index(degree) + 1
        self.to_grid: Tensor
        self.from_grid: Tensor
        self.register_buffer("to_grid", table.float(), persistent=False)
        self.register_buffer(
            "from_grid", (table * weights[:, None] * norms).T.float().contiguous(), persistent=False
        )
        self.degree_of: Tensor
        self.register_buffer("degree_of", degree_index(degree), persistent=False)
        self.degree = degree

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the product and the invariants.

        Args:
            features: ``(n, (degree + 1)^2, channels)``.

        Returns:
            The product, of the shape of ``features``, and invariants ``(n, degree + 2, channels)``:
            the mean of each function, and the inner product of the two factors in each degree.
        """
        left, right = self.left(features), self.right(features)
        product = self.from_grid @ ((self.to_grid @ left) * (self.to_grid @ right))
        power = left.new_zeros(len(left), self.degree + 1, left.shape[-1])
        power = power.index_add(1, self.degree_of, left * right)
        return self.out(product), torch.cat([features[:, :1], power], dim=1)


class DegreeLinear(nn.Module):
    """Linear map of channels, one for each degree, as ``e3nn.o3.Linear`` on natural parity.

    Args:
        n_in: number of input channels.
        n_out: number of output channels.
        degree: highest degree l.
    """

    def __init__(self, n_in: int, n_out: int, degree: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(degree + 1, n_in, n_out) / math.sqrt(n_in))
        self.degree_of: Tensor
        self.register_buffer("degree_of", degree_index(degree), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(n, (degree + 1)^2, n_in)`` to ``(n, (degree + 1)^2, n_out)``."""
        weight = self.weight[self.degree_of]
        return torch.bmm(features.transpose(0, 1), weight).transpose(0, 1)


def degree_index(degree: int) -> Tensor:
    """Return the degree l of each of the ``(degree + 1)^2`` coefficients, int64."""
    ls = torch.arange(degree + 1)
    return torch.repeat_interleave(ls, 2 * ls + 1)


def radial_basis(lengths: Tensor, cutoff: float, n: int) -> Tensor:
    """Return Bessel functions that go smoothly to 0 at the cutoff (Gasteiger et al. 2020).

    Args:
        lengths: ``(n_edges,)`` Å, positive.
        cutoff: Å.
        n: number of functions.

    Returns:
        ``(n_edges, n)``.
    """
    k = torch.arange(1, n + 1, device=lengths.device) * (math.pi / cutoff)
    x = lengths / cutoff
    envelope = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5
    return torch.sin(k * lengths[:, None]) / lengths[:, None] * envelope[:, None]


def _order(degree: int) -> int:
    """Return the smallest Lebedev order that is exact to ``degree``; all orders to 31 are odd."""
    return max(3, degree + 1 - degree % 2)
