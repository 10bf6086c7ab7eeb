"""MACE energies of many molecules in one forward pass."""

from pathlib import Path

import torch
from torch import Tensor

from molrl.energy.interface import EnergyOutput
from molrl.energy.networks import WEIGHTS
from molrl.energy.networks.batched import NetworkEnergy, chunks
from molrl.energy.networks.mace.graph import Batcher
from molrl.energy.networks.mace.network import Mace, MaceConfig, load_parameters
from molrl.energy.uncertainty import EXACT, BiasedOutput, GaussianMixture, average
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.config import parse_config
from molrl.runs.weights import load_weights

_FOLDER = Path(__file__).with_name("shipped")
SHIPPED = {name: _FOLDER / f"{name}.json" for name in ("mace", "mace-small")}


class MaceEnergy(NetworkEnergy):
    """A MACE fitted with ``molrl energy fit``, in float32 on interaction energies.

    The energies of the isolated atoms are added in float64, so totals are good to float32
    rounding of the interaction energy alone.

    Args:
        weights: the JSON file of a pair of files that ``molrl energy fit`` wrote, or the name of a
            shipped model: ``mace``, or ``mace-small``, of fewer channels.
        device: where to compute.

    Attributes:
        name: that of the shipped model, or ``mace:`` and the file.
        config: the network's shape.
        network: the module, frozen.
        mixture: what tells how unusual an atom is, if it stands beside the weights.

    Raises:
        InputError: if the files are missing, damaged or of another kind.
    """

    def __init__(self, weights: str | Path = "mace", device: str = "cpu") -> None:
        shipped = SHIPPED.get(str(weights))
        path = shipped or Path(weights)
        self.name = str(weights) if shipped else f"mace:{weights}"
        tensors, header = load_weights(path, kind=WEIGHTS)
        self.config = parse_config(header.get("config", {}), MaceConfig, where=str(path))
        super().__init__(self.config.elements, self.config.energy_table(), device)
        self._hash: str = header["header_sha256"][:12]
        self.mixture = GaussianMixture.load(path, header["header_sha256"], self.device)
        self.offers_uncertainty = self.mixture is not None
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and replaced
            network = Mace(self.config)
        load_parameters(network, tensors, str(path))
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._batcher = Batcher(self.elements, self.config.cutoff)

    @property
    def hash(self) -> str:
        """The first 12 digits of the SHA-256 of the header, which holds that of the weights."""
        return self._hash

    def final_features(self, descriptors: Tensor) -> Tensor:
        """``(n_atoms_total, channels)``: the last layer's part of the descriptors."""
        return descriptors[:, -self.config.channels :]

    def _add_uncertainty(self, molecules: MoleculeBatch, output: EnergyOutput) -> None:
        assert self.mixture is not None
        assert output.descriptors is not None
        molecules = molecules.to(self.device)
        features = self.final_features(output.descriptors)
        output.atom_uncertainty = self.mixture.atom_uncertainty(features, molecules.numbers)
        output.uncertainty = average(output.atom_uncertainty, molecules)

    def evaluate_biased(self, molecules: MoleculeBatch) -> BiasedOutput:
        """Energies, forces and the gradient of the uncertainty, for biased dynamics.

        Raises:
            InputError: if no mixture stands beside the weights, or as for :meth:`evaluate`.
        """
        if self.mixture is None:
            raise InputError(f"energy model {self.name!r} offers no uncertainty")
        molecules = molecules.check(self.elements).to(self.device)
        parts = [
            self._biased_chunk(molecules[chunk], self.mixture)
            for chunk in chunks(molecules.n_atoms, self._chunk)
        ]
        energy, forces, bias, unsure, atoms = map(torch.cat, zip(*parts, strict=True))
        isolated = molecules.sum_atoms(self._atomic_energies[molecules.numbers])
        return BiasedOutput(energy.double() + isolated, forces, bias, unsure, atoms)

    def _biased_chunk(
        self, molecules: MoleculeBatch, mixture: GaussianMixture
    ) -> tuple[Tensor, ...]:
        if not len(molecules.numbers):  # nothing to differentiate
            nothing = torch.zeros(len(molecules), dtype=torch.float64, device=self.device)
            vectors = nothing.new_zeros(0, 3)
            return nothing, vectors, vectors, nothing + EXACT, nothing.new_zeros(0)
        graph = self._batcher(molecules, torch.float32)
        x = graph.positions.requires_grad_()
        energy, features = self.network(graph)
        atoms = mixture.atom_uncertainty(self.final_features(features), molecules.numbers)
        unsure = average(atoms, molecules)
        (gradient,) = torch.autograd.grad(energy.sum(), x, retain_graph=True)
        (uphill,) = torch.autograd.grad(unsure.sum(), x)
        force, bias = -gradient.double(), uphill.double()
        return energy.detach(), force, bias, unsure.detach(), atoms.detach()

    def _evaluate_chunk(
        self, molecules: MoleculeBatch, forces: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        graph = self._batcher(molecules, torch.float32)
        with torch.set_grad_enabled(forces):
            graph.positions.requires_grad_(forces)
            energy, features = self.network(graph)
            force = graph.positions.new_zeros(0, 3)
            if forces:
                (gradient,) = torch.autograd.grad(energy.sum(), graph.positions)
                force = -gradient.double()
        return energy.detach(), force, features.detach()
