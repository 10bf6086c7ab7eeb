"""Encoder of molecules that is covariant under rotation, reflection and permutation."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from molrl.agents.networks.grid_product import GridProduct
from molrl.agents.networks.messages import Messages
from molrl.agents.networks.sphere import harmonics, lebedev
from molrl.molecules import MoleculeBatch
from molrl.neighbors import both_ways, neighbor_pairs

MAX_NUMBER = 118
N_RADIAL = 16  # radial basis functions, of distances between atoms and to points
_LARGEST = 300.0  # root mean square of an atom's features; of trained networks it is below 100


def mlp(n_in: int, n_hidden: int, n_out: int) -> nn.Sequential:
    """Return two linear layers with a SiLU between them."""
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.SiLU(), nn.Linear(n_hidden, n_out))


def bound(features: Tensor) -> Tensor:
    """Scale down the features of atoms where they are large, and leave all others as they are.

    Layers multiply features, so that one canvas unlike all others could overflow, and end a
    training. One factor for an atom keeps its features covariant.

    Args:
        features: ``(n, ...)``, of n atoms.
    """
    flat = features.flatten(1)
    largest = _LARGEST * math.sqrt(flat.shape[1])
    size: Tensor = torch.linalg.vector_norm(flat, dim=1)
    factor = largest / size.clamp(min=largest)
    return features * factor.view(-1, *[1] * (features.dim() - 1))


@dataclass(frozen=True)
class Functions:
    """Spherical functions of n atoms, to which the last product is still to be added.

    Attributes:
        features: ``(n, (degree + 1)^2, channels)``.
        left: of the same shape, the first factor of the product.
        right: of the same shape, the second factor.
    """

    features: Tensor
    left: Tensor
    right: Tensor

    def select(self, atoms: Tensor) -> "Functions":
        """Return the functions of some atoms.

        Args:
            atoms: int64, their indices.
        """
        left, right = self.left.index_select(0, atoms), self.right.index_select(0, atoms)
        return Functions(self.features.index_select(0, atoms), left, right)


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

    Every term conserves parity, so the encoder is covariant under reflections too. Very large
    scalars and final features are scaled down (:func:`bound`). The bag is added to the initial
    scalars. The cost is proportional to the number of pairs of atoms. The features after the last
    layer are computed by :meth:`features`, for the atoms that need them.

    Args:
        width: number of scalars per atom, and size of the embedding of the bag.
        channels: number of features per degree.
        degree: highest degree l.
        layers: number of message-passing layers.
        cutoff: Å.
    """

    def __init__(self, width: int, channels: int, degree: int, layers: int, cutoff: float) -> None:
        super().__init__()
        self.degree, self.cutoff, self.channels = degree, cutoff, channels
        self.element = nn.Embedding(MAX_NUMBER + 1, width)
        self.bag = nn.Linear(width, width)
        self.layers = nn.ModuleList(
            Layer(width, channels, degree, first=i == 0) for i in range(layers)
        )
        self.parity: Tensor
        self.register_buffer("parity", 1.0 - 2 * (degree_index(degree) % 2), persistent=False)

    def forward(
        self,
        molecules: MoleculeBatch,
        bag: Tensor,
        more_scalars: Tensor | None = None,
        more_features: Tensor | None = None,
    ) -> tuple[Tensor, Functions]:
        """Encode molecules and the embeddings of their bags.

        Args:
            molecules: positions in float32.
            bag: ``(n_molecules, width)``.
            more_scalars: as ``scalars``, of what the atoms see besides each other; None: nothing.
            more_features: as ``features``, likewise.

        Returns:
            ``scalars (n_atoms_total, width)``, and what :meth:`features` takes.
        """
        positions = molecules.positions
        pairs = neighbor_pairs(positions, molecules.n_atoms, self.cutoff)
        edges = both_ways(pairs)
        vectors = positions.index_select(0, pairs[0]) - positions.index_select(0, pairs[1])
        radial = radial_basis(vectors.norm(dim=-1), self.cutoff, N_RADIAL)
        one_way = harmonics(vectors, self.degree)
        angular = torch.cat([one_way, one_way * self.parity])
        scalars = self.element(molecules.numbers) + self.bag(bag).index_select(
            0, molecules.molecule
        )
        features = positions.new_zeros(len(positions), (self.degree + 1) ** 2, self.channels)
        if more_scalars is not None:
            scalars = scalars + more_scalars
        if more_features is not None:
            features = features + more_features
        first, *others = self._layers()
        scalars, functions = first(scalars, features, edges, radial, angular)
        before = first
        for layer in others:
            features = before.couple(scalars, functions)
            scalars, functions = layer(scalars, features, edges, radial, angular)
            before = layer
        return scalars, functions

    def _layers(self) -> "list[Layer]":
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def features(self, scalars: Tensor, functions: Functions) -> Tensor:
        """Return features ``(n, (degree + 1)^2, channels)`` after the last layer.

        Args:
            scalars: ``(n, width)``, from :meth:`forward`, of some atoms.
            functions: from :meth:`forward`, of the same atoms.
        """
        return bound(self._layers()[-1].couple(scalars, functions))


class Layer(nn.Module):
    """Layer of :class:`Encoder`.

    Args:
        width: number of scalars per atom.
        channels: number of features per degree.
        degree: highest degree l.
        first: whether it is the first layer, whose messages have no features of the senders.
    """

    def __init__(self, width: int, channels: int, degree: int, *, first: bool) -> None:
        super().__init__()
        self.width, self.channels, self.degree = width, channels, degree
        per_degree = channels * (degree + 1)
        self.sizes = [width, per_degree if first else 2 * per_degree]
        self.filter = nn.Linear(N_RADIAL, sum(self.sizes))
        self.sender = mlp(width, width, sum(self.sizes))
        self.norm = nn.LayerNorm(width)
        self.gaunt = Gaunt(channels, degree)
        self.update = mlp(2 * width + channels * (degree + 2), width, width)
        self.gate = nn.Linear(width, per_degree)
        self.degree_of: Tensor
        self.register_buffer("degree_of", degree_index(degree), persistent=False)

    def forward(
        self, scalars: Tensor, features: Tensor, edges: Tensor, radial: Tensor, angular: Tensor
    ) -> tuple[Tensor, Functions]:
        """Return the updated scalars, and the functions with their messages; see :class:`Encoder`.

        Args:
            scalars: ``(n_atoms_total, width)``.
            features: ``(n_atoms_total, (degree + 1)^2, channels)``.
            edges: ``(2, n_edges)``, senders and receivers, of the pairs both ways.
            radial: ``(n_edges / 2, N_RADIAL)``, of the pairs.
            angular: ``(n_edges, (degree + 1)^2)``.
        """
        sender, receiver = edges
        # an atom has a few neighbours: the factor 0.5 keeps the sums near unit variance
        message = (0.5 * self.sender(self.norm(scalars))).index_select(0, sender)
        both = message.view(2, *radial.shape[:1], message.shape[1]) * self.filter(radial)
        of_scalars, weights = both.flatten(0, 1).split(self.sizes, dim=-1)
        gathered = torch.zeros_like(scalars).index_add_(0, receiver, of_scalars)
        features = Messages.apply(features, weights, angular, edges)  # type: ignore[no-untyped-call]  # PyTorch's own
        functions = Functions(features, *self.gaunt.factors(features))
        invariants = self.gaunt.invariants(functions)
        update = self.update(torch.cat([scalars, gathered, invariants.flatten(1)], dim=-1))
        return bound(scalars + update), functions

    def couple(self, scalars: Tensor, functions: Functions) -> Tensor:
        """Return features ``(n, (degree + 1)^2, channels)``, the gated products added.

        Args:
            scalars: ``(n, width)``, from :meth:`forward`.
            functions: from :meth:`forward`.
        """
        product: Tensor = self.gaunt(functions.left, functions.right)
        return functions.features + product * self._by_degree(self.gate(scalars))

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
        orders = torch.nn.functional.one_hot(degree_index(degree)).T.float().contiguous()
        self.sum_orders: Tensor
        self.register_buffer("sum_orders", orders, persistent=False)

    def factors(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return both factors, of the shape of ``features``.

        Args:
            features: ``(n, (degree + 1)^2, channels)``.
        """
        return self.left(features), self.right(features)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the linear map of the product of both factors, of their shape.

        Args:
            left: ``(n, (degree + 1)^2, channels)``.
            right: likewise.
        """
        # coefficients come first, so that each transform is one matrix product
        factors = [each.transpose(0, 1).flatten(1) for each in (left, right)]
        product = GridProduct.apply(*factors, self.to_grid, self.from_grid)  # type: ignore[no-untyped-call]  # PyTorch's own
        product = product.view(left.shape[1], left.shape[0], left.shape[2])
        mapped: Tensor = self.out(product.transpose(0, 1))
        return mapped

    def invariants(self, functions: Functions) -> Tensor:
        """Return invariants ``(n, degree + 2, channels)``.

        These are the mean of each function, and the inner product of the two factors in each
        degree.

        Args:
            functions: n functions with the factors of them.
        """
        terms = (functions.left * functions.right).transpose(0, 1)
        power = (self.sum_orders @ terms.flatten(1)).view(len(self.sum_orders), *terms.shape[1:])
        return torch.cat([functions.features[:, :1], power.transpose(0, 1)], dim=1)


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
        weight = self.weight.index_select(0, self.degree_of)
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
