"""A network with what it stands on: the energies of isolated atoms and a pair repulsion."""

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

KIND = "network"  # of weights
MACE_KIND = "mace"  # of the weights of the first release, which are read for ever


@dataclass(frozen=True)
class Potential:
    """A network and, under it, the pair repulsion and the energies of isolated atoms.

    Attributes:
        network: the network.
        atomic_energies: eV, of each isolated atom, in the order of the network's elements.
        repulsion: for each element the exponent and the charge of the pair repulsion
            (:mod:`molrl.energy.networks.repulsion`); empty for none.
        takes_cells: whether it was fitted to periodic structures.
    """

    network: Network
    atomic_energies: tuple[float, ...]
    repulsion: tuple[tuple[float, float], ...] = ()
    takes_cells: bool = False

    @property
    def config(self) -> NetworkConfig:
        """The shape of the network."""
        return self.network.config

    def __call__(self, graph: Graph) -> Prediction:
        """Predict energies less those of the isolated atoms, and forces where not conservative."""
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
        """Predict energies ``(n_molecules,)`` eV and forces ``(n_atoms, 3)`` eV/Å.

        Both can be differentiated by the network's parameters, unless gradients are switched off.
        """
        if not self.network.conservative:
            found = self(graph)
            assert found.forces is not None  # what such a network predicts
            return found.energy, found.forces

        def total(positions: Tensor) -> tuple[Tensor, Tensor]:
            energy = self(graph.at(positions)).energy
            return energy.sum(), energy

        gradient, energy = torch.func.grad(total, has_aux=True)(graph.positions)
        return energy, -gradient

    def energy_table(self) -> Tensor:
        """Energy of each isolated atom by atomic number, float64, eV; 0 for elements not known."""
        elements = self.config.elements
        table = torch.zeros(max(elements) + 1, dtype=torch.float64)
        table[list(elements)] = torch.tensor(self.atomic_energies, dtype=torch.float64)
        return table

    def header(self) -> dict[str, Any]:
        """What stands beside the tensors of its weights; :func:`load_potential` reads it."""
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
    """Write the JSON file of a potential, and its tensors beside it.

    Args:
        weights: the JSON file.
        potential: what to write.
        average: parameters to write in place of the network's own, by name.
    """
    tensors = potential.network.state_dict() | dict(average or {})
    save_weights(weights, tensors, potential.header())


def load_potential(weights: Path | str) -> tuple[Potential, str]:
    """Load what ``molrl energy fit`` wrote, on the CPU.

    Args:
        weights: the JSON file.

    Returns:
        The potential, and the SHA-256 of the header.

    Raises:
        InputError: if the files are missing, damaged or of another kind.
    """
    kind = read_json(Path(weights)).get("kind")
    tensors, header = load_weights(weights, kind=kind if kind == MACE_KIND else KIND)
    data = dict(header.get("config", {}))
    if kind == MACE_KIND:  # all in one: the shape and what it stands on
        rest = {name: data.pop(name, ()) for name in ("atomic_energies", "repulsion")}
    else:
        rest = header
    try:
        network = build_network(parse_network(data))
        atoms = tuple(map(float, rest["atomic_energies"]))
        under = tuple((float(a), float(z)) for a, z in rest["repulsion"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{weights} describes no network: {error}") from None
    n_elements = len(network.config.elements)
    if len(atoms) != n_elements or len(under) not in (0, n_elements):
        raise InputError(
            f"{weights} describes no network: its {n_elements} elements need as many atomic "
            "energies and rows of repulsion"
        )
    load_parameters(network, tensors, str(weights))
    takes_cells = bool(header.get("takes_cells", False))
    return Potential(network, atoms, under, takes_cells), str(header["header_sha256"])


def _slope(lengths: Tensor, table: Tensor) -> Tensor:
    """``(n_pairs,)`` eV/Å, the derivative of the repulsion with the distance."""
    exponent = table[..., 0].prod(0).sqrt()
    steepness = 1 / lengths + 1.5 * exponent * (lengths / Bohr).sqrt() / Bohr
    slope: Tensor = -repulsion(lengths, table) * steepness
    return slope
