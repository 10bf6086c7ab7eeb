"""The interface of networks that ``molrl energy fit`` can fit, and how they are built."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from molrl.energy.networks.config import NetworkConfig
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.parts import NETWORKS


@dataclass(frozen=True)
class PairList:
    """Pairs of atoms up to a distance, each unordered pair once.

    Attributes:
        pairs: ``(2, n_pairs)`` int64.
        shifts: ``(n_pairs, 3)`` Å, as in :class:`Graph`; None where nothing is periodic.

    Example:
        >>> PairList(torch.tensor([[0], [1]]), shifts=None).lengths(torch.eye(3))
        tensor([1.4142])
    """

    pairs: Tensor
    shifts: Tensor | None

    def lengths(self, positions: Tensor) -> Tensor:
        """Return ``(n_pairs,)`` Å, the distances at positions ``(n_atoms, 3)`` Å."""
        first, second = self.pairs
        vectors = positions.index_select(0, second) - positions.index_select(0, first)
        lengths: Tensor = (vectors if self.shifts is None else vectors + self.shifts).norm(dim=-1)
        return lengths


@dataclass(frozen=True)
class Graph:
    """The input of a network: atoms in the order of the batch, and their neighbour pairs.

    A network that needs more uses a subclass.

    Attributes:
        positions: ``(n_atoms, 3)`` floating, Å; may require a gradient.
        element: ``(n_atoms,)`` int64, index into the network's elements.
        molecule: ``(n_atoms,)`` int64, index of the molecule of each atom.
        n_molecules: number of molecules.
        pairs: ``(2, n_pairs)`` int64, each unordered pair within the cutoff once.
        shifts: ``(n_pairs, 3)`` Å, vector from the second atom of a pair to its image within the
            cutoff; None where nothing is periodic.
        far: the pairs of the long-range terms under a network, those within its cutoff too; None
            where it has none.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.energy.networks.config import parse_network
        >>> network = build_network(parse_network({"elements": [1, 8]}), seed=0)
        >>> graph = network.graph(MoleculeBatch.from_ase(molecule("H2O")), torch.float32)
        >>> graph.vectors().shape
        torch.Size([3, 3])
    """

    positions: Tensor
    element: Tensor
    molecule: Tensor
    n_molecules: int
    pairs: Tensor
    shifts: Tensor | None
    far: PairList | None = field(default=None, kw_only=True)

    def vectors(self) -> Tensor:
        """Return ``(n_pairs, 3)`` Å, the vectors from the first atom of each pair to the second."""
        vectors = self.positions[self.pairs[1]] - self.positions[self.pairs[0]]
        return vectors if self.shifts is None else vectors + self.shifts

    def at(self, positions: Tensor) -> Self:
        """Return the graph with other positions ``(n_atoms, 3)`` Å, and the same pairs."""
        return replace(self, positions=positions)

    def strained(self, strain: Tensor) -> Self:
        """Return the graph with positions and shifts multiplied by 1 + strain.

        Args:
            strain: ``(n_molecules, 3, 3)`` symmetric, without unit.
        """
        positions = self.positions + _multiply(self.positions, strain[self.molecule])

        def stretched(shifts: Tensor | None, pairs: Tensor) -> Tensor | None:
            if shifts is None:
                return None
            return shifts + _multiply(shifts, strain[self.molecule[pairs[0]]])

        far = self.far
        if far is not None:
            far = replace(far, shifts=stretched(far.shifts, far.pairs))
        return replace(
            self, positions=positions, shifts=stretched(self.shifts, self.pairs), far=far
        )


class Prediction(NamedTuple):
    """The output of a network.

    Attributes:
        energy: ``(n_molecules,)`` floating, eV, interaction energy: total energy minus the
            energies of the isolated atoms, small enough for float32.
        features: ``(n_atoms, n_features)`` floating, invariant features.
        forces: ``(n_atoms, 3)`` floating, eV/Å; None for a conservative network, whose energy is
            differentiated.
        site_energy: ``(n_atoms,)`` floating, eV, the energy's share of each atom; None where the
            network has none.
        charges: ``(n_atoms,)`` floating, e, partial charges, 0 in sum; None where the network has
            none.

    Example:
        >>> Prediction(energy=torch.zeros(1), features=torch.zeros(3, 8)).forces is None
        True
    """

    energy: Tensor
    features: Tensor
    forces: Tensor | None = None
    site_energy: Tensor | None = None
    charges: Tensor | None = None


class Network(nn.Module, ABC):
    """A network that predicts energies of molecules, as ``molrl energy fit`` uses it.

    The energy must be 0 for isolated atoms, and invariant under translation, rotation and
    permutation of the atoms.

    Args:
        config: the settings, an instance of :attr:`Config`.

    Attributes:
        Config: the class of its config.
        conservative: whether forces are the negative gradient of the energy; if not, the network
            predicts forces itself.
        predicts_charges: whether it predicts partial charges.

    Example:
        >>> class PairNetwork(Network):
        ...     Config = NetworkConfig
        ...
        ...     def __init__(self, config):
        ...         super().__init__(config)
        ...         self.depth = nn.Parameter(torch.tensor(1.0))
        ...
        ...     def forward(self, graph):
        ...         lengths = graph.vectors().norm(dim=-1)
        ...         wells = -self.depth * (1 - lengths / self.config.cutoff) ** 2
        ...         molecule = graph.molecule[graph.pairs[0]]
        ...         energy = torch.zeros(graph.n_molecules).index_add(0, molecule, wells)
        ...         features = torch.zeros(len(graph.positions), 1)
        ...         return Prediction(energy, features.index_add(0, graph.pairs[0], wells[:, None]))
        >>> molrl.register("network", "pair", PairNetwork)  # doctest: +SKIP
    """

    Config: ClassVar[type[NetworkConfig]]
    conservative: ClassVar[bool] = True
    predicts_charges: bool = False

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def graph(self, molecules: MoleculeBatch, dtype: torch.dtype) -> Graph:
        """Build the input of :meth:`forward`.

        Args:
            molecules: of known elements, on the network's device.
            dtype: floating type of the positions, which are a copy without a gradient.
        """
        neighbors = molecules.neighbors(self.config.cutoff)
        shifts = neighbors.shifts(molecules.cell)
        return Graph(
            positions=molecules.positions.detach().to(dtype, copy=True),
            element=self.elements_of(molecules.numbers),
            molecule=molecules.molecule,
            n_molecules=len(molecules),
            pairs=neighbors.pairs,
            shifts=None if shifts is None else shifts.to(dtype),
        )

    @abstractmethod
    def forward(self, graph: Graph) -> Prediction:
        """Predict energies and features, and forces where the network is not conservative.

        Args:
            graph: from :meth:`graph`.
        """

    def for_inference(self) -> "Network":
        """Return a frozen network that computes the same, faster; this one, unless overridden.

        The energy models evaluate it. It need not follow later changes of the weights, and may
        round differently: energies may differ by 1e-5 eV per atom, forces by 1e-4 eV/Å. It must be
        differentiable by the positions, once.
        """
        return self

    def first_features(self, graph: Graph, core: float = 0.0) -> Tensor:
        """Return the invariant features of the first layer; all features, unless overridden.

        Args:
            graph: from :meth:`graph`.
            core: Å; a network that can be described so sees atoms that are closer as being at this
                distance, so that its features stay finite and smooth in clashes.

        Returns:
            ``(n_atoms, n)``, differentiable by the positions, once.
        """
        found: Prediction = self(graph)
        return found.features

    def final_features(self, features: Tensor) -> Tensor:
        """Return the features that uncertainties are computed from; all, unless overridden.

        Args:
            features: ``(n_atoms, n_features)``, from :meth:`forward`.

        Returns:
            ``(n_atoms, n)``.
        """
        return features

    def matrices(self) -> tuple[str, ...]:
        """Return the names of the parameters that the optimiser Muon updates; none by default.

        They map features to features and are matrices in their last two axes. Adam updates all
        other parameters.
        """
        return ()

    @torch.no_grad()
    def start_from(self, other: "Network") -> None:
        """Copy the weights of a network of the same architecture.

        Args:
            other: the network to copy from.

        Raises:
            InputError: if the two have different settings.
        """
        self.check_same(other, ())
        self.load_state_dict(other.state_dict())

    def check_same(self, other: "Network", may_differ: tuple[str, ...]) -> None:
        """Check that another network has the same settings.

        Args:
            other: the other network.
            may_differ: keys of the config that are not compared.

        Raises:
            InputError: if the two differ.
        """
        architecture, its = self.config.architecture, other.config.architecture
        if architecture != its:
            raise InputError(
                f"start: the weights are of architecture {its}, the network is of {architecture}; "
                f"start from weights of {architecture}"
            )
        ours, theirs = self.config.model_dump(), other.config.model_dump()
        for name in ours:
            if name not in may_differ and ours[name] != theirs.get(name):
                raise InputError(
                    f"start: the weights belong to another network: its {name} is "
                    f"{theirs.get(name)}, that of this fit {ours[name]}"
                )

    def elements_of(self, numbers: Tensor) -> Tensor:
        """Return the index into the network's elements of each atomic number.

        Args:
            numbers: ``(n_atoms,)`` int64, of known elements.

        Returns:
            ``(n_atoms,)`` int64.
        """
        known = torch.tensor(self.config.elements, device=numbers.device)
        return torch.searchsorted(known, numbers)


def build_network(config: NetworkConfig, seed: int | None = None) -> Network:
    """Build a network with random weights on the CPU, without changing the global generator.

    Args:
        config: the settings of a registered architecture.
        seed: of the weights; None where they will be replaced.

    Example:
        >>> from molrl.energy.networks.config import parse_network
        >>> network = build_network(parse_network({"channels": 8}), seed=0)
        >>> network.config.architecture
        'mace'
    """
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too
        network: Network = NETWORKS.load(config.architecture)(config)
        return network


def load_parameters(network: Network, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load weights into a network.

    Args:
        network: the network, which is changed.
        tensors: parameters and buffers by name.
        where: name of the weights in error messages.

    Raises:
        InputError: if names or shapes differ from the network's.
    """
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise InputError(f"weights {where} do not fit the network: {name} differs")
    network.load_state_dict(tensors)


def _multiply(vectors: Tensor, matrices: Tensor) -> Tensor:
    """Multiply each row vector ``(n, 3)`` by its matrix ``(n, 3, 3)``."""
    return (vectors[:, None] @ matrices).squeeze(1)
