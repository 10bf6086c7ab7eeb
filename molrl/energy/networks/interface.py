"""The interface of every network that ``molrl energy fit`` can fit."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.registry import Registry
from molrl.runs.config import Config
from molrl.validation import one_line

NETWORKS = Registry("network", {"mace": "molrl.energy.networks.mace.network:Mace"})


class NetworkConfig(Config):
    """What every network is told of its shape; each adds its own keys.

    Attributes:
        architecture: the name in :data:`NETWORKS`.
        elements: atomic numbers it knows, ascending.
        cutoff: Å, of the neighbour pairs.
    """

    architecture: str
    elements: tuple[int, ...] = (1, 6, 7, 8, 9, 16)
    cutoff: float = Field(5.0, gt=0)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.elements or list(self.elements) != sorted(set(self.elements)):
            raise ValueError(f"elements: {list(self.elements)} must ascend, each once")
        return self


@dataclass(frozen=True)
class Graph:
    """Molecules as a network is evaluated on them; atoms in the order of the batch.

    A network may need more: then its graph is a subclass.

    Attributes:
        positions: ``(n_atoms, 3)`` Å; may take a gradient.
        element: ``(n_atoms,)`` int64, index into the network's elements.
        molecule: ``(n_atoms,)`` int64.
        n_molecules: how many.
        pairs: ``(2, n_pairs)`` int64, each unordered pair within the cutoff once.
        shifts: ``(n_pairs, 3)`` Å, by which the second atom of a pair is moved, in a periodic cell;
            None where nothing is periodic.
    """

    positions: Tensor
    element: Tensor
    molecule: Tensor
    n_molecules: int
    pairs: Tensor
    shifts: Tensor | None

    def vectors(self) -> Tensor:
        """``(n_pairs, 3)`` Å, from the first atom of each pair to the second."""
        vectors = self.positions[self.pairs[1]] - self.positions[self.pairs[0]]
        return vectors if self.shifts is None else vectors + self.shifts

    def at(self, positions: Tensor) -> Self:
        """Return it with its atoms elsewhere, the pairs and shifts as they are."""
        return replace(self, positions=positions)

    def strained(self, strain: Tensor) -> Self:
        """Return it with positions and shifts multiplied by 1 + strain.

        Args:
            strain: ``(n_molecules, 3, 3)``, symmetric.
        """
        positions = self.positions + _multiply(self.positions, strain[self.molecule])
        shifts = self.shifts
        if shifts is not None:
            shifts = shifts + _multiply(shifts, strain[self.molecule[self.pairs[0]]])
        return replace(self, positions=positions, shifts=shifts)


class Prediction(NamedTuple):
    """What a network says of a graph.

    Attributes:
        energy: ``(n_molecules,)`` eV, less that of the isolated atoms: small enough for float32.
        features: ``(n_atoms, n_features)``, invariant.
        forces: ``(n_atoms, 3)`` eV/Å; None of a conservative network, whose energy is
            differentiated.
    """

    energy: Tensor
    features: Tensor
    forces: Tensor | None = None


class Network(nn.Module, ABC):
    """A network from molecules to energies: all that ``molrl energy fit`` knows of one.

    Isolated atoms have energy 0. An energy must not depend on where a molecule stands, how it is
    turned, or how its atoms are ordered.

    Args:
        config: the shape, of the class :attr:`Config`.

    Attributes:
        Config: the class of its config.
        conservative: whether forces are the derivatives of the energy; a network that is not
            predicts them itself.

    Example:
        >>> class PairNetwork(Network):
        ...     Config = PairConfig
        ...
        ...     def forward(self, graph):
        ...         lengths = graph.vectors().norm(dim=-1, keepdim=True)
        ...         ...
        ...         return Prediction(energy, features)
        >>> NETWORKS.register("pair", PairNetwork)
    """

    Config: ClassVar[type[NetworkConfig]]
    conservative: ClassVar[bool] = True

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def graph(self, molecules: MoleculeBatch, dtype: torch.dtype) -> Graph:
        """Return what :meth:`forward` is called with; the positions are a copy of type ``dtype``.

        Args:
            molecules: of known elements, on the network's device.
            dtype: floating type.
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
        """Predict the energies, and the forces where the network is not conservative."""

    def final_features(self, features: Tensor) -> Tensor:
        """Return the features ``(n_atoms, n)`` that the uncertainty is told by: all of them."""
        return features

    def matrices(self) -> tuple[str, ...]:
        """Name the parameters that map features to features, for the optimiser Muon.

        They are matrices in their last two axes. All others are left to Adam.
        """
        return ()

    @torch.no_grad()
    def start_from(self, other: "Network") -> None:
        """Take over the weights of a network of the same architecture.

        Args:
            other: with weights of its own.

        Raises:
            InputError: if the two differ in shape.
        """
        self.check_same(other, ())
        self.load_state_dict(other.state_dict())

    def check_same(self, other: "Network", may_differ: tuple[str, ...]) -> None:
        """Check that a network has the same shape, but for some keys of its config.

        Raises:
            InputError: if it has not.
        """
        ours, theirs = self.config.model_dump(), other.config.model_dump()
        for name in ours:
            if name not in may_differ and ours[name] != theirs.get(name):
                raise InputError(
                    f"start: the weights are of another network: its {name} is "
                    f"{theirs.get(name)}, that of this fit {ours[name]}"
                )

    def elements_of(self, numbers: Tensor) -> Tensor:
        """Return the index into the network's elements of each atomic number ``(n_atoms,)``."""
        known = torch.tensor(self.config.elements, device=numbers.device)
        return torch.searchsorted(known, numbers)


def parse_network(data: object) -> NetworkConfig:
    """Read the config of a network of any registered architecture.

    Args:
        data: a config, or a mapping with the key ``architecture``, ``mace`` unless given.

    Raises:
        ValueError: if the architecture or a key is not known, or a value does not fit.
    """
    if isinstance(data, NetworkConfig):
        return data
    if not isinstance(data, Mapping):
        raise ValueError(f"a network is a section of keys, not {data!r}")
    values = {"architecture": "mace"} | dict(data)
    schema: type[NetworkConfig] = NETWORKS.load(str(values["architecture"])).Config
    try:
        # JSON, because its strict reading takes a list for a tuple.
        return schema.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise ValueError(one_line(error, values, schema)) from None


def build_network(config: NetworkConfig, seed: int | None = None) -> Network:
    """Build a network with random weights, on the CPU; the global generator stays as it is.

    Args:
        config: its shape.
        seed: of the weights; None where they are replaced anyway.
    """
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        network: Network = NETWORKS.load(config.architecture)(config)
        return network


def load_parameters(network: Network, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put weights into a network that was built for them.

    Raises:
        InputError: if they are of another network; ``where`` is named.
    """
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise InputError(f"weights {where} do not fit the network: {name} differs")
    network.load_state_dict(tensors)


def _multiply(vectors: Tensor, matrices: Tensor) -> Tensor:
    """``(n, 3)``: each row vector times its matrix."""
    return (vectors[:, None] @ matrices).squeeze(1)
