"""A network together with a pair repulsion and the energies of isolated atoms, and its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ase.units import Bohr
from torch import Tensor

from molrl.energy.networks.interface import (
    Graph,
    Network,
    NetworkConfig,
    Prediction,
    build_network,
    load_parameters,
    parse_network,
)
from molrl.energy.networks.repulsion import repulsion
from molrl.errors import InputError
from molrl.runs.weights import load_weights, read_json, save_weights

KIND = "network"  # in the header of weights
MACE_KIND = "mace"  # in the header of weights of the first release, which stay readable


@dataclass(frozen=True)
class Potential:
    """A network, and the pair repulsion and isolated atoms' energies that are added to it.

    Attributes:
        network: the network.
        atomic_energies: eV, energy of each isolated atom, in the order of the network's elements.
        repulsion: exponent and effective charge of the pair repulsion for each element
            (:mod:`molrl.energy.networks.repulsion`); empty for none.
        takes_cells: whether it was fitted to periodic structures.

    Example:
        >>> network = build_network(parse_network({"elements": [1, 8], "channels": 8}), seed=0)
        >>> potential = Potential(network, atomic_energies=(-10.7, -103.1))
        >>> save_potential("runs/water.json", potential)  # doctest: +SKIP
        >>> potential, header_hash = load_potential("runs/water.json")  # doctest: +SKIP
    """

    network: Network
    atomic_energies: tuple[float, ...]
    repulsion: tuple[tuple[float, float], ...] = ()
    takes_cells: bool = False

    @property
    def config(self) -> NetworkConfig:
        """The settings of the network."""
        return self.network.config

    def __call__(self, graph: Graph) -> Prediction:
        """Predict interaction energies, and forces if the network is not conservative."""
        found = self.network(graph)
        if not self.repulsion:
            return Prediction(*found)
        table = graph.positions.new_tensor(self.repulsion)[graph.element[graph.pairs]]
        vectors = graph.vectors()
        lengths = vectors.norm(dim=-1)
        of_pair = repulsion(lengths, table)
        energy = found.energy.new_zeros(graph.n_molecules)
        energy = energy.index_add(0, graph.molecule[graph.pairs[0]], of_pair)
        forces = found.forces
        if forces is not None:
            slope = _slope(lengths, table)[:, None] * vectors / lengths[:, None]
            forces = forces.index_add(0, graph.pairs[0], slope)
            forces = forces.index_add(0, graph.pairs[1], -slope)
        return Prediction(found.energy + energy, found.features, forces)

    def predict(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Predict interaction energies and forces, both differentiable by the parameters.

        Args:
            graph: from the network's ``graph``.

        Returns:
            Energies ``(n_molecules,)`` in eV and forces ``(n_atoms, 3)`` in eV/Å.
        """
        if not self.network.conservative:
            found = self(graph)
            assert found.forces is not None  # required of networks that are not conservative
            return found.energy, found.forces

        def total(positions: Tensor) -> tuple[Tensor, Tensor]:
            energy = self(graph.at(positions)).energy
            return energy.sum(), energy

        gradient, energy = torch.func.grad(total, has_aux=True)(graph.positions)
        return energy, -gradient

    def energy_table(self) -> Tensor:
        """Return the energies of isolated atoms by atomic number.

        Returns:
            ``(max(elements) + 1,)`` float64, eV; 0 for unknown elements.
        """
        elements = self.config.elements
        table = torch.zeros(max(elements) + 1, dtype=torch.float64)
        table[list(elements)] = torch.tensor(self.atomic_energies, dtype=torch.float64)
        return table

    def header(self) -> dict[str, Any]:
        """Return the header of its weights, which :func:`load_potential` reads."""
        return {
            "kind": KIND,
            "config": self.config.model_dump(mode="json"),
            "atomic_energies": list(self.atomic_energies),
            "repulsion": [list(row) for row in self.repulsion],
            "takes_cells": self.takes_cells,
        }


def save_potential(
    weights: Path | str, potential: Potential, average: Mapping[str, Tensor] | None = None
) -> None:
    """Write the JSON file of a potential, and its tensors next to it.

    Args:
        weights: the JSON file; the tensors get the same name with ``.safetensors``.
        potential: the potential to write.
        average: parameters by name that are written instead of the network's current ones; of a
            parameter with several names, one suffices.
    """
    network = potential.network
    tensors = network.state_dict()
    if average:
        parameters = dict(network.named_parameters(remove_duplicate=False))
        written = {parameters[name]: value for name, value in average.items()}
        tensors |= {name: written[p] for name, p in parameters.items() if p in written}
    save_weights(weights, tensors, potential.header())


def load_potential(weights: Path | str) -> tuple[Potential, str]:
    """Load a potential that ``molrl energy fit`` wrote, on the CPU.

    Args:
        weights: the JSON file.

    Returns:
        The potential, and the SHA-256 of the header.

    Raises:
        InputError: if the files are missing, corrupted or of another kind.
    """
    kind = read_json(Path(weights)).get("kind")
    tensors, header = load_weights(weights, kind=kind if kind == MACE_KIND else KIND)
    if "config" not in header:
        raise InputError(f"{weights} does not describe a network: it has no config")
    if not isinstance(header["config"], dict):
        raise InputError(
            f"{weights} does not describe a network: its config must be a mapping of keys, not "
            f"{header['config']!r:.40}"
        )
    data = dict(header["config"])
    if kind == MACE_KIND:  # one section holds everything
        rest = {name: data.pop(name, ()) for name in ("atomic_energies", "repulsion")}
    else:
        rest = header
    try:
        network = build_network(parse_network(data))
        atoms = tuple(map(float, rest["atomic_energies"]))
        pair_repulsion = tuple((float(a), float(z)) for a, z in rest["repulsion"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{weights} does not describe a network: {error}") from None
    n_elements = len(network.config.elements)
    if len(atoms) != n_elements or len(pair_repulsion) not in (0, n_elements):
        raise InputError(
            f"{weights} does not describe a network: its {n_elements} elements need as many atomic "
            "energies and rows of repulsion"
        )
    load_parameters(network, tensors, str(weights))
    takes_cells = bool(header.get("takes_cells", False))
    return Potential(network, atoms, pair_repulsion, takes_cells), str(header["header_sha256"])


def _slope(lengths: Tensor, table: Tensor) -> Tensor:
    """Compute ``(n_pairs,)`` eV/Å, the derivative of the repulsion by the distance."""
    exponent = table[..., 0].prod(0).sqrt()
    steepness = 1 / lengths + 1.5 * exponent * (lengths / Bohr).sqrt() / Bohr
    slope: Tensor = -repulsion(lengths, table) * steepness
    return slope
