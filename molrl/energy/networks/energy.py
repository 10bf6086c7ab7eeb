"""Fitted networks as energy models: energies of many molecules in one forward pass."""

from pathlib import Path

import torch
from torch import Tensor

from molrl.energy.interface import EnergyOutput, Wanted
from molrl.energy.networks.batched import BatchedEnergy, ChunkOutput, chunks
from molrl.energy.networks.interface import Graph
from molrl.energy.networks.potential import load_potential
from molrl.energy.uncertainty import EXACT, BiasedOutput, GaussianMixture, average
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

_FOLDER = Path(__file__).with_name("shipped")
SHIPPED = {name: _FOLDER / f"{name}.json" for name in ("mace", "mace-small")}


class NetworkEnergy(BatchedEnergy):
    """A network fitted with ``molrl energy fit``, in float32 on interaction energies.

    The energies of the isolated atoms are added in float64, so totals are good to float32
    rounding of the interaction energy alone.

    Args:
        weights: the JSON file of a pair of files that ``molrl energy fit`` wrote, or the name of a
            shipped model: ``mace``, or ``mace-small``, of fewer channels.
        device: where to compute.

    Attributes:
        name: that of the shipped model, or the network's architecture, a colon and the file.
        potential: the network, frozen, and what it stands on.
        mixture: what the uncertainty is told by, if it stands beside the weights.

    Raises:
        InputError: if the files are missing, damaged or of another kind.

    Example:
        >>> NetworkEnergy("mace").evaluate(ase.build.molecule("H2O")).energy  # doctest: +SKIP
    """

    def __init__(self, weights: str | Path = "mace", device: str = "cpu") -> None:
        shipped = SHIPPED.get(str(weights))
        path = shipped or Path(weights)
        self.potential, digest = load_potential(path)
        config = self.potential.config
        super().__init__(config.elements, self.potential.energy_table(), config.cutoff, device)
        self.name = str(weights) if shipped else f"{config.architecture}:{weights}"
        self._hash = digest[:12]
        self.mixture = GaussianMixture.load(path, digest, self.device)
        self.offers_uncertainty = self.mixture is not None
        self.takes_cells = self.potential.takes_cells
        self.conservative = self.potential.network.conservative
        if self.conservative and self.takes_cells:
            self.implemented_properties = ("energy", "forces", "stress")
        self.potential.network.to(self.device).eval().requires_grad_(False)

    @property
    def hash(self) -> str:
        """The first 12 digits of the SHA-256 of the header, which holds that of the weights."""
        return self._hash

    def final_features(self, descriptors: Tensor) -> Tensor:
        """``(n_atoms_total, n)``: the part of the descriptors that the uncertainty is told by."""
        return self.potential.network.final_features(descriptors)

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        output = super()._evaluate(molecules, wanted)
        if wanted.uncertainty and self.mixture is not None:
            assert output.descriptors is not None  # wanted with the uncertainty
            molecules = self._here(molecules)
            features = self.final_features(output.descriptors)
            output.atom_uncertainty = self.mixture.atom_uncertainty(features, molecules.numbers)
            output.uncertainty = average(output.atom_uncertainty, molecules)
        return output

    def _evaluate_chunk(self, molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
        graph = self._graph(molecules)
        derived = wanted.stress or (wanted.forces and self.conservative)
        with torch.set_grad_enabled(derived):
            positions = graph.positions.requires_grad_(derived)
            strain = positions.new_zeros(len(molecules), 3, 3).requires_grad_(wanted.stress)
            found = self.potential(graph.strained(strain) if wanted.stress else graph)
            forces, stress = found.forces, None
            if derived:
                leaves = [positions, strain] if wanted.stress else [positions]
                slopes = torch.autograd.grad(found.energy.sum(), leaves)
                forces = -slopes[0]
                stress = stress_of(slopes[-1], molecules) if wanted.stress else None
        forces = forces.double() if wanted.forces and forces is not None else None
        return ChunkOutput(found.energy.detach(), found.features.detach(), forces, stress)

    def _graph(self, molecules: MoleculeBatch) -> Graph:
        return self.potential.network.graph(molecules, torch.float32)

    def evaluate_biased(self, molecules: MoleculeBatch) -> BiasedOutput:
        """Evaluate energies, forces and the gradient of the uncertainty, for biased dynamics.

        Raises:
            InputError: if no mixture stands beside the weights, or as for :meth:`evaluate`.
        """
        if self.mixture is None:
            raise InputError(f"energy model {self.name!r} offers no uncertainty")
        molecules = self._checked(molecules)
        parts = [
            self._biased_chunk(molecules.part(chunk), self.mixture)
            for chunk in chunks(molecules.n_atoms, self._chunk)
        ]
        energy, forces, bias, unsure, atoms = map(torch.cat, zip(*parts, strict=True))
        total = energy.double() + self.isolated_energy(molecules)
        return BiasedOutput(total, forces, bias, unsure, atoms)

    def _biased_chunk(
        self, molecules: MoleculeBatch, mixture: GaussianMixture
    ) -> tuple[Tensor, ...]:
        if not len(molecules.numbers):  # nothing to differentiate
            nothing = torch.zeros(len(molecules), dtype=torch.float64, device=self.device)
            vectors = nothing.new_zeros(0, 3)
            return nothing, vectors, vectors, nothing + EXACT, nothing.new_zeros(0)
        graph = self._graph(molecules)
        x = graph.positions.requires_grad_()
        found = self.potential(graph)
        atoms = mixture.atom_uncertainty(self.final_features(found.features), molecules.numbers)
        unsure = average(atoms, molecules)
        force = found.forces
        if force is None:
            (gradient,) = torch.autograd.grad(found.energy.sum(), x, retain_graph=True)
            force = -gradient
        (uphill,) = torch.autograd.grad(unsure.sum(), x)
        return (
            found.energy.detach(),
            force.detach().double(),
            uphill.double(),
            unsure.detach(),
            atoms.detach(),
        )


def stress_of(slope: Tensor, molecules: MoleculeBatch) -> Tensor:
    """Return the stress of each cell: dE/dε over the volume; NaN without three cell vectors.

    Args:
        slope: ``(n_molecules, 3, 3)``, eV, derivative of the energy with the strain ε.
        molecules: with their cells.

    Returns:
        ``(n_molecules, 3, 3)`` float64, eV/Å³, symmetric.
    """
    volume = torch.linalg.det(molecules.cell.double()).abs()
    volume = volume.masked_fill(~molecules.pbc.all(-1), torch.nan)
    stress: Tensor = 0.5 * (slope + slope.mT).double() / volume[:, None, None]
    return stress
