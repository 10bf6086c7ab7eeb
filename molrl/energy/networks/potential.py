"""A network together with a pair repulsion and the energies of isolated atoms, and its files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ase.units import Bohr
from torch import Tensor

from molrl.energy.networks.config import NetworkConfig, parse_network
from molrl.energy.networks.interface import (
    Graph,
    Network,
    PairList,
    Prediction,
    build_network,
    load_parameters,
)
from molrl.energy.networks.repulsion import repulsion
from molrl.energy.networks.terms import FAR, crowding, dispersion, electrostatics, saturate
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.weights import load_weights, read_json, save_weights

KIND = "network"  # in the header of weights
MACE_KIND = "mace"  # in the header of weights of the first release, which stay readable


@dataclass(frozen=True)
class Potential:
    """A network, and the physical energies and isolated atoms' energies that are added to it.

    Attributes:
        network: the network.
        atomic_energies: eV, energy of each isolated atom, in the order of the network's elements.
        repulsion: exponent and effective charge of the pair repulsion for each element
            (:mod:`molrl.energy.networks.repulsion`); empty for none.
        bond_limits: number of bonds from which on an atom of each element is crowded
            (:func:`molrl.energy.networks.terms.crowding`); empty for no such energy.
        dispersion: C6, eV Å⁶, and radius, Å, of each element
            (:func:`molrl.energy.networks.terms.dispersion`); empty for none.
        lowest_site: eV, below 0, for each element: what is learnt of an atom's energy, with the
            electrostatic energy of its charge, is taken as it is down to this value, and saturates
            below (:func:`molrl.energy.networks.terms.saturate`); empty for no limit.
        takes_cells: whether it was fitted to periodic structures.

    Partial charges that the network predicts have their electrostatic energy
    (:func:`molrl.energy.networks.terms.electrostatics`).

    Example:
        >>> network = build_network(parse_network({"elements": [1, 8], "channels": 8}), seed=0)
        >>> potential = Potential(network, atomic_energies=(-10.7, -103.1))
        >>> save_potential("runs/water.json", potential)  # doctest: +SKIP
        >>> potential, header_hash = load_potential("runs/water.json")  # doctest: +SKIP
    """

    network: Network
    atomic_energies: tuple[float, ...]
    repulsion: tuple[tuple[float, float], ...] = ()
    bond_limits: tuple[float, ...] = ()
    dispersion: tuple[tuple[float, float], ...] = ()
    lowest_site: tuple[float, ...] = ()
    takes_cells: bool = False

    @property
    def config(self) -> NetworkConfig:
        """The settings of the network."""
        return self.network.config

    @property
    def far_cutoff(self) -> float | None:
        """Å, the cutoff of the long-range energies; None without any."""
        return FAR if self.dispersion or self.network.predicts_charges else None

    def graph(self, molecules: MoleculeBatch, dtype: torch.dtype) -> Graph:
        """Build the network's input, with the pairs of the long-range energies.

        Args:
            molecules: of known elements, on the network's device.
            dtype: floating type of the positions, which are a copy without a gradient.
        """
        graph = self.network.graph(molecules, dtype)
        if self.far_cutoff is None:
            return graph
        neighbors = molecules.neighbors(self.far_cutoff)
        shifts = neighbors.shifts(molecules.cell)
        shifts = None if shifts is None else shifts.to(dtype)
        return replace(graph, far=PairList(neighbors.pairs, shifts))

    def __call__(self, graph: Graph) -> Prediction:
        """Predict interaction energies, and forces if the network is not conservative.

        Args:
            graph: from :meth:`graph`.
        """
        found: Prediction = self.network(graph)
        site = self._added(graph, found)
        if site is None:
            return found
        energy = torch.zeros_like(found.energy).index_add(0, graph.molecule, site)
        forces = found.forces
        if forces is not None and self.repulsion:
            forces = forces + self._repulsive_forces(graph)
        network_site = found.site_energy
        return found._replace(
            energy=found.energy + energy,
            forces=forces,
            site_energy=None if network_site is None else network_site + site,
        )

    def _added(self, graph: Graph, found: Prediction) -> Tensor | None:
        """What is added to each atom's energy, ``(n_atoms,)`` eV; None if nothing is.

        Charges have no bound, nor has their attraction: it saturates with what is learnt.
        """
        electric, added = self._physical(graph, found.charges)
        if self.lowest_site:
            if found.site_energy is None:
                raise InputError(
                    f"lowest_site: networks of architecture {self.config.architecture} have no "
                    "energies of atoms; leave it out"
                )
            learnt = found.site_energy if electric is None else found.site_energy + electric
            electric = saturate(learnt, self._lowest(graph)) - found.site_energy
        if electric is None or added is None:
            return added if electric is None else electric
        return electric + added

    def _lowest(self, graph: Graph) -> Tensor:
        return graph.positions.new_tensor(self.lowest_site)[graph.element]

    def _physical(
        self, graph: Graph, charges: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Each atom's share of the electrostatic and of the other physical energies.

        Returns:
            ``(n_atoms,)`` eV each; None without any.
        """
        site, far = None, graph.far
        # all pairs that there are, so that no term ends at the network's cutoff
        if far is None:
            pairs, lengths = graph.pairs, graph.vectors().norm(dim=-1)
        else:
            pairs, lengths = far.pairs, far.lengths(graph.positions)
        if self.repulsion:
            table = graph.positions.new_tensor(self.repulsion)[graph.element[pairs]]
            site = _halves(repulsion(lengths, table), pairs, graph)
        if self.bond_limits:
            near = graph.vectors().norm(dim=-1)
            limits = graph.positions.new_tensor(self.bond_limits)
            crowded = crowding(self.config.elements, limits, graph, near)
            site = crowded if site is None else site + crowded
        if far is None:
            return None, site
        electric = None
        if charges is not None:
            electric = _halves(electrostatics(lengths, charges[pairs]), pairs, graph)
        if self.dispersion:
            table = graph.positions.new_tensor(self.dispersion)[graph.element[pairs]]
            attraction = _halves(dispersion(lengths, table), pairs, graph)
            site = attraction if site is None else site + attraction
        return electric, site

    def _repulsive_forces(self, graph: Graph) -> Tensor:
        """The forces of the pair repulsion, for a network that is not conservative."""
        table = graph.positions.new_tensor(self.repulsion)[graph.element[graph.pairs]]
        vectors = graph.vectors()
        lengths = vectors.norm(dim=-1)
        slope = _slope(lengths, table)[:, None] * vectors / lengths[:, None]
        forces = torch.zeros_like(graph.positions)
        return forces.index_add(0, graph.pairs[0], slope).index_add(0, graph.pairs[1], -slope)

    def predict(self, graph: Graph) -> Prediction:
        """Predict energies and forces, both differentiable by the parameters.

        Args:
            graph: from :meth:`graph`.

        Returns:
            What the network predicts, with forces ``(n_atoms, 3)`` in eV/Å.
        """
        if not self.network.conservative:
            return self(graph)

        def total(positions: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            found = self(graph.at(positions))
            # (only tensors may leave the function that is differentiated)
            return found.energy.sum(), {k: v for k, v in found._asdict().items() if v is not None}

        gradient, found = torch.func.grad(total, has_aux=True)(graph.positions)
        return Prediction(**found)._replace(forces=-gradient)

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
            "bond_limits": list(self.bond_limits),
            "dispersion": [list(row) for row in self.dispersion],
            "lowest_site": list(self.lowest_site),
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
        atoms, limits, lowest = (
            tuple(map(float, rest.get(name, ())))
            for name in ("atomic_energies", "bond_limits", "lowest_site")
        )
        pairs = {
            name: tuple((float(a), float(b)) for a, b in rest.get(name, ()))
            for name in ("repulsion", "dispersion")
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{weights} does not describe a network: {error}") from None
    n_elements = len(network.config.elements)
    optional = (*pairs.values(), limits, lowest)
    if len(atoms) != n_elements or any(len(rows) not in (0, n_elements) for rows in optional):
        raise InputError(
            f"{weights} does not describe a network: its {n_elements} elements need as many atomic "
            "energies and rows of repulsion, bond limits, dispersion and lowest sites"
        )
    load_parameters(network, tensors, str(weights))
    takes_cells = bool(header.get("takes_cells", False))
    potential = Potential(
        network, atoms, bond_limits=limits, lowest_site=lowest, takes_cells=takes_cells, **pairs
    )
    return potential, str(header["header_sha256"])


def _halves(energy: Tensor, pairs: Tensor, graph: Graph) -> Tensor:
    """Give half of each pair's energy to each of its atoms."""
    out = energy.new_zeros(len(graph.positions))
    return out.index_add(0, pairs[0], 0.5 * energy).index_add(0, pairs[1], 0.5 * energy)


def _slope(lengths: Tensor, table: Tensor) -> Tensor:
    """Compute ``(n_pairs,)`` eV/Å, the derivative of the repulsion by the distance."""
    exponent = table[..., 0].prod(0).sqrt()
    steepness = 1 / lengths + 1.5 * exponent * (lengths / Bohr).sqrt() / Bohr
    slope: Tensor = -repulsion(lengths, table) * steepness
    return slope
