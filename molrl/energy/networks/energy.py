"""The energy model of a network that was fitted with ``molrl energy fit``."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from molrl.energy.networks.batched import BatchedEnergy, ChunkOutput, chunks
from molrl.energy.networks.frozen import FrozenPotential
from molrl.energy.networks.interface import Graph
from molrl.energy.networks.potential import load_potential
from molrl.energy.output import EnergyOutput, Wanted
from molrl.energy.uncertainty import REFERENCE_SCORE, BiasedOutput, GaussianMixture
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

_FOLDER = Path(__file__).with_name("shipped")
SHIPPED = {name: _FOLDER / f"{name}.json" for name in ("mace", "mace-small")}


class NetworkEnergy(BatchedEnergy):
    """An energy model that evaluates a fitted network in float32.

    The network predicts interaction energies; the energies of the isolated atoms are added in
    float64, so that total energies have the absolute accuracy of a float32 interaction energy.

    Args:
        weights: the JSON file that ``molrl energy fit`` wrote, with its tensors next to it; or the
            name of a shipped model, ``mace`` or ``mace-small``, which has fewer channels.
        device: the device to compute on.

    Attributes:
        name: name of the shipped model, or architecture and file as in ``mace:FILE``.
        potential: the frozen network with the pair repulsion and the isolated atoms' energies.
        mixture: the Gaussian mixture that uncertainties are computed from; None where the weights
            have none.

    Raises:
        InputError: if the files are missing, corrupted or of another kind.

    Example:
        >>> from ase.build import molecule
        >>> model = NetworkEnergy("mace-small")
        >>> output = model.evaluate(molecule("H2O"), uncertainty=True)
        >>> output.energy.shape, output.atom_uncertainty.shape
        (torch.Size([1]), torch.Size([3]))
    """

    def __init__(self, weights: str | Path = "mace", device: str = "cpu") -> None:
        shipped = SHIPPED.get(str(weights))
        path = shipped or Path(weights)
        self.potential, digest = load_potential(path)
        config = self.potential.config
        # Neighbours are listed once, up to the largest cutoff; shorter lists are selected from it.
        cutoff = max(config.cutoff, self.potential.far_cutoff or 0.0)
        super().__init__(config.elements, self.potential.energy_table(), cutoff, device)
        self.name = str(weights) if shipped else f"{config.architecture}:{weights}"
        self._hash = digest[:12]
        self.mixture = GaussianMixture.load(path, digest, self.device)
        self.offers_uncertainty = self.mixture is not None
        self.takes_cells = self.potential.takes_cells
        self.conservative = self.potential.network.conservative
        if self.conservative and self.takes_cells:
            self.implemented_properties = ("energy", "forces", "stress")
        network = self.potential.network.to(self.device).eval().requires_grad_(False)
        self._evaluated = FrozenPotential.of(replace(self.potential, network=network))

    @property
    def hash(self) -> str:
        """First 12 digits of the SHA-256 of the header, which holds the checksum of the tensors."""
        return self._hash

    def final_features(self, descriptors: Tensor) -> Tensor:
        """Return the part of the descriptors that uncertainties are computed from.

        Args:
            descriptors: ``(n_atoms_total, n_features)``, from :meth:`evaluate`.

        Returns:
            ``(n_atoms_total, n)``.
        """
        return self.potential.network.final_features(descriptors)

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        output = super()._evaluate(molecules, wanted)
        if wanted.uncertainty and self.mixture is not None:
            assert output.descriptors is not None  # evaluate requests them with the uncertainty
            molecules = self._on_device(molecules)
            features = self.final_features(output.descriptors)
            output.atom_uncertainty = self.mixture.atom_uncertainty(features, molecules.numbers)
            output.uncertainty = self.mixture.molecule_uncertainty(
                output.atom_uncertainty, molecules
            )
        return output

    def _evaluate_chunk(self, molecules: MoleculeBatch, wanted: Wanted) -> ChunkOutput:
        graph = self._graph(molecules)
        derived = wanted.stress or (wanted.forces and self.conservative)
        # Without a gradient, operators skip what autograd keeps track of: most of the time of a
        # small batch. The results are copied out, because inference tensors cannot be used later.
        with torch.inference_mode(not derived), torch.set_grad_enabled(derived):
            positions = graph.positions.requires_grad_(derived)
            strain = positions.new_zeros(len(molecules), 3, 3).requires_grad_(wanted.stress)
            found = self._evaluated(graph.strained(strain) if wanted.stress else graph)
            forces, stress = found.forces, None
            if derived:
                leaves = [positions, strain] if wanted.stress else [positions]
                slopes = torch.autograd.grad(found.energy.sum(), leaves)
                forces = -slopes[0]
                stress = stress_of(slopes[-1], molecules) if wanted.stress else None
        forces = forces.double() if wanted.forces and forces is not None else None
        return ChunkOutput(found.energy.detach(), found.features.detach(), forces, stress)

    def _graph(self, molecules: MoleculeBatch) -> Graph:
        return self._evaluated.graph(molecules, torch.float32)

    def evaluate_biased(self, molecules: MoleculeBatch) -> BiasedOutput:
        """Compute energies, forces and the gradient of the uncertainty, for biased dynamics.

        Args:
            molecules: on any device.

        Raises:
            InputError: if the weights have no mixture, or as for :meth:`evaluate`.
        """
        if self.mixture is None:
            raise InputError(f"energy model {self.name!r} offers no uncertainty")
        molecules = self._checked(molecules)
        parts = [
            self._biased_chunk(molecules.part(chunk), self.mixture)
            for chunk in chunks(molecules.n_atoms, self._chunk)
        ]
        energy, forces, bias, uncertainty, atoms = map(torch.cat, zip(*parts, strict=True))
        total = energy.double() + self._atoms_energy(molecules)
        return BiasedOutput(total, forces, bias, uncertainty, atoms)

    def _biased_chunk(
        self, molecules: MoleculeBatch, mixture: GaussianMixture
    ) -> tuple[Tensor, ...]:
        """Return the fields of a :class:`BiasedOutput`, but with interaction energies."""
        if not len(molecules.numbers):  # without atoms there is no gradient
            zero = torch.zeros(len(molecules), dtype=torch.float64, device=self.device)
            vectors = zero.new_zeros(0, 3)
            return zero, vectors, vectors, zero + REFERENCE_SCORE, zero.new_zeros(0)
        graph = self._graph(molecules)
        x = graph.positions.requires_grad_()
        found = self._evaluated(graph)
        atoms = mixture.atom_uncertainty(self.final_features(found.features), molecules.numbers)
        uncertainty = mixture.molecule_uncertainty(atoms, molecules)
        force = found.forces
        if force is None:
            (gradient,) = torch.autograd.grad(found.energy.sum(), x, retain_graph=True)
            force = -gradient
        (uphill,) = torch.autograd.grad(uncertainty.sum(), x)
        return (
            found.energy.detach(),
            force.detach().double(),
            uphill.double(),
            uncertainty.detach(),
            atoms.detach(),
        )


def stress_of(slope: Tensor, molecules: MoleculeBatch) -> Tensor:
    """Compute the stress of each cell, dE/dε over the volume.

    Args:
        slope: ``(n_molecules, 3, 3)`` eV, derivative of the energy with the strain ε.
        molecules: the structures, with their cells.

    Returns:
        ``(n_molecules, 3, 3)`` float64, eV/Å³, symmetric; NaN for structures that are not periodic
        in three dimensions or have no atoms.
    """
    volume = torch.linalg.det(molecules.cell.double()).abs()
    without = ~molecules.pbc.all(-1) | (molecules.n_atoms == 0)
    volume = volume.masked_fill(without, torch.nan)
    stress: Tensor = 0.5 * (slope + slope.mT).double() / volume[:, None, None]
    return stress
